"""Sizes of layers, and how many parameters of them are trained, without PyTorch.

A family's `count` adds these up, and its `build` takes the same sizes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.families import Problem

__all__ = [
    "block_channels", "code_size", "convolved", "dense", "gate", "gate_units", "norm", "recurrent",
    "steps_of", "transformer_block",
]  # fmt: skip

_GATE_SHARE, _GATE_LEAST = 16, 4
"""One unit of a gate's hidden layer stands for so many maps, and it has at least so many units:
Hu et al. give 16; small networks have too few maps for that alone."""

_GATES = {"lstm": 4, "gru": 3}


def steps_of(problem: Problem) -> tuple[int, int]:
    """(T, D) of inputs as sequences: the rows of an image from the top; of a row of numbers a step
    a number."""
    steps = problem.shape[1] if problem.kind == "images" else problem.shape[0]
    return steps, math.prod(problem.shape) // steps


def convolved(length: int, kernel: int, stride: int) -> int:
    """Steps that a convolution over so many leaves, with half a kernel of padding at both ends."""
    return (length + 2 * (kernel // 2) - kernel) // stride + 1


def block_channels(channels: int | Sequence[int], blocks: int) -> tuple[int, ...]:
    """Channels of each block: a list as it is, a number doubled from block to block."""
    if isinstance(channels, int):
        return tuple(channels * 2**block for block in range(blocks))
    return tuple(channels)


def code_size(code: int | None, inputs: int) -> int:
    """Numbers in the code of an autoencoder: `code`, or by default a quarter of the inputs, at
    least 1 and at most 32."""
    return max(1, min(inputs // 4, 32)) if code is None else code


def gate_units(maps: int) -> int:
    """Hidden units of the gate of so many maps."""
    return max(maps // _GATE_SHARE, _GATE_LEAST)


# --- trained parameters -------------------------------------------------------------------------


def dense(inputs: int, outputs: int, *, width: int = 1, bias: bool = True) -> int:
    """Of a dense layer, or of a convolution with `width` weights from each channel to each other:
    9 for a kernel of 3 x 3."""
    return (inputs * width + bias) * outputs


def norm(units: int) -> int:
    """Of BatchNorm or LayerNorm: a factor and a bias each."""
    return 2 * units


def gate(maps: int) -> int:
    """Of `layers.SqueezeExcite`."""
    units = gate_units(maps)
    return dense(maps, units) + dense(units, maps)


def recurrent(cell: str, inputs: int, hidden: int) -> int:
    """Of a recurrent layer in one direction, whose gates have two biases each in PyTorch."""
    return _GATES[cell] * hidden * (inputs + hidden + 2)


def transformer_block(dim: int, feed_forward: int) -> int:
    """Of `attention.TransformerBlock`."""
    attention = dense(dim, 3 * dim) + dense(dim, dim)
    wide = feed_forward * dim
    return attention + dense(dim, wide) + dense(wide, dim) + 2 * norm(dim)
