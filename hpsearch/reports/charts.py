"""The pictures of a report that no trial has of its own: the course of the search, its learning
curves, and the metric along each parameter. Plain values in, a figure out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from hpsearch.insight.verdicts import is_dust
from hpsearch.insight.words import counted, number
from hpsearch.pictures.canvas import (
    COLOURS,
    GREY,
    figure,
    legend,
    logarithmic,
    short,
    whole_numbers,
)  # fmt: skip
from hpsearch.spec.settings import FINAL
from hpsearch.spec.space import Choices, Range, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.spec.space import Parameter

__all__ = [
    "Course", "Curves", "Slice", "Slices", "course", "curves", "draw_course", "draw_curves",
    "draw_slices", "few_reach", "slices", "word",
]  # fmt: skip

_MANY = 800
"""Points above which they are drawn as pixels: a page of 10,000 trials stays small."""
_MOST_SLICES = 12
_COLUMNS, _WIDTH = 3, 9.6
"""Inches of a picture that fills the page."""
_TOP = 5
_OTHERS = 60
"""Learning curves that are drawn beside those of the best trials."""
_DECADES = 2.0
"""Powers of ten from which on a metric that shrinks gets a logarithmic scale."""
_REACH = 4
"""Values are shown that are so many times as far from the best as the middle one is."""
_FEW = 30
"""Values below which only those are left out that are wildly off."""
_OFF = 5
"""So many interquartile ranges beyond the worse quartile is wildly off; and what is to be seen
anyway still is, so many times as far from the best as the rest reaches."""
_Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Course:
    """The course of a search: (trial number, value) of each trial by how it ended."""

    metric: str
    rising: bool
    """Whether more is better."""
    complete: _Points
    pruned: _Points
    """With the value of their last epoch."""
    final: _Points
    """Trainings of a finish."""
    best: _Points
    """The best value so far, by the trials that completed."""
    stages: tuple[tuple[int, str], ...]
    """The first trial of each stage, where there are several."""
    handed: tuple[float, float] | None
    """The trial whose network is handed over after a finish."""
    default: float | None = None
    """The value of the default configuration, where it was tried."""


@dataclass(frozen=True)
class Curves:
    """Learning curves: (epoch, value) of the best trials, and of others behind them."""

    metric: str
    rising: bool
    best: tuple[tuple[str, _Points], ...]
    others: tuple[_Points, ...]


@dataclass(frozen=True)
class Slice:
    """The metric along one parameter."""

    name: str
    points: _Points
    """(value, metric); of a choice the place of the value among its choices."""
    choices: tuple[str, ...]
    log: bool
    best: tuple[float, float] | None


@dataclass(frozen=True)
class Slices:
    """The metric along each of a few parameters."""

    metric: str
    rising: bool
    slices: tuple[Slice, ...]
    values: tuple[float, ...]
    """Of all trials, the best first."""
    default: float | None = None
    """The value of the default configuration, where it was tried."""


# --- the course of the search -------------------------------------------------------------------


def course(snapshot: Snapshot) -> Course | None:
    """The course of a study's search; None where no trial has a value."""
    sign = 1 if snapshot.direction == "maximize" else -1
    by_kind: dict[str, list[tuple[float, float]]] = {"COMPLETE": [], "PRUNED": [], FINAL: []}
    best: list[tuple[float, float]] = []
    for trial in snapshot.trials:
        kind = FINAL if trial.stage == FINAL else trial.state
        if kind not in by_kind or trial.value is None or not math.isfinite(trial.value):
            continue
        by_kind[kind].append((trial.number, trial.value))
        ahead = not best or sign * trial.value > sign * best[-1][1]
        if kind == "COMPLETE" and ahead:
            best.append((trial.number, trial.value))
    if not any(by_kind.values()):
        return None
    handed, ring = snapshot.handed, None
    if handed is not None and handed.value is not None and math.isfinite(handed.value):
        ring = handed.number, handed.value
    return Course(
        snapshot.metric, sign > 0, tuple(by_kind["COMPLETE"]), tuple(by_kind["PRUNED"]),
        tuple(by_kind[FINAL]), tuple(best), _begun(snapshot),
        ring, _default(snapshot),
    )  # fmt: skip


def _default(snapshot: Snapshot) -> float | None:
    """The value of the trial of the search that had the default configuration; None: there is
    none."""
    defaults = {p.name: label(p.default) for p in snapshot.spec.space if p.default is not None}
    for trial in snapshot.searched:
        shared = defaults.keys() & trial.params.keys()
        if shared and all(trial.params[name] == defaults.get(name) for name in trial.params):
            return trial.value
    return None


def _begun(snapshot: Snapshot) -> tuple[tuple[int, str], ...]:
    first: dict[str, int] = {}
    for trial in snapshot.trials:
        first.setdefault(trial.stage, trial.number)
    return tuple((number, name) for name, number in first.items()) if len(first) > 1 else ()


def draw_course(content: Course) -> Figure:
    """A point a trial, and the best so far as a line."""
    made, (axes,) = figure("", _WIDTH, 3.2)
    many = len(content.complete) + len(content.pruned) > _MANY
    size = 4 if many else 14
    kinds = [
        ("pruned", content.pruned, "x", GREY, size),
        ("complete", content.complete, "o", COLOURS[0], size),
        ("trained again for the finish", content.final, "D", COLOURS[3], 22),
    ]
    for name, points, marker, colour, area in kinds:
        if points:
            xs, ys = zip(*points, strict=True)
            axes.scatter(xs, ys, s=area, marker=marker, color=colour,
                         label=name, linewidths=0.8, alpha=0.75, rasterized=many)  # fmt: skip
    if content.best:
        last = max(p[0] for p in (*content.complete, *content.pruned))
        steps = [*content.best, (last, content.best[-1][1])]
        axes.step(*zip(*steps, strict=True), where="post", color=COLOURS[1], linewidth=1.6,
                  label="best so far")  # fmt: skip
    if content.handed is not None:
        axes.scatter(*content.handed, s=90, facecolors="none", edgecolors=COLOURS[1],
                     linewidths=1.6, label="handed over")  # fmt: skip
    judged = content.complete or content.final or content.pruned
    every = (*content.complete, *content.pruned, *content.final)
    outside = _limit(
        axes, [v for _, v in judged], [v for _, v in every], rising=content.rising,
        whole=content.handed and content.handed[1], default=content.default,
    )  # fmt: skip
    for first, name in content.stages:
        axes.axvline(first - 0.5, color=GREY, linewidth=0.6, linestyle=":")
        axes.annotate(short(name, 16), (first, 1.0), xycoords=("data", "axes fraction"),
                      fontsize=7, rotation=90, va="top", ha="left", color=GREY)  # fmt: skip
    count = 1 + max(at for at, _ in every)
    axes.set_xlim(-0.5 - 0.03 * count, 1.03 * count - 0.5)
    words = _beyond(outside) if outside else _all_same([v for _, v in every])
    beyond = f" ({words})" if words else ""
    axes.set(xlabel=f"trial{beyond}", ylabel=short(content.metric, 30))
    whole_numbers(axes.xaxis)
    legend(axes, 5)
    return made


def _limit(
    axes: Axes, judged: Sequence[float], every: Sequence[float], *, rising: bool,
    whole: float | None = None, default: float | None = None,
) -> int:  # fmt: skip
    """Show the better half of the judged values, and of all others what is better than them or
    within reach of them: one that has blown up would press the rest into a line. How many are left
    out then; `whole` is none of them, however bad, nor `default` unless it is far worse still. Of
    few values none is left out that is not wildly off.

    A metric that shrinks over powers of ten, such as a loss, gets a logarithmic scale.
    """
    ordered = sorted(judged, reverse=rising)
    middle = ordered[len(ordered) // 2]
    most = ordered[int(0.9 * (len(ordered) - 1))]  # but for the far ones
    best, worst = (max(every), min(every)) if rising else (min(every), max(every))
    log = not rising and best > 0 and math.log10(most / best) >= _DECADES
    if log:
        axes.set_yscale("log")
        best, middle, worst = map(math.log10, (best, middle, worst))
        whole = None if whole is None else math.log10(whole)
        default = None if default is None else math.log10(default)
    reach, outside = _REACH * abs(middle - best), 0
    values = [math.log10(value) for value in every] if log else every
    reach = max(reach, few_reach(values, best, rising=rising))
    if default is not None and reach < abs(default - best) <= _OFF * reach:
        reach = 1.05 * abs(default - best)
    if reach > 0 and abs(worst - best) > 1.5 * reach:
        towards = -1 if rising else 1
        least = 0.0 if whole is None else 1.05 * abs(whole - best)
        ends = [best - 0.05 * towards * reach, best + towards * max(reach, least)]
        ends = [10**end if log else end for end in ends]
        axes.set_ylim(min(ends), max(ends))
        outside = sum(not min(ends) <= value <= max(ends) for value in every)
    if log:
        logarithmic(axes.yaxis)
    return outside


def few_reach(values: Sequence[float], best: float, *, rising: bool) -> float:
    """How far from the best of few values the others are shown: all that is not wildly off. 0 of
    many."""
    if not 3 < len(values) < _FEW:
        return 0.0
    quartiles = quantiles(values, n=4, method="inclusive")
    worse = quartiles[0] if rising else quartiles[2]
    return abs(worse - best) + _OFF * (quartiles[2] - quartiles[0])


def _all_same(values: Sequence[float]) -> str:
    """That all values are one, which a picture does not show."""
    if len(values) < 2 or not is_dust(max(values) - min(values), max(values)):
        return ""
    return f"all have the same value, {number(values[0])}"


def _beyond(outside: int) -> str:
    return f"{counted(outside, 'worse trial')} outside the picture"


# --- learning curves ----------------------------------------------------------------------------


def curves(snapshot: Snapshot) -> Curves | None:
    """The learning curves of the trial that is handed over and of the best of the search, or while
    none has completed of those that have one; None where no trial has two epochs."""
    with_curve = [trial for trial in snapshot.trials if len(trial.curve) > 1]
    if not with_curve:
        return None
    top = [trial for trial in snapshot.searched if len(trial.curve) > 1][:_TOP]
    handed = snapshot.handed
    if handed is not None and len(handed.curve) > 1:
        top.insert(0, handed)
    numbers = {trial.number for trial in top}
    rest = [trial for trial in with_curve if trial.number not in numbers]
    every = rest[:: max(-(-len(rest) // _OTHERS), 1)]
    best = tuple(
        (f"trial {t.number}{', handed over' if t is handed else ''}", _points(t)) for t in top
    )
    rising = snapshot.direction == "maximize"
    return Curves(snapshot.metric, rising, best, tuple(map(_points, every)))


def _points(trial: Trial) -> _Points:
    return tuple((epoch, value) for epoch, value in trial.curve.items() if math.isfinite(value))


def draw_curves(content: Curves) -> Figure:
    """The best in colours, the others thin behind them."""
    made, (axes,) = figure("", _WIDTH, 3.2)
    for at, points in enumerate(curve for curve in content.others if curve):
        axes.plot(*zip(*points, strict=True), color=GREY, linewidth=0.6, alpha=0.5,
                  label=None if at else "other trials")  # fmt: skip
    for at, (name, points) in reversed(list(enumerate(content.best))):
        axes.plot(*zip(*points, strict=True), color=COLOURS[at], linewidth=1.6, label=name)
    drawn = content.best or tuple(("", points) for points in content.others)
    ends = [value for _, points in drawn for _, value in points]
    others = [points[-1][1] for points in content.others if points]
    _room(axes, [*ends, *others], rising=content.rising)
    axes.set(xlabel="epoch", ylabel=short(content.metric, 30))
    whole_numbers(axes.xaxis)
    legend(axes)
    return made


def _room(axes: Axes, values: Sequence[float], *, rising: bool) -> None:
    """Room for these values but for the worst: a curve that blows up leaves the picture."""
    ordered, few = sorted(values), len(values) // 50
    low, high = ordered[few if rising else 0], ordered[-1 if rising else -1 - few]
    spare = 0.05 * (high - low)
    if spare > 0:
        axes.set_ylim(low - spare, high + spare)


# --- slices -------------------------------------------------------------------------------------


def slices(snapshot: Snapshot, order: Sequence[str]) -> Slices | None:
    """The metric along the first of these parameters; None where there is none, or fewer than two
    trials of the search have completed."""
    trials = [t for t in snapshot.searched if t.value is not None and math.isfinite(t.value)]
    if len(trials) < 2:
        return None
    by_name = {parameter.name: parameter for parameter in snapshot.spec.space}
    chosen = [by_name[name] for name in order if name in by_name][:_MOST_SLICES]
    plots = [_slice(parameter, trials) for parameter in chosen]
    drawn = tuple(one for one in plots if one.points)
    rising, values = snapshot.direction == "maximize", tuple(t.value or 0.0 for t in trials)
    default = _default(snapshot)
    return Slices(snapshot.metric, rising, drawn, values, default) if drawn else None


def _slice(parameter: Parameter, trials: Sequence[Trial]) -> Slice:
    """One parameter; the best trial is the first."""
    domain, name = parameter.domain, parameter.name
    choices = tuple(str(label(v)) for v in domain.values) if isinstance(domain, Choices) else ()
    points = []
    for trial in trials:
        at = _place(trial.params.get(name), choices)
        if at is not None and trial.value is not None:
            points.append((at, trial.value))
    first = _place(trials[0].params.get(name), choices)
    best = None if first is None or trials[0].value is None else (first, trials[0].value)
    log = isinstance(domain, Range) and domain.log and all(x > 0 for x, _ in points)
    return Slice(name, tuple(points), choices, log, best)


def _place(value: Any, choices: Sequence[str]) -> float | None:
    if choices:
        return float(choices.index(str(value))) if str(value) in choices else None
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def draw_slices(content: Slices) -> Figure:
    """A panel a parameter, on one scale of the metric."""
    count = len(content.slices)
    columns = min(count, _COLUMNS)
    rows = -(-count // columns)
    made, panels = figure("", _WIDTH * columns / _COLUMNS, 2.3 * rows, rows, columns, sharey=True)
    many = sum(len(one.points) for one in content.slices) > _MANY
    for axes, one in zip(panels, content.slices, strict=False):
        _panel(axes, one, many=many)
    for axes in panels[count:]:
        axes.set_visible(False)
    outside = _limit(
        panels[0], content.values, content.values, rising=content.rising, default=content.default
    )
    if words := _beyond(outside) if outside else _all_same(content.values):
        made.supxlabel(words, fontsize=8)
    for row in range(rows):
        panels[row * columns].set_ylabel(short(content.metric, 20))
    return made


def _panel(axes: Axes, content: Slice, *, many: bool) -> None:
    shifts = _shifts(len(content.points)) if content.choices else [0.0] * len(content.points)
    axes.scatter(
        [x + shift for (x, _), shift in zip(content.points, shifts, strict=True)],
        [y for _, y in content.points], s=4 if many else 12, color=COLOURS[0], alpha=0.5,
        linewidths=0, rasterized=many,
    )  # fmt: skip
    if content.best is not None:
        axes.scatter(*content.best, s=60, facecolors="none", edgecolors=COLOURS[1], linewidths=1.6)
    if content.choices:
        names = [short(word(choice), 10) for choice in content.choices]
        step = -(-len(names) // 6)
        axes.set_xticks(range(0, len(names), step), names[::step])
        axes.set_xlim(-0.6, len(names) - 0.4)
    elif content.log:
        axes.set_xscale("log")
        logarithmic(axes.xaxis)
    elif all(float(x).is_integer() for x, _ in content.points):
        whole_numbers(axes.xaxis)
    axes.set_xlabel(short(content.name, 26))


def word(choice: str) -> str:
    """A choice as the file has it."""
    return "null" if choice == "None" else choice


def _shifts(count: int) -> list[float]:
    """Small steps aside, so that many points of one choice do not hide each other; the same again.
    Few of them stay nearly where they are: they would look like values between two choices."""
    widest = 0.3 * min(count / 50, 1.0)
    return [widest * math.sin(2.4 * at) for at in range(count)]
