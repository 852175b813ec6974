"""A step has as many CPU threads as its work pays for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hpsearch.code import exits
from hpsearch.processes import threads as process
from hpsearch.processes.threads import all_threads, one_thread
from hpsearch.sources.dataset import Dataset
from hpsearch.training.solo import Solo
from hpsearch.training.stacking.stack import Stack
from hpsearch.training.step_threads import _row_flop
from hpsearch.training.trial_progress import TrialProgress

CPU = torch.device("cpu")
LARGE = {"widths": (512,) * 3, "batch_size": 256}  # 0.86 GFLOP a step


@pytest.fixture(autouse=True)
def six(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(process, "_most", None)
    one_thread(6)
    yield
    torch.set_num_threads(before)


def steps(trainer: Solo | Stack) -> set[int]:
    """The threads that steps have, and the process again after them."""
    counts: set[int] = set()

    def passed() -> bool:
        counts.add(torch.get_num_threads())
        return False

    trainer.train(passed)
    assert torch.get_num_threads() == 1
    return counts


def alone(candidate: Any, digits: Dataset) -> Solo:
    return Solo(TrialProgress(candidate, digits), CPU)


def stacked(candidates: list[Any], digits: Dataset) -> Stack:
    courses = [TrialProgress(candidate, digits) for candidate in candidates]
    stack = Stack(courses[0], CPU)
    stack.join([(course, None) for course in courses])
    return stack


def test_a_small_step_has_one(digits: Dataset, candidate) -> None:
    assert steps(alone(candidate(), digits)) == {1}


def test_a_large_one_has_as_many_as_it_pays_for(digits: Dataset, candidate) -> None:
    assert steps(alone(candidate(**LARGE), digits)) == {1}
    assert steps(alone(candidate(widths=(1024,) * 3, batch_size=256), digits)) == {3}
    assert steps(alone(candidate(widths=(2048,) * 3, batch_size=256), digits)) == {6}


def test_a_stack_has_those_of_all_its_slots(digits: Dataset, candidate) -> None:
    four = [candidate(key=key, seed=key, **LARGE) for key in range(4)]
    assert steps(stacked(four, digits)) == {3}


def test_a_process_with_one_has_one(digits: Dataset, candidate, monkeypatch) -> None:
    monkeypatch.setattr(process, "_most", None)
    one_thread(1)
    assert steps(alone(candidate(widths=(2048,) * 3, batch_size=256), digits)) == {1}


def test_inside_a_step_all_can_be_had(digits: Dataset, candidate) -> None:
    trainer = alone(candidate(), digits)
    with trainer._threads.few():
        with all_threads():
            assert torch.get_num_threads() == 6
        assert torch.get_num_threads() == 1


CONVOLUTIONS = nn.Conv2d(4, 8, 3, padding=1, groups=2), nn.ReLU(), nn.Conv2d(8, 8, 3)
SERIES = nn.Conv1d(4, 8, 5, padding=2), nn.ReLU(), nn.ConvTranspose1d(8, 6, 3, padding=1)


@pytest.mark.parametrize(
    ("layers", "row"),
    [
        ((nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 4)), (8,)),
        (CONVOLUTIONS, (4, 9, 7)),
        (SERIES, (4, 30)),
        ((nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), (5, 8)),
        ((nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), (5, 7, 8)),
    ],
)
def test_the_work_is_counted_as_pytorch_counts_it(
    layers: tuple[nn.Module, ...], row: tuple[int, ...]
) -> None:
    network, rows = nn.Sequential(*layers), torch.zeros(1, *row)
    counter = FlopCounterMode(display=False)
    with counter:
        network.eval()(rows)
    assert _row_flop(network, rows) == counter.get_total_flops()


def test_a_recurrent_layer_is_as_much_work_as_its_weights_at_each_place() -> None:
    gru = nn.GRU(3, 5, batch_first=True)
    assert _row_flop(gru, torch.zeros(1, 7, 3)) == 2 * 7 * (15 * 3 + 15 * 5)


def test_to_look_changes_nothing_of_the_network(digits: Dataset) -> None:
    class Counts(nn.Module):
        calls: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.layer(x)

    network = Counts().train()
    before = torch.get_rng_state()
    _row_flop(network, torch.zeros(1, 2))
    assert network.training
    assert not network.calls
    assert not network.layer._forward_hooks
    assert torch.equal(torch.get_rng_state(), before)
    assert _row_flop(network, torch.zeros(1, 3)) == float("inf"), "it cannot be looked at"


def test_own_code_that_ends_its_process_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "in_use", lambda: "own code")  # else nothing is contained

    class Leaves(nn.Module):
        def forward(self, _x: torch.Tensor) -> torch.Tensor:
            sys.exit(3)

    assert _row_flop(Leaves(), torch.zeros(1, 2)) == float("inf")
