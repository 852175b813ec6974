"""Parallel coordinates: an axis a parameter, a line a trial, as plain values for a page to draw.

Places are pixels of a picture that is `Lines.width` wide and `HEIGHT` high.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.insight.verdicts import is_dust
from hpsearch.insight.words import counted, number, setting
from hpsearch.reports.charts import few_reach, word
from hpsearch.spec.space import Choices, Range, label
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.spec.space import Parameter

__all__ = ["HEIGHT", "Axis", "Line", "Lines", "parallel"]

HEIGHT = 300
_TOP, _BOTTOM, _SIDE = 34, 262, 60
_NEAREST, _FARTHEST, _PAGE = 90, 118, 780
"""Between two axes, and between the first and the last that a page has room for at once."""
_UNSET = 284
"""Where a line runs whose trial does not have the parameter."""
_MOST_AXES = 12
_MOST_LINES, _BEST_LINES = 400, 150
"""Lines, and how many of them are the best trials; the others are drawn by chance."""
_MOST_TICKS = 8
_SHADES = (0.1, 0.25, 0.5, 0.75)
"""Shares of the lines, the best first, at which another shade begins."""


@dataclass(frozen=True)
class Axis:
    """One parameter, or the metric."""

    name: str
    x: int
    ticks: tuple[tuple[float, str], ...]
    """Where each mark is from the top, and what it says."""
    unset: bool
    """Whether a trial is drawn that does not have it."""


@dataclass(frozen=True)
class Line:
    """One trial."""

    points: str
    """As SVG has them."""
    shade: int
    """By its rank among those drawn: 0 for the best tenth, 4 for the worst quarter."""
    words: str


@dataclass(frozen=True)
class Lines:
    """The picture."""

    axes: tuple[Axis, ...]
    lines: tuple[Line, ...]
    """The worst first, so that the best are drawn over them."""
    width: int
    note: str
    """What is left out; "" where nothing is."""


@dataclass(frozen=True)
class _Scale:
    """Where the values of one axis lie."""

    low: float = 0.0
    high: float = 1.0
    log: bool = False
    whole: bool = False
    """Whether only whole numbers lie on it."""
    values: tuple[str, ...] = ()
    """Of a choice: what there is to choose, the first at the bottom."""
    beyond: float | None = None
    """The end at which values lie that are worse than it, where there are any."""

    def y(self, value: Any) -> float:
        """Pixels from the top."""
        if self.values:
            place = self.values.index(str(value)) if str(value) in self.values else 0
            share = (place + 0.5) / len(self.values)
        else:
            low, high, at = (math.log(max(v, 1e-300)) if self.log else v
                             for v in (self.low, self.high, float(value)))  # fmt: skip
            share = (at - low) / (high - low) if high > low else 0.5
        return round(_BOTTOM - min(max(share, 0.0), 1.0) * (_BOTTOM - _TOP), 1)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Marks: each choice where there are few, else the ends and what is between."""
        if self.values:
            step = -(-len(self.values) // _MOST_TICKS)
            return tuple((self.y(value), _short(word(value))) for value in self.values[::step])
        shares = (0.0, 0.25, 0.5, 0.75, 1.0) if self.high > self.low else (0.5,)
        marks = [self._at(share) for share in shares]
        if self.whole:
            marks = sorted({float(round(mark)) for mark in marks})
        words = _apart(marks)
        return tuple(
            (self.y(mark), f"{word} or worse" if mark == self.beyond else word)
            for mark, word in zip(marks, words, strict=True)
        )

    def _at(self, share: float) -> float:
        if share in (0.0, 1.0):
            return (self.low, self.high)[int(share)]
        if not self.log:
            return self.low + share * (self.high - self.low)
        low, high = math.log(self.low), math.log(self.high)
        return math.exp(low + share * (high - low))


def parallel(snapshot: Snapshot, order: Sequence[str]) -> Lines | None:
    """The picture of a study's completed trials; None where there are fewer than two, or nothing
    was searched.

    Args:
        snapshot: The study.
        order: Its parameters, those first that are to be there where there is room for a few only.
    """
    trials = [t for t in snapshot.searched if t.value is not None and math.isfinite(t.value)]
    if len(trials) < 2 or not len(snapshot.spec.space):
        return None
    chosen, note = _chosen(trials)
    names = list(order)[:_MOST_AXES]
    parameters = [p for p in snapshot.spec.space if p.name in names]
    if len(parameters) < len(snapshot.spec.space):
        note += (f" The {len(parameters)} parameters that mattered most of "
                 f"{len(snapshot.spec.space)} are shown.")  # fmt: skip
    scales = [_scale(parameter, chosen) for parameter in parameters]
    values = _limits([t.value for t in chosen if t.value is not None])
    if values.beyond is not None:
        far = sum(not values.low <= t.value <= values.high for t in chosen if t.value is not None)
        note += f" {counted(far, 'worse trial')} at the end of the scale, far beyond it."
    apart = max(min(_PAGE // len(parameters), _FARTHEST), _NEAREST)
    places = [_SIDE + at * apart for at in range(len(parameters) + 1)]
    axes = [
        Axis(p.name, x, scale.ticks(), any(p.name not in t.params for t in chosen))
        for p, x, scale in zip(parameters, places, scales, strict=False)
    ]
    axes.append(Axis(snapshot.metric, places[-1], values.ticks(), unset=False))
    lines = []
    for rank, trial in enumerate(chosen):
        heights = [_height(trial, p, scale) for p, scale in zip(parameters, scales, strict=True)]
        heights.append(values.y(trial.value))
        points = " ".join(f"{x},{y:g}" for x, y in zip(places, heights, strict=True))
        shade = bisect_right(_SHADES, rank / len(chosen))
        lines.append(Line(points, shade, _words(snapshot, trial)))
    width = places[-1] + _SIDE + (20 if values.beyond is None else 60)
    return Lines(tuple(axes), tuple(reversed(lines)), width, note.strip())


def _chosen(trials: Sequence[Trial]) -> tuple[Sequence[Trial], str]:
    """The trials that are drawn, the best first, and what is said of the others."""
    if len(trials) <= _MOST_LINES:
        return trials, ""
    rest = range(_BEST_LINES, len(trials))
    drawn = sorted(random.Random(0).sample(rest, _MOST_LINES - _BEST_LINES))
    note = (f"The {_BEST_LINES} best of {len(trials):,} completed trials, and "
            f"{_MOST_LINES - _BEST_LINES} of the others drawn by chance.")  # fmt: skip
    return [*trials[:_BEST_LINES], *(trials[at] for at in drawn)], note


def _scale(parameter: Parameter, trials: Sequence[Trial]) -> _Scale:
    """The range that was searched, wider where trials lie beyond it."""
    domain = parameter.domain
    if isinstance(domain, Choices):
        return _Scale(values=tuple(str(label(value)) for value in domain.values))
    values = [t.params[parameter.name] for t in trials if parameter.name in t.params]
    numbers = [float(v) for v in values if isinstance(v, (int, float)) and math.isfinite(v)]
    assert isinstance(domain, Range)
    ends = [domain.low, *([] if domain.auto else [domain.high]), *numbers]
    return _Scale(min(ends), max(ends), domain.log and min(ends) > 0, domain.integer)


def _limits(values: Sequence[float]) -> _Scale:
    """The scale of the metric, without the far end of the worst: one trial that blew up would press
    all others into a line."""
    best, worst, beyond = values[0], values[-1], None
    if is_dust(worst - best, best):
        return _Scale(best, best)
    middle = sorted(values)[len(values) // 2]
    near, few = 3 * abs(middle - best), few_reach(values, best, rising=best > worst)
    reach = max(near, few)
    if reach > 0 and abs(worst - best) > max(2 * near, few):
        worst = beyond = best + math.copysign(reach, worst - best)
    return _Scale(min(best, worst), max(best, worst), beyond=beyond)


def _apart(marks: Sequence[float]) -> Sequence[str]:
    """Numbers as short as a setting, with more digits where two would look the same."""
    for digits in range(3, 17):
        words = [f"{mark:.{digits}g}" for mark in marks]
        if len(set(words)) == len(marks):
            break
    return words


def _height(trial: Trial, parameter: Parameter, scale: _Scale) -> float:
    return scale.y(trial.params[parameter.name]) if parameter.name in trial.params else _UNSET


def _words(snapshot: Snapshot, trial: Trial) -> str:
    """What a reader sees of a line that is pointed to."""
    params = ", ".join(f"{name} {setting(value)}" for name, value in trial.params.items())
    return f"trial {trial.number}: {snapshot.metric} {number(trial.value)}; {params}"


def _short(text: str) -> str:
    text = visible(text, lines=False)
    return text if len(text) <= 14 else f"{text[:13]}…"
