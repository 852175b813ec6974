"""Which steps the recipe has, what each draws and what it holds, and what is said of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpsearch.errors import StudyFileError
from hpsearch.spec import StudySpec, load
from hpsearch.spec.settings import HEART, REGULARISE, TUNE
from hpsearch.spec.space import Choices, Range
from hpsearch.stages import outline, recipe
from hpsearch.stages.results import Done
from hpsearch.stages.stage import Stage

PARAMETERS = """
  architecture:
    depth: {min: 1, max: 4}
    width: {values: [16, 64, 32, 128]}
    activation: {values: [relu, tanh]}
  learning_rate:
    lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-2}
  batch_size:
    batch_size: {values: [16, 32, 64, 128, 256, 512]}
  regularization:
    dropout: {min: 0.1, max: 0.5, default: 0.3}
    weight_decay: {min: 1e-6, max: 1e-2, log: true, default: 1e-4}
    label_smoothing: 0.1
  optimizer:
    optimizer: {values: [sgd, adam]}
    momentum: {min: 0.5, max: 0.9, when: {optimizer: sgd}}
"""
FILE = """
name: s
data: {source: digits}
network: {family: mlp}
parameters: %s
search: {strategy: recipe%s}
budget: {trials: 40}
"""
OFF = {"dropout": 0.0, "weight_decay": 0.0, "label_smoothing": 0.0}
DEFAULT: dict[str, Any] = {
    "depth": 2, "width": 128, "activation": "relu", "lr": 1e-2, "batch_size": 64,
    "optimizer": "adam",
}  # fmt: skip


@pytest.fixture
def spec(tmp_path: Path):
    def make(more: str = "", parameters: str = PARAMETERS, tail: str = "") -> StudySpec:
        file = tmp_path / "s.yaml"
        text = FILE % (parameters, f", {more}" if more else "")
        file.write_text(text.replace("budget: {trials: 40}", tail) if tail else text)
        return load(file)

    return make


def learnt(ticket: int, value: float, train_loss: float, **changed: Any) -> Done:
    """A trial that learnt by heart."""
    return Done(ticket, {**DEFAULT, **OFF, **changed}, value, train_loss)


DONE = [
    learnt(0, 0.95, 0.4),
    learnt(1, 0.9, 0.01, depth=3, width=32, lr=3e-3),
    learnt(2, 0.8, 0.01, depth=1),
    Done(3, {**DEFAULT, **OFF}, None, 0.001),
]
"""Of the least training loss are trials 1 and 2; trial 3 was not complete, and 0 is the best on
validation data."""


def walked(spec: StudySpec, done: list[Done], trials: int = 40) -> list[Stage]:
    """All stages, as if every trial gave nothing new."""
    stages: list[Stage] = []
    first = 0
    while first < trials:
        stages.append(outline.opening(spec, stages, done, first, trials - first))
        count = stages[-1].count
        first = trials if count is None else first + count
    return stages


def test_the_steps_come_in_their_order_and_share_the_trials(spec) -> None:
    assert [(s.name, s.first, s.count) for s in walked(spec(), DONE)] == [
        (HEART, 0, 12), (REGULARISE, 12, 16), (TUNE, 28, None)
    ]  # fmt: skip
    assert outline.sizes(spec()) == {HEART: 12, REGULARISE: 16, TUNE: 12}


def test_each_step_draws_what_belongs_to_it(spec) -> None:
    names = [[p.name for p in stage.parameters] for stage in walked(spec(), DONE)]
    assert names == [
        ["depth", "width", "activation", "lr"],
        ["depth", "width", "dropout", "weight_decay"],
        ["lr", "batch_size", "optimizer", "momentum"],
    ]
    samplers = {name for stage in walked(spec(), DONE) for name in stage.samplers.values()}
    assert samplers == {"random"}, "at random, unless the file says otherwise"


def test_by_heart_nothing_is_regularised_whatever_the_file_says(spec) -> None:
    study = spec(tail="budget: {trials: 40}\nstart: [{depth: 4, dropout: 0.3}]")
    stage = walked(study, DONE)[0]
    assert stage.bases == ({**DEFAULT, **OFF},)
    assert stage.points == ({"depth": 4, **OFF}, {**DEFAULT, **OFF})
    settings = study.settings(stage.base(5))
    assert {name: settings[name] for name in OFF} == OFF


def test_regularisation_is_searched_beside_the_network_that_knows_most_by_heart(spec) -> None:
    stage = walked(spec(), DONE)[1]
    held = {**DEFAULT, "depth": 3, "width": 32, "lr": 3e-3}
    assert stage.bases == (held,), "what was switched off is drawn, or what the file says"
    assert stage.free["depth"].domain == Range(1, 3, integer=True), "no larger than the winner"
    assert stage.free["width"].domain == Choices((16, 32))
    assert stage.free["dropout"].domain == Range(0.1, 0.5)
    assert stage.points == ({**held, "dropout": 0.3, "weight_decay": 1e-4},), "the default's first"


def test_where_nothing_was_learnt_the_default_is_regularised(spec) -> None:
    for done in ([], [Done(0, DEFAULT, None, None)], [Done(0, DEFAULT, 0.5)]):
        (base,) = walked(spec(), done)[1].bases
        assert {name: base[name] for name in DEFAULT} == DEFAULT


def test_the_fine_tuning_lies_around_the_best_on_validation_data(spec) -> None:
    regularised = Done(20, {**DEFAULT, "lr": 1e-3, "dropout": 0.2, "weight_decay": 1e-3}, 0.97)
    stage = walked(spec(), [*DONE, regularised])[2]
    assert stage.bases == (regularised.values,)
    assert stage.free["batch_size"].domain == Choices((32, 64, 128))
    assert stage.free["lr"].domain == Range(1e-4, 1e-1, log=True), "SGD may need another rate"
    alone = spec(parameters=PARAMETERS.replace("{values: [sgd, adam]}", "sgd")
                                      .replace(", when: {optimizer: sgd}", ""))  # fmt: skip
    rate = walked(alone, [regularised])[2].free["lr"].domain
    assert isinstance(rate, Range)
    assert (rate.low, rate.high) == pytest.approx((1e-3 * 10**-0.45, 1e-3 * 10**0.45))


def test_the_best_may_have_no_regularisation(spec) -> None:
    (base,) = walked(spec(), DONE)[2].bases
    assert base == {**DEFAULT, **OFF}


def test_a_grid_or_draws_as_the_file_says(spec) -> None:
    parameters = PARAMETERS.replace("log: true, default: 1e-2", "log: true, count: 4")
    by = "{architecture: random, learning_rate: grid, batch_size: grid, regularization: bayesian," \
         " optimizer: random}"  # fmt: skip
    heart, regularise, tune = walked(spec(f"sampler: {by}", parameters), DONE)
    assert heart.samplers["lr"] == "grid"
    assert regularise.samplers == {"depth": "random", "width": "random", "dropout": "bayesian",
                                   "weight_decay": "bayesian"}  # fmt: skip
    assert tune.samplers["batch_size"] == "grid"
    assert tune.grid(tune.base(0)).size == 4 * 3


@pytest.mark.parametrize(
    ("parameters", "steps"),
    [
        ("{lr: {min: 1e-4, max: 1e-1, log: true}}", [HEART, TUNE]),
        ("{activation: {values: [relu, tanh]}}", [HEART]),
        ("{depth: {min: 1, max: 3}}", [HEART, REGULARISE]),
        ("{dropout: {min: 0.0, max: 0.5}}", [REGULARISE]),
        ("{optimizer: {values: [sgd, adam]}}", [TUNE]),
    ],
)
def test_a_step_that_has_nothing_to_search_is_left_out(spec, parameters: str, steps) -> None:
    study = spec(parameters=parameters)
    assert [planned.name for planned in outline.outline(study)] == steps
    first = walked(study, [])[0]
    default = outline.starting(study).points[-1]
    expected = {**default, **(recipe.off(study) if steps[0] == HEART else {})}
    assert first.points == (expected,)
    assert sum(outline.sizes(study).values()) == 40


def test_where_the_winner_is_the_smallest_network_none_smaller_is_searched(spec) -> None:
    parameters = "{depth: {min: 1, max: 3}, lr: {min: 1e-4, max: 1e-1, log: true}}"
    done = [Done(0, {"depth": 1, "lr": 1e-3}, 0.9, 0.1)]
    assert [stage.name for stage in walked(spec(parameters=parameters), done)] == [HEART, TUNE]


@pytest.mark.parametrize("trials", [1, 2, 3, 4, 7, 39])
def test_small_budgets_leave_steps_out_and_no_ticket(spec, trials: int) -> None:
    study = spec(tail=f"budget: {{trials: {trials}}}")
    assert sum(stage.count or 0 for stage in outline.provisional(study)) == trials


def test_hours_are_shared_by_the_steps_at_the_pace_so_far(spec) -> None:
    study = spec(tail="budget: {trials: 1000, hours: 1}")
    first = outline.starting(study)
    assert first.count == 24, "its share of 80"
    second = outline.opening(study, [first], DONE, 24, 976, held=30)
    assert (second.name, second.count) == (REGULARISE, round(30 * 0.4 / 0.7))


def test_a_step_survives_json(spec) -> None:
    study = spec()
    for stage in walked(study, DONE):
        assert Stage.from_json(json.loads(json.dumps(stage.as_json())), study.space) == stage


def test_the_same_results_make_the_same_steps_in_any_order(spec) -> None:
    assert walked(spec(), DONE) == walked(spec(), DONE[::-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (("", PARAMETERS, "budget: {trials: 9, stop_after: 2}"), "budget.stop_after: expected"),
        (("", "{depth: 2}", ""), "search.strategy: expected joint, as nothing is searched"),
        (("", "{architecture: {loss: {values: [cross_entropy]}, depth: {min: 1, max: 2}}}", ""),
         "parameters.architecture.loss: expected the group optimizer"),
        (("widen: true", PARAMETERS, ""), "search.widen: expected nothing, unless"),
    ],
)  # fmt: skip
def test_what_the_recipe_cannot_follow_is_a_fault(spec, text, expected: str) -> None:
    with pytest.raises(StudyFileError, match=expected):
        spec(*text)


@pytest.mark.parametrize(
    ("target", "loss", "expected"),
    [
        ("classes", 0.1, True),
        ("classes", 0.2, False),
        ("inputs", 2.0, True),
        ("inputs", 2.3, False),
    ],
)
def test_a_loss_near_zero_is_learnt_by_heart(target, loss: float, expected: bool) -> None:
    assert recipe.is_learnt(target, loss, 2.303) is expected
