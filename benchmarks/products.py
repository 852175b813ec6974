"""How many operations matrix products take, and how many of them a core could do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

import torch

__all__ = ["dense_flop", "peak_flop_per_s"]

_SIZE, _TRIES = 1024, 9
"""Of square matrices in single precision: large enough that a core is at its best."""


def dense_flop(sizes: Sequence[int], trained: int, measured: int) -> float:
    """Operations in the matrix products of one epoch of a dense network.

    Args:
        sizes: Units of each layer, from the inputs to the outputs.
        trained: Rows that it is trained on: two products of a layer forward and back, and one more
            for the gradient of its inputs, but for the first layer.
        measured: Rows of validation data.

    A multiplication and an addition are two operations.
    """
    weights = [inputs * outputs for inputs, outputs in pairwise(sizes)]
    return 2.0 * (trained * (3 * sum(weights) - weights[0]) + measured * sum(weights))


def peak_flop_per_s() -> float:
    """Operations a second of this machine's matrix product on one core: the best of some tries."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    left, right, out = torch.randn(3, _SIZE, _SIZE).unbind()
    seconds = []
    for _ in range(_TRIES):
        begin = time.perf_counter()
        torch.mm(left, right, out=out)
        seconds.append(time.perf_counter() - begin)
    torch.set_num_threads(threads)
    return 2.0 * _SIZE**3 / min(seconds)
