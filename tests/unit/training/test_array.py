from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError
from hpsearch.runner import Failure, Fit, Saved
from hpsearch.sources.dataset import Resident
from hpsearch.spec import settings as catalog
from hpsearch.spec.task import TASKS
from hpsearch.training.array import Array
from hpsearch.training.trial_progress import batch_sizes
from tests.unit.training.packing import DEVICE, alone, curve, gap, run, same, state_of, weights

if TYPE_CHECKING:
    from hpsearch.runner import Report
    from hpsearch.sources.dataset import Dataset


def values(reports: list[Report]) -> list[tuple]:
    return [(r.last.epoch, r.last.value, r.last.metrics) for r in reports]


# Training


def test_one_candidate_learns_and_finishes(digits: Dataset, candidate) -> None:
    reports, state = alone(digits, candidate(key=5, widths=(32,), lr=5e-3, epochs=12))
    assert [report.last.epoch for report in reports] == list(range(1, 13))
    assert [report.finished for report in reports] == [False] * 11 + [True]
    assert {report.key for report in reports} == {5}
    assert reports[-1].last.value == reports[-1].last.metrics["accuracy"] > 0.85
    assert reports[-1].last.metrics["train_loss"] < reports[0].last.metrics["train_loss"]
    assert all(report.last.seconds > 0 and report.failure is None for report in reports)
    assert [entry["epoch"] for entry in state["curve"]] == list(range(1, 13))
    assert state["curve"][-1]["metrics"] == reports[-1].last.metrics


def test_all_metrics_of_the_task_are_reported(
    digits: Dataset, diabetes: Dataset, candidate
) -> None:
    for dataset, metric in ((digits, "auroc"), (diabetes, "rmse")):
        report = alone(dataset, candidate(epochs=1), metric)[0][0]
        wanted = {metric.name for metric in TASKS[dataset.task].metrics}
        assert report.last.metrics.keys() == {"train_loss", *wanted}
        assert report.last.value == report.last.metrics[metric]


def test_regression_reports_in_the_unit_of_the_data(diabetes: Dataset, candidate) -> None:
    report = alone(diabetes, candidate(epochs=25, lr=3e-3), "mae")[0][-1]
    assert 35 < report.last.metrics["mae"] < 60
    assert report.last.metrics["rmse"] == pytest.approx(report.last.metrics["mse"] ** 0.5, rel=1e-4)
    assert report.last.metrics["loss"] < 1  # on the standardised scale
    assert 0.3 < report.last.metrics["r2"] < 0.7


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("optimizer", catalog.OPTIMIZERS)
def test_every_optimizer_learns(digits: Dataset, candidate, family: str, optimizer: str) -> None:
    lr = {"sgd": 0.05, "rmsprop": 1e-3, "radam": 0.03, "adagrad": 0.03}.get(optimizer, 5e-3)
    reports = alone(digits, candidate(family=family, optimizer=optimizer, lr=lr, epochs=10))[0]
    assert reports[-1].last.value > 0.6


@pytest.mark.parametrize(("activation", "low", "high"), [("none", 0.3, 0.7), ("relu", 0.95, 1.0)])
def test_two_circles_need_an_activation(table, candidate, activation, low, high) -> None:
    from sklearn.datasets import make_circles

    points, ring = make_circles(1000, noise=0.03, factor=0.8, random_state=42)
    lines = [f"{x},{y},{k}" for (x, y), k in zip(points, ring, strict=True)]
    circles = table("\n".join(["x,y,ring", *lines]), target="ring")
    settings = {"widths": (10, 10), "activation": activation, "lr": 0.03, "epochs": 30}
    report = alone(circles, candidate(**settings))[0][-1]
    assert low <= report.last.value <= high


# How a candidate is packed must not change its result


def demanding(candidate, key: int, **settings):
    return candidate(key=key, **{"seed": 40 + key, "dropout": 0.3, "batch_norm": True, **settings})


def test_neighbours_change_nothing(digits: Dataset, candidate) -> None:
    crowd = [
        demanding(candidate, 0),
        demanding(candidate, 1, family="cnn", epochs=2),
        demanding(candidate, 2, optimizer="sgd", batch_size=50),
    ]
    array = Array(digits, "accuracy", DEVICE)
    array.add(crowd[0])
    reports = list(array.reports())
    array.add(crowd[1])
    array.add(crowd[2])
    reports += run(array)
    for one in crowd:
        their_reports, their_state = alone(digits, one)
        assert same(weights(state_of(array, one.key)), weights(their_state))
        assert values([r for r in reports if r.key == one.key]) == values(their_reports)


def test_the_outer_generator_changes_nothing_and_is_not_changed(digits, candidate) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = alone(digits, demanding(candidate, 0))[1]
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert same(weights(first), weights(alone(digits, demanding(candidate, 0))[1]))


def test_the_seed_changes_everything(digits: Dataset, candidate) -> None:
    one, other = (alone(digits, candidate(seed=seed, epochs=1))[1] for seed in (1, 2))
    assert not same(one["model"], other["model"])


@pytest.mark.parametrize("optimizer", catalog.OPTIMIZERS)
@pytest.mark.parametrize("schedule", catalog.SCHEDULES)
def test_resuming_is_bitwise_the_same(
    digits: Dataset, candidate, tmp_path, optimizer: str, schedule: str
) -> None:
    one = demanding(
        candidate, 3, optimizer=optimizer, schedule=schedule, epochs=6, patience=0, warmup=1.5
    )
    reports, uninterrupted = alone(digits, one)
    first = Array(digits, "accuracy", DEVICE)
    first.add(one)
    before = run(first, epochs=3)
    files = Checkpoints(tmp_path)
    files.save(3, state_of(first, 3))
    second = Array(digits, "accuracy", DEVICE)
    second.add(one, Saved(files.load(3)))
    after = run(second)
    assert values(before + after) == values(reports)
    assert same(weights(state_of(second, 3)), weights(uninterrupted))
    assert [entry["epoch"] for entry in state_of(second, 3)["curve"]] == [1, 2, 3, 4, 5, 6]


def test_a_state_does_not_move_on_with_training(digits: Dataset, candidate) -> None:
    array = Array(digits, "accuracy", DEVICE)
    array.add(candidate())
    run(array, epochs=1)
    state = state_of(array, 0)
    kept = {name: tensor.clone() for name, tensor in state["model"].items()}
    run(array, epochs=1)
    assert same(state["model"], kept)
    assert len(state["curve"]) == 1


def test_plateau_lowers_the_rate(digits: Dataset, candidate) -> None:
    # A rate this small changes no prediction, so that no epoch is better than the first.
    settings = {"schedule": "plateau", "patience": 0, "decay": 1e-9, "epochs": 3}
    array = Array(digits, "accuracy", DEVICE)
    array.add(candidate(optimizer="sgd", lr=1e-6, **settings))
    states = []
    for _ in range(3):
        run(array, epochs=1)
        states.append(state_of(array, 0))
    assert [state["plateau"]["factor"] for state in states] == pytest.approx([1, 1e-9, 1e-18])
    assert not same(states[0]["model"], states[1]["model"])
    assert same(states[1]["model"], states[2]["model"])


def test_every_epoch_has_randomness_of_its_own(digits: Dataset, candidate) -> None:
    # With weights that stay, losses differ by dropout alone.
    reports = alone(digits, candidate(optimizer="sgd", lr=1e-12, dropout=0.5))[0]
    assert len({round(report.last.metrics["train_loss"], 4) for report in reports}) == 4


def test_cosine_ends_near_zero_and_warmup_starts_there(digits: Dataset, candidate) -> None:
    def moved(**settings) -> float:
        """How far one epoch of plain SGD moves the weights."""
        array = Array(digits, "accuracy", DEVICE)
        array.add(candidate(optimizer="sgd", momentum=0.0, lr=0.01, **settings))
        run(array, epochs=1)
        before = state_of(array, 0)["model"]["1.weight"]
        run(array, epochs=1)
        return float((state_of(array, 0)["model"]["1.weight"] - before).norm())

    plain = moved(epochs=2)
    assert moved(epochs=2, schedule="cosine") < 0.4 * plain
    assert moved(epochs=9, warmup=6.0) < 0.5 * plain


def test_clipping_bounds_a_step(digits: Dataset, candidate) -> None:
    steps = {"optimizer": "sgd", "momentum": 0.0, "lr": 1.0, "epochs": 2, "batch_size": 420}

    def moved(**settings) -> float:
        array = Array(digits, "accuracy", DEVICE)
        array.add(candidate(**steps, **settings))
        run(array, epochs=1)
        before = state_of(array, 0)["model"]
        run(array, epochs=1)
        after = state_of(array, 0)["model"]
        return math.sqrt(sum(float((after[n] - before[n]).square().sum()) for n in before))

    assert moved() > 0.1
    assert moved(clip=0.01) == pytest.approx(0.01, rel=1e-2)


# Batches


@pytest.mark.parametrize(
    ("rows", "size", "whole", "sizes"),
    [
        (10, 4, False, [4, 4, 2]),
        (8, 4, True, [4, 4]),
        (9, 4, False, [4, 4, 1]),
        (9, 4, True, [4, 5]),
        (3, 64, True, [3]),
        (64, 64, True, [64]),
        (65, 64, True, [65]),
    ],
)
def test_batch_sizes(rows: int, size: int, whole: bool, sizes: list[int]) -> None:
    assert batch_sizes(rows, size, whole=whole) == sizes


def test_batch_norm_with_a_lonely_last_row(digits: Dataset, candidate) -> None:
    assert len(digits.train.inputs) % 419 == 1
    report = alone(digits, candidate(batch_norm=True, batch_size=419, epochs=1))[0][0]
    assert report.failure is None


# Failures


@pytest.mark.parametrize(
    ("settings", "failure", "words"),
    [
        ({"loss": "bce"}, Failure.SETTINGS, "bce is for 2 classes and there are 10"),
        ({"loss": "mse"}, Failure.SETTINGS, "mse is for anomaly and regression"),
        ({"batch_norm": True, "batch_size": 1}, Failure.SETTINGS, "batches of 2 rows"),
        ({"optimizer": "magic"}, Failure.ERROR, "magic"),
        ({"widths": (2**40,)}, Failure.OUT_OF_MEMORY, "can't allocate memory"),
        ({"optimizer": "sgd", "lr": 1e30}, Failure.DIVERGED, "became (nan|inf) in epoch 1"),
    ],
)
def test_a_failure_is_reported_and_the_others_go_on(
    digits: Dataset, candidate, settings: dict, failure: Failure, words: str
) -> None:
    array = Array(digits, "accuracy", DEVICE)
    array.add(candidate(key=1, **settings))
    array.add(candidate(key=2))
    bad = next(array.reports())
    assert (bad.key, bad.failure, bad.last, bad.kept) == (1, failure, None, None)
    assert not bad.finished
    assert re.search(words, bad.message), bad.message
    assert "\n" not in bad.message
    assert array.saved(1) is None
    assert [report.key for report in array.reports()] == [2]
    array.remove(1)
    assert array.keys == (2,)


def test_diverging_later_keeps_the_epochs_before(digits: Dataset, candidate, monkeypatch) -> None:
    array = Array(digits, "accuracy", DEVICE)
    array.add(candidate())
    run(array, epochs=2)
    digits.train.inputs[0, 0, 0, 0] = kept = digits.train.inputs[0, 0, 0, 0].clone()
    digits.train.inputs[0, 0, 0, 0] = torch.nan
    try:
        (report,) = array.reports()
    finally:
        digits.train.inputs[0, 0, 0, 0] = kept
    assert (report.failure, report.last.epoch) == (Failure.DIVERGED, 2)
    assert report.message == "train_loss became nan in epoch 3"


def test_a_metric_beside_that_has_no_value_is_left_out(diabetes: Dataset, candidate) -> None:
    part = diabetes.validation
    alike = replace(diabetes, validation=Resident(part.inputs, torch.ones_like(part.targets)))
    for metric, failure in (("rmse", None), ("r2", Failure.DIVERGED)):
        array = Array(alike, metric, DEVICE)
        array.add(candidate(loss="mse"))
        (report,) = array.reports()
        assert report.failure is failure, report.message
        assert failure or "r2" not in report.last.metrics


def test_an_interruption_breaks_the_epoch_off(digits: Dataset, candidate) -> None:
    asked = []

    def interrupted() -> bool:
        asked.append(1)
        return len(asked) > 10

    array = Array(digits, "accuracy", DEVICE, interrupted=interrupted)
    for key in range(3):
        array.add(candidate(key=key, batch_size=60))  # 7 batches an epoch
    assert [report.key for report in array.reports()] == [0]
    assert len(asked) == 11
    assert state_of(array, 0)["epoch"] == 1
    assert array.saved(1) is None


# Coming and going


def test_a_metric_of_another_task_is_refused(digits: Dataset) -> None:
    with pytest.raises(ValueError, match="mse is not for classification"):
        Array(digits, "mse", DEVICE)


def test_who_is_held(digits: Dataset, candidate) -> None:
    array = Array(digits, "accuracy", DEVICE, stack=2)
    assert not array.keys
    array.add(candidate(key=7))
    with pytest.raises(ValueError, match="candidate 7 is in the array already"):
        array.add(candidate(key=7, lr=0.5))
    array.add(candidate(key=3, lr=0.5, dropout=0.5))
    array.add(candidate(key=4))  # how many to hold is the caller's affair
    assert list(array.keys) == [7, 3, 4]
    array.remove(7)
    assert list(array.keys) == [3, 4]


def test_each_alone_where_stacking_is_off(digits: Dataset, candidate) -> None:
    array = Array(digits, "accuracy", DEVICE)
    assert not array.stacks
    assert array.fit(candidate()) == array.fit(candidate(), alone=True) == Fit(1, "stacking is off")


def test_of_the_only_one_of_a_new_shape_nothing_is_tried(digits: Dataset, candidate) -> None:
    array = Array(digits, "accuracy", DEVICE, stack=4)
    unknown = Fit(1, "no other of its shape was at hand")
    assert array.fit(candidate(), alone=True) == unknown
    assert (
        array.fit(candidate()) == array.fit(candidate(), alone=True) == Fit(4, "as the study says")
    )
    assert array.fit(candidate(widths=(9,)), alone=True) == unknown


@pytest.mark.parametrize("stack", [1, 16])
def test_removing_and_adding_in_the_midst_of_an_epoch(digits: Dataset, candidate, stack) -> None:
    array = Array(digits, "accuracy", DEVICE, stack=stack)
    for key in range(3):
        array.add(candidate(key=key))
    seen = []
    for report in array.reports():
        seen.append(report.key)
        if report.key == 0:
            array.remove(0)
            array.remove(1)
            array.add(candidate(key=9))
    assert seen == [0, 2]
    assert [(report.key, report.last.epoch) for report in array.reports()] == [(2, 2), (9, 1)]


@pytest.mark.parametrize("stack", [1, 16])
def test_one_that_pauses_goes_on_as_if_it_had_not(digits: Dataset, candidate, stack: int) -> None:
    """Its neighbours are trained to their end meanwhile. Its rates are those of all its epochs."""
    crowd = [candidate(key=key, seed=key, epochs=5, schedule="cosine") for key in range(3)]
    whole = Array(digits, "accuracy", DEVICE, stack=stack)
    array = Array(digits, "accuracy", DEVICE, stack=stack)
    for one in crowd:
        whole.add(one)
        array.add(one, until=2 if one.key == 1 else None)
    undisturbed, reports = run(whole), run(array)
    rested = curve(reports, 1)
    assert [(r.last.epoch, r.paused, r.finished) for r in rested] == [
        (1, False, False), (2, True, False),
    ]  # fmt: skip
    saved = array.saved(1)
    assert saved.epoch == 2
    array.remove(1)
    array.add(crowd[1], saved, until=2)  # anyone who died before it was noted hears it again
    assert list(array.reports()) == [rested[-1]]
    array.remove(1)
    array.add(crowd[1], saved, until=5)
    rested += run(array)
    assert not rested[-1].paused
    assert rested[-1].finished
    assert gap(rested, curve(undisturbed, 1), "train_loss", "loss") < 1e-4
    assert gap(curve(reports, 0), curve(undisturbed, 0), "train_loss", "loss") < 1e-4


def test_a_state_of_another_candidate_is_refused(digits: Dataset, candidate) -> None:
    state = alone(digits, candidate(epochs=1))[1]
    array = Array(digits, "accuracy", DEVICE)
    with pytest.raises(CheckpointError, match="not of candidate 0"):
        array.add(candidate(epochs=1, lr=0.5), Saved(state))
    with pytest.raises(CheckpointError, match="not of candidate 0"):
        array.add(candidate(epochs=1), Saved({}))
    assert array.keys == ()
    array.add(candidate(key=8, epochs=1), Saved(state))  # the key is the caller's own


def test_a_state_that_does_not_fit_is_refused(digits: Dataset, candidate) -> None:
    state = alone(digits, candidate(epochs=2))[1]
    del state["model"]["1.weight"]
    array = Array(digits, "accuracy", DEVICE)
    with pytest.raises(CheckpointError, match="does not fit candidate 0"):
        array.add(candidate(epochs=2), Saved(state))
    assert array.keys == ()
    array.add(candidate(epochs=2))  # and can begin again


def test_the_last_epoch_is_reported_again_after_a_resume(digits: Dataset, candidate) -> None:
    reports, state = alone(digits, candidate())
    array = Array(digits, "accuracy", DEVICE)
    array.add(candidate(), Saved(state))
    assert same(state_of(array, 0), state)  # before anything is trained
    assert list(array.reports()) == [reports[-1]]
    assert list(array.reports()) == []


def test_devices_are_asked_to_free_memory_after_a_failure(digits, candidate, monkeypatch) -> None:
    freed: list[object] = []
    monkeypatch.setattr("hpsearch.training.array.devices.empty_cache", freed.append)
    array = Array(digits, "accuracy", DEVICE)
    array.add(candidate(widths=(2**40,)))
    list(array.reports())
    assert freed == [DEVICE]
