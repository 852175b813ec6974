"""What the next tickets are: pure functions of the study file, of the trials that have ended, and
of how many more its hours hold.

A search is a row of stages. A stage draws some parameters, from ranges of its own, beside values
that it holds; its tickets are numbered on from those of the one before. `outline` says which
stages a study has, `opening` what the next one is once the trials before it have ended. Anyone who
computes that from the same trials gets the same stage. While they are under way, `early` is for
workers that find no ticket: one of the polish's share, drawn around the best so far. The stages
between have the tickets that they would have had without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hpsearch.errors import StudyFileError
from hpsearch.spec import StudySpec, versions
from hpsearch.spec.ranges import bounds, edges, widened
from hpsearch.spec.settings import EARLY, FINAL, GROUPS, JOINT, POLISH, RECIPE, WARMUP, Value
from hpsearch.spec.space import Assignment, Grid, Parameter, Range
from hpsearch.stages import recipe
from hpsearch.stages.results import Done, around, centres, default_point, distinct, ranked
from hpsearch.stages.stage import PlannedStage, Stage

__all__ = [
    "early", "final_tickets", "in_hours", "limit", "opening", "outline", "provisional", "remarks",
    "sizes", "spare", "spare_behind", "starting", "tickets",
]  # fmt: skip

_WARMUP_SHARE, _STAGES_SHARE, _POLISH_SHARE = 0.20, 0.25, 0.55
_HEAVY = ("architecture", "learning_rate")
"""Groups whose stages get twice the tickets of another's."""

_UNTIMED = 80
"""Tickets that the first stage of a study with hours has its share of, before trials have told the
pace: a warm-up of 16."""

_RETUNED = {"architecture": "lr", "batch_size": "lr", "optimizer": "lr"}
"""The learning rate belongs to the architecture, the batch size and the optimizer that it was found
with (Godbole et al., Deep Learning Tuning Playbook, 2023): it is searched again beside them."""

_EARLY_SHARE = 0.5
"""Of the polish's tickets, those that may be drawn before its time. The others learn from all
stages: with eight workers and all of them early, searches came to worse networks."""

_RETUNE_WIDTH = 0.15
_POLISH_WIDTH = 0.3
"""How far a narrow range reaches to each side of its centre, as a share of the whole range."""


# --- the whole search -------------------------------------------------------------------------


def outline(spec: StudySpec) -> tuple[PlannedStage, ...]:
    """The stages of a study, in their order."""
    if spec.search.strategy == JOINT:
        return (PlannedStage(JOINT, 1.0),)
    if spec.search.strategy == RECIPE:
        return recipe.outlined(spec)
    if spec.search.stages:
        return tuple(PlannedStage(s.stage, s.share, s.retune) for s in spec.search.stages)
    searched = {p.group for p in spec.space}
    groups = [g for g in spec.search.priority or GROUPS if g in searched]
    weights = [2 if group in _HEAVY else 1 for group in groups]
    names = {p.name for p in spec.space}
    stages = [
        PlannedStage(group, _STAGES_SHARE * weight / sum(weights), _beside(group, names))
        for group, weight in zip(groups, weights, strict=True)
    ]
    between = stages if len(stages) > 1 else []  # with one group there is nothing to hold
    first, last = PlannedStage(WARMUP, _WARMUP_SHARE), PlannedStage(POLISH, _POLISH_SHARE)
    return first, *between, last


def _beside(group: str, searched: set[str]) -> tuple[str, ...]:
    name = _RETUNED.get(group)
    return (name,) if name in searched else ()


def limit(spec: StudySpec) -> int | None:
    """The most tickets that the search has a use for: a grid ends, all else does not.

    With nothing to search, each trial is the same network from another seed.
    """
    chosen = set(spec.search.sampler.values())
    if spec.search.strategy == JOINT and chosen == {"auto"}:
        whole = Stage(JOINT, 0, None, tuple(spec.space), dict.fromkeys(spec.space.names, "grid"))
        cells = _cells(spec, whole)
        fits = cells is not None and (spec.budget.trials is None or cells <= spec.budget.trials)
        return cells + len(_starts(spec)) if fits and cells is not None else None
    only_grid = chosen == {"grid"} and spec.search.strategy == JOINT
    return Grid(spec.space).size if only_grid else None


def final_tickets(spec: StudySpec) -> int:
    """The tickets of a finish, which come on top of the search's."""
    return (spec.final.top + 1) * spec.final.seeds if spec.final else 0


def tickets(spec: StudySpec) -> int:
    """The tickets of the search: its budget, or the whole grid where that is less."""
    counts = [n for n in (spec.budget.trials, limit(spec)) if n is not None]
    if not counts:
        raise StudyFileError("budget.trials is missing: only a grid ends by itself")
    return min(counts)


def provisional(spec: StudySpec) -> list[Stage]:
    """The stages of a search as they would be if no trial gave anything: without the finish.

    How many tickets each has is right, but where a grid around a winner fits or does not.
    """
    total, stages, first = tickets(spec), list[Stage](), 0
    while first < total:
        left = total - first
        stage = opening(spec, stages, (), first, left) if stages else starting(spec)
        stages.append(replace(stage, count=left if stage.count is None else stage.count))
        first += stages[-1].count or 0
    return stages


def sizes(spec: StudySpec) -> dict[str, int]:
    """About how many tickets each stage will have: a grid that fits needs fewer."""
    counts = dict[str, int]()
    for stage in provisional(spec):
        counts[stage.name] = counts.get(stage.name, 0) + (stage.count or 0)
    return {**counts, FINAL: final_tickets(spec)} if spec.final else counts


# --- one stage --------------------------------------------------------------------------------


def in_hours(hours: float | None, ended: int, seconds: float) -> int | None:
    """How many more tickets the hours of a study hold, at its pace so far; None: there is no limit.

    Args:
        hours: The limit.
        ended: Trials that have ended. Those under way are among what the hours hold.
        seconds: Of work so far.
    """
    if hours is None:
        return None
    left_s = max(hours * 3600 - seconds, 0.0)
    return round(left_s * ended / seconds) if ended and seconds else _UNTIMED


def starting(spec: StudySpec) -> Stage:
    """The stage that a study begins with."""
    return opening(spec, (), (), 0, tickets(spec), held=in_hours(spec.budget.hours, 0, 0.0))


def opening(
    spec: StudySpec, opened: Sequence[Stage], done: Sequence[Done], first: int, left: int,
    *, held: int | None = None,
) -> Stage:  # fmt: skip
    """The stage after those `opened`.

    Args:
        spec: The study.
        opened: Its stages so far.
        done: Its trials that have ended.
        first: The draw index of the stage's first ticket.
        left: Tickets that the search may still issue; at least 1, or there is to be a finish.
        held: As many of them as its hours are expected to hold, which the stages share; None: all.
    """
    if left <= 0:
        return _finish(spec, done, first)
    coming, taken = _coming(spec, opened), _taken(spec, opened)
    held = taken + (left if held is None else min(held, left))
    points = () if opened else _points(spec)
    while True:
        planned, is_last = coming[0], len(coming) == 1
        # However small its share is, the first stage has all the points that are to be run. The
        # last one ends with the hours by itself.
        share = left if is_last else _share(held, coming)
        share -= taken if planned.name == POLISH and not is_last else 0
        count = min(max(share, len(points)), left)
        if count > 0:
            stage = _stage(spec, planned, opened, done, first, points)
            # Where the winner is the smallest network, none smaller can be drawn.
            if stage.parameters or is_last or not opened:
                room = 0 if is_last and planned.name != JOINT else count
                stage = _fitted(spec, stage, count, room)
                return stage if spec.final or not is_last else replace(stage, count=None)
        coming = coming[1:]


def early(spec: StudySpec, opened: Sequence[Stage], done: Sequence[Done], first: int) -> Stage:
    """A stage of one ticket of the polish's share, drawn around the best so far, while trials of
    the stages `opened` are under way. Only where there is one to `spare`.

    Args:
        spec: The study.
        opened: Its stages so far.
        done: Its trials that have ended; around the default configuration where none is complete.
        first: The draw index of the ticket.
    """
    planned = next(one for one in outline(spec) if one.name == POLISH)
    stage = _stage(spec, planned, opened, done, first, ())
    return replace(_fitted(spec, stage, 1, 0), name=EARLY, points=())


def spare(spec: StudySpec, opened: Sequence[Stage], left: int, *, held: int | None = None) -> int:
    """How many tickets of the polish's share may be drawn before its time: up to half of those
    that the stages between will not need.

    Args:
        spec: The study.
        opened: Its stages so far.
        left: Tickets that the search may still issue behind those of its stages so far.
        held: As many of them as its hours are expected to hold; None: all.
    """
    if not _polish_comes(spec, opened):
        return 0
    coming, taken = _coming(spec, opened), _taken(spec, opened)
    held = taken + (left if held is None else min(held, left))
    while coming[0].name != POLISH:
        held -= _share(held, coming)
        coming = coming[1:]
    return max(min(int(_EARLY_SHARE * _share(held, coming)) - taken, left), 0)


def spare_behind(
    spec: StudySpec, opened: Sequence[Stage], stage: Stage, left: int, *, held: int | None = None
) -> int:
    """The same once a `stage` has been opened behind those, of tickets that are left for it too."""
    count = left if stage.count is None else stage.count
    held = None if held is None else max(held - count, 0)
    return spare(spec, (*opened, stage), left - count, held=held)


def _coming(spec: StudySpec, opened: Sequence[Stage]) -> tuple[PlannedStage, ...]:
    """The stages after those opened; once all have been, the last one again."""
    outlined = outline(spec)
    names = [one.name for one in outlined]
    positions = [names.index(stage.name) for stage in opened if stage.name in names]
    return outlined[min(positions[-1] + 1, len(outlined) - 1) if positions else 0 :]


def _taken(spec: StudySpec, opened: Sequence[Stage]) -> int:
    """How many tickets of a polish that is still to come have been drawn before its time."""
    early_ones = sum(stage.name == EARLY for stage in opened)
    return early_ones if _polish_comes(spec, opened) else 0


def _polish_comes(spec: StudySpec, opened: Sequence[Stage]) -> bool:
    planned = any(one.name == POLISH for one in outline(spec))
    return planned and all(stage.name != POLISH for stage in opened)


def _share(held: int, coming: Sequence[PlannedStage]) -> int:
    """The tickets of the first of the stages to come, which share so many."""
    return round(held * coming[0].share / sum(one.share for one in coming))


def _points(spec: StudySpec) -> tuple[Assignment, ...]:
    """What a study runs first: the points of its start, then the default configuration unless it
    is one of them. A grid runs each of its cells once, and so no default beside them."""
    joint = spec.search.strategy == JOINT
    default = default_point(spec)
    if spec.version == versions.FIRST:
        return spec.start if joint else (*spec.start, default)
    starts = tuple(_starts(spec).values())
    alone = not default or (joint and limit(spec) is not None)
    points = [_whole(spec, point) for point in starts]
    return starts if alone or default in points else (*starts, default)


def _starts(spec: StudySpec) -> dict[int, Assignment]:
    """The points of the start by their place in the file, of those that are the same the first."""
    if spec.version == versions.FIRST:
        return dict(enumerate(spec.start))
    return {at: point for at, point in enumerate(spec.start) if _same(spec, at) is None}


def _same(spec: StudySpec, at: int) -> int | None:
    """The place of the first point that is the same as the one at that place, if there is one."""
    whole = [_whole(spec, point) for point in spec.start[: at + 1]]
    first = whole.index(whole[at])
    return first if whole[at] is not None and first < at else None


def _whole(spec: StudySpec, point: Assignment) -> Assignment | None:
    """What a trial of a point has, where nothing of it is left to be drawn."""
    values: dict[str, Value] = {}
    for parameter in spec.space:
        if not parameter.active({**spec.space.constants, **values}):
            continue
        if parameter.name in point:
            values[parameter.name] = point[parameter.name]
        elif parameter.default is not None:
            values[parameter.name] = parameter.default
        else:
            return None
    return values


def remarks(spec: StudySpec) -> list[str]:
    """What of a study's starting points is not run as its file has it."""
    if spec.version == versions.FIRST:
        return []
    sentences = [
        f"start: point {at} is the same as point {first} and is left out"
        for at in range(len(spec.start))
        if (first := _same(spec, at)) is not None
    ]
    points, trials = _points(spec), tickets(spec)
    if (over := len(points) - trials) > 0:
        which = "the last one is" if over == 1 else f"the last {over} are"
        default = ""
        if len(points) != len(_starts(spec)):  # it comes after the file's
            default = ", the default configuration" + ("" if over == 1 else " among them")
        count = f"{trials} trial{'' if trials == 1 else 's'}"
        sentences.append(f"{len(points)} starting points, but {count}: {which} not run{default}")
    return sentences


def _finish(spec: StudySpec, done: Sequence[Done], first: int) -> Stage:
    """The best few and the default configuration, each as often as there are seeds."""
    assert spec.final
    best = [d.values for d in ranked(done, spec.direction)]
    default = default_point(spec)
    bases = (*distinct([v for v in best if v != default], spec.final.top), default)
    return Stage(FINAL, first, len(bases) * spec.final.seeds, bases=bases)


def _stage(
    spec: StudySpec, planned: PlannedStage, opened: Sequence[Stage], done: Sequence[Done],
    first: int, points: tuple[Assignment, ...],
) -> Stage:  # fmt: skip
    if planned.name in (JOINT, WARMUP):
        ends = [*(stage.first for stage in opened[1:]), first]  # hours may end one before its count
        issued = (e - s.first for s, e in zip(opened, ends, strict=False) if s.name == planned.name)
        before = max(sum(issued) - len(_points(spec)), 0)
        return Stage(planned.name, first, 0, tuple(spec.space), points=points, before=before)
    if spec.search.strategy == RECIPE:
        given = points or _points(spec)
        return recipe.stage(spec, planned.name, done, first, given, begins=not opened)
    best = [d.values for d in ranked(done, spec.direction)]
    bases = distinct(best, _carried(spec, planned.name))
    if not bases:  # nothing has completed so far
        bases = (default_point(spec),)
        points = points or bases
    drawn = _drawn(spec, planned, best or list(bases))
    if planned.name == POLISH:
        before = sum(stage.name == EARLY for stage in opened)
        return Stage(POLISH, first, 0, drawn, points=points, before=before)
    rescaled = planned.name == "batch_size" and any(_can_follow(p) for p in drawn)
    return Stage(planned.name, first, 0, drawn, points=points, bases=bases, rescaled=rescaled)


def _can_follow(parameter: Parameter) -> bool:
    """Whether it is a learning rate that may take any value of its range, in every trial."""
    domain = parameter.domain
    smooth = isinstance(domain, Range) and not domain.step and not domain.integer
    return parameter.name == "lr" and smooth and not parameter.when


def _carried(spec: StudySpec, stage: str) -> int:
    """How many configurations a stage is searched beside: from group to group fewer, in the last
    one and after it the winner alone."""
    groups = [one.name for one in outline(spec) if one.name in GROUPS]
    if stage not in groups:
        return 1
    share = groups.index(stage) / max(len(groups) - 1, 1)
    return round(spec.search.carry - (spec.search.carry - 1) * share)


def _drawn(
    spec: StudySpec, planned: PlannedStage, best: Sequence[Assignment]
) -> tuple[Parameter, ...]:
    """The parameters of a stage, in ranges around the best where they are not the group's own.

    A learning rate beside optimizers is searched around the best one of each of them: what suits
    Adam is a tenth or a hundredth of what SGD needs.
    """
    if planned.name == POLISH:
        return tuple(
            around(_widened(spec, p, best[0]), best[:1], _POLISH_WIDTH) for p in spec.space
        )
    own = [p for p in spec.space if p.group == planned.name]
    return tuple(
        p if p in own else around(p, centres(p, own, best), _RETUNE_WIDTH)
        for p in spec.space
        if p in own or p.name in planned.retune
    )


def _widened(spec: StudySpec, parameter: Parameter, winner: Assignment) -> Parameter:
    """The parameter with its range drawn out once beyond the edge that the winner is at, where the
    study wants that, and as far as it goes."""
    domain = parameter.domain
    if not spec.search.widen or not isinstance(domain, Range):
        return parameter
    side = {edge.name: edge.side for edge in edges(spec, winner)}.get(parameter.name)
    if side is None:
        return parameter
    beyond = widened(domain, side, _POLISH_WIDTH, bounds(spec, parameter))
    return replace(parameter, domain=beyond)


def _fitted(spec: StudySpec, stage: Stage, count: int, room: int) -> Stage:
    """With its tickets, at most `count`, and the sampler of each parameter; `auto` is a grid that
    ends the stage where it has no more cells than there is `room` for."""
    chosen = {p.name: spec.search.sampler[p.group] for p in stage.parameters}
    as_grid = replace(stage, samplers=dict.fromkeys(chosen, "grid"))
    cells = _cells(spec, as_grid) if set(chosen.values()) == {"auto"} else None
    if cells is not None and 0 < cells - stage.before <= room:
        return replace(as_grid, count=min(cells - stage.before + len(stage.points), count))
    samplers = {name: "bayesian" if by == "auto" else by for name, by in chosen.items()}
    return replace(stage, samplers=samplers, count=count)


def _cells(spec: StudySpec, stage: Stage) -> int | None:
    """The cells of all its bases, where each takes as many turns; None: they have no end."""
    if any(p.domain.size is None for p in stage.parameters):
        return None
    bases = stage.bases or ({},)
    return len(bases) * max(stage.grid({**spec.space.constants, **b}).size for b in bases)
