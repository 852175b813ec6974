"""The time left as it is shown: it follows estimates without jumping with each of them."""

from __future__ import annotations

import math
from collections.abc import Hashable

from hpsearch.forecast.pace import Progress, Span

__all__ = ["Countdown", "Recent"]

_SLOW_S, _SLOW_SHARE = 1.5, 0.03
"""Seconds in which what is shown comes two thirds of the way to what is estimated: at least the
first, and that share of the time left, as nobody needs a distant end by the second."""

_LEAST_S, _MOST_SEEN = 3.0, 400
"""Of work, to tell a pace from; of looks that are kept."""

_MOST = 1.25
"""The most by which one look may differ from the one before, but for the time between them."""


class Recent:
    """How far a study was when half of the work was done that has been seen of it."""

    def __init__(self) -> None:
        self._seen: list[Progress] = []

    def since(self, progress: Progress) -> Progress:
        """What its pace is to be counted from now, at least three seconds of work ago where there
        are as many."""
        seen = self._seen
        if not seen or progress.work_s > seen[-1].work_s:
            seen.append(Progress((), (), 0, 0, progress.epochs, progress.work_s))
        if len(seen) > _MOST_SEEN:
            del seen[1::2]
        half_s = (seen[0].work_s + progress.work_s) / 2
        until_s = min(half_s, progress.work_s - _LEAST_S)
        return next((one for one in reversed(seen) if one.work_s <= until_s), seen[0])


class Countdown:
    """The time left of one study."""

    def __init__(self) -> None:
        self._shown: Span | None = None
        self._at_s = 0.0
        self._of: Hashable = None

    def update(self, estimate: Span | None, now_s: float, of: Hashable = None) -> Span | None:
        """What to show now.

        Args:
            estimate: Seconds left as they are estimated now; None: that cannot be told.
            now_s: A clock that only goes forward.
            of: What the estimate is for, such as the budget: where that changes, the time left
                may jump.
        """
        shown = self._shown
        if estimate is None or shown is None or of != self._of:
            self._shown = estimate
        else:
            self._shown = _moved(shown, estimate, max(now_s - self._at_s, 0.0))
        self._at_s, self._of = now_s, of
        return self._shown


def _moved(shown: Span, estimate: Span, passed_s: float) -> Span:
    slow_s = max(_SLOW_S, _SLOW_SHARE * shown.expected)
    weight = 1 - math.exp(-passed_s / slow_s)
    expected, low, high = (
        _nearer(max(before - passed_s, before / _MOST), now, weight)
        for before, now in (
            (shown.expected, estimate.expected), (shown.low, estimate.low),
            (shown.high, estimate.high),
        )
    )  # fmt: skip
    return Span(expected, min(low, expected), max(high, expected))


def _nearer(before: float, now: float, weight: float) -> float:
    """A part of the way from one length of time to another, by their ratio."""
    if before <= 0.0 or now <= 0.0:
        return max(now, 0.0)
    step = weight * math.log(now / before)
    return before * math.exp(min(max(step, -math.log(_MOST)), math.log(_MOST)))
