"""Importance of many trials, and of a study under another name."""

from __future__ import annotations

import time
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import create_trial

from hpsearch.insight import importance
from hpsearch.insight.importance import measure, sampled
from hpsearch.store.ledger import Ledger
from tests.searched import DISTRIBUTIONS, searched


def test_a_sample_is_drawn_by_chance_in_order_and_the_same_again() -> None:
    trials = [create_trial(value=float(number)) for number in range(100)]
    found = sampled(trials, 10, seed=1)
    assert len(found) == 10
    assert [t.value for t in found] == sorted(t.value or 0.0 for t in found)
    assert found == sampled(trials, 10, seed=1)
    assert found != sampled(trials, 10, seed=2)
    assert max(t.value or 0.0 for t in found) > 50, "not the first ones"
    assert sampled(trials, 100, seed=1) == trials


def test_what_was_left_out_is_said(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, _ = searched(sqlite_url, tmp_path, trials=14)
    told: list[str] = []
    whole = measure(ledger, "s", told.append)
    assert told == []
    assert not any("drawn by chance" in note for note in whole.notes)
    monkeypatch.setattr(importance, "_SAMPLE", 12)
    found = measure(ledger, "s", told.append)
    assert told == ["PED-ANOVA looks at 14 trials, fANOVA at 12 of them"]
    assert "fANOVA looked at 12 of the 14, drawn by chance" in found.notes
    assert found.complete == 14


@pytest.mark.nightly
def test_a_bounded_forest_tells_parameters_apart_as_a_whole_one_does(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, _ = searched(sqlite_url, tmp_path, trials=60)
    whole = {row.name: row.fanova for row in measure(ledger, "s").parameters}
    monkeypatch.setattr(importance, "_FEW", 10)
    bounded = {row.name: row.fanova for row in measure(ledger, "s").parameters}
    assert bounded == pytest.approx(whole, abs=0.05)


@pytest.mark.parametrize("renamed", ["t", "a name of Optuna's", "s\x1b[2J"])
def test_a_study_under_another_name_than_its_documents(
    sqlite_url: str, tmp_path: Path, renamed: str
) -> None:
    ledger, _ = searched(sqlite_url, tmp_path)
    with ledger.database.engine.begin() as connection:
        rename = sa.text("UPDATE studies SET study_name = :name")
        connection.execute(rename, {"name": renamed})
    assert measure(ledger, renamed).complete == 12


def many(ledger: Ledger, study_id: int, count: int) -> None:
    """So many complete trials more, by Optuna's own rows."""
    made = [
        create_trial(
            params={"lr": 0.001 + 0.9 * (number % 997) / 997, "depth": 1 + number % 3},
            distributions=DISTRIBUTIONS,
            value=(number % 997) / 997 + 0.01 * (number % 3),
            user_attrs={"ticket": number, "stage": "joint", "sampler": "random"},
        )
        for number in range(100, 100 + count)
    ]
    study = optuna.load_study(study_name="s", storage=ledger.database.url)
    study.add_trials(made)


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_twenty_thousand_trials_take_seconds(sqlite_url: str, tmp_path: Path) -> None:
    ledger, study = searched(sqlite_url, tmp_path)
    many(ledger, study.study_id, 20_000)
    began = time.process_time()
    assert measure(ledger, "s").complete == 20_012
    assert time.process_time() - began < 10
