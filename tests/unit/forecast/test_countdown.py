"""The time left as it is shown does not jump, and comes to what is estimated."""

from __future__ import annotations

import itertools
import random

import pytest

from hpsearch.forecast.countdown import Countdown, Recent
from hpsearch.forecast.pace import Progress, Span


def spans(expected: float) -> Span:
    return Span(expected, expected / 2, expected * 2)


def test_no_look_differs_by_a_factor_from_the_one_before() -> None:
    """Estimates that are off by a factor of five either way."""
    random_, countdown, shown = random.Random(0), Countdown(), list[Span]()
    for step in range(400):
        left = 1.0 + (400 - step) * 0.5
        found = countdown.update(spans(left * random_.uniform(0.2, 5.0)), step * 0.5, "budget")
        assert found is not None
        assert found.low <= found.expected <= found.high
        shown.append(found)
    for one, next_ in itertools.pairwise(shown):
        assert 0.6 < next_.expected / max(one.expected - 0.5, 1e-9) < 1.6 or one.expected < 4


def test_it_comes_to_the_estimate() -> None:
    countdown = Countdown()
    countdown.update(spans(100.0), 0.0)
    for second in range(1, 61):
        found = countdown.update(spans(300.0 - second), float(second))
    assert found is not None
    assert found.expected == pytest.approx(240, rel=0.1)


def test_a_new_budget_may_change_it_at_once() -> None:
    countdown = Countdown()
    countdown.update(spans(10.0), 0.0, 20)
    assert countdown.update(spans(1000.0), 1.0, 120) == spans(1000.0)
    assert countdown.update(None, 2.0, 120) is None


def test_the_pace_is_that_of_the_later_half() -> None:
    recent = Recent()
    for second in range(1001):
        since = recent.since(Progress((5,), (), 9, 0, 10 * second, float(second)))
    assert 480 <= since.work_s <= 500
    assert since.epochs == 10 * since.work_s
    assert len(recent._seen) <= 401
    assert Recent().since(Progress((), (), 9, 0, 0, 2.0)).work_s == 2.0
