"""What a study hands over: its best network in a folder, and rows of its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hpsearch.errors import CheckpointError, ConflictError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.insight.reader import Reader
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.store.ledger import Ledger

__all__ = ["flat_row", "save", "with_network"]


def with_network(reader: Reader) -> Snapshot:
    """The study now, with the place of its network; NotFoundError where no trial of it is the best,
    nor has a finish found one."""
    snapshot = reader.located(reader.snapshot())
    if snapshot.network is not None:
        return snapshot
    refused = snapshot.study.refused
    why = f"; it is stopped: {refused}" if refused else ""
    if (leader := snapshot.leader) is not None:
        why += (f"; the best so far is trial {leader.number}, still training: {snapshot.metric} "
                f"{leader.value:.4g}")  # fmt: skip
    raise NotFoundError(
        f"study {snapshot.study.name!r} has no complete trial yet: "
        f"{_under_way(reader, snapshot)}, {snapshot.count('PRUNED')} pruned, "
        f"{snapshot.count('FAIL')} failed{why}"
    )


def _under_way(reader: Reader, snapshot: Snapshot) -> str:
    """How many trials are trained, and how many wait for a worker to continue with them."""
    at_work = reader.at_work()
    waiting = sum(trial.number not in at_work for trial in snapshot.running)
    training = len(snapshot.running) - waiting
    return f"{training} running" + (f", {waiting} waiting for a worker" if waiting else "")


def save(
    ledger: Ledger, reader: Reader, folder: Path, *, checkpoints: str | None = None,
    code: Path | None = None, force: bool = False,
) -> Snapshot:  # fmt: skip
    """Put the network that a study hands over in a folder, or what its own training code has saved;
    the study as it was then.

    Args:
        ledger: Where it is kept.
        reader: Reads it.
        folder: Where the network goes.
        checkpoints: Where checkpoints lie, if an option or the environment says so.
        code: The folder of the study's own code.
        force: Replace one that an earlier `save` has put there.

    Raises NotFoundError where there is none yet; ConflictError where something else is there, or
    the folder is a study's; CheckpointError where it is unavailable or cannot be written.
    """
    from hpsearch.checkpoints.places import owner
    from hpsearch.handover import own, save

    if (whose := owner(ledger.database, ledger.studies(), checkpoints)(folder)) is not None:
        raise ConflictError(f"{folder} is {whose}, and never written over; choose another folder")

    def put(snapshot: Snapshot) -> None:
        assert snapshot.network is not None
        if snapshot.spec.train is not None:
            own.save(ledger, snapshot, snapshot.network, folder, checkpoints, force=force)
            return
        save.save(
            ledger, snapshot, snapshot.network, folder, checkpoints, code=code, force=force
        )  # fmt: skip

    return _put(reader, put)


def _put(reader: Reader, put: Callable[[Snapshot], None]) -> Snapshot:
    """Save the best network, and give the snapshot that it is the best of: while a study runs there
    may be a better one by the time that PyTorch is loaded, and this one's checkpoint gone."""
    snapshot = with_network(reader)
    while True:
        try:
            put(snapshot)
        except CheckpointError:
            later = with_network(reader)
            if later.network == snapshot.network:
                raise
            snapshot = later
        else:
            return snapshot


def flat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A trial in one level: parameters as `params.lr`, metrics as `metrics.loss`, what is switched
    off as `off.dropout`; curves are left out."""
    left = ("params", "off", "metrics", "last_metrics", "curve")
    flat = {key: value for key, value in row.items() if key not in left}
    for part in ("params", "off", "metrics"):
        flat |= {f"{part}.{key}": value for key, value in row[part].items()}
    return flat
