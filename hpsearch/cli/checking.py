"""check: what a study file says."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from hpsearch.api import checking
from hpsearch.api.checking import described, domain_in_words
from hpsearch.cli.groups import Overrides, flat
from hpsearch.cli.options import Code, FileArgument, Json, print_json
from hpsearch.insight.words import counted

if TYPE_CHECKING:
    from rich.console import Group

    from hpsearch.preflight.parameter_count import ParameterCount
    from hpsearch.spec import StudySpec
    from hpsearch.stages.stage import Stage

__all__ = ["check", "describe"]


@flat
def check(
    file: FileArgument, *, overrides: Overrides, code: Code = None,
    networks: Annotated[
        bool,
        typer.Option("--networks", help="Build networks to count their parameters where nothing "
                     "less will do, such as those of torchvision and timm."),
    ] = False,
    json_: Json = False,
) -> None:  # fmt: skip
    """Show what would be searched and how the data is read, or all faults of the file."""
    from hpsearch.cli import show, tracking
    from hpsearch.insight.words import params

    checked = checking.check(overrides.load(file, code), file.parent)
    spec, seen = checked.spec, checked.seen
    for note in checked.notes:
        show.note(f"warning: {note}")
    if json_:
        count = _parameter_count(checked, networks=networks)
        counts = None if count is None else {"default": count.default, "ends": count.ends}
        facts = {"table": seen and seen.facts, "network_parameters": counts}
        print_json({**described(spec, code or file.parent), **facts})
        return
    describe(spec)
    if default := described(spec)["default"]:
        show.out.print(f"default configuration: {params(default)}")
    if seen is not None:
        show.look(seen)
    show.warnings(spec, code or file.parent)
    tracking.look(spec, file.parent)
    # The last line, as networks may have to be built for it.
    if (count := _parameter_count(checked, networks=networks)) is not None:
        show.out.print(_in_words(count))


def _parameter_count(checked: checking.Checked, *, networks: bool) -> ParameterCount | None:
    from hpsearch.cli import show

    count, why = checking.parameter_count(checked, networks=networks)
    if why:
        show.note(why)
    return count


def _in_words(count: ParameterCount) -> str:
    if count.ends is None:
        return f"parameters of the default network: {count.default:,}"
    fewest, most = count.ends
    if fewest == most:
        return f"parameters of the network: {count.default:,}"
    return f"parameters of a network: {fewest:,} to {most:,}; by default {count.default:,}"


# --- in words ---------------------------------------------------------------------------------


def describe(spec: StudySpec) -> None:
    """What would be searched."""
    from hpsearch.cli.show import columns, out, params

    facts = described(spec)
    what, metric = f"{facts['network']} on {facts['data']}", f"validation {facts['metric']}"
    if spec.train is not None:
        own = shlex.join(spec.train.command or ()) or f"own training code, {spec.train.function}"
        what, metric = own, spec.metric
    out.print(f"{spec.name}: {what}, {facts['direction']} {metric}")
    grouped = ["group"] if spec.is_grouped else []
    table = columns(*grouped, "parameter", "values", "sampler")
    for parameter in spec.space:
        sampler = spec.search.sampler[parameter.group]
        group = [parameter.group for _ in grouped]
        table.add_row(*group, parameter.name, domain_in_words(parameter), sampler)
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

    planned = provisional(spec)
    if len(planned) < 2 and not spec.final and spec.search.strategy != RECIPE:
        return
    table = columns("stage", "trials", "sampler", "draws", "cells", right=("trials", "cells"))
    for stage in planned:
        table.add_row(stage.name, f"{stage.count:,}", *_drawn(spec, stage))
    if spec.final:
        trainings = f"the best {spec.final.top} and the default, {spec.final.seeds} times each"
        table.add_row(FINAL, f"{final_tickets(spec):,}", "", trainings, "")
    out.print(table)
    if spec.budget.hours and len(planned) > 1:
        out.print("where the hours hold fewer trials, the stages after the first share those")
    if spec.search.strategy == RECIPE:
        for line in recipe_words.noted(spec):
            out.print(line)
    names = {stage.name for stage in planned}
    if left_out := [leg.name for leg in outline(spec) if leg.name not in names]:
        out.print(f"too few trials for a stage of its own: {', '.join(left_out)}")


def _drawn(spec: StudySpec, stage: Stage) -> tuple[Group, Group, str]:
    """Samplers, what each draws, and the cells of a grid."""
    from rich.console import Group

    by = dict[str, list[str]]()
    for name, sampler in stage.samplers.items():
        by.setdefault(sampler, []).append(name)
    cells = ""
    if "grid" in by:
        fixed = stage.bases[0] if stage.bases else {}
        cells = f"{stage.grid({**spec.space.constants, **fixed}).size:,}"
    return Group(*by), Group(*map(", ".join, by.values())), cells
