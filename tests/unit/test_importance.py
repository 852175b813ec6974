from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.errors import NotFoundError
from hpsearch.insight.importance import Importance, _cut, measure
from hpsearch.spec import StudySpec, load
from hpsearch.spec.settings import FINAL
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.studies import A_STUDY

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "lr": FloatDistribution(0.001, 1.0, log=True),
    "depth": IntDistribution(1, 3),
    "momentum": FloatDistribution(0.0, 0.9),
}
MOMENTUM = ", optimizer: {optimizer: sgd, momentum: {min: 0, max: 0.9}}"
Study = Callable[..., Importance]


def trial(
    value: float, state: TrialState = TrialState.COMPLETE, stage: str = "joint", **params: Any
) -> FrozenTrial:
    return create_trial(
        state=state, value=value if state is TrialState.COMPLETE else None, params=params,
        distributions={name: DISTRIBUTIONS[name] for name in params}, user_attrs={"stage": stage},
    )  # fmt: skip


def drawn(count: int) -> list[dict[str, Any]]:
    """So many points of the space, by chance."""
    chance = random.Random(0)
    return [
        {"lr": 10 ** chance.uniform(-3, 0), "depth": chance.randint(1, 3)} for _ in range(count)
    ]


def study(tmp_path: Path, more: str = "", search: str = "") -> StudySpec:
    """A study that searches lr, depth and what is added."""
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\n"
        "parameters: {architecture: {depth: {min: 1, max: 3}},"
        f" learning_rate: {{lr: {{min: 0.001, max: 1, log: true}}}}{more}}}\n"
        f"search: {{sampler: random{search}}}\nbudget: {{trials: 60, epochs: 4}}\n"
    )
    return load(file)


@pytest.fixture
def judged(sqlite_url: str, tmp_path: Path) -> Study:
    """Importance by these trials, of a study that searches lr, depth and what is added."""

    def measured(trials: list[FrozenTrial], more: str = "", search: str = "") -> Importance:
        ledger = Ledger(Database(sqlite_url))
        document = study(tmp_path, more, search).document
        ledger.create(replace(A_STUDY, document=document, tickets=60))
        for number, each in enumerate(trials):  # one without is no trial of hpsearch's
            each.set_user_attr("ticket", number)
        optuna.load_study(study_name="s", storage=sqlite_url).add_trials(trials)
        return measure(ledger, "s")

    return measured


def test_the_parameter_that_decides_has_nearly_all(judged: Study) -> None:
    found = judged([trial(-abs(point["lr"] - 0.1), **point) for point in drawn(50)])
    first, second = found.parameters
    assert (first.name, second.name) == ("lr", "depth")
    assert first.ped_anova is not None
    assert first.fanova is not None
    assert first.ped_anova > 0.8
    assert first.fanova > 0.8
    assert first.ped_anova + (second.ped_anova or 0) == pytest.approx(1)
    assert first.fanova + (second.fanova or 0) == pytest.approx(1)
    assert (found.trials, found.complete, found.best) == (50, 50, 5)
    assert found.notes == ()
    lines = [line.split() for line in str(found).splitlines()]
    assert [line[0] for line in lines] == ["parameter", "lr", "depth"]
    assert lines[1][1:] == [f"{100 * first.ped_anova:.0f}", "%", f"{100 * first.fanova:.0f}", "%"]


def test_groups_are_sums_in_the_order_that_was_assumed(judged: Study) -> None:
    points = [{**point, "momentum": 0.5 * point["lr"]} for point in drawn(20)]
    found = judged([trial(point["lr"], **point) for point in points], MOMENTUM)
    shares = {row.name: row.ped_anova for row in found.parameters}
    assert [group.name for group in found.groups] == ["architecture", "learning_rate", "optimizer"]
    assert [group.ped_anova for group in found.groups] == [
        shares["depth"], shares["lr"], shares["momentum"],
    ]  # fmt: skip
    depth, lr, momentum = (group.ped_anova or 0.0 for group in found.groups)
    assert found.pairs == 3
    assert found.held == (depth >= lr) + (depth >= momentum) + (lr >= momentum)


def test_only_trials_of_the_search_that_went_to_their_end_count(judged: Study) -> None:
    points = drawn(50)
    complete = [trial(point["lr"], **point) for point in points[:20]]
    pruned = [trial(0.0, TrialState.PRUNED, **point) for point in points[20:30]]
    finish = [trial(9.0, stage=FINAL, **point) for point in points[30:]]
    found = judged([*complete, *pruned, *finish])
    assert (found.trials, found.complete) == (30, 20)
    assert found.notes == ("fewer than 50 trials: a rough picture",)


def stopped(point: dict[str, Any], *curve: float) -> FrozenTrial:
    """A trial that a pruner ended after this curve."""
    ended = trial(0.0, TrialState.PRUNED, **point)
    ended.intermediate_values = dict(enumerate(curve, 1))
    return ended


def test_where_most_are_pruned_trials_are_compared_after_the_epoch_that_enough_have_reached(
    judged: Study,
) -> None:
    points = drawn(60)
    # Accuracy is to grow: after epoch 3 lr alone decides, and before and later it does not.
    good = [-abs(point["lr"] - 0.1) for point in points]
    early = [stopped(point, -9.0, -9.0) for point in points[20:]]
    later = [stopped(p, -9.0, -9.0, v) for p, v in zip(points[:14], good[:14], strict=True)]
    diverged = [stopped(point, math.nan, math.nan, math.nan) for point in points[14:15]]
    complete = [trial(-v, **p) for p, v in zip(points[15:20], good[15:20], strict=True)]
    for each, value in zip(complete, good[15:20], strict=True):
        each.intermediate_values = {1: -9.0, 2: -9.0, 3: value, 4: 9.0}
    found = judged([*early, *later, *diverged, *complete])
    assert (found.trials, found.complete, found.compared, found.epoch) == (60, 5, 19, 3)
    assert found.parameters[0].name == "lr"
    assert (found.parameters[0].fanova or 0) > 0.8, "by what trials had after epoch 3"
    assert "came to epoch 3" in found.notes[0]


@pytest.mark.parametrize(("keep", "value"), [("best", 0.9), ("last", 0.2)])
def test_the_epoch_that_a_study_keeps_counts_until_then(
    tmp_path: Path, keep: str, value: float
) -> None:
    spec = replace(study(tmp_path), keep=keep)
    curve = (0.3, 0.9, 0.2, 0.95)
    cut = _cut(stopped({"lr": 0.1, "depth": 1}, *curve), 3, spec)
    assert cut is not None
    assert cut.value == value
    assert _cut(stopped({"lr": 0.1, "depth": 1}, *curve[:2]), 3, spec) is None, "it ended before"


def test_a_parameter_that_few_or_no_trials_have_is_named(judged: Study) -> None:
    points = drawn(20)
    trials = [trial(point["lr"], **point, momentum=0.1) for point in points[:8]]
    trials += [trial(point["lr"], **point) for point in points[8:]]
    more = MOMENTUM.replace("momentum:", "nesterov: {values: [true, false]}, momentum:")
    found = judged(trials, more, ", strategy: staged")
    shares = {row.name: row for row in found.parameters}
    assert shares["momentum"].ped_anova is not None
    assert shares["momentum"].fanova is None
    assert (shares["nesterov"].ped_anova, shares["nesterov"].fanova) == (None, None)
    assert found.notes == (
        "none of the 20 has nesterov: it is not judged",
        "8 of the 20 have momentum: PED-ANOVA judges it by these, fANOVA not at all",
        "fewer than 50 trials: a rough picture",
        "stages draw near their winners: what they settled early counts for less",
    )


def test_trials_from_beyond_the_range_are_judged_with_the_others(judged: Study) -> None:
    trials = [trial(-abs(point["lr"] - 0.1), **point) for point in drawn(50)]
    beyond = trial(-3.0, stage="polish", lr=1.0, depth=1)
    beyond.distributions = {**beyond.distributions, "lr": FloatDistribution(0.001, 5.0, log=True)}
    beyond.params = {"lr": 3.0, "depth": 1}
    found = judged([beyond, *trials])
    assert found.complete == 51
    assert (found.parameters[0].name, found.parameters[0].fanova is None) == ("lr", False)


@pytest.mark.parametrize(
    ("count", "value", "words"),
    [
        (9, None, "has 9 trials that can be compared, of 9 that have ended: importance takes 10"),
        (12, 0.5, "all 12 trials of study 's' that can be compared have the same value"),
    ],
)
def test_nothing_is_said_of_too_few_or_equal_trials(
    judged: Study, count: int, value: float | None, words: str
) -> None:
    trials = [trial(point["lr"] if value is None else value, **point) for point in drawn(count)]
    with pytest.raises(NotFoundError, match=words):
        judged(trials)
