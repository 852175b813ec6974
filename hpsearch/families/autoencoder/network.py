"""Dense autoencoders: Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural
networks" (2006)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from hpsearch.families.autoencoder.count import layer_sizes
from hpsearch.families.layers import dense_block, initialise

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["autoencoder"]


def autoencoder(
    problem: Problem, *, code: int | None, depth: int, width: int, activation: str,
    negative_slope: float, batch_norm: bool, dropout: float, init: str,
) -> nn.Sequential:  # fmt: skip
    """(N, *shape) -> (N, product of the shape): hidden blocks, the code, the same blocks mirrored.

    The code and the outputs are linear.
    """

    def blocks(sizes: list[int]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for before, units in pairwise(sizes[:-1]):
            layers += dense_block(
                before,
                units,
                activation=activation,
                negative_slope=negative_slope,
                batch_norm=batch_norm,
                dropout=dropout,
            )
        return [*layers, nn.Linear(sizes[-2], sizes[-1])]

    sizes = layer_sizes(problem, code, depth, width)
    network = nn.Sequential(nn.Flatten(), *blocks(sizes), *blocks(sizes[::-1]))
    return initialise(network, init)
