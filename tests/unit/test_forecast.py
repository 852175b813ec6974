"""What a study is expected to take, from dry runs that are made up."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch import simulation
from hpsearch.forecast import Forecast, Shape, Timings, forecast
from hpsearch.simulation import Costs, PlayedStage, play
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
    return Shape("", slots, ((1, alone_s), *stack), 0.0, MILLION, MILLION, size)


TIMINGS = Timings(
    "cpu", devices=1, seats=4, start_s=5.0, load_s=0.0, shaping=(), draws=(0,), shapes=(shape(),),
    timed=1, data_bytes=0, memory_bytes=1 << 40, disk_bytes=1 << 40,
)  # fmt: skip


def test_without_pruning_every_epoch_is_known(study) -> None:
    found = forecast(study("{sampler: random, pruner: none}", "{trials: 50, epochs: 20}"), TIMINGS)
    assert (found.epochs.low, found.epochs.expected, found.epochs.high) == (1000, 1000, 1000)
    assert [(rung.epoch, rung.trials) for rung in found.rungs] == [(20, 50)]
    assert found.work_s.expected == pytest.approx(1000 * 0.1, rel=0.05)
    assert found.work_s.low < found.work_s.expected < found.work_s.high
    assert found.start_s == 5.0
    assert not found.warnings


def test_a_stack_takes_the_time_of_a_stack(study) -> None:
    spec = study("{sampler: random, pruner: none}", "{trials: 64, epochs: 10}")
    stacked = replace(TIMINGS, shapes=(shape(0.1, 16, 0.2),))
    assert forecast(spec, stacked).work_s.expected == pytest.approx(4 * 10 * 0.2, rel=0.1)
    mixed = replace(stacked, shaping=("width",), draws=(0, 1), shapes=stacked.shapes * 2)
    two = study("{sampler: random, pruner: none}", "{trials: 64, epochs: 10}", SHAPED)
    assert 8 <= forecast(two, mixed).work_s.expected <= 12, "tickets of a shape are taken together"


def test_workers_share_the_work_as_far_as_the_machine_goes(study) -> None:
    spec = study("{sampler: random, pruner: none}", "{trials: 80, epochs: 10}")
    one, four, eight = (forecast(spec, TIMINGS, n) for n in (1, 4, 8))
    assert four.work_s.expected == pytest.approx(one.work_s.expected / 4, rel=0.1)
    assert eight.work_s.expected == pytest.approx(four.work_s.expected, rel=0.1)
    assert eight.device_s.expected > 1.8 * four.device_s.expected


def test_a_finish_trains_the_default_configuration_too(study) -> None:
    """Which is fast here, and the best of the others is not."""
    shapes = (shape(0.1), *(shape(1.0) for _ in range(9)))
    timings = replace(
        TIMINGS, shaping=("width",), draws=(0, *range(1, 10)) * 2, shapes=shapes, timed=10
    )
    options = ("{sampler: grid, pruner: none, strategy: joint}", "{trials: 9, epochs: 10}",
               "{architecture: {width: {values: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}}")  # fmt: skip
    search = forecast(study(*options), timings)
    finish = forecast(study(*options, final="{top: 1, seeds: 5}"), timings)
    took = finish.work_s.expected - search.work_s.expected
    assert took == pytest.approx(5 * 10 * (0.1 + 1.0), rel=0.1)


@pytest.mark.parametrize("bases", [1, 2])
def test_a_stage_that_draws_no_shape_trains_those_of_the_best_trials(
    bases: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "_LEAN", 1.0)  # the slower, the better: nothing else counts
    trained = list[int]()

    def epoch_s(shape: int, count: int) -> float:
        trained.extend([shape] * count)
        return float(count << shape)

    shapes = range(20)
    costs = Costs(shapes, slots=lambda _: 4, epoch_s=epoch_s, fit_s=lambda _: 0.0, load_s=0.0)
    stages = [PlayedStage("warmup", 6), PlayedStage("learning_rate", 4, near=True, bases=bases)]
    play(stages, 1, lambda *_: False, [], costs, workers=1, limit_s=math.inf, shaped=True, seed=0)
    del trained[: len(shapes)]  # that was to compare them
    *_, last = (place for place, shape in enumerate(trained) if shape not in best(trained, bases))
    assert len(set(trained)) > 2
    assert len(trained[last + 1 :]) >= 4
    assert set(trained[last + 1 :]) == best(trained, bases)


def best(shapes: list[int], count: int) -> set[int]:
    return set(sorted(set(shapes))[-count:])


def test_more_trials_are_kept_near_the_best_ones(study) -> None:
    budget = "{trials: 90, epochs: 27}"
    joint, staged = (
        forecast(study(f"{{sampler: random, strategy: {by}}}", budget), TIMINGS)
        for by in ("joint", "staged")
    )
    assert staged.rungs[-1].trials > 1.2 * joint.rungs[-1].trials


def test_halving_stops_most_and_a_sampler_that_learns_keeps_more(study) -> None:
    budget = "{trials: 60, epochs: 27}"
    by = {s: forecast(study(f"{{sampler: {s}}}", budget), TIMINGS) for s in ("random", "tpe")}
    for found in by.values():
        assert [rung.epoch for rung in found.rungs] == [1, 3, 9, 27]
        assert sorted((r.trials for r in found.rungs), reverse=True) == [
            r.trials for r in found.rungs
        ]
        assert 60 < found.epochs.low < found.epochs.expected < found.epochs.high < 60 * 27
    assert 1.15 * by["random"].epochs.expected < by["tpe"].epochs.expected


def test_a_finish_comes_on_top_and_goes_to_its_end(study) -> None:
    search, budget = "{strategy: staged, pruner: none}", "{trials: 40, epochs: 5}"
    plain = forecast(study(search, budget), TIMINGS)
    more = forecast(study(search, budget, final="{top: 3, seeds: 5}"), TIMINGS)
    assert more.trials == plain.trials + 20
    assert more.epochs.expected == plain.epochs.expected + 20 * 5
    assert more.rungs == plain.rungs


def test_a_large_study_is_played_in_part(study) -> None:
    spec = study("{sampler: random, pruner: none}", "{trials: 50000, epochs: 10}")
    found = forecast(spec, TIMINGS)
    assert found.epochs.expected == pytest.approx(500_000)
    assert not found.warnings


def test_a_part_of_a_large_study_leaves_no_trial_out(study) -> None:
    budget = "{trials: 2593, epochs: 2, hours: 1000}"  # its part in stages is rounded below it
    search, final = "{strategy: staged, pruner: none}", "{top: 3, seeds: 5}"
    found = forecast(study(search, budget, final=final), TIMINGS)
    assert found.begun == found.trials == 2613
    assert not found.warnings


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
    (warning,) = forecast(spec, replace(TIMINGS, **changes)).warnings
    assert re.search(said, warning), warning


@pytest.mark.parametrize(("strategy", "workers"), [("joint", 1), ("joint", 3), ("staged", 2)])
def test_no_search_takes_longer_than_its_hours_and_an_epoch(study, strategy, workers) -> None:
    search = f"{{sampler: random, pruner: none, strategy: {strategy}}}"
    spec = study(search, "{trials: 300, epochs: 50, hours: 0.01}")
    found, old = (forecast(one, TIMINGS, workers) for one in (spec, spec.under(1)))
    bound_s = 36 + 0.5 + max(shape.epochs_s[-1][1] for shape in TIMINGS.shapes)
    assert 36 <= found.work_s.expected <= bound_s < old.work_s.expected
    assert found.epochs.expected < old.epochs.expected


def test_what_stop_after_will_end_cannot_be_foreseen(study) -> None:
    spec = study("{sampler: random, pruner: none}", "{trials: 9, epochs: 9, stop_after: 3}")
    assert "budget.stop_after: 3" in forecast(spec, TIMINGS).warnings[0]


def test_what_cannot_be_foreseen_is_said(study) -> None:
    spec = study("{sampler: random, pruner: {name: threshold, lower: 0.1}}", "{trials: 9}")
    assert "threshold" in forecast(spec, TIMINGS).warnings[0]


def test_a_forecast_is_a_function_and_plain_values(study) -> None:
    spec = study("{sampler: tpe}", "{trials: 30, epochs: 9}")
    found = forecast(spec, TIMINGS)
    assert forecast(spec, TIMINGS) == found
    assert Forecast.from_json(json.loads(json.dumps(found.as_json()))) == found
