"""check: what a study file says."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from hpsearch.cli.groups import Overrides, flat
from hpsearch.cli.options import Code, FileArgument, Json, print_json
from hpsearch.errors import DataError, line
from hpsearch.insight.words import counted

if TYPE_CHECKING:
    from rich.console import Group

    from hpsearch.preflight.parameter_count import ParameterCount
    from hpsearch.sources.look import Look
    from hpsearch.spec import StudySpec
    from hpsearch.spec.space import Parameter
    from hpsearch.stages.stage import Stage

__all__ = ["check", "describe", "described"]


@flat
def check(
    file: FileArgument, *, overrides: Overrides, code: Code = None, json_: Json = False
) -> None:
    """Show what would be searched and how the data is read, or all faults of the file."""
    from hpsearch.cli import show, tracking
    from hpsearch.preflight.data_check import check_look
    from hpsearch.sources.opening import look
    from hpsearch.spec.weights import PRETRAINED
    from hpsearch.weights import weighed

    spec = overrides.load(file, code)
    seen = look(spec, file.parent)
    if seen is not None:
        check_look(spec, file.parent, seen)
    try:
        spec = weighed(spec, file.parent)
    except DataError as error:
        # What is published can be fetched, as a data set can that is not here yet.
        if spec.weights.named != PRETRAINED:
            raise
        show.note(f"warning: {error}")
    if json_:
        count = _parameter_count(spec, seen)
        counts = None if count is None else {"default": count.default, "ends": count.ends}
        facts = {"table": seen and seen.facts, "network_parameters": counts}
        print_json({**described(spec), **facts})
        return
    describe(spec)
    if seen is not None:
        show.look(seen)
    show.warnings(spec)
    tracking.look(spec, file.parent)
    # The last line, as PyTorch takes a second to load.
    if (count := _parameter_count(spec, seen)) is not None:
        show.out.print(_in_words(count))


def _parameter_count(spec: StudySpec, seen: Look | None) -> ParameterCount | None:
    """How many parameters the networks have; None where that cannot be known without reading all of
    the data, or running the study's own code."""
    from hpsearch.cli import show
    from hpsearch.spec.family import FAMILIES
    from hpsearch.spec.source import SOURCES

    if spec.data is None:
        return None
    source = SOURCES[spec.data.source]
    shape = source.shape if seen is None else seen.shape
    kind = (seen and seen.kind) or source.kind_of(spec.data)
    classes = source.classes if seen is None else seen.classes
    if shape is None or kind is None or classes is None or FAMILIES[spec.family].is_own:
        return None
    from hpsearch.preflight.parameter_count import parameter_count

    try:
        return parameter_count(spec, kind, shape, classes)
    except Exception as error:  # such as a package's family, or a network for larger images
        show.note(f"warning: the default network cannot be built: {line(error)}")
        return None


def _in_words(count: ParameterCount) -> str:
    if count.ends is None:
        return f"parameters of the default network: {count.default:,}"
    fewest, most = count.ends
    if fewest == most:
        return f"parameters of the network: {count.default:,}"
    return f"parameters of a network: {fewest:,} to {most:,}; by default {count.default:,}"


# --- in words ---------------------------------------------------------------------------------


def described(spec: StudySpec) -> dict[str, Any]:
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
        "data": spec.data and spec.data.source,
        "network": FAMILIES[spec.family].name,
        "weights": spec.weights.named,
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


def describe(spec: StudySpec) -> None:
    """What would be searched."""
    from hpsearch.cli.show import columns, out, params

    facts = described(spec)
    what, metric = f"{facts['network']} on {facts['data']}", f"validation {facts['metric']}"
    if spec.train is not None:
        own = shlex.join(spec.train.command or ()) or f"own training code, {spec.train.function}"
        what, metric = own, spec.metric
    out.print(f"{spec.name}: {what}, {facts['direction']} {metric}")
    table = columns("group", "parameter", "values", "sampler")
    for parameter in spec.space:
        sampler = spec.search.sampler[parameter.group]
        table.add_row(parameter.group, parameter.name, _domain(parameter), sampler)
    if spec.space.parameters:
        out.print(table)
    if any(p.when and spec.search.sampler[p.group] in ("auto", "bayesian") for p in spec.space):
        out.print("bayesian: by TPE, as a Gaussian process wants no conditional parameters")
    for name, digest in spec.weights.hashes.items():
        out.print(f"begins with the weights {name}, SHA-256 {digest[:12]}")
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
    from hpsearch.insight import recipe_words
    from hpsearch.spec.settings import FINAL, RECIPE
    from hpsearch.stages.outline import final_tickets, outline, provisional

    found = provisional(spec)
    if len(found) < 2 and not spec.final and spec.search.strategy != RECIPE:
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
    if spec.search.strategy == RECIPE:
        for line in recipe_words.noted(spec):
            out.print(line)
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
