"""The samplers of a study file by themselves, on studies of Optuna's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna._gp import gp
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.search.learners import SeededGPSampler, SeededTPESampler
from hpsearch.search.samplers import DRAWN_BY, GridSampler, QmcSampler, RandomSampler, reseed
from hpsearch.spec.space import Choices, Condition, Grid, Parameter, Range, Space

SPACE: dict[str, BaseDistribution] = {
    "c": CategoricalDistribution(["a", "b", "c"]),
    "k": IntDistribution(1, 9, step=2),
    "x": FloatDistribution(1e-4, 1.0, log=True),
    "y": FloatDistribution(0.0, 1.0),
}


def study_of(count: int) -> optuna.Study:
    """A study of finished trials, and two under way."""
    study = optuna.create_study(direction="maximize", sampler=RandomSampler(1))
    for number in range(count):
        trial = study.ask(SPACE)
        p = trial.params
        value = -abs(np.log10(p["x"]) + 2) - (p["y"] - 0.3) ** 2 - (p["c"] == "a")
        if number % 3:
            study.tell(trial, value)
        else:
            trial.report(value, 1)
            study.tell(trial, state=TrialState.PRUNED)
    study.ask(SPACE), study.ask(SPACE)
    return study


def new_trial(study: optuna.Study) -> FrozenTrial:
    return study._storage.get_trial(study._storage.create_new_trial(study._study_id))


def twins(
    ours: BaseSampler, theirs: Callable[[], BaseSampler], alike: tuple[optuna.Study, optuna.Study]
) -> tuple[dict, dict]:
    """What ours and Optuna's own draw next from one seed: a sampler notes on a trial what it drew,
    so each has a study of its own."""
    trial, other = new_trial(alike[0]), new_trial(alike[1])
    fresh: Any = theirs()
    reseed(fresh._rng, 5, trial.number)
    ours.before_trial(alike[0], trial)
    return (
        ours.sample_relative(alike[0], trial, SPACE),
        fresh.sample_relative(alike[1], other, SPACE),
    )


def test_tpe_draws_what_optunas_own_draws_from_the_same_seed() -> None:
    alike, ours = (study_of(40), study_of(40)), SeededTPESampler(5)
    for _ in range(2):
        for _ in range(3):
            found, expected = twins(ours, lambda: TPESampler(n_startup_trials=1), alike)
            assert found == expected
        for study in alike:
            study.tell(study.ask(SPACE), 0.5)


def test_a_gaussian_process_draws_what_optunas_own_draws_from_the_same_seed() -> None:
    alike = study_of(40), study_of(40)
    found, expected = twins(SeededGPSampler(5), lambda: GPSampler(n_startup_trials=1), alike)
    assert found == expected


def test_a_gaussian_process_is_fitted_once_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    likelihood = gp.GPRegressor.marginal_log_likelihood

    def counted(regressor: gp.GPRegressor) -> torch.Tensor:
        steps[-1] += 1
        return likelihood(regressor)

    monkeypatch.setattr(gp.GPRegressor, "marginal_log_likelihood", counted)
    study, sampler = study_of(40), SeededGPSampler(5)
    for _ in range(3):
        steps.append(0)
        sampler.sample_relative(study, new_trial(study), SPACE)
    study.tell(study.ask(SPACE), 0.5)
    steps.append(0)
    sampler.sample_relative(study, new_trial(study), SPACE)
    assert steps[1] <= 3
    assert steps[2] <= 3
    assert min(steps[0], steps[3]) > 6


def test_the_number_that_a_trial_is_drawn_by_may_be_another_than_its_own() -> None:
    study = study_of(40)
    first, second = new_trial(study), new_trial(study)
    study._storage.set_trial_system_attr(second._trial_id, DRAWN_BY, first.number)
    second = study._storage.get_trial(second._trial_id)
    for sampler in (RandomSampler(0), QmcSampler(0)):
        assert sampler.sample_relative(study, second, SPACE) == sampler.sample_relative(
            study, first, SPACE
        )
        assert sampler.sample_relative(study, new_trial(study), SPACE) != (
            sampler.sample_relative(study, first, SPACE)
        )


def test_points_cover_each_value_as_often_as_the_others() -> None:
    study = optuna.create_study(sampler=QmcSampler(3))
    for _ in range(60):
        study.tell(study.ask(), 0.0)
    drawn = [QmcSampler(3).sample_relative(study, t, SPACE) for t in study.trials]
    assert [sum(d["c"] == c for d in drawn) for c in "abc"] == pytest.approx([20] * 3, abs=2)
    assert {d["k"] for d in drawn} == {1, 3, 5, 7, 9}
    assert all(found._contains(d[n]) for d in drawn for n, found in SPACE.items()
               if n != "c")  # fmt: skip


def test_sobol_points_do_not_depend_on_the_order_they_are_asked_in() -> None:
    def draw(number: int) -> dict:
        trial = create_trial(value=0.0)
        trial.number = number
        return QmcSampler(11).sample_relative(study, trial, SPACE)

    study = optuna.create_study()
    forward = [draw(n) for n in range(8)]
    assert [draw(n) for n in reversed(range(8))] == forward[::-1]


def test_a_grid_has_its_cells_in_order_after_the_starting_points() -> None:
    space = Space(
        (
            Parameter("o", "g", Choices(("sgd", "adam"))),
            Parameter("m", "g", Range(0.5, 0.9, step=0.2), when=(Condition("o", ("sgd",)),)),
        )
    )
    asked = {"o": CategoricalDistribution(["sgd", "adam"]), "m": FloatDistribution(0.5, 0.9)}
    sampler, study = GridSampler(Grid(space), first=2), optuna.create_study()
    drawn = [sampler.sample_relative(study, new_trial(study), asked) for _ in range(7)]
    cells = [{"o": "sgd", "m": 0.5}, {"o": "sgd", "m": 0.7}, {"o": "sgd", "m": 0.9}, {"o": "adam"}]
    assert drawn == [cells[0], cells[0], *cells, cells[0]]
    assert sampler.sample_independent(study, new_trial(study), "m", asked["m"]) == 0.5
