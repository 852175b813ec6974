"""plan: what a search will take."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hpsearch.api import planning
from hpsearch.api.checking import described
from hpsearch.cli.checking import describe
from hpsearch.cli.groups import Crew, Overrides, flat
from hpsearch.cli.options import (
    Checkpoints,
    Code,
    FileArgument,
    Json,
    Storage,
    limit_threads,
    open_ledger,
    print_json,
    runs_code,
)  # fmt: skip
from hpsearch.insight.words import about, counted, rough

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hpsearch.forecast.pace import Forecast, Pace

__all__ = ["plan"]


@flat
def plan(
    file: FileArgument,
    *,
    crew: Crew,
    overrides: Overrides,
    storage: Storage = None,
    checkpoints: Checkpoints = None,
    code: Code = None,
    json_: Json = False,
) -> None:
    """Forecast time, memory and disk of a search, from a dry run of a few seconds."""
    from hpsearch.sources.opening import look

    spec = overrides.load(file, code)
    look(spec, file.parent)
    planning.check_planned(spec)
    runs_code(spec, file.parent, code)
    crew.check()
    seats = crew.seats()
    limit_threads(seats[0].threads)
    import hpsearch.forecast.dry_runs  # noqa: F401  loads PyTorch: before `sized` would
    from hpsearch.cli import show

    ledger = open_ledger(storage, make=True)
    spec = planning.settled(ledger, spec, file.parent, seats[0].device)
    if not json_:
        describe(spec)
        show.note("dry run ...")
    planned = planning.plan(spec, file.parent, seats, ledger.database, checkpoints)
    pace, found = planned.pace, planned.forecast
    if json_:
        print_json({**described(spec), "shapes": _shapes(pace), "forecast": asdict(found)})
    else:
        _print(pace, found)


# --- in words ---------------------------------------------------------------------------------


def _shapes(pace: Pace) -> list[dict[str, Any]]:
    """The shapes that were timed, for JSON."""
    return [
        {
            "shape": shape.words,
            "memory_bytes": shape.candidate_bytes,
            "epoch_seconds": {str(count): seconds for count, seconds in shape.epochs_s},
        }
        for shape in pace.shapes
    ]


def _print(pace: Pace, found: Forecast) -> None:
    """The forecast, and where it came from."""
    from rich.table import Table

    from hpsearch.cli.show import note, out

    table = Table.grid(padding=(0, 2))
    for name, said in _lines(pace, found):
        table.add_row(f"  {name}", said)
    out.print(f"forecast with {counted(found.workers, 'worker')} on {found.device}:")
    out.print(table)
    for warning in found.warnings:
        note(f"warning: {warning}")


def _lines(pace: Pace, found: Forecast) -> Iterator[tuple[str, str]]:
    reached = ", ".join(f"{rung.trials:,.0f} epoch {rung.epoch}" for rung in found.rungs)
    yield "trials reach", f"about {reached}"
    yield "epochs", about(found.epochs, rough)
    yield "one epoch", f"{about(found.epoch_s)} for one trial alone"
    yield "timed", f"{len(set(pace.draws)):,} of {counted(pace.possible, 'shape')}"
    yield "memory", f"{_size(found.candidate_bytes)} a trial, {_size(found.stack_bytes)} in all"
    yield "disk", f"up to {_size(found.disk_bytes)} for checkpoints"
    yield "time", about(found.work_s)


def _size(count: int) -> str:
    """Bytes in the unit that makes them readable."""
    power = min(int(math.log(max(count, 1), 1024)), 3)
    return f"{rough(count / 1024**power)} {('B', 'KiB', 'MiB', 'GiB')[power]}"
