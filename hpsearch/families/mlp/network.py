"""Dense networks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from hpsearch.families.layers import dense_block, initialise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.families import Problem

__all__ = ["mlp"]


def mlp(
    problem: Problem, *, depth: int, width: int, widths: Sequence[int] | None,
    activation: str, batch_norm: bool, dropout: float, init: str,
) -> nn.Sequential:  # fmt: skip
    """(N, *shape) -> (N, outputs): hidden blocks, then one linear layer.

    `widths` names the hidden layers one by one; without it there are `depth` layers of `width`.
    """
    sizes = (math.prod(problem.shape), *(widths or (width,) * depth))
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, units in pairwise(sizes):
        layers += dense_block(
            inputs, units, activation=activation, batch_norm=batch_norm, dropout=dropout
        )
    return initialise(nn.Sequential(*layers, nn.Linear(sizes[-1], problem.outputs)), init)
