"""What a study is expected to take, from dry runs that are made up; and what it still takes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from hpsearch.forecast import pace
from hpsearch.forecast.pace import (
    Pace,
    Progress,
    Shape,
    Tempo,
    forecast,
    left,
    tempo,
    together,
)  # fmt: skip
from hpsearch.spec import StudySpec, load

MILLION = 1_000_000
PLAIN = "{learning_rate: {lr: {min: 1.0e-4, max: 1.0e-1, log: true}}}"
SHAPED = "{architecture: {width: {values: [8, 16]}}}"


@pytest.fixture
def study(tmp_path: Path):
    def make(
        search: str, budget: str, parameters: str = PLAIN, final: str = "null", name: str = "s"
    ) -> StudySpec:
        file = tmp_path / "s.yaml"
        file.write_text(
            f"name: {name}\ndata: {{source: digits}}\nnetwork: {{family: mlp}}\n"
            f"parameters: {parameters}\nsearch: {search}\nbudget: {budget}\nfinal: {final}\n"
        )
        return load(file)

    return make


def shape(alone_s: float = 0.1, slots: int = 1, stack_s: float = 0.0, size: int = 1) -> Shape:
    stack = ((slots, stack_s),) if slots > 1 else ()
    return Shape("", ((1, alone_s), *stack), MILLION, MILLION, size)


PACE = Pace(
    "cpu", devices=1, seats=4, shapes=(shape(),), draws=(0,), shaping=(), possible=1,
    data_bytes=0, memory_bytes=1 << 40, disk_bytes=1 << 40,
)  # fmt: skip
FIXED = "{sampler: random, pruner: none}"


def test_without_pruning_every_epoch_is_known(study) -> None:
    found = forecast(study(FIXED, "{trials: 50, epochs: 20}"), PACE)
    assert (found.epochs.low, found.epochs.expected, found.epochs.high) == (1000, 1000, 1000)
    assert [(rung.epoch, rung.trials) for rung in found.rungs] == [(20, 50)]
    assert found.work_s.expected == pytest.approx(1000 * 0.1, rel=0.05)
    assert found.work_s.high / found.work_s.low == pytest.approx(1.3**2), "machines differ"
    assert not found.warnings


def test_no_pruner_stops_what_learns_by_heart(study) -> None:
    budget = "{trials: 60, epochs: 27}"
    joint, recipe = (
        forecast(study(f"{{strategy: {by}, sampler: random, pruner: asha}}", budget), PACE)
        for by in ("joint", "recipe")
    )
    heart = 30  # rate alone: half of the trials learn by heart
    assert recipe.epochs.expected == pytest.approx(heart * 27 + joint.epochs.expected / 2)


def test_a_stack_takes_the_time_of_a_stack(study) -> None:
    spec = study(FIXED, "{trials: 64, epochs: 10}")
    stacked = replace(PACE, shapes=(shape(0.1, 16, 0.2),))
    assert forecast(spec, stacked).work_s.expected == pytest.approx(4 * 10 * 0.2, rel=0.1)


def test_where_a_stack_does_not_pay_each_is_trained_alone() -> None:
    assert (shape(0.1, 4, 0.8).shared_s, shape(0.1, 4, 0.2).shared_s) == (0.1, 0.05)


def test_workers_share_the_work_as_far_as_the_machine_goes(study) -> None:
    spec = study(FIXED, "{trials: 80, epochs: 10}")
    one, four, eight = (forecast(spec, PACE, n).work_s.expected for n in (1, 4, 8))
    assert four == pytest.approx(one / 4)
    assert eight == four


@pytest.mark.parametrize(
    ("search", "parameters", "shares", "workers", "count"),
    [
        (FIXED, PLAIN, (1.0,), 1, 40),
        (FIXED, PLAIN, (1.0,), 4, 10),
        ("{sampler: random, stack: 8}", PLAIN, (1.0,), 1, 8),
        ("{sampler: random, stack: off}", PLAIN, (1.0,), 1, 1),
        (FIXED, SHAPED, (0.5, 0.5), 1, 20),
        ("{sampler: tpe}", PLAIN, (1.0,), 1, 4),
        ("{sampler: tpe}", SHAPED, (0.5, 0.5), 1, 4),
    ],
)
def test_as_many_together_as_workers_train(
    study, search: str, parameters: str, shares: tuple[float, ...], workers: int, count: int
) -> None:
    spec = study(search, "{trials: 40}", parameters)
    shaping = ("width",) if parameters == SHAPED else ()
    assert together(spec, shaping, shares, workers) == count


def test_the_range_is_wide_where_a_search_may_settle_on_any_shape(study) -> None:
    shapes = (shape(0.1), shape(1.0))
    mixed = replace(PACE, shapes=shapes, draws=(0, 1), shaping=("width",), possible=2)
    budget = "{trials: 80, epochs: 10}"
    by = {
        name: forecast(study(f"{{sampler: {name}, pruner: none}}", budget, SHAPED), mixed).work_s
        for name in ("random", "tpe")
    }
    assert by["random"].expected == pytest.approx(80 * 10 * 0.55, rel=0.05)
    factor = {sampler: span.high / span.expected for sampler, span in by.items()}
    assert factor["tpe"] > 3 > factor["random"]
    assert by["tpe"].expected / by["tpe"].low == pytest.approx(factor["tpe"])


def test_one_shape_does_not_stand_for_many(study) -> None:
    spec = study("{sampler: tpe, pruner: none}", "{trials: 80}", SHAPED)
    wide, narrow = (forecast(spec, replace(PACE, possible=count)).work_s for count in (2, 1))
    assert narrow.high < 1.4 * narrow.expected < 2 * wide.expected < wide.high


def test_halving_keeps_what_it_was_seen_to_keep(study) -> None:
    found = forecast(study("{sampler: tpe}", "{trials: 60, epochs: 27}"), PACE)
    assert [rung.epoch for rung in found.rungs] == [1, 3, 9, 27]
    assert [rung.trials for rung in found.rungs] == pytest.approx([60, 31, 18, 12], rel=0.15)
    # Of six searches by TPE the least and the most that came to each rung.
    low, high = (60 + 2 * a + 6 * b + 18 * c for a, b, c in ((25, 14, 9), (38, 21, 14)))
    assert found.epochs.low < low < found.epochs.expected < high < found.epochs.high


def test_hyperband_shares_its_trials_out_over_brackets_as_optuna_does(study) -> None:
    spec = study("{sampler: random, pruner: hyperband}", "{trials: 100, epochs: 27}")
    pruner = optuna.pruners.HyperbandPruner(1, 27, 3)
    trials = optuna.create_study(pruner=pruner)
    trials.enqueue_trial({})
    trials.ask().should_prune()
    pruner.prune(trials, trials.trials[0])
    weights = [weight for weight, *_ in pace._brackets(spec)]
    sizes = pruner._trial_allocation_budgets
    assert weights == pytest.approx([size / sum(sizes) for size in sizes])
    assert [rungs for _, rungs, _ in pace._brackets(spec)] == [[1, 3, 9], [3, 9], [9], []]


def test_a_pruner_that_ranks_stops_some_after_its_first_look(study) -> None:
    pruner = "{sampler: random, pruner: {name: percentile, percentile: 25, n_warmup_steps: 3}}"
    found = forecast(study(pruner, "{trials: 100, epochs: 10}"), PACE)
    assert [(rung.epoch, rung.trials) for rung in found.rungs] == [(4, 100), (10, 50)]


def test_a_finish_comes_on_top_and_goes_to_its_end(study) -> None:
    search, budget = "{strategy: staged, pruner: none}", "{trials: 40, epochs: 5}"
    plain = forecast(study(search, budget), PACE)
    more = forecast(study(search, budget, final="{top: 3, seeds: 5}"), PACE)
    assert more.trials == plain.trials + 20
    assert more.epochs.expected == plain.epochs.expected + 20 * 5
    assert more.work_s.expected > plain.work_s.expected + 9
    assert more.rungs == plain.rungs


@pytest.mark.parametrize(
    ("budget", "changes", "said"),
    [
        ("{trials: 100, epochs: 10, hours: 0.01}", {}, r"hours is 0.01: about 3\d of 100 trials"),
        ("{trials: 9}", {"memory_bytes": 1000}, "memory: about .* search.stack"),
        ("{trials: 9}", {"disk_bytes": 1, "shapes": (shape(size=99),)}, "disk: .*--checkpoints"),
        ("{trials: 9}", {"faults": ("width=1: no", "width=2: no")}, "trained here: width=1: no, a"),
    ],
)
def test_a_budget_that_cannot_be_met(study, budget: str, changes: dict, said: str) -> None:
    spec = study("{sampler: random, pruner: none}", budget)
    (warning,) = forecast(spec, replace(PACE, **changes)).warnings
    assert re.search(said, warning), warning


@pytest.mark.parametrize("workers", [1, 3])
def test_no_search_takes_longer_than_its_hours_but_its_finish_may(study, workers: int) -> None:
    budget = "{trials: 3000, epochs: 50, hours: 0.01}"
    alone, finish = (
        forecast(study(FIXED, budget, final=final), PACE, workers).work_s
        for final in ("null", "{top: 1, seeds: 2}")
    )
    assert alone == pace.Span(36, 36, 36)
    assert finish.expected == pytest.approx(36 + 4 * 50 * 0.1 * 1.5 / workers)


@pytest.mark.parametrize(
    ("search", "budget", "said"),
    [
        (FIXED, "{trials: 9, epochs: 9, stop_after: 3}", "budget.stop_after: 3"),
        ("{pruner: {name: threshold, lower: 0.1}}", "{trials: 9}", "pruner threshold"),
    ],
)
def test_what_cannot_be_foreseen_is_said(study, search: str, budget: str, said: str) -> None:
    assert said in forecast(study(search, budget), PACE).warnings[0]


# While it runs.

HALF = Progress(ended=(20,) * 5, running=(), waiting=5, finish=0, epochs=100, work_s=50.0)


def left_s(spec: StudySpec, progress: Progress, lately: Tempo | None = None) -> float | None:
    found = left(spec, progress, lately)
    return None if found is None else found.expected


def test_what_is_left_goes_on_at_the_pace_so_far(study) -> None:
    spec = study(FIXED, "{trials: 10, epochs: 20}")
    assert left_s(spec, HALF) == pytest.approx(50)
    under_way = replace(HALF, running=(15,), waiting=3)
    assert left_s(spec, under_way) == pytest.approx(3 * 10 + 2.5)
    assert left_s(spec, replace(HALF, waiting=0, finish=40)) == pytest.approx(12)
    assert left_s(spec, replace(HALF, limit_s=8.0, finish=40)) == pytest.approx(8 + 12)


def test_the_pace_is_that_since_an_earlier_look(study) -> None:
    """With four workers where there was one before."""
    spec = study(FIXED, "{trials: 10, epochs: 20}")
    later = replace(HALF, ended=(20,) * 9, waiting=1, epochs=180, work_s=60.0)
    assert left_s(spec, later, tempo(later, HALF)) == pytest.approx(20 * 10 / 80)


def test_the_last_trial_takes_its_time_however_many_were_beside_it(study) -> None:
    """Four at a time, an epoch of each in 2 s: the last one is alone with its 20 epochs."""
    spec = study(FIXED, "{trials: 100, epochs: 20}")
    end = Progress((20,) * 99, (0,), waiting=0, finish=0, epochs=1980, work_s=990.0)
    alone, among = (left(spec, end, Tempo(0.5, parallel)) for parallel in (1.0, 4.0))
    assert alone is not None
    assert among is not None
    assert alone.expected == pytest.approx(20 * 0.5)
    assert among.expected == pytest.approx(20 * 0.5 + 20 * 3 * 0.5 / 2)
    assert among.low < 20 * 0.5


def test_the_range_is_narrow_where_much_is_done_at_a_steady_pace(study) -> None:
    spec = study(FIXED, "{trials: 100, epochs: 20}")
    early = Progress((20,) * 10, (), waiting=90, finish=0, epochs=200, work_s=100.0)
    late = replace(early, ended=(20,) * 90, waiting=10, epochs=1800, work_s=900.0)
    widths = []
    for progress in (early, late):
        found = left(spec, progress)
        assert found is not None
        assert found.low < found.expected < found.high
        widths.append(found.high / found.low)
    assert widths[0] > widths[1]
    unsteady = left(spec, late, Tempo(1.0, drift=math.log(2)))
    assert unsteady is not None
    assert unsteady.expected == pytest.approx(200)
    assert unsteady.high / unsteady.low > widths[1]


@pytest.mark.parametrize("early", [{"work_s": 2.0}, {"epochs": 5}])
def test_nothing_is_said_before_there_is_a_pace(study, early: dict) -> None:
    assert left_s(study(FIXED, "{trials: 10, epochs: 20}"), replace(HALF, **early)) is None


def test_trials_that_ended_show_what_a_pruner_leaves(study) -> None:
    spec = study("{sampler: random, pruner: asha}", "{trials: 2000, epochs: 27}")
    stopped = Progress((1,) * 1000, (), waiting=1000, finish=0, epochs=1000, work_s=1000.0)
    assert left_s(spec, stopped) == pytest.approx(1000, rel=0.1)
    none = replace(stopped, ended=())
    assert left_s(spec, none) == pytest.approx(1000 * forecast(spec, PACE).epochs.expected / 2000)


def test_a_trial_that_passed_a_rung_is_likely_to_pass_the_next(study) -> None:
    spec = study("{sampler: random, pruner: asha}", "{trials: 10, epochs: 27}")
    one = Progress((), (0,), waiting=0, finish=0, epochs=100, work_s=100.0)
    begun, passed, last = (left_s(spec, replace(one, running=(epoch,))) for epoch in (0, 9, 26))
    assert begun is not None
    assert passed is not None
    assert begun < passed < 18
    assert last == pytest.approx(1)
    assert math.isclose(left_s(spec, replace(one, running=(27,))) or 0.0, 0.0)
