"""Which configuration wins a finish, and what is said of it."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import mean
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hpsearch.children.here import Here
from hpsearch.code import Manifest
from hpsearch.spec.task import Metric
from hpsearch.spec.train import TrainSpec
from hpsearch.stages.finish import Entry, Repeat, estimate, verdict
from hpsearch.worker.examiners import examiner_of
from tests.later import Later

stats = Later("scipy.stats")

GOOD, PLAIN = {"lr": 0.1}, {"lr": 0.001}


def entry(values, *found: float | None, first: int = 0) -> Entry:
    return Entry(values, tuple(
        Repeat(first + i, 100 + first + i, repeat=i, value=value) for i, value in enumerate(found)
    ))  # fmt: skip


def judged(*entries: Entry, test=None, direction="maximize", best_seen: float | None = 0.95):
    asked = sum(len(one.repeats) for one in entries)
    looked: list[int] = []

    def score(repeat: Repeat, _values) -> dict[str, float]:
        looked.append(repeat.trial)
        given = (test or {}).get(repeat.trial, (repeat.value or 0) - 0.1)
        return {"accuracy": given, "loss": 1 - given}

    return verdict(
        entries,
        best_seen,
        Metric("accuracy", direction, "", 0, 1),
        score,
        rows=50,
        use=1,
        asked=asked,
    ), looked


@pytest.mark.parametrize(("losses", "best"), [((0.3, 0.2, 0.2), 1), ((math.inf,) * 3, 0)])
def test_of_equal_trainings_the_one_with_the_least_loss_is_handed_over(losses, best) -> None:
    good = entry(GOOD, 1.0, 1.0, 1.0)
    repeats = (replace(r, loss=loss) for r, loss in zip(good.repeats, losses, strict=True))
    found, _ = judged(replace(good, repeats=tuple(repeats)), entry(PLAIN, 0.8, first=20))
    assert found.best_ticket == 100 + best


def test_the_best_mean_wins_and_not_the_best_value() -> None:
    lucky = entry({"lr": 0.5}, 0.99, 0.5, 0.5, first=10)
    found, looked = judged(
        lucky, entry(GOOD, 0.9, 0.91, 0.89), entry(PLAIN, 0.8, 0.8, 0.8, first=20)
    )
    assert found.winner == GOOD
    assert found.validation.mean == pytest.approx(0.9)
    assert (found.best_ticket, found.last_trial) == (101, 22)
    assert sorted(looked) == [0, 1, 2, 20, 21, 22], "nobody else's test values are looked at"


def test_smaller_is_better_where_the_metric_says_so() -> None:
    found, _ = judged(entry(GOOD, 0.2, 0.2), entry(PLAIN, 0.3, 0.3, first=9), direction="minimize",
                      best_seen=0.15)  # fmt: skip
    assert found.winner == GOOD
    assert found.optimism == pytest.approx(0.05)
    assert judged(entry(GOOD, 0.9, 0.9), entry(PLAIN, 0.1))[0].optimism == pytest.approx(0.05)


def test_one_that_sometimes_fails_loses_to_one_that_does_not() -> None:
    found, _ = judged(entry(GOOD, 0.9, None), entry(PLAIN, 0.5, 0.5, first=9))
    assert found.winner == PLAIN
    assert found.difference is None


def test_differences_are_taken_seed_by_seed() -> None:
    test = {0: 0.9, 1: 0.7, 9: 0.8, 10: 0.6}
    found, _ = judged(entry(GOOD, 0.9, 0.9), entry(PLAIN, 0.5, 0.5, first=9), test=test)
    assert found.difference.mean == pytest.approx(0.1)
    assert found.difference.high - found.difference.low < 1e-9, "the seeds' own spread is gone"
    assert found.test.mean == pytest.approx(0.8)


def test_a_seed_that_only_one_of_them_survived_is_no_pair() -> None:
    found, _ = judged(entry(GOOD, 0.9, 0.9, 0.9), entry(PLAIN, 0.5, None, 0.5, first=9))
    assert len(found.difference.values) == 2
    found, _ = judged(entry(GOOD, 0.9, 0.9), entry(PLAIN, None, None, first=9))
    assert (found.default, found.difference) == (None, None)


def test_it_counts_the_trainings_that_are_missing() -> None:
    found, _ = judged(entry(GOOD, 0.9, 0.9), entry(PLAIN, None, 0.5, first=9))
    assert (found.asked, found.completed) == (4, 3)


def test_the_interval_is_students() -> None:
    values = [0.1, 0.2, 0.4, 0.3]
    found = estimate(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((mean(values), low, high))
    assert (estimate([0.5]).low, estimate([0.5]).mean) == (None, 0.5)


def test_the_interval_holds_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        found = estimate(rng.normal(0.9, 0.02, 5).tolist())
        held += found.low < 0.9 < found.high
    assert stats.binomtest(held, 400, 0.95).pvalue > 0.01


def test_it_is_plain_values() -> None:
    import json

    found, _ = judged(entry(GOOD, 0.9, 0.9), entry(PLAIN, 0.5, 0.5, first=9))
    assert json.loads(json.dumps(found.as_json()))["test"]["mean"] == pytest.approx(0.8)


def test_an_interval_ends_where_the_metric_does() -> None:
    assert estimate([0.9, 1.0], 0.0, 1.0).high == 1.0
    assert estimate([0.1, 3.0], 0.0).low == 0.0
    assert estimate([0.1, 3.0], 0.0).high == estimate([0.1, 3.0]).high


def test_why_nothing_tests_own_code() -> None:
    def why(nursery: Here | None) -> str | None:
        train = TrainSpec(function="own.py:train")
        tester: Any = SimpleNamespace(tests=False)
        parts: Any = SimpleNamespace(
            spec=SimpleNamespace(train=train), context=SimpleNamespace(nursery=nursery)
        )
        return examiner_of(parts, None, tester).untested()

    assert why(None) == "own.py has no evaluate(run, part)"
    assert why(Here(print, Manifest({}), "cpu")) == "hp.Study was given no evaluate(run, part)"
