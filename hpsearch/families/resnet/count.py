"""The parameters of residual convolutional networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.families import sizes

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["count"]


def count(
    problem: Problem, *, stages: int, blocks: int, width: int, batch_norm: bool,
    squeeze_excite: bool, **_rest: Any,
) -> int:  # fmt: skip
    """Of `network.resnet`."""

    def convolution(inputs: int, maps: int, kernel: int = 3) -> int:
        weights = sizes.dense(inputs, maps, width=kernel**2, bias=not batch_norm)
        return weights + sizes.norm(maps) * batch_norm

    total, maps = convolution(problem.shape[0], width), width
    for stage in range(stages):
        wider = width * 2**stage
        total += convolution(maps, wider) + convolution(wider, wider) * (2 * blocks - 1)
        total += sizes.gate(wider) * blocks * squeeze_excite
        if stage:
            total += convolution(maps, wider, kernel=1)
        maps = wider
    return total + sizes.dense(maps, problem.outputs)
