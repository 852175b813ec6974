"""The parameters of convolutional autoencoders."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hpsearch.families import sizes

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["KERNEL", "count", "shapes"]

KERNEL = 3
"""Side of each convolution."""


def shapes(problem: Problem, channels: int, blocks: int) -> list[tuple[int, tuple[int, int]]]:
    """Maps and their sides before each block, and after the last: each halves the sides, rounded
    up."""
    maps, height, width = problem.shape
    grids = [(maps, (height, width))]
    for wider in sizes.block_channels(channels, blocks):
        height, width = (height + 1) // 2, (width + 1) // 2
        grids.append((wider, (height, width)))
    return grids


def count(
    problem: Problem,
    *,
    code: int | None,
    blocks: int,
    channels: int,
    batch_norm: bool,
    **_rest: Any,
) -> int:
    """Of `network.conv_autoencoder`."""
    steps = shapes(problem, channels, blocks)
    total = 0
    for (outer, _sides), (inner, _) in pairwise(steps):
        total += sizes.dense(outer, inner, width=KERNEL**2)
        total += sizes.dense(inner, outer, width=KERNEL**2)
        total += 2 * sizes.norm(inner) * batch_norm
    inner, small = steps[-1]
    features, narrow = inner * math.prod(small), sizes.code_size(code, math.prod(problem.shape))
    return total + sizes.dense(features, narrow) + sizes.dense(narrow, features)
