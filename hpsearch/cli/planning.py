"""check, plan: what a study file says, and what it will take."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

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
from hpsearch.cli.words import about, counted, rough

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Group

    from hpsearch.fleet import DevicePlace
    from hpsearch.forecast.pace import Forecast, Pace
    from hpsearch.spec import StudySpec
    from hpsearch.spec.space import Parameter
    from hpsearch.stages.stage import Stage
    from hpsearch.store.engine import Database

__all__ = ["check", "plan"]


@flat
def check(
    file: FileArgument, *, overrides: Overrides, code: Code = None, json_: Json = False
) -> None:
    """Say what would be searched, or every fault of the file."""
    from hpsearch.cli import show
    from hpsearch.preflight.data_check import check_look
    from hpsearch.sources.opening import look

    spec = overrides.load(file, code)
    seen = look(spec, file.parent)
    if seen is not None:
        check_look(spec, file.parent, seen)
    if json_:
        print_json({**_described(spec), "table": seen and seen.facts})
        return
    _describe(spec)
    if seen is not None:
        show.look(seen)
    show.warnings(spec)


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
    """Say what a search would take: a dry run of some seconds, nothing is trained for good."""
    from hpsearch.sources.opening import look

    spec = overrides.load(file, code)
    look(spec, file.parent)
    runs_code(spec, file, code)
    crew.check()
    seats = crew.seats()
    limit_threads(seats[0].threads)
    import hpsearch.forecast.dry_runs  # noqa: F401  loads PyTorch: before `sized` would
    from hpsearch.cli import show
    from hpsearch.forecast.pace import forecast
    from hpsearch.preflight.sizing import sized

    ledger = open_ledger(storage, make=True)
    spec = sized(ledger, spec, file.parent, seats[0].device)
    if not json_:
        _describe(spec)
        show.note("dry run ...")
    pace = _pace(
        spec, file.parent, seats, _free_disk(ledger.database, spec, checkpoints, file.parent)
    )
    found = forecast(spec, pace, len(seats))
    if json_:
        print_json({**_described(spec), "shapes": _shapes(pace), "forecast": asdict(found)})
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


def _described(spec: StudySpec) -> dict[str, Any]:
    """What would be searched, for JSON."""
    from hpsearch.preflight.data_check import warnings
    from hpsearch.spec.family import FAMILIES
    from hpsearch.spec.space import Grid, Range
    from hpsearch.stages.outline import sizes, tickets

    grid = Grid(spec.space)
    # What is `auto` has an end, which is not known yet.
    endless = [
        p.name for p in spec.space
        if p.domain.size is None or (isinstance(p.domain, Range) and p.domain.auto)
    ]  # fmt: skip
    return {
        "name": spec.name,
        "data": spec.data.source,
        "network": FAMILIES[spec.family].name,
        "metric": spec.metric,
        "direction": spec.direction,
        "parameters": {p.name: {"group": p.group, "domain": _domain(p)} for p in spec.space},
        "constants": dict(spec.space.constants),
        "sampler": dict(spec.search.sampler),
        "pruner": spec.search.pruner.name,
        "grid_cells": None if endless else grid.size,
        "strategy": spec.search.strategy,
        "stages": sizes(spec),
        "trials": tickets(spec),
        "epochs": spec.budget.epochs,
        "hours": spec.budget.hours,
        "keep": spec.keep,
        "stop_after": spec.budget.stop_after,
        "warnings": warnings(spec),
    }


def _domain(parameter: Parameter) -> str:
    """A parameter's values in words."""
    from hpsearch.cli.show import setting
    from hpsearch.spec.space import Range

    found = parameter.domain
    if isinstance(found, Range):
        words = f"{setting(found.low)} to {'auto' if found.auto else setting(found.high)}"
        words += " whole" if found.integer else ""
        words += f" step {setting(found.step)}" if found.step else ""
        words += " log" if found.log else ""
    else:
        words = ", ".join(map(setting, found.values))
    for condition in parameter.when:
        words += f" when {condition.parameter} is {' or '.join(map(setting, condition.values))}"
    return words


def _describe(spec: StudySpec) -> None:
    """What would be searched."""
    from hpsearch.cli.show import columns, out, params

    facts = _described(spec)
    out.print(f"{spec.name}: {facts['network']} on {facts['data']}, {facts['direction']} "
              f"validation {facts['metric']}")  # fmt: skip
    table = columns("group", "parameter", "values", "sampler")
    for parameter in spec.space:
        sampler = spec.search.sampler[parameter.group]
        table.add_row(parameter.group, parameter.name, _domain(parameter), sampler)
    if spec.space.parameters:
        out.print(table)
    if any(p.when and spec.search.sampler[p.group] in ("auto", "bayesian") for p in spec.space):
        out.print("bayesian: by TPE, as a Gaussian process wants no conditional parameters")
    if facts["constants"]:
        out.print(f"constant: {params(facts['constants'])}")
    if facts["grid_cells"] is not None and spec.space.parameters:
        out.print(f"as a grid: {facts['grid_cells']:,} cells")
    _stages(spec)
    hours = f", at most {counted(facts['hours'], 'hour')}" if facts["hours"] else ""
    epochs = counted(facts["epochs"], "epoch")
    keep = "" if spec.keep == "best" else f"; keep {spec.keep}"
    stop = spec.budget.stop_after
    early = f"; stop_after {stop}" if stop is not None else ""
    out.print(f"budget: {counted(facts['trials'], 'trial')} of at most {epochs}{hours}; "
              f"pruner {facts['pruner']}{keep}{early}")  # fmt: skip


def _stages(spec: StudySpec) -> None:
    """Who draws what in each stage, as far as that is known before there are results."""
    from hpsearch.cli.show import columns, out
    from hpsearch.spec.settings import FINAL
    from hpsearch.stages.outline import final_tickets, outline, provisional

    found = provisional(spec)
    if len(found) < 2 and not spec.final:
        return
    table = columns("stage", "trials", "sampler", "draws", "cells", right=("trials", "cells"))
    for stage in found:
        table.add_row(stage.name, f"{stage.count:,}", *_drawn(spec, stage))
    if spec.final:
        said = f"the best {spec.final.top} and the default, {spec.final.seeds} times each"
        table.add_row(FINAL, f"{final_tickets(spec):,}", "", said, "")
    out.print(table)
    if spec.budget.hours and len(found) > 1:
        out.print("where the hours hold fewer trials, the stages after the first share those")
    there = {stage.name for stage in found}
    if left_out := [leg.name for leg in outline(spec) if leg.name not in there]:
        out.print(f"too few trials for a stage of its own: {', '.join(left_out)}")


def _drawn(spec: StudySpec, stage: Stage) -> tuple[Group, Group, str]:
    """Samplers, what each draws, and the cells of a grid."""
    from rich.console import Group

    by = dict[str, list[str]]()
    for name, sampler in stage.samplers.items():
        by.setdefault(sampler, []).append(name)
    cells = ""
    if "grid" in by:
        held = stage.bases[0] if stage.bases else {}
        cells = f"{stage.grid({**spec.space.constants, **held}).size:,}"
    return Group(*by), Group(*map(", ".join, by.values())), cells


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
