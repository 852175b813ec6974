"""logs: what own training code has written."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch import passwords, urls
from hpsearch.cli.options import Checkpoints, Name, Storage, open_ledger, reads
from hpsearch.errors import ConflictError, NotFoundError
from hpsearch.terminal import echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from hpsearch.insight.reader import Reader
    from hpsearch.insight.snapshot import Snapshot, Trial

__all__ = ["logs"]

_LOOK_S = 0.5
"""Between two looks at a log that is followed ..."""
_LOOK_AFAR_S = 5.0
"""... at a URL, where workers put it every ten seconds and at the end of a trial."""


@reads
def logs(
    name: Name,
    trial: Annotated[
        int | None,
        typer.Argument(
            metavar="TRIAL",
            help="Number of the trial.",
            show_default="the last that failed, or ran",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Continue until the trial has ended.")
    ] = False,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
) -> None:
    """Print the output of your own training code in a trial: its first MB and its last nine.

    Logs are kept beside the checkpoints, in the same folder or at the same URL.
    """
    from hpsearch.cli import show
    from hpsearch.insight.reader import Reader

    ledger = open_ledger(storage)
    reader = Reader(ledger, name)
    snapshot = reader.snapshot()
    place = _place(reader, snapshot, checkpoints)
    text_in, look_s = _kept(place)
    chosen = _chosen(snapshot, trial)
    show.note(f"trial {chosen.number}, {chosen.state}{f': {chosen.reason}' * bool(chosen.reason)}")
    shown = 0
    while True:
        over = not follow or chosen.state != "RUNNING"
        text = text_in(chosen.ticket)
        echo(passwords.hide(text[shown:]), end="")
        shown = max(len(text), shown)
        if over:
            break
        time.sleep(look_s)
        chosen = _chosen(reader.snapshot(), chosen.number)
    if not shown:
        show.note(f"it has written nothing to {passwords.hide(place)}")


def _place(reader: Reader, snapshot: Snapshot, checkpoints: str | None) -> str:
    from hpsearch.checkpoints.places import checkpoint_place

    study = snapshot.study
    if snapshot.spec.train is None:
        raise ConflictError(
            f"study {study.name!r} trains networks of hpsearch, which write no log; what became of "
            f"each trial: hpsearch trials {study.name}"
        )
    return checkpoint_place(reader.database, study, checkpoints)


def _kept(place: str) -> tuple[Callable[[int], str], float]:
    """What gives the log of a ticket, and how often it is worth looking at."""
    from hpsearch.checkpoints.checkpoint import Checkpoints
    from hpsearch.children.log import text_of

    if (folder := urls.folder(place)) is not None:
        return lambda number: text_of(Path(folder), number) or "", _LOOK_S
    kept = Checkpoints(place)
    return lambda number: kept.log(number).decode(errors="replace"), _LOOK_AFAR_S


def _chosen(snapshot: Snapshot, number: int | None) -> Trial:
    """The trial of that number; None: the last that failed, or else the last."""
    failed = [t for t in snapshot.trials if t.state == "FAIL"]
    candidates = (failed or list(snapshot.trials)) if number is None else snapshot.trials
    for trial in reversed(candidates):
        if number in (None, trial.number):
            return trial
    which = "trial" if number is None else f"trial {number}"
    raise NotFoundError(f"study {snapshot.study.name!r} has no {which} yet")
