"""What a stack does when it fails as a whole: nothing is lost, and only the culprit fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from hpsearch.families.mlp import network
from hpsearch.runner import Failure
from hpsearch.training.array import Array
from hpsearch.training.stacking import cuda_graphs, optimizers
from hpsearch.training.stacking.network import StackedNetwork
from hpsearch.training.stacking.stack import Stack
from tests.unit.training.packing import DEVICE, alone, curve, distance, gap, packed, run, state_of

if TYPE_CHECKING:
    from hpsearch.sources.dataset import Dataset

Fail = Callable[[type, str, Callable[..., bool]], None]


@pytest.fixture
def fail(monkeypatch):
    """Make a method, or a function of a module, run out of memory where its arguments say so.

    What has been recorded does not come by Python again: nothing is.
    """
    monkeypatch.setattr(cuda_graphs, "records", lambda _: False)

    def make(owner, name: str, when: Callable[..., bool], error: Exception | None = None) -> None:
        plain = getattr(owner, name)

        def failing(*args, **options):
            if when(*args):
                raise error or torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")
            return plain(*args, **options)

        monkeypatch.setattr(owner, name, failing)

    return make


def in_step(fail, most: int) -> None:
    fail(optimizers, "step", lambda rule, weights, *rest: len(weights) > most)


def in_the_last_step(fail, most: int) -> None:
    steps = []

    def last(rule, weights, *rest) -> bool:
        steps.extend([1] * (len(weights) > most))
        return len(weights) > most and len(steps) % 4 == 0

    fail(optimizers, "step", last)


def in_the_copy(fail, most: int) -> None:
    fail(Stack, "_copy", lambda stack: len(stack.members) > most)


def in_evaluation(fail, most: int) -> None:
    fail(Stack, "outputs", lambda stack, part: len(stack.members) > most)


@pytest.mark.parametrize("place", [in_step, in_the_last_step, in_the_copy, in_evaluation])
@pytest.mark.parametrize("epochs_before", [0, 2])
def test_out_of_memory_halves_the_stack(
    double: Dataset, crowd, fail, place, epochs_before: int, caplog
) -> None:
    several = crowd(8, rule="adamw", batch_norm=True, batch_size=105, init="default")
    undisturbed, other = packed(double, several)
    array = Array(double, "accuracy", DEVICE, stack=8)
    for one in several:
        array.add(one)
    reports = run(array, epochs=epochs_before)
    place(fail, 3)
    reports += run(array)
    for one in several:
        assert gap(curve(reports, one.key), curve(undisturbed, one.key)) < 1e-6
        assert distance(state_of(array, one.key), state_of(other, one.key)) < 1e-6
    fit = array.fit(several[0])
    assert fit.slots == 2
    assert fit.reason == "fewer than before: OutOfMemoryError: CUDA out of memory"
    assert "trains 2 at once from now on" in caplog.text


@pytest.mark.parametrize("epochs_before", [0, 2])
def test_out_of_memory_where_candidates_join(digits, crowd, fail, epochs_before: int) -> None:
    several = crowd(6, epochs=3)
    array = Array(digits, "accuracy", DEVICE, stack=8)
    for one in several[:3]:
        array.add(one)
    reports = run(array, epochs=epochs_before)
    fail(Stack, "join", lambda stack, new: len(stack.members) + len(new) > 3)
    for one in several[3:]:
        array.add(one)
    reports += run(array)
    assert array.fit(several[0]).slots in (2, 4)
    for one in several:
        theirs, state = alone(digits, one)
        assert gap(curve(reports, one.key), theirs, "loss") < 1e-4
        assert distance(state_of(array, one.key), state) < 1e-4


def test_no_memory_for_even_two_means_each_alone(digits: Dataset, crowd, fail) -> None:
    fail(StackedNetwork, "__call__", lambda *args: True)
    several = crowd(3, epochs=2)
    reports, array = packed(digits, several)
    assert array.fit(several[0]).slots == 1
    for one in several:
        assert gap(curve(reports, one.key), alone(digits, one)[0]) == 0


def test_half_of_what_was_tried(digits: Dataset, crowd, fail) -> None:
    fail(optimizers, "step", lambda _, weights, *rest: len(weights) > 2)
    several = crowd(4, epochs=1)
    array = packed(digits, several, stack=64)[1]
    assert array.fit(several[0]).slots == 2


def test_the_last_one_in_a_stack_is_tried_alone_too(digits: Dataset, crowd, fail) -> None:
    array = Array(digits, "accuracy", DEVICE, stack=4)
    for one in crowd(2, epochs=2):
        array.add(one)
    reports = list(array.reports())
    array.remove(0)
    fail(StackedNetwork, "__call__", lambda *args: True)
    reports += run(array)
    assert [(r.key, r.last.epoch, r.failure) for r in reports[1:]] == [(1, 1, None), (1, 2, None)]


def test_a_fault_of_a_stack_is_tried_alone(digits: Dataset, crowd, fail) -> None:
    several = crowd(3, epochs=2)
    fail(optimizers, "step", lambda *args: True, RuntimeError("no such kernel"))
    reports, array = packed(digits, several)
    assert array.fit(several[0]).reason == "fewer than before: RuntimeError: no such kernel"
    for one in several:
        assert gap(curve(reports, one.key), alone(digits, one)[0]) == 0


@pytest.mark.parametrize("settings", [{"clip": "tight"}, {"lr": "fast"}, {"beta1": None}])
def test_only_the_culprit_fails(digits: Dataset, crowd, settings: dict) -> None:
    several = crowd(3, epochs=2, schedule="constant", warmup=0.0)
    several[1] = replace(several[1], settings={**several[1].settings, **settings})
    reports, array = packed(digits, several)
    (bad,) = curve(reports, 1)
    assert (bad.failure, bad.last) == (Failure.ERROR, None)
    assert bad.message
    for one in (several[0], several[2]):
        assert gap(curve(reports, one.key), alone(digits, one)[0]) == 0
        assert array.saved(one.key) is not None
    assert array.saved(1) is None


def test_settings_that_make_no_sense_fail_before_the_others_are_stacked(digits, crowd) -> None:
    several = crowd(3, epochs=1)
    several[0] = replace(several[0], settings={**several[0].settings, "schedule": "magic"})
    reports, array = packed(digits, several)
    assert [(r.key, r.failure) for r in reports] == [(0, Failure.ERROR), (1, None), (2, None)]
    assert array.fit(several[1]).slots == 16


class _Chosen(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = self.network(x)
        return outputs if outputs.mean() < 1e6 else -outputs


@pytest.mark.parametrize("stack", [16, None])
def test_a_network_that_cannot_be_stacked_is_trained_alone(
    digits: Dataset, crowd, monkeypatch, stack: int | None
) -> None:
    plain = network.mlp
    monkeypatch.setattr(network, "mlp", lambda *args, **named: _Chosen(plain(*args, **named)))
    several = crowd(3, epochs=2)
    array = Array(digits, "accuracy", DEVICE, stack=stack)
    for one in several:
        array.add(one)
    reports = run(array)
    reason = "what `forward` does depends on the numbers in a tensor"
    assert array.fit(several[0]).reason == reason
    assert array.fit(several[0]).slots == 1
    for one in several:
        assert gap(curve(reports, one.key), alone(digits, one)[0]) == 0
