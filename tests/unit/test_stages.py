"""Which stages a staged search has, what each draws and what it holds."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import optuna
import pytest

from hpsearch.search.views import View, rate_scale
from hpsearch.spec import StudySpec, load
from hpsearch.spec.ranges import narrowed
from hpsearch.spec.settings import EARLY
from hpsearch.spec.space import Choices, Range
from hpsearch.stages import outline
from hpsearch.stages.results import Done, default_point
from hpsearch.stages.stage import Stage

FILE = """
name: s
data: {source: digits}
network: {family: mlp}
parameters:
  architecture:
    depth: {min: 1, max: 3}
    activation: {values: [relu, tanh]}
  learning_rate:
    lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-2}
  batch_size:
    batch_size: {values: [16, 32, 64, 128, 256, 512]}
  regularization:
    dropout: {min: 0.0, max: 0.5}
  optimizer:
    optimizer: {values: [sgd, adam]}
    momentum: {min: 0.5, max: 0.9, when: {optimizer: sgd}}
start: [{depth: 1}]
search: {strategy: staged, sampler: auto%s}
budget: {trials: 60}
"""
BEST: dict[str, Any] = {
    "depth": 2, "activation": "tanh", "lr": 1e-2, "batch_size": 64, "dropout": 0.1,
    "optimizer": "adam",
}  # fmt: skip


@pytest.fixture
def spec(tmp_path: Path):
    def make(more: str = "", **changes: str) -> StudySpec:
        file = tmp_path / "s.yaml"
        text = FILE % (f", {more}" if more else "")
        for old, new in changes.items():
            text = text.replace(old, new)
        file.write_text(text)
        return load(file)

    return make


def walked(spec: StudySpec, done: list[Done], trials: int = 60) -> list[Stage]:
    """All stages, as if every trial gave nothing new."""
    stages: list[Stage] = []
    first = 0
    while first < trials:
        stages.append(outline.opening(spec, stages, done, first, trials - first))
        count = stages[-1].count
        first = trials if count is None else first + count
    return stages


def domain(spec: StudySpec, name: str) -> Any:
    return next(p.domain for p in spec.space if p.name == name)


def results(*values: float) -> list[Done]:
    return [Done(n, {**BEST, "dropout": round(0.1 + n / 100, 2)}, v) for n, v in enumerate(values)]


HOURS = {"trials: 60": "trials: 5000, hours: 1"}
SMALL = {
    "lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-2}": "lr: 0.01",
    "dropout: {min: 0.0, max: 0.5}": "dropout: 0.0",
    "    momentum: {min: 0.5, max: 0.9, when: {optimizer: sgd}}\n": "",
}
"""24 cells."""


def test_what_the_hours_still_hold_is_told_by_the_pace_so_far() -> None:
    assert outline.in_hours(1.0, ended=10, seconds=900.0) == 30
    assert outline.in_hours(1.0, ended=10, seconds=4000.0) == 0
    assert outline.in_hours(1.0, ended=0, seconds=0.0) == 80, "before anybody knows"
    assert outline.in_hours(None, ended=10, seconds=900.0) is None


def test_hours_are_shared_by_the_stages_at_the_pace_so_far(spec) -> None:
    study = spec(**HOURS)
    stages = [outline.starting(study)]
    assert (stages[0].name, stages[0].count) == ("warmup", 16)

    def then(first: int, held: int) -> Stage:
        stages.append(outline.opening(study, stages, results(0.5), first, 5000 - first, held=held))
        return stages[-1]

    found = [then(16, 160), then(30, 146), then(44, 264)]  # twice as fast by then
    assert [(s.name, s.count) for s in found] == [
        ("architecture", 14), ("learning_rate", 14), ("batch_size", 14),
    ]  # fmt: skip
    late = then(58, 3)  # slower than it was
    assert (late.name, late.count) == ("polish", None)


@pytest.mark.parametrize("sampler", ["auto", "random", "tpe"])
def test_the_warm_up_is_the_same_however_much_the_hours_hold(spec, sampler: str) -> None:
    few, many = (
        spec(**{"trials: 60": f"trials: 5000, hours: {hours}"}, auto=sampler, **SMALL)
        for hours in (1, 1000)
    )
    begun = outline.starting(few)
    assert begun == outline.starting(many)
    assert (begun.name, begun.count, "grid" in begun.samplers.values()) == ("warmup", 16, False)
    following = outline.opening(few, [begun], results(0.5), 16, 4900, held=4000)
    assert following.name == "architecture"


def test_stages_are_foreseen_as_if_the_hours_held_them_all(spec) -> None:
    everything = outline.provisional(spec(**HOURS))
    assert [s.count for s in everything[:2]] == [16, 445]
    assert (everything[-1].name, sum(s.count or 0 for s in everything)) == ("polish", 5000)


def test_the_stages_come_in_the_order_of_importance(spec) -> None:
    stages = walked(spec(), results(0.5))
    assert [s.name for s in stages] == [
        "warmup", "architecture", "learning_rate", "batch_size", "regularization", "optimizer",
        "polish",
    ]  # fmt: skip
    assert [s.first for s in stages[1:]] == [s.first + s.count for s in stages[:-1]]
    assert stages[-1].count is None
    assert stages[0].count == 12
    assert 60 - stages[-1].first == pytest.approx(0.55 * 60, abs=2)


def test_the_stages_are_foreseen(spec) -> None:
    found = outline.sizes(spec())
    assert list(found) == [stage.name for stage in walked(spec(), [])]
    assert sum(found.values()) == 60


def test_another_order_can_be_said(spec) -> None:
    order = "optimizer, learning_rate, architecture, batch_size, regularization"
    stages = walked(spec(f"priority: [{order}]"), results(0.5))
    assert [s.name for s in stages[1:4]] == ["optimizer", "learning_rate", "architecture"]


def test_the_stages_can_be_said_one_by_one(spec) -> None:
    said = ("stages: [{stage: warmup, share: 1}, {stage: optimizer, share: 1, retune: [lr]},"
            " {stage: polish, share: 2}]")  # fmt: skip
    stages = walked(spec(said), results(0.5))
    assert [(s.name, s.first) for s in stages] == [("warmup", 0), ("optimizer", 15), ("polish", 30)]
    assert sorted(stages[1].free) == ["lr", "momentum", "optimizer"]


def test_a_stage_draws_its_group_and_holds_the_rest(spec) -> None:
    stage = walked(spec("carry: 1"), results(0.5, 0.9, 0.7))[1]
    assert sorted(stage.free) == ["activation", "depth", "lr"]
    assert stage.bases == ({**BEST, "dropout": 0.11},)
    assert stage.free["depth"].domain == Range(1, 3, integer=True)
    around: Any = stage.free["lr"].domain
    assert math.sqrt(around.low * around.high) == pytest.approx(1e-2)
    assert 1e-4 < around.low < around.high < 1e-1


def test_a_stage_carries_the_best_few(spec) -> None:
    stage = walked(spec("carry: 2"), results(0.5, 0.9, 0.7))[1]
    assert [base["dropout"] for base in stage.bases] == [0.11, 0.12]
    assert [stage.base(stage.first + i)["dropout"] for i in range(4)] == [0.11, 0.12, 0.11, 0.12]


def test_fewer_are_carried_from_stage_to_stage_and_one_to_the_end(spec) -> None:
    stages = walked(spec("carry: 4"), results(0.5, 0.9, 0.7, 0.6, 0.8))
    assert [len(s.bases) for s in stages] == [0, 4, 3, 2, 2, 1, 0]


def test_each_optimizer_keeps_its_own_learning_rate(spec) -> None:
    done = [Done(0, {**BEST, "lr": 1e-3}, 0.9),
            Done(1, {**BEST, "optimizer": "sgd", "momentum": 0.8, "lr": 3e-2}, 0.5)]  # fmt: skip
    study = spec()
    lr: Any = walked(study, done)[5].free["lr"].domain
    adam: Any = narrowed(domain(study, "lr"), 1e-3, 0.15)
    sgd: Any = narrowed(domain(study, "lr"), 3e-2, 0.15)
    assert (lr.low, lr.high) == (adam.low, sgd.high)
    beside: Any = walked(study, done)[1].free["lr"].domain
    assert (beside.low, beside.high) == (adam.low, adam.high)
    # Nothing is known of SGD: its rate may be any.
    assert walked(study, done[:1])[5].free["lr"].domain == domain(study, "lr")


@pytest.mark.parametrize(
    ("name", "value", "low", "high"),
    [
        ("lr", 9e-2, None, 1e-1 * 1000**0.3),
        ("lr", 1.1e-4, 1e-4 / 1000**0.3, None),
        ("lr", 1e-2, None, None),
        ("dropout", 0.5, None, 0.65),
        ("dropout", 0.0, None, None),  # there is no less than none
        ("depth", 3, None, 4),
    ],
)
def test_the_polish_goes_beyond_an_edge_where_it_may(spec, name, value, low, high) -> None:
    done = [Done(0, {**BEST, name: value}, 0.9)]
    whole = domain(spec(), name)
    inside, beyond = (
        cast("Range", walked(spec(s), done)[-1].free[name].domain) for s in ("", "widen: true")
    )
    assert whole.low <= inside.low
    assert inside.high <= whole.high
    for end, wanted in (("low", low), ("high", high)):
        if wanted is None:
            assert whole.low <= getattr(beyond, end) <= whole.high
        else:
            assert getattr(beyond, end) == pytest.approx(wanted)
    again = Stage.from_json(json.loads(json.dumps(walked(spec("widen: true"), done)[-1].as_json())),
                            spec("widen: true").space)  # fmt: skip
    assert again.free[name].domain == beyond


def test_the_warm_up_runs_the_starting_points_and_the_default(spec) -> None:
    warmup = walked(spec(), [])[0]
    assert warmup.points == (
        {"depth": 1},
        {"depth": 2, "activation": "relu", "lr": 1e-2, "batch_size": 64, "dropout": 0.0,
         "optimizer": "adam"},
    )  # fmt: skip
    assert warmup.bases == ()


def test_without_a_result_a_stage_holds_and_runs_the_default(spec) -> None:
    study = spec()
    stage = walked(study, [Done(0, BEST, None)])[1]
    assert stage.bases == stage.points == (default_point(study),)


def test_the_polish_draws_all_of_it_around_the_winner(spec) -> None:
    polish = walked(spec(), results(0.9))[-1]
    assert polish.bases == ()
    assert set(polish.free) == {*BEST, "momentum"}
    assert polish.free["batch_size"].domain == Choices((16, 32, 64, 128, 256))
    assert polish.free["optimizer"].domain == Choices(("sgd", "adam"))
    assert polish.free["momentum"].domain == Range(0.5, 0.9)
    dropout: Any = polish.free["dropout"].domain
    assert replace(dropout, high=0.25) == Range(0.0, 0.25)
    assert dropout.high == pytest.approx(0.1 + 0.15)


def test_a_grid_is_run_where_a_stage_has_room_for_all_of_it(spec) -> None:
    said = ("carry: 1, stages: [{stage: warmup, share: 1}, {stage: architecture, share: 2},"
            " {stage: polish, share: 1}]")  # fmt: skip
    stages = walked(spec(said), results(0.5))
    assert (stages[1].samplers, stages[1].count) == ({"depth": "grid", "activation": "grid"}, 6)
    assert stages[2].first == 15 + 6, "what a grid leaves goes to the stages after it"
    assert set(stages[0].samplers.values()) == set(stages[2].samplers.values()) == {"bayesian"}


def test_what_is_added_later_is_polish(spec) -> None:
    study = spec()
    stages = walked(study, results(0.9))
    closed = [*stages[:-1], replace(stages[-1], count=60 - stages[-1].first)]
    again = outline.opening(study, closed, results(0.9), 60, 5)
    assert (again.name, again.first, again.count) == ("polish", 60, None)


@pytest.mark.parametrize("trials", range(1, 16))
def test_small_budgets_leave_stages_out_and_no_ticket(spec, trials: int) -> None:
    stages = walked(spec(), results(0.5), trials)
    assert all(s.count is None or s.count > 0 for s in stages)
    assert [s.first for s in stages] == sorted({s.first for s in stages})
    # The starting point and the default configuration may be all there is room for.
    assert stages[-1].count is None or trials <= 2


def test_with_one_group_there_is_nothing_to_hold(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\nbudget: {trials: 10}\n"
        "parameters: {learning_rate: {lr: {min: 1e-3, max: 1e-1, log: true}}}\n"
        "search: {strategy: staged}\n"
    )
    assert [leg.name for leg in outline.outline(load(file))] == ["warmup", "polish"]


def test_a_stage_survives_json(spec) -> None:
    study = spec()
    for stage in walked(study, results(0.5, 0.9)):
        assert Stage.from_json(json.loads(json.dumps(stage.as_json())), study.space) == stage


@pytest.mark.parametrize(("domain", "centre", "expected"), [
    (Range(0.0, 1.0), 0.5, Range(0.4, 0.6)),
    (Range(0.0, 1.0), 0.05, Range(0.0, 0.15)),
    (Range(1.0, 100.0, log=True), 10.0, Range(10**0.8, 10**1.2, log=True)),
    (Range(1, 3, integer=True), 2, Range(1, 3, integer=True)),
    (Range(0, 100, integer=True), 50, Range(40, 60, integer=True)),
    (Range(0, 100, integer=True), 100, Range(90, 100, integer=True)),
    (Range(0.0, 1.0, step=0.05), 0.5, Range(0.4, 0.6, step=0.05)),
    (Choices((1, 2, 3, 4)), 4, Choices((3, 4))),
    (Choices((4, 2, 3)), 4, Choices((4, 2, 3))),
    (Choices(("a", "b")), "a", Choices(("a", "b"))),
    (Choices((True, False)), True, Choices((True, False))),
])  # fmt: skip
def test_a_range_is_narrowed_around_a_value(domain, centre, expected) -> None:
    found: Any = narrowed(domain, centre, 0.1)
    if isinstance(expected, Choices):
        assert found == expected
        return
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert replace(found, low=0, high=0) == replace(expected, low=0, high=0)


@pytest.mark.parametrize(("optimizer", "factor"), [("sgd", 4.0), ("adam", 2.0), ("rmsprop", 2.0)])
def test_a_learning_rate_follows_the_batch_size(optimizer: str, factor: float) -> None:
    now: dict[str, Any] = {"optimizer": optimizer, "batch_size": 256}
    assert rate_scale(now, {**now, "batch_size": 64}) == factor


def test_all_starting_points_are_run_however_small_the_warm_up_is(spec) -> None:
    study = spec(**{"start: [{depth: 1}]": "start: [{depth: 1}, {depth: 2}, {depth: 3}]"})
    stages = walked(study, results(0.5), trials=10)
    assert len(stages[0].points) == stages[0].count == 4
    first = "stages: [{stage: optimizer, share: 1}, {stage: polish, share: 9}]"
    assert walked(spec(first), [], trials=10)[0].points[0] == {"depth": 1}


def test_a_rate_without_a_range_of_its_own_does_not_follow_the_batch_size(spec) -> None:
    for lr in ("{values: [0.01, 0.1]}", "{min: 0.01, max: 0.1, step: 0.01}",
               "{min: 1e-4, max: 1e-1, when: {depth: 2}}"):  # fmt: skip
        study = spec(**{"{min: 1e-4, max: 1e-1, log: true, default: 1e-2}": lr})
        stage = next(s for s in walked(study, results(0.5)) if s.name == "batch_size")
        assert not stage.rescaled
    assert next(s for s in walked(spec(), results(0.5)) if s.name == "batch_size").rescaled


def test_the_polish_is_no_grid_and_comes_once(tmp_path: Path) -> None:
    """Or it would be the same grid again and again, each waiting for the one before."""
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: digits}\nnetwork: {family: mlp}\nbudget: {trials: 60}\n"
        "parameters: {architecture: {depth: {min: 1, max: 3}},"
        " optimizer: {optimizer: {values: [sgd, adam]}}}\n"
        "search: {strategy: staged}\nfinal: {}\n"
    )
    study = load(file)
    assert sum(outline.sizes(study).values()) == 60 + outline.final_tickets(study)
    polish = outline.opening(study, walked(study, [])[:-1], [], 20, 40)
    assert (polish.name, polish.count, set(polish.samplers.values())) == (
        "polish", 40, {"bayesian"}
    )  # fmt: skip


def test_steps_stay_on_the_values_that_the_file_means() -> None:
    found: Any = narrowed(Range(0.0, 1.0, step=0.1), 0.5, 0.2)
    assert (found.low, found.high) == (0.3, 0.7)


def test_a_sampler_sees_a_trial_under_way_as_it_is_by_now(spec) -> None:
    """It is looked at while its parameters are being drawn."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    lr = next(p for p in spec().space if p.name == "lr")
    stage = Stage("polish", 0, None, (replace(lr, domain=Range(1e-4, 1e-3, log=True)),))
    view = View(study, spec(), stage, {})
    trial = study.ask()
    assert len(view.get_trials()) == 1
    trial.suggest_float("lr", 1e-2, 1e-1, log=True)
    assert view.get_trials() == [], "what was drawn lies outside the stage's range"


# --- tickets of the polish before its time ----------------------------------------------------


def with_early(spec: StudySpec, wanted: int, trials: int = 60) -> list[Stage]:
    """All stages, where that many tickets of the polish are asked for behind each."""
    stages: list[Stage] = []
    first = 0
    while first < trials:
        stages.append(outline.opening(spec, stages, results(0.5), first, trials - first))
        first = trials if stages[-1].count is None else first + stages[-1].count
        for _ in range(min(wanted, outline.spare(spec, stages, trials - first))):
            stages.append(outline.early(spec, stages, results(0.5), first))
            first += 1
    assert first == trials
    return stages


def own(stages: list[Stage]) -> list[tuple[str, int | None, tuple[Any, ...]]]:
    """The stages that are not early tickets of the polish."""
    return [(s.name, s.count, s.parameters) for s in stages if s.name != EARLY]


@pytest.mark.parametrize("wanted", [1, 3, 5, 60])
@pytest.mark.parametrize("trials", [13, 29, 60, 100])
def test_early_tickets_are_the_polish_s_and_no_other_stage_s(spec, wanted, trials) -> None:
    study = spec()
    plain, mixed = walked(study, results(0.5), trials), with_early(study, wanted, trials)
    early = [s for s in mixed if s.name == EARLY]
    polish = trials - plain[-1].first
    assert len(early) == min(wanted * (len(plain) - 1), polish // 2) > 0
    whole = own(mixed)
    assert whole[: len(plain) - 1] == own(plain)[:-1]
    assert [name for name, *_ in whole[len(plain) - 1 :]] == ["polish"]


def test_an_early_ticket_is_drawn_as_one_of_the_polish(spec) -> None:
    study = spec()
    stages = walked(study, results(0.5))
    early = outline.early(study, stages[:1], results(0.5), 12)
    assert (early.name, early.first, early.count, early.bases) == (EARLY, 12, 1, ())
    assert (early.parameters, early.samplers) == (stages[-1].parameters, stages[-1].samplers)
    assert Stage.from_json(json.loads(json.dumps(early.as_json())), study.space) == early


@pytest.mark.parametrize(
    ("task", "losses", "usual", "before"),
    [
        ("regression", "[mse, l1, huber]", "mse", "l1"),
        ("regression", "['own.py:a', 'own.py:b', mse]", "mse", "own.py:b"),
        ("regression", "['own.py:a', 'own.py:b']", "own.py:b", "own.py:b"),
        ("regression", "[mse, l1, null]", None, None),
        ("regression", "[mse, l1, huber], default: huber", "huber", "huber"),
        ("classification", "[focal, 'own.py:a', cross_entropy]", "cross_entropy", "own.py:a"),
        ("null", "[mse, 'own.py:a']", "mse", "own.py:a"),
    ],
)
def test_the_default_of_a_searched_loss_is_the_usual_one(
    spec, tmp_path: Path, task: str, losses: str, usual: str | None, before: str | None
) -> None:
    (tmp_path / "own.py").write_text("def a(outputs, targets): ...\ndef b(outputs, targets): ...\n")
    metric = "accuracy" if task == "classification" else "rmse"
    study = spec(**{
        "{source: digits}":
            f"{{source: table, path: a.csv, target: y, task: {task}}}\nmetric: {metric}",
        "    optimizer: {": f"    loss: {{values: {losses}}}\n    optimizer: {{",
    })  # fmt: skip
    assert default_point(study)["loss"] == usual
    earlier = StudySpec.from_document({**study.document, "version": 2})
    assert default_point(earlier)["loss"] == before, "a study keeps what it began with"
    assert study.under(2) == earlier, "the same file continues it"


def test_without_a_result_an_early_ticket_is_drawn_around_the_default(spec) -> None:
    study = spec()
    early = outline.early(study, walked(study, [])[:1], [Done(0, BEST, None)], 12)
    assert early.points == (), "the default itself was run in the warm-up"
    assert domain_of(early, "lr") == narrowed(domain(study, "lr"), 1e-2, 0.3)


def domain_of(stage: Stage, name: str) -> Any:
    return stage.free[name].domain


def test_early_tickets_of_a_grid_run_one_cell_after_another(spec) -> None:
    study = spec(auto="grid", **{"start: [{depth: 1}]\n": ""}, **SMALL)
    stages = with_early(study, 1)
    counted = [s.before for s in stages if s.name in (EARLY, "polish")]
    assert counted == list(range(len(counted)))


@pytest.mark.parametrize(("said", "trials"), [
    ("stages: [{stage: warmup, share: 1}, {stage: architecture, share: 1}]", 60),
    ("stages: [{stage: polish, share: 1}, {stage: architecture, share: 1}]", 60),
    ("", 2),
])  # fmt: skip
def test_where_no_polish_is_to_come_none_is_early(spec, said: str, trials: int) -> None:
    study = spec(said)
    for known in range(1, len(walked(study, [], trials)) + 1):
        stages = walked(study, [], trials)[:known]
        left = trials - sum(s.count or trials for s in stages)
        assert outline.spare(study, stages, left) == 0


def test_a_joint_search_has_no_early_tickets(spec) -> None:
    study = spec(**{"strategy: staged": "strategy: joint"})
    assert outline.spare_behind(study, (), outline.starting(study), 60) == 0


def test_early_tickets_are_of_what_the_hours_hold(spec) -> None:
    study = spec(**HOURS)
    start = outline.starting(study)
    assert outline.spare_behind(study, (), start, 5000, held=80) == 21
    assert outline.spare(study, [start], 4984, held=8) == 3
    early = outline.early(study, [start], results(0.5), 16)
    assert outline.spare(study, [start, early], 4983, held=7) == 2
    then = outline.opening(study, [start, early], results(0.5), 17, 4983, held=159)
    assert (then.name, then.count) == ("architecture", 14), "as it would be without it"


def test_a_polish_between_others_is_less_by_what_was_early(spec) -> None:
    said = ("stages: [{stage: warmup, share: 1}, {stage: polish, share: 2},"
            " {stage: architecture, share: 1}]")  # fmt: skip
    stages = with_early(spec(said), 4)
    assert [(s.name, s.count) for s in stages if s.name != EARLY] == [
        ("warmup", 15), ("polish", 26), ("architecture", None),
    ]  # fmt: skip
