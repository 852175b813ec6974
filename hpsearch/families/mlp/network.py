"""Dense networks."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from hpsearch.families.layers import Residual, dense_block, initialise
from hpsearch.families.mlp.count import layer_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.families import Problem

__all__ = ["mlp"]


def mlp(
    problem: Problem, *, depth: int, width: int, widths: Sequence[int] | None,
    activation: str, batch_norm: bool, dropout: float, init: str,
    negative_slope: float, layer_norm: bool, skip: bool,
) -> nn.Sequential:  # fmt: skip
    """(N, *shape) -> (N, outputs): hidden blocks, then one linear layer.

    `widths` names the hidden layers one by one; without it there are `depth` layers of `width`.
    """
    sizes = layer_sizes(problem, depth, width, widths)
    layers: list[nn.Module] = [nn.Flatten()]
    for number, (inputs, units) in enumerate(pairwise(sizes)):
        block = dense_block(
            inputs, units, activation=activation, batch_norm=batch_norm, dropout=dropout,
            negative_slope=negative_slope, layer_norm=layer_norm,
        )  # fmt: skip
        layers += [_residual(block, inputs, units)] if skip and number else block
    return initialise(nn.Sequential(*layers, nn.Linear(sizes[-1], problem.outputs)), init)


def _residual(block: list[nn.Module], inputs: int, units: int) -> Residual:
    """A hidden block, (N, inputs) -> (N, units), that its input is added to."""
    shortcut = None if inputs == units else nn.Linear(inputs, units, bias=False)
    return Residual(nn.Sequential(*block), shortcut)
