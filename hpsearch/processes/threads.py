"""How many CPU threads this process computes with: as many as its work pays for.

At the end of each operation its threads wait for each other. Waiting, they let the core go, as to
keep it makes other processes many times slower; to be woken then takes longer than a small product.
Measured with two threads on two virtual cores, a network of three layers with batch norm and AdamW:
batches of 64 rows at width 64 took 6.8 ms a step and 1.3 ms with one thread, 512 rows at width 512
(2.4 GFLOP) 25 and 27 ms, 1,024 at width 1,024 (19 GFLOP) 112 and 177 ms.

It goes by the work and not by the clock: other threads add in another order, and a candidate that
was interrupted continues to the last digit as if it had not been.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

__all__ = ["all_threads", "forward_flop", "most_threads", "one_thread", "step_threads", "threads"]

_FLOP = 1.2e9
"""The work of a step for which a thread pays."""

_PASSES = 3
"""Of a step, each as much work as the way forward: that, and the way back to weights and inputs."""

_most: int | None = None
"""Threads that there are for work that pays for them; None: as many as PyTorch has now."""


def one_thread(most: int | None) -> None:
    """Let this process compute with one thread from now on, and steps that pay for more with as
    many as these: samplers and metrics compute with small numbers, and would wait most of the time.

    `most` None: as many as PyTorch would take, all cores.
    """
    global _most
    _most = most or most_threads()
    torch.set_num_threads(1)


def most_threads() -> int:
    """Threads that there are for work that pays for them."""
    return _most or torch.get_num_threads()


@contextmanager
def all_threads() -> Iterator[None]:
    """Inside, as many as there are."""
    with threads(most_threads()):
        yield


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Inside, so many."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def step_threads(forward: float) -> int:
    """Threads for a step of training, by the work in FLOP of its way forward."""
    paid = min(_PASSES * forward / _FLOP, most_threads())
    return max(round(paid), 1)


def forward_flop(layer: nn.Module, output: Tensor | tuple[Tensor, ...]) -> float:
    """The work of a layer's own weights in a call that returned this, as if each of them were
    multiplied at each place of an image or a sequence with what comes in there. A table of
    embeddings is none: its rows are looked up."""
    weights = [w for w in layer.parameters(recurse=False) if w.dim() > 1]
    if not weights or isinstance(layer, (torch.nn.Embedding, torch.nn.EmbeddingBag)):
        return 0.0
    tensor = output if isinstance(output, torch.Tensor) else output[0]
    maps = tensor.dim() > 2 and any(w.dim() > 2 for w in weights)  # (N, C, ...) beside (N, ..., C)
    places = tensor.numel() // max(tensor.shape[1 if maps else -1], 1)
    return 2.0 * places * sum(w.numel() for w in weights)
