"""The time left as it is shown does not jump, and comes to what is estimated."""

from __future__ import annotations

import itertools
import math
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


def test_the_tempo_is_that_of_the_later_half() -> None:
    """An epoch a second with one trial under way, and then ten a second with four."""
    recent = Recent()
    for second in range(1001):
        fast = max(second - 400, 0)
        running = (0,) * (4 if fast else 1)
        tempo = recent.tempo(Progress((5,), running, 9, 0, second + 9 * fast, float(second)))
    assert tempo is not None
    assert tempo.epoch_s == pytest.approx(0.1)
    assert tempo.parallel == 4
    assert tempo.drift == pytest.approx(math.log(1000 / 6400 / 0.1), abs=0.01)
    assert len(recent._seen) <= 401


def test_there_is_no_tempo_before_the_first_epochs() -> None:
    recent = Recent()
    for second in range(20):
        assert recent.tempo(Progress((), (0,), 9, 0, 0, float(second))) is None
    assert recent.tempo(Progress((), (9,), 9, 0, 9, 20.0)) is None
    tempo = recent.tempo(Progress((), (20,), 9, 0, 29, 24.0))
    assert tempo is not None
    assert tempo.epoch_s == pytest.approx(4 / 20)
