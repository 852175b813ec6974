"""Transformers over sequences and text.

Padding has no say: whatever a network makes of a text, it makes the same with more padding behind
it. Shapes: `N` batch, `T` steps or words, `E` numbers of a step, `D` numbers that it becomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from hpsearch.families.attention import TransformerBlock, sine_positions
from hpsearch.families.layers import Dropout, initialise
from hpsearch.families.words import PADDING, WordVectors, pooled

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.families import Problem

__all__ = ["transformer"]

_POSITION_STD = 0.02


def transformer(
    problem: Problem, *, dim: int, depth: int, heads: int, feed_forward: int, position: str,
    pool: str, dropout: float, init: str,
) -> nn.Module:  # fmt: skip
    """Sequences (N, T, E) or tokens (N, T) -> (N, outputs): blocks of attention, a linear layer.

    Dropout comes after the positions are added, and in each block.
    """
    tokens = problem.kind == "tokens"
    network = _Transformer(
        WordVectors(problem.vocabulary, dim) if tokens else nn.Linear(problem.shape[1], dim),
        _Positions(problem.shape[0], dim, position),
        [TransformerBlock(dim, heads, feed_forward, dropout) for _ in range(depth)],
        nn.Linear(dim, problem.outputs),
        pool,
        dropout,
    )
    return initialise(network, init)


class _Positions(nn.Module):
    """(N, T, D) -> (N, T, D), with the place of each step added."""

    def __init__(self, length: int, dim: int, position: str) -> None:
        super().__init__()
        self._sine, self.learnt = position == "sine", None
        if position == "learnt":
            self.learnt = nn.Parameter(_POSITION_STD * torch.randn(length, dim))

    def forward(self, x_NTD: Tensor) -> Tensor:
        """(N, T, D) -> (N, T, D)."""
        if self._sine:
            return x_NTD + sine_positions(x_NTD)
        return x_NTD if self.learnt is None else x_NTD + self.learnt[: x_NTD.shape[1]]


class _Transformer(nn.Module):
    """Vectors of steps, their positions, blocks, and a last layer for what these make of them."""

    def __init__(
        self, vectors: nn.Module, positions: nn.Module, blocks: list[TransformerBlock],
        head: nn.Linear, pool: str, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vectors, self.positions, self.dropout = vectors, positions, Dropout(dropout)
        self.blocks = nn.ModuleList(blocks)
        self.norm, self.head = nn.LayerNorm(head.in_features), head
        self.own = nn.Parameter(torch.zeros(1, 1, head.in_features)) if pool == "class" else None

    def features(self, inputs: Tensor) -> Tensor:
        """(N, T, E), or tokens (N, T) -> (N, D)."""
        words = inputs != PADDING if inputs.dim() == 2 else None
        x = self.positions(self.vectors(inputs))
        if self.own is not None:
            x = torch.cat([self.own.expand(len(x), -1, -1), x], dim=1)
            if words is not None:
                words = torch.cat([words.new_ones(len(x), 1), words], dim=1)
        seen = None if words is None else _seen(words)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, seen)
        x = self.norm(x)
        if self.own is not None:
            own: Tensor = x[:, 0]
            return own
        mean: Tensor = x.mean(dim=1) if words is None else pooled(x, words, "mean")
        return mean

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, T, E), or tokens (N, T) -> (N, outputs)."""
        outputs: Tensor = self.head(self.features(inputs))
        return outputs


def _seen(words_NT: Tensor) -> Tensor:
    """(N, 1, 1, T): the words of each row; all places of a row without any, as attention to nothing
    is not a number. What becomes of such a row counts for nothing."""
    seen = words_NT | ~words_NT.any(dim=1, keepdim=True)
    return seen[:, None, None]
