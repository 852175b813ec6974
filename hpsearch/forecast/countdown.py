"""The time left as it is shown: it follows estimates without jumping with each of them."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import replace
from statistics import fmean

from hpsearch.forecast.pace import Progress, Span, Tempo, tempo

__all__ = ["Countdown", "Recent"]

_SLOW_S, _SLOW_SHARE = 1.5, 0.03
"""Seconds in which what is shown comes two thirds of the way to what is estimated: at least the
first, and that share of the time left, as nobody needs a distant end by the second."""

_LEAST_S, _MOST_SEEN = 3.0, 400
"""Of work, to tell a pace from; of looks that are kept."""

_MOST = 1.25
"""The most by which one look may differ from the one before, but for the time between them."""


class Recent:
    """The tempo of a study in the later half of the work that was seen of it: stacks fill up, later
    stages settle on other networks, and workers that have left before do not count."""

    def __init__(self) -> None:
        self._seen: list[Progress] = []

    def tempo(self, progress: Progress) -> Tempo | None:
        """The tempo up to this look; None while too little has been seen."""
        seen = replace(progress, ended=())
        if len(self._seen) < 2 and progress.epochs == (self._seen or [seen])[0].epochs:
            self._seen = [seen]  # imports and data come before the first epoch, and are no pace
            return None
        if progress.work_s > self._seen[-1].work_s:
            self._seen.append(seen)
        if len(self._seen) > _MOST_SEEN:
            del self._seen[1::2]
        first = self._seen[0]
        until_s = min((first.work_s + progress.work_s) / 2, progress.work_s - _LEAST_S)
        since = next((one for one in reversed(self._seen) if one.work_s <= until_s), first)
        whole, lately = tempo(progress, first), tempo(progress, since)
        if whole is None or lately is None:
            return None
        window = [one for one in self._seen if one.work_s >= since.work_s]
        return Tempo(
            lately.epoch_s,
            max(fmean(len(one.running) for one in window), 1.0),
            abs(math.log(lately.epoch_s / whole.epoch_s)),
        )


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
