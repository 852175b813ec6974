"""logs: what own training code has written."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from hpsearch import passwords
from hpsearch.api.logs import Logs, trial_of
from hpsearch.cli.options import Checkpoints, Name, Storage, open_ledger, reads
from hpsearch.terminal import echo

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
            show_default="the last that failed, or wrote something",
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
    logs = Logs.of(reader, snapshot, checkpoints)
    chosen = trial_of(snapshot, trial, logs)
    state = show.state(chosen, reader.at_work())
    show.note(f"trial {chosen.number}, {state}{f': {chosen.reason}' * bool(chosen.reason)}")
    shown = 0
    while True:
        over = not follow or chosen.state != "RUNNING"
        text = logs.text(chosen)
        echo(passwords.hide(text[shown:]), end="")
        shown = max(len(text), shown)
        if over:
            break
        time.sleep(_LOOK_S if logs.is_near else _LOOK_AFAR_S)
        chosen = trial_of(reader.snapshot(), chosen.number, logs)
    if text and not text.endswith("\n") and sys.stdout.isatty():
        echo("")  # else the prompt would follow its last line
    if not shown:
        show.note(f"it has written nothing to {passwords.hide(logs.place)}")
