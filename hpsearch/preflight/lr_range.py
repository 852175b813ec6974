"""Which learning rates suit a configuration: a short look at it before a search.

The rule: Smith, "Cyclical learning rates for training neural networks" (2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count
from statistics import fmean
from typing import TYPE_CHECKING

import torch

from hpsearch.runner.candidate import Candidate, derived_seed
from hpsearch.training import devices
from hpsearch.training.solo import Solo
from hpsearch.training.trial_progress import TrialProgress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from hpsearch.sources.dataset import Dataset

__all__ = ["RangeTest", "range_test"]

_STEPS = 200
"""Mini-batches of a range test."""
_NEAR = 10
"""Steps to each side that a loss is averaged with: each is of another mini-batch."""
_BROKEN = 2.0
"""The test ends where the loss is so many times what it was at the start."""
_FALL = 0.95
"""A loss that does not come below this share of its first value has not fallen, but for chance."""


@dataclass(frozen=True)
class RangeTest:
    """The loss of one network while its learning rate rises by the same factor at each step."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """The loss of each step's mini-batch, before the step."""
    smooth: tuple[float, ...]
    """Each loss averaged with its neighbours."""
    steepest: float | None
    """The rate at which the loss falls most for a rate that is larger by a certain factor (Gugger,
    "How do you find a good learning rate", 2018). None: the loss does not fall."""
    largest: float | None
    """The rate of the smallest loss, from which on it rises (Smith 2017). None: no fall."""


def range_test(
    candidate: Candidate, dataset: Dataset, device: torch.device, low: float, high: float
) -> RangeTest:
    """Train a candidate for 200 steps from the rate `low` to `high`, or until its loss explodes.

    Raises ValueError for settings that make no sense, ArithmeticError where the loss is not a
    number from the start.
    """
    progress = TrialProgress(candidate, dataset)
    solo = Solo(progress, device)
    rates = [low * (high / low) ** (i / (_STEPS - 1)) for i in range(_STEPS)]
    losses: list[float] = []
    with devices.seeded(device, derived_seed(candidate.seed, "dropout", 0)):
        for rate, rows in zip(rates, _batches(progress), strict=False):
            losses.append(float(solo.step(rows.to(device), rate)))
            exploded = fmean(losses[-_NEAR - 1 :]) > _BROKEN * fmean(losses[:_NEAR])
            if exploded or not math.isfinite(losses[-1]):
                losses.pop()
                break
    if len(losses) < 3:
        raise ArithmeticError(f"the loss is not a number, or too large, at the rate {low:g}")
    smooth = [fmean(losses[max(i - _NEAR, 0) : i + _NEAR + 1]) for i in range(len(losses))]
    steepest = largest = None
    lowest = smooth.index(min(smooth))
    if smooth[lowest] < _FALL * smooth[0]:
        largest = rates[lowest]
        falls = [smooth[i - 1] - smooth[i + 1] for i in range(1, max(lowest, 2))]
        steepest = rates[1 + falls.index(max(falls))]
    return RangeTest(
        tuple(rates[: len(losses)]), tuple(losses), tuple(smooth), steepest, largest
    )  # fmt: skip


def _batches(progress: TrialProgress) -> Iterator[Tensor]:
    """Rows of mini-batches, epoch after epoch."""
    for progress.epoch in count():
        yield from torch.split(progress.order(), progress.batches)
