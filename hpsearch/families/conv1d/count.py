"""The parameters of convolutional networks over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.families import sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.families import Problem

__all__ = ["count"]


def count(
    problem: Problem, *, blocks: int, channels: int | Sequence[int], kernel: int, stride: int,
    pool: int, batch_norm: bool, head: str, dense: int, **_rest: Any,
) -> int:  # fmt: skip
    """Of `network.conv1d`."""
    length, maps = sizes.steps_of(problem)
    total = 0
    for wider in sizes.block_channels(channels, blocks):
        total += sizes.dense(maps, wider, width=kernel) + sizes.norm(wider) * batch_norm
        length = sizes.convolved(length, kernel, stride)
        if 1 < pool <= length:
            length //= pool
        maps = wider
    features = maps if head == "gap" else maps * length
    if dense:
        return total + sizes.dense(features, dense) + sizes.dense(dense, problem.outputs)
    return total + sizes.dense(features, problem.outputs)
