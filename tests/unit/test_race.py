"""Both sides of the race search the same, and its figures are what they are called."""

from __future__ import annotations

import math
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks import race, resident, teacher
from benchmarks.products import dense_flop, peak_flop_per_s
from benchmarks.resident import REPLAY_EPOCHS, REPLAYED, SEARCHED, network, suggest
from benchmarks.watching import watched, work
from hpsearch.sources.dataset import DataSettings
from hpsearch.sources.dataset import load as load_data
from hpsearch.spec import load
from hpsearch.stages.results import default_point
from tests.building import built

STUDY = load(race.STUDIES / "race.yaml", [])
REPLAY = load(race.STUDIES / "replay.yaml", [])
WIDTHS = race.widths(*race.WIDTHS)


def test_the_peer_searches_what_the_study_does() -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    suggest(trial, WIDTHS)
    ours = {p["name"]: p for p in STUDY.filled["parameters"]}
    assert set(trial.distributions) == set(ours)
    for name, distribution in trial.distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            assert list(distribution.choices) == ours[name]["values"]
        else:
            assert isinstance(distribution, (IntDistribution, FloatDistribution))
            ends = distribution.low, distribution.high, distribution.log
            assert ends == (ours[name]["min"], ours[name]["max"], ours[name]["log"])
    assert STUDY.budget.epochs == SEARCHED
    assert (STUDY.data.validation, STUDY.data.test) == (0.15, 0.15)


def test_both_try_the_same_configuration_first() -> None:
    ours = STUDY.settings(default_point(STUDY))
    first = resident.default(WIDTHS)
    assert {name: ours[name] for name in first} == first
    assert (ours["momentum"], ours["schedule"]) == (0.9, "constant")


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_the_peer_trains_the_networks_of_the_study(activation: str, *, batch_norm: bool) -> None:
    config = {**resident.default(WIDTHS), "depth": 3, "dropout": 0.1, "activation": activation,
              "batch_norm": batch_norm}  # fmt: skip
    ours = built("mlp", (teacher.COLUMNS,), teacher.CLASSES, **STUDY.settings(config))
    assert str(network(teacher.COLUMNS, config)) == str(ours)


def test_both_replay_the_same_configurations() -> None:
    ours = REPLAY.settings(dict(REPLAYED[0]))
    theirs = {**resident.SHAPE, **REPLAYED[0]}
    assert ours["widths"] == (theirs.pop("width"),) * theirs.pop("depth")
    assert {name: ours[name] for name in theirs} == theirs
    assert (REPLAY.budget.trials, REPLAY.budget.epochs) == (len(REPLAYED), REPLAY_EPOCHS)


def test_both_read_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher.write(tmp_path / "race.csv")
    monkeypatch.chdir(tmp_path)
    settings = DataSettings.of(
        "table", path=tmp_path / "race.csv", target="kind", task="classification"
    )
    ours = load_data(settings, torch.device("cpu"))
    parts = zip((ours.train, ours.validation), resident.data(), race.SIZES, strict=True)
    for part, (inputs, targets), size in parts:
        assert torch.allclose(inputs, part.inputs, atol=1e-4)
        assert torch.equal(targets, part.targets)
        assert len(targets) == size


def test_the_table_is_always_the_same_and_has_every_class() -> None:
    inputs, classes = teacher.rows()
    again, _ = teacher.rows()
    assert np.array_equal(inputs, again)
    assert inputs.shape == (teacher.ROWS, teacher.COLUMNS)
    assert np.unique(classes).tolist() == list(range(teacher.CLASSES))


def test_widths_are_powers_of_two_times_the_least() -> None:
    assert race.widths(64, 512) == [64, 128, 256, 512]
    assert race.widths(16, 128) == [16, 32, 64, 128]


def test_products_are_counted_forward_and_back() -> None:
    # One row through 2-3-4: 18 weights, of which 6 need no gradient of their inputs.
    assert dense_flop([2, 3, 4], trained=1, measured=0) == 2 * (3 * 18 - 6)
    assert dense_flop([2, 3, 4], trained=0, measured=5) == 2 * 5 * 18


def test_a_peak_is_a_rate_of_a_real_machine() -> None:
    assert 1e8 < peak_flop_per_s() < 1e14


def test_each_side_is_timed_to_what_the_peer_ends_with() -> None:
    figures = {
        "hpsearch": {"better": [(2.0, 0.5), (4.0, 0.9), (9.0, 0.95)], "best": 0.95},
        race.PEER: {"better": [(1.0, 0.6), (7.0, 0.9)], "best": 0.9},
        race.JOINT: {"better": [(3.0, 0.89)], "best": 0.89},
    }
    compared = race.compare(figures, limit_s=10.0)
    assert {name: of["seconds"] for name, of in compared.items()} == {
        "hpsearch": 4.0, race.PEER: 7.0, race.JOINT: 10.0,
    }  # fmt: skip
    assert [of["reached"] for of in compared.values()] == [True, True, False]


def test_the_best_report_is_watched_while_something_runs(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    with watched(file) as best:  # which is not there yet
        database = sqlite3.connect(file)
        database.execute("CREATE TABLE trial_intermediate_values (intermediate_value FLOAT)")
        database.execute("INSERT INTO trial_intermediate_values VALUES (0.25), (0.75)")
        database.commit()
        database.close()
    assert [value for _, value in best] == [0.75]


def test_work_counts_epochs_and_idle_workers() -> None:
    """In ten seconds one worker is busy throughout, at times with two, the other for five."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage)
    begin = datetime(2026, 1, 1)
    for worker, first, last in (("a", 0, 6), ("a", 4, 10), ("b", 0, 5)):
        study.add_trial(_trial(begin, worker, first, last))
    done = work(storage, 2, lambda params: 1e9 * params["x"])
    assert (done.trials, done.epochs, done.best, done.seconds) == (3, 6, 2.0, 10.0)
    assert math.isclose(done.busy, 0.75)
    assert math.isclose(done.gflop_per_s, 6 * 3.0 / 10)


def _trial(begin: datetime, worker: str, first: int, last: int) -> Any:
    trial = optuna.trial.create_trial(
        value=1.0, params={"x": 3.0}, user_attrs={"worker": worker},
        distributions={"x": FloatDistribution(0, 9)},
        intermediate_values={1: 1.0, 2: 2.0},
    )  # fmt: skip
    trial.datetime_start = begin + timedelta(seconds=first)
    trial.datetime_complete = begin + timedelta(seconds=last)
    return trial
