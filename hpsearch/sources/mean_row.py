"""The baseline of networks that learn their own inputs: how far a row is from the mean training
row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from hpsearch.spec.registry import named
from hpsearch.spec.task import TASKS, Baseline
from hpsearch.tasks.learning import learning

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.sources.rows import Part
    from hpsearch.spec.problem import Problem

__all__ = ["mean_row"]

_PIECE = 1024
"""Rows at a time."""


def mean_row(problem: Problem, train: Part, validation: Part) -> Baseline:
    """What a network gets by the usual loss that answers the mean training row whatever it is
    given."""
    task = TASKS[problem.task]
    assert task.around is not None
    sums = [piece.flatten(1).sum(dim=0) for piece in train.pieces(_PIECE)]
    network = _Constant(torch.stack(sums).sum(dim=0) / len(train))
    with TASKS.blamed(task.name):
        around = named(task.around)(network, task.losses[0].name)
        outputs = torch.cat([around(piece) for piece in validation.pieces(_PIECE)])
    names = [metric.name for metric in task.metrics]
    measured = learning(task.name).measure(outputs.unsqueeze(0), validation.targets, problem, names)
    values = {name: float(value) for name, value in measured.metrics.items()}
    return Baseline("distance to the mean row", values)


class _Constant(nn.Module):
    """(N, ...) -> (N, D): the same numbers for each row."""

    def __init__(self, numbers_D: Tensor) -> None:
        super().__init__()
        self._numbers_D = numbers_D

    def forward(self, x: Tensor) -> Tensor:
        """These numbers as often as there are rows."""
        return self._numbers_D.expand(len(x), -1)
