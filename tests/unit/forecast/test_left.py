"""The time left as it would have been shown of searches that were recorded: `data/searches.json`
has, of eleven searches of 7 to 130 seconds on a busy machine of two cores, for each trial when it
began and ended, its epochs, and the seconds of training in them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hpsearch.forecast.countdown import Countdown, Recent
from hpsearch.forecast.pace import Progress, Span, left
from hpsearch.spec import StudySpec, load

ROOT = Path(__file__).parents[3]
SEARCHES: list[Any] = json.loads((ROOT / "tests/data/searches.json").read_text())
BETWEEN_S = 0.5
"""Two looks at a search."""


@dataclass(frozen=True)
class Look:
    """What was shown, and what would have been right."""

    progress: Progress
    left_s: float
    shown: Span | None

    @property
    def is_held(self) -> bool:
        """Whether the true time lies in the range."""
        return self.shown is not None and self.shown.low <= self.left_s <= self.shown.high


def progress_at(search: Any, spec: StudySpec, now_s: float) -> Progress:
    """How far the search was, with the epochs of a trial evenly before its end."""
    ended, running, finish, waiting = list[int](), list[int](), 0, 0
    for began_s, ended_s, epochs, trained_s, *stage in search["trials"]:
        share = 1 - (ended_s - now_s) / trained_s if trained_s and now_s < ended_s else 1.0
        done = int(epochs * max(share, 0.0)) if began_s <= now_s else 0
        if stage:
            finish += spec.budget.epochs - done
            continue
        waiting += began_s > now_s
        if began_s <= now_s:
            (ended if ended_s <= now_s else running).append(done)
    trained = len([t for t in search["trials"] if len(t) > 4]) * spec.budget.epochs - finish
    return Progress(
        tuple(ended), tuple(running), waiting, finish, sum(ended) + sum(running) + trained, now_s
    )


def looks(search: Any) -> Iterator[Look]:
    """All looks at a search, but for its last moment."""
    spec = load(ROOT / f"studies/{search['study']}.yaml")
    recent, countdown = Recent(), Countdown()
    for step in range(int(search["work_s"] / BETWEEN_S)):
        now_s = step * BETWEEN_S
        progress = progress_at(search, spec, now_s)
        tempo = recent.tempo(progress)
        estimate = None if tempo is None else left(spec, progress, tempo)
        yield Look(progress, search["work_s"] - now_s, countdown.update(estimate, now_s))


@pytest.fixture(scope="module")
def seen() -> list[list[Look]]:
    return [list(looks(search)) for search in SEARCHES]


def test_the_range_holds_the_true_time_in_most_looks(seen: list[list[Look]]) -> None:
    shown = [[look for look in search if look.shown] for search in seen]
    held = [[look.is_held for look in search] for search in shown]
    assert sum(map(sum, held)) > 0.8 * sum(map(len, held))
    assert [sum(search) > 0.5 * len(search) for search in held] == [True] * len(held)
    assert sum(map(len, shown)) > 0.7 * sum(map(len, seen)), "or it says little that is wrong"


def test_no_look_differs_by_a_factor_from_the_one_before(seen: list[list[Look]]) -> None:
    for search in seen:
        for one, other in itertools.pairwise(search):
            if one.shown and other.shown and one.shown.expected > 4:
                expected_s = one.shown.expected - BETWEEN_S
                assert 0.7 < other.shown.expected / expected_s < 1.4


def test_nothing_is_shown_before_trials_have_ended(seen: list[list[Look]]) -> None:
    for search in seen:
        first = next(look for look in search if look.shown)
        assert len(first.progress.ended) >= 4
