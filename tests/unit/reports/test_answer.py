"""The first lines of a report are true: of a finish, of a search without one, and of nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpsearch.insight import remarks
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Snapshot
from hpsearch.insight.words import counted
from hpsearch.reports.answer import answer
from tests.played import DATA, DIGITS, OWN, Played, played

ADAM = {"depth": 1, "lr": 0.01, "optimizer": "adam"}
COMPLETE = Played(ADAM, (0.5, 0.7, 0.6))


@pytest.fixture
def snapshot(sqlite_url: str, tmp_path: Path) -> Snapshot:
    """One completed trial of two."""
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, [COMPLETE], data=DATA, more=1)
    return Reader(ledger, "s").snapshot()


def estimate(*values: float, low: float | None = None, high: float | None = None) -> Any:
    middle = sum(values) / len(values)
    return {"mean": middle, "low": low, "high": high, "values": list(values)}


def verdict(**fields: Any) -> Mapping[str, Any]:
    three = estimate(0.97, 0.975, 0.98, low=0.968, high=0.981)
    return {
        "metric": "accuracy", "test": three, "validation": three, "rows": 300, "use": 1,
        "asked": 6, "completed": 6, "optimism": 0.01, "last_trial": 9, "baselines": {},
        "default": estimate(0.96, 0.962, 0.964, low=0.96, high=0.964),
        "difference": estimate(0.01, 0.013, 0.016, low=0.008, high=0.018),
        "network": {"accuracy": 0.98}, **fields,
    }  # fmt: skip


NOISE = estimate(-0.01, 0.001, 0.01, low=-0.02, high=0.02)
WORSE = estimate(-0.02, -0.03, -0.04, low=-0.05, high=-0.01)


@pytest.mark.parametrize(
    ("fields", "tone", "said"),
    [
        ({}, "good", "Default settings 0.962: the gain of 0.013 (0.008 to 0.018 over"),
        ({"difference": NOISE}, "plain", "no evidence that tuning helped"),
        ({"difference": WORSE}, "warning", "worse by 0.03"),
        ({"difference": estimate(0.01)}, "plain", "too few seeds"),
        ({"default": None, "difference": None}, "plain", "The default settings could not be"),
    ],
)
def test_a_finish_is_said_with_its_interval_and_what_it_is_worth(
    snapshot: Snapshot, fields: Mapping[str, Any], tone: str, said: str
) -> None:
    found = answer(replace(snapshot, verdict=verdict(**fields)))
    assert found.headline == "Test accuracy 0.975 (0.968 to 0.981 over 3 seeds on these 300 rows)"
    assert said in found.sentences[0]
    assert found.tone == tone


def test_a_simple_answer_that_is_as_good_is_in_the_headline(snapshot: Snapshot) -> None:
    found = answer(replace(snapshot, verdict=verdict(baselines={"last value": 0.98})))
    assert found.headline == (
        "Test accuracy 0.975 (0.968 to 0.981 over 3 seeds on these 300 rows), no better than a "
        "simple answer (last value: 0.98)"
    )
    assert found.sentences[0].startswith("Default settings 0.962: ")
    assert found.tone == "bad"


def test_a_finish_without_a_test_part_is_no_test(snapshot: Snapshot) -> None:
    untested = verdict(test=None, network={}, use=0, rows=None, why="own code has none")
    found = answer(replace(snapshot, verdict=untested))
    assert found.headline == "Trained again, accuracy 0.975 (0.968 to 0.981 over 3 seeds)"
    assert "No test part was used, as own code has none" in found.sentences[0]


def test_a_test_part_that_was_used_twice_is_said(snapshot: Snapshot) -> None:
    found = answer(replace(snapshot, verdict=verdict(use=2)))
    assert "used 2 times" in found.sentences[1]


def test_trials_after_a_finish_are_counted_beside_what_it_found(snapshot: Snapshot) -> None:
    of_before = replace(snapshot, verdict=verdict(last_trial=-1))
    words = f"{counted(len(snapshot.trials), 'trial')} began after this finish and "
    assert answer(of_before).sentences[-1].startswith(words)
    assert words in remarks.finished(of_before)
    assert "began" not in remarks.finished(replace(snapshot, verdict=verdict()))


def test_a_search_alone_is_no_test(snapshot: Snapshot) -> None:
    found = answer(snapshot)
    assert found.headline == "Best validation accuracy so far 0.7"
    said = " ".join(found.sentences)
    assert "trial 0 after epoch 2 of 3" in said
    assert "A simple answer (majority class no) gives accuracy 0.25 on validation data." in said
    assert "slightly optimistic" in said
    assert "No test part was used: hpsearch final s does so, once." in said
    assert found.tone == "plain"


def test_a_best_trial_that_a_simple_answer_beats_is_no_good_news(snapshot: Snapshot) -> None:
    baseline = {"name": "majority class no", "values": {"accuracy": 0.7}}
    data = {**(snapshot.study.data or {}), "baseline": baseline}
    found = answer(replace(snapshot, study=replace(snapshot.study, data=data)))
    assert "accuracy 0.7 on validation data, and the best trial is no better than that" in " ".join(
        found.sentences
    )
    assert found.tone == "bad"


def test_own_training_code_knows_its_data(sqlite_url: str, tmp_path: Path) -> None:
    trial = Played({"lr": 0.1, "widths": "8-8"}, (0.5, 0.2))
    ledger, _ = played(sqlite_url, tmp_path, OWN, [trial])
    found = answer(Reader(ledger, "s").snapshot())
    assert found.headline == "Best val/f1 <b> 0.2"
    assert "no test part was used" in " ".join(found.sentences)


@pytest.mark.parametrize(
    ("trials", "headline", "said", "tone"),
    [
        ([], "No trial has begun yet", "Workers have not begun it.", "plain"),
        ([Played(ADAM, (), "FAIL", "out of memory")] * 2, "No trial has completed",
         "Of 2 trials: 2 failed. Trial 0 failed: out of memory", "bad"),
        ([Played(ADAM, (0.2,), "PRUNED")], "No trial has completed", "1 pruned", "bad"),
        ([Played(ADAM, (0.2,), "RUNNING")], "No trial has completed",
         "The best so far is trial 0, still training: accuracy 0.2.", "plain"),
    ],
)  # fmt: skip
def test_nothing_is_not_dressed_up(
    sqlite_url: str, tmp_path: Path, trials: list[Played], headline: str, said: str, tone: str
) -> None:
    ledger, _ = played(sqlite_url, tmp_path, DIGITS, trials, more=1)
    found = answer(Reader(ledger, "s").snapshot())
    assert found.headline == headline
    assert said in " ".join(found.sentences)
    assert found.tone == tone
