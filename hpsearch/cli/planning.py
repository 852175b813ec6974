"""plan: what a search will take."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hpsearch.cli.checking import describe, described
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
from hpsearch.errors import ConflictError
from hpsearch.insight.words import about, counted, rough

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hpsearch.fleet import DevicePlace
    from hpsearch.forecast.pace import Forecast, Pace
    from hpsearch.spec import StudySpec
    from hpsearch.store.engine import Database

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
    if spec.train is not None:
        raise ConflictError(
            "hpsearch plan times networks that hpsearch trains; of own training code run a few "
            "trials (--trials 3), and hpsearch status shows the pace"
        )
    runs_code(spec, file, code)
    crew.check()
    seats = crew.seats()
    limit_threads(seats[0].threads)
    import hpsearch.forecast.dry_runs  # noqa: F401  loads PyTorch: before `sized` would
    from hpsearch.cli import show
    from hpsearch.forecast.pace import forecast
    from hpsearch.preflight.sizing import sized
    from hpsearch.weights import weighed

    ledger = open_ledger(storage, make=True)
    spec = sized(ledger, weighed(spec, file.parent), file.parent, seats[0].device)
    if not json_:
        describe(spec)
        show.note("dry run ...")
    pace = _pace(
        spec, file.parent, seats, _free_disk(ledger.database, spec, checkpoints, file.parent)
    )
    found = forecast(spec, pace, len(seats))
    if json_:
        print_json({**described(spec), "shapes": _shapes(pace), "forecast": asdict(found)})
    else:
        _print(pace, found)


def _pace(
    spec: StudySpec, base: Path, seats: Sequence[DevicePlace], disk_bytes: int | None
) -> Pace:
    """Dry runs on the first of the devices, settled as a worker there would be."""
    from joblib import cpu_count

    from hpsearch.forecast.dry_runs import time_shapes
    from hpsearch.sources.opening import open_data
    from hpsearch.training import devices

    device = devices.device(seats[0].device)
    devices.prepare(device, seats[0].threads)
    dataset = open_data(spec, base, device)
    count = len({seat.device for seat in seats})
    at_once = cpu_count() if device.type == "cpu" else count
    return time_shapes(
        spec, dataset, device, devices_=count, seats=at_once, workers=len(seats),
        disk_bytes=disk_bytes,
    )  # fmt: skip


def _free_disk(
    database: Database, spec: StudySpec, checkpoints: str | None, base: Path
) -> int | None:
    """Bytes that are free where checkpoints will lie; None for a place at a URL."""
    from hpsearch.checkpoints.places import checkpoint_root

    root = checkpoint_root(database, checkpoints or spec.checkpoints, base.resolve())
    if root is None:
        return None
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    return shutil.disk_usage(there).free


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
