"""The parameters of convolutional networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.families import sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.families import Problem

__all__ = ["count"]


def count(
    problem: Problem, *, blocks: int, channels: int | Sequence[int], kernel: int, convs: int,
    batch_norm: bool, squeeze_excite: bool, skip: bool, head: str, dense: int, **_rest: Any,
) -> int:  # fmt: skip
    """Of `network.cnn`."""
    maps, height, width = problem.shape
    total = 0
    for wider in sizes.block_channels(channels, blocks):
        total += sizes.dense(maps, wider, width=kernel**2)
        total += sizes.dense(wider, wider, width=kernel**2) * (convs - 1)
        total += sizes.norm(wider) * convs * batch_norm
        total += sizes.gate(wider) * squeeze_excite
        if skip and maps != wider:
            total += sizes.dense(maps, wider, bias=False)
        if min(height, width) >= 2:
            height, width = height // 2, width // 2
        maps = wider
    features = maps * height * width if head == "flatten" else maps
    if dense:
        return total + sizes.dense(features, dense) + sizes.dense(dense, problem.outputs)
    return total + sizes.dense(features, problem.outputs)
