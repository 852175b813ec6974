"""The word for a learning curve."""

from __future__ import annotations

import math
import random

import pytest

from hpsearch.insight.diagnosis import Word, Yardstick, diagnose, summary
from hpsearch.spec.task import TASKS

CLASSES, NUMBERS = TASKS["classification"], TASKS["regression"]
ACCURACY, MSE = CLASSES.metrics[0], NUMBERS.metrics[1]
MANY = Yardstick(ACCURACY, CLASSES, classes=10, rows=10_000)
LEARNT = {"train_loss": 0.1, "loss": 0.15}


def word(curve, yardstick=MANY, metrics=LEARNT, **more) -> Word | None:
    return diagnose(curve, metrics, yardstick, **more)


def saturating(epochs: int, pace: float, top: float = 0.95) -> list[float]:
    return [top - 0.8 * math.exp(-epoch / pace) for epoch in range(epochs)]


RISING = [0.5 + 0.02 * epoch for epoch in range(20)]
PEAKED = [0.9 - 0.002 * abs(epoch - 8) ** 1.2 for epoch in range(27)]
JUMPY = [0.8 + 0.1 * (-1) ** epoch for epoch in range(20)]


@pytest.mark.parametrize(
    ("curve", "metrics", "expected"),
    [
        (RISING, LEARNT, Word.STILL),
        (saturating(20, 1.0), LEARNT, Word.SATURATED),
        (saturating(20, 1.9), LEARNT, Word.FINE),
        (PEAKED, LEARNT, Word.OVER),
        (PEAKED, {"train_loss": 0.4, "loss": 0.2}, Word.SATURATED),  # worse, but not by heart
        (saturating(20, 1.0), {"train_loss": 0.01, "loss": 0.4}, Word.OVER),
        (saturating(20, 1.0, top=0.3), {"train_loss": 1.9, "loss": 1.8}, Word.UNDER),
        (saturating(20, 1.0), {"train_loss": 1.9, "loss": 0.3}, Word.SATURATED),  # dropout
        (JUMPY, LEARNT, Word.NOISY),
        (RISING, {"train_loss": 100.0, "loss": 80.0}, Word.DIVERGED),
        (RISING[:4], LEARNT, None),
        (RISING, {}, None),
    ],
)
def test_the_word_for_a_curve(curve, metrics, expected) -> None:
    assert word(curve, metrics=metrics) == expected


GUESSED = {"train_loss": 0.88, "loss": 1.12}
"""Of three classes: not far below ln 3, and more on validation rows."""
SHAPES = Yardstick(ACCURACY, CLASSES, classes=3, rows=45, constant=0.47, by_shares=1.05)


def test_a_network_that_has_hardly_learnt_does_not_over_fit() -> None:
    flat = [0.51, 0.44, 0.49, 0.42, 0.47, 0.44, 0.47, 0.42, 0.47, 0.44]
    assert word(flat, SHAPES, GUESSED) is Word.HARDLY
    assert word(saturating(20, 1.0, top=0.75), SHAPES, GUESSED) is Word.UNDER, "it does tell some"
    assert word(flat, SHAPES, {"train_loss": 0.6, "loss": 1.12}) is Word.OVER


def test_of_rare_classes_guessing_costs_little_unless_they_are_balanced() -> None:
    rare = Yardstick(CLASSES.metric("auroc"), CLASSES, 2, 1_000, constant=0.5, by_shares=0.13)
    losses = {"train_loss": 0.125, "loss": 0.13}
    assert word([0.51] * 10, rare, losses) is Word.HARDLY
    assert word([0.51] * 10, rare, losses, balanced=True) is Word.SATURATED
    assert word([0.51] * 10, rare, losses, loss="focal") is not Word.HARDLY


def test_what_is_not_finite_has_diverged_however_short_its_curve() -> None:
    assert word([], metrics={}, diverged=True) is Word.DIVERGED


def test_a_metric_that_shrinks_is_read_the_other_way() -> None:
    numbers = Yardstick(MSE, NUMBERS, classes=0, rows=100)
    assert word([1 - v for v in RISING], numbers) is Word.STILL
    assert word(RISING, numbers) is Word.OVER
    assert word(RISING, numbers, {"train_loss": 0.3, "loss": 0.3}, loss="l1") is not Word.UNDER
    flat = [0.9] * 10
    assert word(flat, numbers, {"train_loss": 0.3, "loss": 0.3}, loss="huber") is Word.UNDER


def test_what_few_rows_cannot_tell_is_not_told() -> None:
    """Two of 100 rows more or less are no over-fitting, no progress and no noise."""
    wobble = random.Random(0)
    curve = [0.95 + wobble.choice([-0.01, 0, 0.01]) for _ in range(30)]
    few = Yardstick(ACCURACY, CLASSES, classes=10, rows=100)
    assert word(curve, few) is Word.SATURATED
    assert word(curve, MANY) is not Word.SATURATED, "of 10,000 rows they are 100"


def test_a_smooth_gain_within_the_standard_error_is_none() -> None:
    creeping = [0.8 + 0.004 * epoch for epoch in range(8)]
    assert word(creeping, Yardstick(ACCURACY, CLASSES, classes=10, rows=100)) is Word.SATURATED
    assert word(creeping) is not Word.SATURATED


def test_the_bend_of_a_short_curve_is_no_noise() -> None:
    assert word([0.2, 0.6, 0.8, 0.85, 0.92, 0.94]) is Word.STILL


def test_the_studys_word_is_that_of_most_of_its_best_trials() -> None:
    best = {7: Word.OVER, 3: Word.FINE, 5: Word.FINE, 4: Word.FINE, 6: None}
    found = summary(best, 1)
    assert (found.word, found.agreeing, found.diverged) == (Word.FINE, 3, 1)
    assert summary({7: Word.OVER, 3: Word.FINE}, 0).word is Word.OVER
    some = {7: Word.OVER, 3: Word.FINE, 4: Word.FINE, 5: Word.NOISY, 6: Word.STILL}
    assert summary(some, 0).word is Word.OVER, "two of five are no majority"
    assert summary({}, 1).word is Word.DIVERGED
    assert summary({1: None}, 0) is None


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        ([None, Word.DIVERGED], None),
        ([None, Word.DIVERGED, Word.DIVERGED], Word.DIVERGED),
        ([Word.FINE, None, None], None),
        ([Word.OVER, None], Word.OVER),
        ([None, Word.OVER, None, Word.OVER, None], None),
    ],
)
def test_a_trial_without_a_word_counts_among_the_best(best, expected) -> None:
    found = summary(dict(enumerate(best)), 1)
    assert found.word is expected
    assert list(found.words.values()) == best


def test_that_some_diverged_is_no_word_of_those_that_were_completed() -> None:
    found = summary({0: None, 1: None}, 1)
    assert (found.word, found.diverged) == (None, 1)
