"""The parameters of dense networks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hpsearch.families import sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.families import Problem

__all__ = ["count", "layer_sizes"]


def layer_sizes(
    problem: Problem, depth: int, width: int, widths: Sequence[int] | None
) -> tuple[int, ...]:
    """Numbers of an input, then units of each hidden layer."""
    return (math.prod(problem.shape), *(widths or (width,) * depth))


def count(
    problem: Problem, *, depth: int, width: int, widths: Sequence[int] | None, batch_norm: bool,
    layer_norm: bool, skip: bool, **_rest: Any,
) -> int:  # fmt: skip
    """Of `network.mlp`."""
    units = layer_sizes(problem, depth, width, widths)
    layers = sum(sizes.dense(a, b) for a, b in pairwise((*units, problem.outputs)))
    norms = sum(map(sizes.norm, units[1:])) * (batch_norm + layer_norm)
    unequal = ((a, b) for a, b in pairwise(units[1:]) if a != b)
    return layers + norms + sum(sizes.dense(a, b, bias=False) for a, b in unequal) * skip
