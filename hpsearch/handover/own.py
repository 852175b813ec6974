"""What own training code saved in its best epoch, in a folder of its own.

DIR/run.json     the study, the function, the parameters and what was reported
DIR/state.pt     of a function, what `run.save` had: `torch.load(PATH, weights_only=True)` gives it
                 by name
DIR/checkpoint   of a command, the files that it had in its folder for checkpoints, if any
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hpsearch import files
from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.checkpoints.places import checkpoint_place
from hpsearch.children.command import CheckpointFolder
from hpsearch.errors import CheckpointError
from hpsearch.handover.replace import Kind, check_place, put
from hpsearch.insight.snapshot import Snapshot, Trial
from hpsearch.runner import Saved
from hpsearch.spec.family import COMMAND
from hpsearch.store.ledger import Ledger

__all__ = ["FILES", "RUN", "STATE", "kept", "save", "way_in", "write"]

RUN, STATE, FILES = "run.json", "state.pt", "checkpoint"
_FORMAT = "hpsearch run"
_MOST_BYTES = 1 << 28
"""Of run.json, which has the verdict of a finish."""


def save(
    ledger: Ledger, snapshot: Snapshot, best: Trial, folder: Path, option: str | None = None, *,
    force: bool = False,
) -> None:  # fmt: skip
    """Put the best trial's state in `folder`, all of it or nothing.

    Args:
        ledger: Where the study is kept.
        snapshot: The study.
        best: Its best trial.
        folder: Where it goes.
        option: Where checkpoints lie, if an option or the environment says so.
        force: Replace what an earlier `save` has put there.

    Raises CheckpointError where its code saved nothing, or that is unavailable; ConflictError where
    something else is in the folder.
    """
    check_place(folder, _RUN, force=force)  # before anything that takes time
    saved = _saved(Checkpoints(checkpoint_place(ledger.database, snapshot.study, option)), best)
    state = saved.own
    assert state is not None
    # A command that had no files by its best epoch has those of its end.
    late = saved.state["own"]["best"] is None
    files_of_end = state["checkpoint"].get("late", []) if snapshot.spec.family == COMMAND else []
    run = {
        "format": _FORMAT, "study": snapshot.study.name, "uid": snapshot.study.uid,
        "function": snapshot.spec.family, "code": _code(ledger, snapshot, best),
        "code_digest": best.code,
        "trial": best.number, "epoch": best.best_epoch,
        "saved_after_epoch": saved.epoch if late else best.best_epoch,
        "saved_at_end": {"files": files_of_end, "epoch": saved.epoch} if files_of_end else None,
        "params": dict(best.params),
        "constants": dict(snapshot.spec.space.constants), "metric": snapshot.metric,
        "metrics": dict(best.metrics), "test": dict((snapshot.verdict or {}).get("network", {})),
        "finish": snapshot.verdict, "saved": [*state],
    }  # fmt: skip
    write(folder, run, state, force=force)


def write(folder: Path, run: Mapping[str, Any], state: Mapping[str, Any], *, force: bool) -> None:
    """Put what run.json is to say and the state in `folder`: all of it or nothing.

    Raises ConflictError where something else is there, CheckpointError where it cannot be written.
    """
    text = json.dumps(run, indent=2, ensure_ascii=False) + "\n"

    def fill(new: Path) -> None:
        if run["function"] == COMMAND:
            checkpoint = CheckpointFolder(new / FILES)
            checkpoint.load_state_dict(state["checkpoint"])
            if not checkpoint.files():
                checkpoint.path.rmdir()
        else:
            torch.save(state, new / STATE)
        (new / RUN).write_text(text, encoding="utf-8")

    put(folder, _RUN, fill, force=force)


def kept(folder: Path) -> str:
    """What `save` has just put in a folder, in words."""
    run = json.loads(files.content(folder / RUN, at_most=_MOST_BYTES))
    shown, number = shlex.quote(str(folder)), run["trial"]
    command, epoch, after = run["function"] == COMMAND, run["epoch"], run["saved_after_epoch"]
    if command and not (folder / FILES).exists():
        return (f"trial {number} had no files in {{checkpoint}}; its parameters are in "
                f"{shown}/{RUN}")  # fmt: skip
    what = (
        f"{FILES} has the files of {{checkpoint}}" if command else f"{STATE} has what run.save had"
    )
    where = f"; its parameters are in {shown}/{RUN}"
    if after != epoch:
        return (f"{shown}/{what} at the end of trial {number}, after epoch {after}: it had written "
                f"none by epoch {epoch}, which its value is of{where}")  # fmt: skip
    end = run["saved_at_end"]
    but = (
        f"; {', '.join(end['files'])}: written at its end, after epoch {end['epoch']}"
        if end
        else ""
    )
    return (
        f"{shown}/{what} after epoch {epoch} of trial {number}, which its value is of{but}{where}"
    )


def way_in(folder: Path) -> str | None:
    """How what `save` has put in a folder is opened, in words; None where it is not there."""
    try:
        run = json.loads(files.content(folder / RUN, at_most=_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(run, dict) or run.get("format") != _FORMAT:
        return None
    if run.get("function") == COMMAND:
        return f"the files are in {folder / FILES}, the parameters in {folder / RUN}"
    saved = run.get("saved")  # which older folders do not name
    name = saved[0] if isinstance(saved, list) and saved else "NAME"
    return (
        f'torch.load("{folder / STATE}", weights_only=True)["{name}"] is what run.save had as '
        f"{name}; build a network from the params in {folder / RUN}, then load_state_dict"
    )


def _code(ledger: Ledger, snapshot: Snapshot, best: Trial) -> dict[str, str] | None:
    """Path and hash of each file of the code that trained it; None where that has changed since."""
    manifest = ledger.code(snapshot.study)
    return dict(manifest.files) if best.code in (None, manifest.short) else None


def _saved(checkpoints: Checkpoints, best: Trial) -> Saved:
    state = checkpoints.load(best.ticket)
    if state is None:
        raise CheckpointError(
            f"what trial {best.number} saved is not in {checkpoints.place}; name the place where "
            "it is with --checkpoints, or ask on the machine where it ran"
        )
    saved = Saved(state)
    if saved.own is None:
        raise CheckpointError(
            f"trial {best.number} has saved nothing: its code does not call run.save(...)"
        )
    if saved.kept_epoch != best.best_epoch:
        raise CheckpointError(
            f"what trial {best.number} had after its epoch {best.best_epoch} was not kept: "
            f"{checkpoints.place} has that of epoch {saved.kept_epoch}"
        )
    return saved


def _is_run(folder: Path) -> bool:
    """Whether a folder has what `save` has put there and nothing else."""
    names = {path.name for path in folder.iterdir()}
    return names <= {RUN, STATE, FILES} and way_in(folder) is not None


_RUN = Kind("run", _is_run)
