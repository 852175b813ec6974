"""Which learning rates suit a configuration: a short look at it before a search.

The rule: Smith, "Cyclical learning rates for training neural networks" (2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hpsearch.training import devices
from hpsearch.training.candidate import Candidate, derived_seed
from hpsearch.training.solo import Solo
from hpsearch.training.trial_progress import TrialProgress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from hpsearch.sources.dataset import Dataset

__all__ = ["RangeTest", "range_test"]

_STEPS = 200
"""Mini-batches of a range test."""

_NEAR = 10
"""Steps to each side that a loss is averaged with: each is of another mini-batch."""

_BROKEN = 2.0
"""The test is broken off where the loss is so many times what it was at the start."""

_FALL = 0.95
"""A loss that does not come below this share of its first value has not fallen, but for chance."""


@dataclass(frozen=True)
class RangeTest:
    """The loss of one network while its learning rate rises from step to step."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """Of the mini-batch of that step, before it."""
    smooth: tuple[float, ...]
    """Each averaged with its neighbours."""

    @property
    def largest(self) -> float | None:
        """The rate from which on the loss rises (Smith 2017): that of the smallest loss. None:
        the loss has not fallen."""
        lowest = self._lowest
        return None if lowest is None else self.rates[lowest]

    @property
    def steepest(self) -> float | None:
        """The rate at which the loss falls most for a rate that is larger by a certain factor
        (Gugger, "How do you find a good learning rate", 2018). None: the loss has not fallen."""
        lowest = self._lowest
        if lowest is None:
            return None
        # The steps are even in the exponent of the rate.
        falls = [self.smooth[i - 1] - self.smooth[i + 1] for i in range(1, max(lowest, 2))]
        return self.rates[1 + falls.index(max(falls))]

    @property
    def _lowest(self) -> int | None:
        lowest = min(range(len(self.smooth)), key=self.smooth.__getitem__)
        fallen = lowest > 0 and self.smooth[lowest] < _FALL * self.smooth[0]
        return lowest if fallen else None


def range_test(
    candidate: Candidate, dataset: Dataset, device: torch.device, low: float, high: float
) -> RangeTest:
    """Train it for some hundred steps, each of another mini-batch and at a rate that is larger by
    the same factor, from `low` to `high` or until the loss goes up for good.

    Raises ValueError for settings that make no sense, ArithmeticError where the loss is not a
    number from the start.
    """
    course = TrialProgress(candidate, dataset)
    solo = Solo(course, dataset, device)
    rates = [low * (high / low) ** (i / (_STEPS - 1)) for i in range(_STEPS)]
    found: list[float] = []
    with devices.seeded(device, derived_seed(candidate.seed, "dropout", 0)):
        for rate, rows in zip(rates, _batches(course, device), strict=False):
            loss = float(solo.step(rows, rate))
            late = [*found[-_NEAR:], loss]
            if not math.isfinite(loss) or _mean(late) > _BROKEN * _mean([*found, loss][:_NEAR]):
                break
            found.append(loss)
    if len(found) < 3:
        raise ArithmeticError(f"the loss is not a number, or too large, at the rate {low:g}")
    smooth = [_mean(found[max(i - _NEAR, 0) : i + _NEAR + 1]) for i in range(len(found))]
    return RangeTest(tuple(rates[: len(found)]), tuple(found), tuple(smooth))


def _batches(course: TrialProgress, device: torch.device) -> Iterator[Tensor]:
    """Rows of mini-batches, epoch after epoch."""
    while True:
        yield from torch.split(course.order().to(device), course.batches)
        course.epoch += 1


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
