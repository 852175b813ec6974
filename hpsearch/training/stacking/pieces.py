"""The steps of a stack's parameters, of which some are trained at another pace than others.

Shapes: `K` slots, `P` parameters of one network, `S` steps.
"""

from __future__ import annotations

from itertools import accumulate, groupby
from typing import TYPE_CHECKING

import torch

from hpsearch.training.stacking import optimizers
from hpsearch.training.stacking.fused import Fused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from hpsearch.training.stacking.optimizers import Settings, Step
    from hpsearch.training.trial_progress import TrialProgress
    from hpsearch.training.tuning import Pace

__all__ = ["Piece", "pieces_of"]


class Piece:
    """Neighbouring parameters that each slot trains at one pace of its own."""

    def __init__(
        self, members: Sequence[TrialProgress], paces: Sequence[Pace], fixed: Settings,
        columns: slice, weights_KP: Tensor, moments: Mapping[str, Tensor],
    ) -> None:  # fmt: skip
        """
        Args:
            members: The slots' candidates.
            paces: For each of them how these parameters are trained.
            fixed: Their settings.
            columns: Which of all parameters these are.
            weights_KP: All parameters; these are changed in place, as are their moments.
            moments: What the optimizer remembers of them.
        """
        self._members, self._paces, self._fixed = list(members), paces, fixed
        self._columns, self._weights = columns, weights_KP[:, columns]
        self._moments = {name: moment[:, columns] for name, moment in moments.items()}
        self._rule = members[0].settings["optimizer"]
        self._count_K = torch.zeros(len(members), device=weights_KP.device)
        """Steps of each slot, the one under way among them."""
        self._slots = self._fused()

    def _fused(self) -> list[Fused]:
        """One a slot; none where one call for all of them is faster."""
        settings = [course.settings for course in self._members]
        if not Fused.pays(settings[0], self._weights.shape[1], self._weights.device):
            return []
        return [
            Fused(
                settings[k],
                [weights],
                {name: [m[k]] for name, m in self._moments.items()},
                self._count_K[k],
            )
            for k, weights in enumerate(self._weights)
        ]  # fmt: skip

    def plan(self, rates_KS: Sequence[Sequence[float]]) -> list[Step]:
        """The steps of the epoch that begins now, by the candidates' learning rates."""
        factors_K = [pace.factor for pace in self._paces]
        own_KS = [
            [rate * factor for rate in rates]
            for rates, factor in zip(rates_KS, factors_K, strict=True)
        ]
        done_K = [
            (course.epoch - pace.since) * len(course.batches)
            for course, pace in zip(self._members, self._paces, strict=True)
        ]
        self._count_K.copy_(torch.tensor(done_K))
        return optimizers.plan(self._rule, own_KS, done_K, self._fixed)

    def step(self, gradient_KP: Tensor, now: Step) -> None:
        """Make one step, by the gradient of all parameters: that of these is used up."""
        gradient = gradient_KP[:, self._columns]
        if not self._slots:
            optimizers.step(self._rule, self._weights, gradient, self._moments, self._fixed, now)
            return
        self._count_K.add_(1)
        each = zip(self._slots, gradient, now.rates, now.numbers, strict=True)
        for slot, own, rate, number in each:
            slot.step([own], rate, number)


def pieces_of(
    members: Sequence[TrialProgress], shapes: Mapping[str, torch.Size], fixed: Settings,
    weights_KP: Tensor, moments: Mapping[str, Tensor],
) -> list[Piece]:  # fmt: skip
    """All parameters of a stack in as few pieces as there can be.

    Args:
        members: The slots' candidates.
        shapes: Those of the parameters, by name, in the order in which they lie in `weights_KP`.
        fixed: Settings of the candidates.
        weights_KP: The parameters.
        moments: What the optimizer remembers of them.
    """
    ends = [0, *accumulate(shape.numel() for shape in shapes.values())]
    return [
        Piece(
            members, [group.pace for group in of_slots], fixed, slice(ends[first], ends[last + 1]),
            weights_KP, moments,
        )
        for of_slots in zip(*(course.groups(shapes) for course in members), strict=True)
        for first, last in _runs(of_slots[0].places)
    ]  # fmt: skip


def _runs(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of each run of neighbours among rising numbers."""
    for _, run in groupby(enumerate(places), lambda pair: pair[1] - pair[0]):
        numbers = [place for _, place in run]
        yield numbers[0], numbers[-1]
