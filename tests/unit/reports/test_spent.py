"""What a search took and saved, counted by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hpsearch.insight.reader import Reader
from hpsearch.reports import sections
from hpsearch.reports.spent import Together, spent, together
from hpsearch.store.values import Hold, Known
from tests.played import DIGITS, Played, played

ADAM = {"depth": 1, "lr": 0.01, "optimizer": "adam"}


def test_epochs_that_pruning_and_stopping_saved(sqlite_url: str, tmp_path: Path) -> None:
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, [
        Played(ADAM, (0.5, 0.6, 0.7)), Played(ADAM, (0.1,), "PRUNED", "pruned by asha"),
        Played(ADAM, (0.5, 0.5)), Played(ADAM, (0.2,), "FAIL", "broke"),
        Played(ADAM, (0.1,), "PRUNED", "diverged"),
        Played(ADAM, (0.3,), "RUNNING"),
    ])  # fmt: skip
    reader = Reader(ledger, "s")
    snapshot = reader.snapshot()
    found = spent(snapshot, reader.trained_s(snapshot.study), reader.holds(snapshot.study))
    assert (found.epochs, found.whole, found.pruned, found.stopped) == (9, 10, 2, 1)
    assert found.pruned_share == 0.2
    assert round(found.training_s, 3) == 0.9
    words = dict(sections.budget(snapshot, found))
    assert words["saved by pruning"] == "2 epochs (20 % of the 10 without it), by asha"
    assert words["saved by early stopping"] == "1 epoch (10 %)"
    known = [Known({}, 0.5, "a.csv"), Known({}, 0.6, "a.csv")]
    more = dict(sections.budget(snapshot, found, known))
    assert more["known before"] == "2 trials from elsewhere: a.csv"


def held(*spans: tuple[str, float, float]) -> list[Hold]:
    return [Hold(worker, 1e9 + a, 1e9 + b) for worker, a, b in spans]


def test_trials_at_the_same_time(sqlite_url: str, tmp_path: Path) -> None:
    """Two beside each other, and one when they have ended; time without a worker is none of it."""
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, [Played(ADAM, (0.5,))] * 3)
    snapshot = Reader(ledger, "s").snapshot()
    two = held(("a", 0, 60), ("b", 0, 60), ("a", 1060, 1120))
    found = spent(snapshot, {}, two)
    assert found.together == Together(180.0, 120.0, most=2, of_one=1, workers=2)
    words = dict(sections.budget(snapshot, found))["at the same time"]
    assert words.startswith("1.5 trials on average and 2 at most, by several workers: ")
    assert "3m00s of trials in 2m00s of wall time" in words
    stack = held(("a", 0, 60), ("a", 0, 60), ("b", 30, 60))
    words = dict(sections.budget(snapshot, spent(snapshot, {}, stack)))["at the same time"]
    assert words.startswith("2.5 trials on average and 3 at most, in stacks and by several workers")


def test_trials_at_hand_are_not_trained_at_the_same_time() -> None:
    """A worker takes short trials of own training code ahead of time, and trains one at a time."""
    waiting = held(("a", 0, 10), ("a", 0, 20), ("a", 0, 30), ("b", 10, 30))
    assert together(waiting, 1) == Together(50.0, 30.0, most=2, of_one=1, workers=2)
    assert together(waiting) == Together(80.0, 30.0, most=3, of_one=3, workers=2)
    assert together([]).mean == 0.0


@pytest.mark.parametrize("places", [None, 1, 2])
def test_the_mean_is_never_more_than_the_most(places: int | None) -> None:
    draw = random.Random(0)
    for _ in range(100):
        spans = [(draw.choice("ab"), begin := draw.randrange(9), begin + draw.randrange(1, 9))
                 for _ in range(draw.randrange(1, 8))]  # fmt: skip
        counted = together(held(*spans), places)
        assert counted.mean <= counted.most + 1e-9
