"""next, importance: what a study that has ended tells of the one to come."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hpsearch.cli.options import Json, Name, Storage, open_ledger, print_json
from hpsearch.errors import ConflictError, HpsearchError, NotFoundError
from hpsearch.terminal import echo

__all__ = ["importance", "next_"]


def next_(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write.", show_default="standard output"),
    ] = None,
    storage: Storage = None,
    json_: Json = False,
) -> None:
    """Print a study file with what to try next, and why."""
    from hpsearch.cli import show
    from hpsearch.report import Reader
    from hpsearch.spec import write
    from hpsearch.successor import Findings, named, rebased, successor

    ledger = open_ledger(storage)
    snapshot = Reader(ledger, name).snapshot()
    found = snapshot.diagnosis
    best = [snapshot.values(trial) for trial in snapshot.searched]
    if snapshot.best is not None:  # of a finish: that of the best mean, not of the luckiest trial
        winner = snapshot.values(snapshot.best)
        best = [winner, *(values for values in best if values != winner)]
    if not best and found is None:
        raise NotFoundError(
            f"study {name!r} has no trial yet that went to its end: nothing can be told from "
            f"{snapshot.count('PRUNED')} pruned, {snapshot.count('FAIL')} failed"
        )
    taken = {study.name for study in ledger.studies()}
    spec, notes = successor(snapshot.spec, Findings(best, snapshot.advised), named(name, taken))
    folder = output.parent if output else Path()
    spec = rebased(spec, Path(snapshot.study.base), folder.resolve())
    if json_:
        print_json(
            {
                "study": spec.filled,
                "why": {".".join(map(str, k)): why for k, why in notes.items()},
            }
        )
        return
    _put(write(spec, "\n".join(show.told(snapshot)), notes), output)


def _put(text: str, output: Path | None) -> None:
    if output is None:
        echo(text, end="")
        return
    try:
        with output.open("x", encoding="utf-8") as file:  # a study file is somebody's own work
            file.write(text)
    except FileExistsError:
        raise ConflictError(
            f"{output} is there already; remove it or choose another name"
        ) from None
    except OSError as error:
        raise HpsearchError(f"{output} cannot be written: {error.strerror}") from None
    echo(f"written to {output}; hpsearch run {output} starts it", err=True)


def importance(name: Name, storage: Storage = None, json_: Json = False) -> None:
    """Which parameters have mattered, beside the order in which they are thought to."""
    from hpsearch.cli import show
    from hpsearch.importance import measure

    found = measure(open_ledger(storage), name)
    if json_:
        print_json(asdict(found))
    else:
        show.importance(name, found)
