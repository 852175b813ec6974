"""The CPU threads of a candidate's steps: as many as their work pays for (see
`hpsearch.processes.threads`)."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hpsearch.code import contained
from hpsearch.processes.threads import forward_flop, most_threads, step_threads, threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from hpsearch.training.trial_progress import TrialProgress

__all__ = ["StepThreads"]


class StepThreads:
    """The threads of one trainer."""

    def __init__(self, network: nn.Module, course: TrialProgress, device: torch.device) -> None:
        """
        Args:
            network: Of a candidate, on the CPU or the device.
            course: The candidate's; its network has been built.
            device: Where it is trained.
        """
        self._any = device.type == "cpu" and most_threads() > 1
        self._flop = 0.0
        """Of the way forward of each slot."""
        if self._any:
            row = course.dataset.train.batch(torch.zeros(1, dtype=torch.int64, device=device))[0]
            self._flop = max(course.batches) * _row_flop(network, row)

    @contextmanager
    def few(self, slots: int = 1) -> Iterator[None]:
        """Inside, as many as so many slots pay for. On a GPU nothing changes."""
        if not self._any:
            yield
            return
        with threads(step_threads(slots * self._flop)):
            yield


def _row_flop(network: nn.Module, row: Tensor) -> float:
    """The work of the network for a row (1, *shape); infinite where it cannot be looked at."""
    flop = 0.0

    def count(layer: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal flop
        flop += forward_flop(layer, output)

    try:
        looked_at = copy.deepcopy(network).eval()
        for layer in looked_at.modules():
            layer.register_forward_hook(count)
        with contained(), torch.no_grad(), torch.random.fork_rng(devices=[]):
            looked_at(row)
    except Exception:  # it raises where it is trained, and is reported there
        return float("inf")
    return flop
