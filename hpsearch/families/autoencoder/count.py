"""The parameters of dense autoencoders."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hpsearch.families import sizes

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["count", "layer_sizes"]


def layer_sizes(problem: Problem, code: int | None, depth: int, width: int) -> list[int]:
    """Numbers of an input, units of each hidden layer before the code, and of the code: a geometric
    series from `width` towards the code."""
    inputs = math.prod(problem.shape)
    narrow = sizes.code_size(code, inputs)
    hidden = [max(1, round(width * (narrow / width) ** (at / depth))) for at in range(depth)]
    return [inputs, *hidden, narrow]


def count(
    problem: Problem, *, code: int | None, depth: int, width: int, batch_norm: bool, **_rest: Any
) -> int:
    """Of `network.autoencoder`."""
    units = layer_sizes(problem, code, depth, width)
    layers = sum(sizes.dense(a, b) + sizes.dense(b, a) for a, b in pairwise(units))
    return layers + 2 * sum(map(sizes.norm, units[1:-1])) * batch_norm
