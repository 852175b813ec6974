"""What samplers and pruners ask of the parameters and of the budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.spec.faults import listed, show
from hpsearch.spec.models import MOST_TRIALS, PatientPruner, ThresholdPruner
from hpsearch.spec.settings import GROUPS, RECIPE, SAMPLERS
from hpsearch.spec.space import Grid, Parameter, Range, Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.spec.faults import Faults, Path
    from hpsearch.spec.models import BudgetSpec, PrunerSpec, SearchSpec, StageSpec
    from hpsearch.spec.parameters import Draft

__all__ = [
    "check_pruner",
    "check_recipe",
    "check_samplers",
    "check_stages",
    "check_start",
    "check_trials",
    "plainest",
    "samplers",
    "usual_sampler",
]

_SAMPLER: Path = ("search", "sampler")


_USUAL = {"staged": "auto", RECIPE: "random"}


def usual_sampler(strategy: str) -> str:
    """The sampler of a strategy where the file names none."""
    return _USUAL.get(strategy, "bayesian")


def samplers(raw: object, groups: Mapping[str, bool], faults: Faults) -> dict[str, str]:
    """Group -> sampler, for the groups that are searched.

    `groups` are those of the file, each with whether any of its parameters is searched.
    """
    if not isinstance(raw, dict):
        if isinstance(raw, str) and raw in SAMPLERS:
            return {group: raw for group, searched in groups.items() if searched}
        expected = f"{listed(SAMPLERS)}, or one for each group"
        faults.add(_SAMPLER, expected, show(raw), near=(raw, SAMPLERS))
        return {}
    chosen = {}
    for group, name in raw.items():
        if group not in groups:
            faults.add_unknown((*_SAMPLER, group), groups)
        elif not isinstance(name, str) or name not in SAMPLERS:
            faults.add((*_SAMPLER, group), listed(SAMPLERS), show(name), near=(name, SAMPLERS))
        elif groups[group]:
            chosen[group] = name
    for group in groups:
        if groups[group] and group not in raw:
            faults.add((*_SAMPLER, group), "a sampler for each searched group", "nothing")
    return {group: chosen[group] for group in groups if group in chosen}


def check_samplers(
    chosen: Mapping[str, str],
    space: Space,
    drafts: Mapping[str, Draft],
    faults: Faults,
) -> None:
    """Note what the samplers cannot search: `grid` and `cmaes` ask something of the domains."""
    counted = [p for p in space if chosen.get(p.group) == "grid"]
    endless = [p for p in counted if p.domain.size is None]
    for parameter in endless:
        rest = [p for p in counted if p.domain.size is not None]
        expected = (
            f"a step or a count, as the grid would have no end; the rest is {_cells(space, rest)}"
        )
        path = drafts[parameter.name].path
        faults.add(path, expected, "a range of real numbers", beside=[_SAMPLER])
    moved = [p for p in space if chosen.get(p.group) == "cmaes"]
    if moved and not any(isinstance(p.domain, Range) for p in moved):
        faults.add(_SAMPLER, "a parameter with min and max for cmaes to search", "choices only")


def check_stages(search: SearchSpec, searched: Sequence[str], space: Space, faults: Faults) -> None:
    """Note stages that miss a group or a parameter, or that a joint search has no use for."""
    for key in ("priority", "stages", "overlap", "carry", "widen"):
        value = getattr(search, key)
        if value != type(search).model_fields[key].default and search.strategy != "staged":
            expected, got = "nothing, unless the strategy is staged", _plain(value)
            faults.add(("search", key), expected, got, beside=[("search", "strategy")])
    missing = [group for group in searched if group not in search.priority]
    if search.priority and missing:
        expected = f"all groups that are searched; {' and '.join(missing)} not there"
        faults.add(("search", "priority"), expected, show(list(search.priority)))
    twice = {g for g in search.priority if search.priority.count(g) > 1}
    for group in sorted(twice):
        faults.add(("search", "priority"), "each group once", f"{group} twice")
    names = [stage.stage for stage in search.stages]
    for index, stage in enumerate(search.stages):
        path: Path = ("search", "stages", index)
        if stage.stage in names[:index]:
            faults.add((*path, "stage"), "each stage once", show(stage.stage))
        if stage.stage in GROUPS and stage.stage not in searched:
            faults.add((*path, "stage"), "a group that is searched", show(stage.stage))
        _check_retuned(stage, space, (*path, "retune"), faults)


def check_recipe(
    search: SearchSpec, budget: BudgetSpec | None, drafts: Mapping[str, Draft], faults: Faults
) -> None:
    """Note what the recipe cannot follow: nothing to search, trials that end by the metric on
    other rows before they know their own by heart, and losses that cannot be compared."""
    if search.strategy != RECIPE:
        return
    beside: list[Path] = [("search", "strategy")]
    if all(draft.constant for draft in drafts.values()):
        faults.add(("search", "strategy"), "joint, as nothing is searched", show(RECIPE))
    if budget is not None and budget.stop_after is not None:
        expected = "nothing, as the recipe first trains to the last epoch, to learn by heart"
        faults.add(("budget", "stop_after"), expected, show(budget.stop_after), beside=beside)
    loss = drafts.get("loss")
    if loss and not loss.constant and loss.entry.group in ("architecture", "learning_rate"):
        expected = "the group optimizer, as the recipe begins by comparing training losses"
        faults.add(loss.path, expected, f"the group {loss.entry.group}", beside=beside)


def _plain(value: object) -> str:
    return "a list" if isinstance(value, tuple) else show(value)


def _check_retuned(stage: StageSpec, space: Space, path: Path, faults: Faults) -> None:
    others = [p.name for p in space if p.group != stage.stage]
    for index, name in enumerate(stage.retune):
        if stage.stage not in GROUPS:
            expected = "nothing, as warmup and polish draw all parameters"
            faults.add((*path, index), expected, show(name))
        elif name not in others:
            expected = "a searched parameter of another group"
            faults.add((*path, index), expected, show(name), near=(name, others))
        elif name in stage.retune[:index]:
            faults.add((*path, index), "each parameter once", f"{show(name)} again")


def _cells(space: Space, parameters: list[Parameter]) -> str:
    """How many cells a part of the space makes."""
    size = Grid(space.part([p.name for p in parameters])).size
    return f"{size:,} cell{'s' if size != 1 else ''}"


def check_start(start: tuple[object, ...], chosen: Mapping[str, str], faults: Faults) -> None:
    """Note starting points where nothing but a grid is run."""
    if start and set(chosen.values()) == {"grid"}:
        expected = "no starting points, as a grid runs every combination once"
        faults.add(("start",), expected, f"{len(start)} of them", beside=[_SAMPLER])


def check_trials(
    budget: BudgetSpec, chosen: Mapping[str, str], space: Space, faults: Faults, *, staged: bool
) -> None:
    """Note a missing number of trials; only a joint grid has one of its own."""
    if budget.trials is not None or (len(space) and not chosen):  # those have faults of their own
        return
    path = ("budget", "trials")
    if set(chosen.values()) != {"grid"} or staged:
        expected = "a number of trials; only a grid has one of its own"
        faults.add(path, expected, "nothing", beside=[_SAMPLER])
    elif all(p.domain.size is not None for p in space) and Grid(space).size > MOST_TRIALS:
        got = f"nothing, and a grid of {Grid(space).size:,} cells"
        faults.add(path, f"a number of trials of at most {MOST_TRIALS:,}", got)


def check_pruner(
    pruner: PrunerSpec, path: Path, epochs: int | None, faults: Faults, *, stored: bool = False
) -> None:
    """Note options that do not agree with each other or with the budget's epochs.

    With `stored` it is that of a study of before, where a warm-up could be longer than a trial.
    """
    for name in ("min_resource", *(() if stored else ("n_warmup_steps",))):
        least = pruner.options.get(name)
        if least is not None and epochs is not None and least > epochs:
            expected = f"at most budget.epochs ({epochs})"
            faults.add((*path, name), expected, show(least), beside=[("budget", "epochs")])
    if isinstance(pruner, ThresholdPruner):
        if pruner.lower is None and pruner.upper is None:
            faults.add(path, "lower, upper, or both for threshold", "neither")
        elif pruner.lower is not None and pruner.upper is not None and pruner.lower > pruner.upper:
            expected = f"a number of at least lower ({pruner.lower:g})"
            faults.add((*path, "upper"), expected, show(pruner.upper), beside=[(*path, "lower")])
    if isinstance(pruner, PatientPruner) and pruner.wrapped:
        check_pruner(pruner.wrapped, (*path, "wrapped"), epochs, faults, stored=stored)


def plainest(pruner: PrunerSpec) -> PrunerSpec:
    """`pruner` with `wrapped: none` as nothing wrapped, which means the same."""
    if not isinstance(pruner, PatientPruner) or pruner.wrapped is None:
        return pruner
    inner = None if pruner.wrapped.name == "none" else plainest(pruner.wrapped)
    return pruner.model_copy(update={"wrapped": inner})
