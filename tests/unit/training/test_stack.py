"""A candidate's result is the same alone and in a stack, whatever happens to its neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.families.mlp import network
from hpsearch.runner import Failure, Saved
from hpsearch.sources.dataset import Resident
from hpsearch.training.array import Array
from hpsearch.training.stacking.shaping import Shapes
from hpsearch.training.stacking.stack import Stack
from hpsearch.training.trial_progress import TrialProgress
from tests.unit.training.packing import (
    DEVICE,
    RULES,
    alone,
    curve,
    distance,
    gap,
    packed,
    run,
    same,
    state_of,
    weights,
)

if TYPE_CHECKING:
    from hpsearch.sources.dataset import Dataset


def held(dataset: Dataset, candidates, saved=None, stack: int = 16) -> Array:
    array = Array(dataset, "accuracy", DEVICE, stack=stack)
    for one in candidates:
        array.add(one, saved and saved[one.key])
    return array


# Alone and in a stack of 16


def assert_packing_changes_nothing(dataset: Dataset, candidates, chosen, limit: float) -> None:
    """In the weights and in the curves of those `chosen`."""
    stacked, array = packed(dataset, candidates)
    for key in chosen:
        reports, state = alone(dataset, candidates[key])
        assert distance(state_of(array, key), state) < limit
        assert gap(curve(stacked, key), reports, "train_loss", "loss") < limit
        assert gap(curve(stacked, key), reports, "accuracy") < 0.03  # three rows of 90
    assert {report.failure for report in stacked} == {None}


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("rule", RULES)
def test_alone_and_in_a_stack_of_16(digits: Dataset, crowd, family: str, rule: str) -> None:
    """56 steps. The activation has no kinks, at which rounding decides."""
    candidates = crowd(16, family, rule, activation="tanh")
    assert_packing_changes_nothing(digits, candidates, (3, 8), 1e-4)


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("rule", RULES)
def test_alone_and_in_a_stack_of_16_exactly(double: Dataset, crowd, family: str, rule) -> None:
    candidates = crowd(16, family, rule, batch_norm=True, init="default")
    chosen = (5, 13) if family == "mlp" else (10,)
    assert_packing_changes_nothing(double, candidates, chosen, 1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "bce", "focal"])
def test_losses_of_classes(table, crowd, loss: str) -> None:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    rows = [",".join(map(str, [*x, y])) for x, y in zip(data.data, data.target, strict=True)]
    names = [f"c{i}" for i in range(data.data.shape[1])]
    cancer = table("\n".join([",".join([*names, "y"]), *rows]))
    candidates = [
        replace(one, settings={**one.settings, "focal_gamma": 0.5 * one.key})
        for one in crowd(5, loss=loss, activation="tanh")
    ]
    assert_packing_changes_nothing(cancer, candidates, (0, 4), 1e-4)


@pytest.mark.parametrize("loss", ["mse", "l1", "huber"])
def test_losses_of_numbers(diabetes: Dataset, crowd, loss: str) -> None:
    candidates = crowd(5, loss=loss, activation="tanh", label_smoothing=0.0, class_weight="none")
    stacked, array = packed(diabetes, candidates)
    for key in (0, 4):
        reports, state = alone(diabetes, candidates[key])
        assert distance(state_of(array, key), state) < 1e-4
        assert gap(curve(stacked, key), reports, "train_loss", "loss", "r2") < 1e-4
        assert gap(curve(stacked, key), reports, "mae", "rmse") < 0.01  # of about 60


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_half_precision_alone_and_in_a_stack(digits: Dataset, crowd, family: str) -> None:
    """Its weights are float32, and it learns about as well."""
    candidates = crowd(4, family, precision="bf16", activation="tanh")
    stacked, array = packed(digits, candidates)
    assert {report.failure for report in stacked} == {None}
    reports, state = alone(digits, candidates[1])
    assert distance(state_of(array, 1), state) < 0.02
    full, exact = alone(digits, crowd(4, family, precision="float32", activation="tanh")[1])
    assert 0 < distance(state, exact) < 0.05
    assert abs(full[-1].last.value - reports[-1].last.value) < 0.06
    kept = [*state["model"].values(), *state["optimizer"][0].values()]
    assert {tensor.dtype for tensor in kept if tensor.is_floating_point()} == {torch.float32}


def test_shapes(digits: Dataset, candidate) -> None:
    shape_of = Shapes(digits)
    shape = shape_of(candidate())
    assert shape_of(candidate(key=3, seed=8, lr=1.0, dropout=0.1, epochs=9)) == shape
    assert shape_of(candidate(nesterov=True)) == shape  # Adam has no such thing
    for other in ({"batch_size": 32}, {"widths": (17,)}, {"optimizer": "adamw"}, {"loss": "bce"},
                  {"batch_norm": True}, {"activation": "tanh"}, {"precision": "bf16"}):  # fmt: skip
        assert shape_of(candidate(**other)) != shape
    sgd = [shape_of(candidate(optimizer="sgd", nesterov=flag)) for flag in (False, True)]
    assert sgd[0] != sgd[1]


# Coming and going


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_slots_that_come_and_go(double: Dataset, crowd, family: str) -> None:
    """One is pruned, one finishes early, others fill their slots, in their first epoch beside
    others in their third."""
    settings = {"batch_norm": True, "batch_size": 105, "init": "default"}
    several = [
        replace(one, settings={**one.settings, "epochs": epochs})
        for one, epochs in zip(
            crowd(6, family, "adamw", **settings), (5, 2, 6, 9, 4, 3), strict=True
        )
    ]
    array = held(double, several[:4], stack=4)
    reports = [*array.reports(), *array.reports()]
    assert [report.finished for report in reports] == [False] * 5 + [True] + [False] * 2
    kept = {1: state_of(array, 1)}
    array.remove(3)
    array.remove(1)
    for one in several[4:]:
        array.add(one)
    reports += run(array)
    for one in several:
        if one.key != 3:
            theirs, state = alone(double, one)
            assert distance(kept.get(one.key) or state_of(array, one.key), state) < 1e-6
            assert gap(curve(reports, one.key), theirs) < 1e-6


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("lr", [1000.0, 1e30])
def test_a_slot_that_diverges_touches_no_other(
    digits: Dataset, crowd, family: str, batch_norm: bool, lr: float
) -> None:
    sane = crowd(4, family, "momentum", batch_norm=batch_norm, clip=None, epochs=2)
    mad = list(sane)
    mad[1] = replace(sane[1], settings={**sane[1].settings, "lr": lr, "schedule": "constant"})
    first, second = held(digits, sane), held(digits, mad)
    one, other = list(first.reports()), list(second.reports())
    if lr > 1e9:
        assert other[1].failure == Failure.DIVERGED
        assert second.saved(1) is None
    for key in (0, 2, 3):
        assert same(weights(state_of(first, key)), weights(state_of(second, key)))
        assert gap(curve(one, key), curve(other, key)) == 0
    one, other = (
        list(first.reports()),
        list(second.reports()),
    )  # it is gone, and the stack is smaller
    for key in (0, 2, 3):
        assert distance(state_of(first, key), state_of(second, key)) < 1e-4
        assert gap(curve(one, key), curve(other, key), "train_loss", "loss") < 1e-4


def test_dropout_of_a_neighbour_changes_nothing(digits: Dataset, crowd) -> None:
    plain = crowd(3, epochs=2)
    dropping = [plain[0], replace(plain[1], settings={**plain[1].settings, "dropout": 0.5})]
    reports, array = packed(digits, [*dropping, plain[2]])
    undisturbed, other = packed(digits, plain)
    for key in (0, 2):
        assert same(weights(state_of(array, key)), weights(state_of(other, key)))
    assert not same(state_of(array, 1)["model"], state_of(other, 1)["model"])
    assert gap(curve(reports, 0), curve(undisturbed, 0)) == 0


def test_dropout_is_drawn_anew_for_every_slot_and_epoch(digits: Dataset, candidate) -> None:
    # With rows that are all alike and weights that stay, losses differ by dropout alone.
    one_row, one_target = digits.train.inputs[:1], digits.train.targets[:1]
    rows = Resident(one_row.repeat(420, 1, 1, 1), one_target.repeat(420))
    still = {"optimizer": "sgd", "lr": 1e-12}
    twins = [candidate(key, dropout=0.5, **still) for key in (0, 1)]
    torch.manual_seed(1)
    outer = torch.random.get_rng_state()
    reports, _ = packed(replace(digits, train=rows), twins)
    assert torch.equal(torch.random.get_rng_state(), outer)
    assert len({round(report.last.metrics["train_loss"], 5) for report in reports}) == 8
    (first, *_) = alone(digits, candidate(**still))[0]
    for report in reports:  # and nothing is dropped when it is measured
        assert report.last.metrics["loss"] == pytest.approx(first.last.metrics["loss"], abs=1e-6)
    torch.manual_seed(2)
    again, _ = packed(replace(digits, train=rows), twins)
    assert gap(reports, again) == 0


# Checkpoints


@pytest.mark.parametrize("family", ["mlp", "cnn"])
@pytest.mark.parametrize("rule", RULES)
def test_resuming_in_another_way(double: Dataset, crowd, tmp_path, family: str, rule) -> None:
    """From a stack alone, from alone in a stack, from a stack in another, through files."""
    settings = {"batch_norm": True, "batch_size": 105, "init": "default"}
    several = crowd(6, family, rule, **settings)
    whole, array = packed(double, several)
    files = Checkpoints(tmp_path)
    ways = {"stacked": (several[:4], 16), "alone": (several[4:], 1)}
    for started, stack in ways.values():
        part = held(double, started, stack=stack)
        run(part, epochs=2)
        for one in started:
            files.save(one.key, state_of(part, one.key))
    states = {one.key: Saved(files.load(one.key)) for one in several}
    for resumed, stack in ((several[:2], 1), (several[2:], 16)):
        second = held(double, resumed, states, stack)
        reports = run(second)
        for one in resumed:
            assert distance(state_of(second, one.key), state_of(array, one.key)) < 1e-6
            assert gap(curve(reports, one.key), curve(whole, one.key)[2:]) < 1e-6
            assert [entry["epoch"] for entry in state_of(second, one.key)["curve"]] == [1, 2, 3, 4]


@pytest.mark.parametrize("rule", RULES)
def test_a_stack_resumed_as_it_was_is_bitwise_the_same(digits, crowd, rule: str) -> None:
    several = crowd(3, "mlp", rule, epochs=4, dropout=0.3, batch_norm=True)
    whole, array = packed(digits, several)
    first = held(digits, several)
    run(first, epochs=2)
    second = held(digits, several, {key: first.saved(key) for key in range(3)})
    reports = run(second)
    for key in range(3):
        assert same(weights(state_of(second, key)), weights(state_of(array, key)))
        assert gap(curve(reports, key), curve(whole, key)[2:]) == 0


def test_a_finished_slot_keeps_its_state_and_reports_again(digits: Dataset, crowd) -> None:
    several = crowd(3, epochs=2)
    reports, array = packed(digits, several)
    state = state_of(array, 1)
    assert list(array.reports()) == []  # its slot is free now
    assert same(weights(state_of(array, 1)), weights(state))
    again = held(digits, several, {key: array.saved(key) for key in range(3)})
    assert same(state_of(again, 1), state)  # before anything is trained
    assert list(again.reports()) == [curve(reports, key)[-1] for key in range(3)]


def test_a_state_of_a_stack_does_not_move_on(digits: Dataset, crowd) -> None:
    array = held(digits, crowd(2, "cnn", batch_norm=True))
    run(array, epochs=1)
    state = state_of(array, 0)
    kept = {name: tensor.clone() for name, tensor in state["model"].items()}
    run(array, epochs=1)
    assert same(state["model"], kept)
    assert not same(state_of(array, 0)["model"], kept)


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_an_interruption_leaves_the_last_whole_epoch(digits: Dataset, crowd, family: str) -> None:
    asked: list[int] = []
    batches = 14

    def interrupted() -> bool:
        asked.append(1)
        return len(asked) in (3, batches + 3 + 4)

    several = crowd(3, family, epochs=3, batch_norm=True, dropout=0.2)
    undisturbed, other = packed(digits, several)
    array = Array(digits, "accuracy", DEVICE, stack=16, interrupted=interrupted)
    for one in several:
        array.add(one)
    assert list(array.reports()) == []
    assert array.saved(0) is None
    reports = list(array.reports())
    states = [state_of(array, key) for key in range(3)]
    assert list(array.reports()) == []
    assert len(asked) == 3 + batches + 4
    for key in range(3):
        assert array.saved(key) is not None
        assert state_of(array, key)["epoch"] == 1
        assert same(state_of(array, key), states[key])
    reports += run(array)  # and it can continue
    for key in range(3):
        assert gap(curve(reports, key), curve(undisturbed, key)) == 0
        assert same(weights(state_of(array, key)), weights(state_of(other, key)))


def test_joining_is_all_or_nothing(digits: Dataset, crowd, monkeypatch) -> None:
    members = [TrialProgress(one, digits) for one in crowd(4, batch_norm=True)]
    stack = Stack(members[0], DEVICE)
    stack.join([(course, None) for course in members[:2]])
    before = [stack.state(slot) for slot in range(2)]
    plain, calls = torch.cat, []

    def cat(tensors, *args, **options):
        calls.append(1)
        if len(calls) == fail_at:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(tensors, *args, **options)

    monkeypatch.setattr(torch, "cat", cat)
    for fail_at in range(1, 100):  # noqa: B007 -- `cat` reads it
        calls.clear()
        try:
            stack.join([(course, None) for course in members[2:]])
        except torch.OutOfMemoryError:
            assert len(stack.members) == 2
            assert [same(stack.state(slot), before[slot]) for slot in range(2)] == [True, True]
        else:
            break
    assert fail_at > 10
    assert [course.candidate.key for course in stack.members] == [0, 1, 2, 3]
    assert same(stack.state(0), before[0])
    monkeypatch.undo()
    losses = stack.train(lambda: False)
    assert losses is not None
    assert losses.shape == (4,)


# In the mean


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mlp", pytest.param("cnn", marks=pytest.mark.nightly)])
def test_with_dropout_accuracies_have_the_same_distribution(
    digits: Dataset, candidate, family: str
) -> None:
    """64 trials alone and 64 others stacked: two-sample tests that say so where they differ."""
    from scipy import stats

    def accuracies(seeds: range, stack: int) -> list[float]:
        lr = 5e-3 if family == "mlp" else 1e-2
        settings = {"dropout": 0.5, "lr": lr, "batch_size": 30, "epochs": 4}
        trials = [candidate(seed, family, seed, **settings) for seed in seeds]
        reports = packed(digits, trials, stack)[0]
        return [report.last.value for report in reports if report.finished and report.last.value]

    alone, stacked = accuracies(range(64), 1), accuracies(range(64, 128), 32)
    assert len(alone) == len(stacked) == 64
    assert len(set(alone)) > 10
    assert stats.mannwhitneyu(alone, stacked).pvalue > 0.01
    assert stats.ks_2samp(alone, stacked).pvalue > 0.01


def test_each_layer_of_dropout_has_the_share_that_its_network_gives_it(
    digits: Dataset, crowd, monkeypatch
) -> None:
    """Whatever settings of that name say: a family may call it otherwise, or have several."""
    plain = network.mlp

    def built(*args, **named):
        layers = [*plain(*args, **named)]
        return nn.Sequential(*layers[:-1], nn.Dropout(0.95), layers[-1])

    before = curve(packed(digits, crowd(3, lr=0.01))[0], 0)
    monkeypatch.setattr(network, "mlp", built)
    after = curve(packed(digits, crowd(3, lr=0.01))[0], 0)
    assert after[-1].last.metrics["train_loss"] > 2 * before[-1].last.metrics["train_loss"]
