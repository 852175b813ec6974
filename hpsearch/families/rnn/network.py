"""Recurrent networks.

Shapes: `N` batch, `T` steps, `D` numbers a step, `H` hidden units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from hpsearch.families.layers import AsSequence, Dropout, initialise

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.families import Problem

__all__ = ["rnn"]


def rnn(
    problem: Problem, *, cell: str, hidden: int, layers: int, bidirectional: bool, pool: str,
    dropout: float, init: str,
) -> nn.Sequential:  # fmt: skip
    """(N, *shape) -> (N, outputs): recurrent layers over the steps, then one linear layer.

    Dropout follows each recurrent layer, and in each step draws anew.
    """
    steps = AsSequence(problem)
    width = hidden * (2 if bidirectional else 1)
    sizes = (steps.width, *[width] * (layers - 1))
    network = nn.Sequential(
        steps,
        _Recurrent(sizes, hidden, cell, pool, dropout, bidirectional=bidirectional),
        nn.Linear(width, problem.outputs),
    )
    return initialise(network, init)


class _Recurrent(nn.Module):
    """(N, T, D) -> (N, H), or (N, 2 H) where it reads in both directions.

    Each layer is a module of its own: PyTorch's layers in one module have one dropout between them,
    a plain number that candidates of one stack could not differ in.
    """

    def __init__(
        self, sizes: tuple[int, ...], hidden: int, cell: str, pool: str, dropout: float, *,
        bidirectional: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.layers = nn.ModuleList(
            kind(size, hidden, batch_first=True, bidirectional=bidirectional) for size in sizes
        )
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in sizes)
        self._hidden, self._pool = hidden, pool

    def forward(self, x: Tensor) -> Tensor:
        """What the steps come to: the mean of their states, or the last state of each direction."""
        for layer, dropout in zip(self.layers, self.dropouts, strict=True):
            x = dropout(layer(x)[0])
        if self._pool == "mean":
            return x.mean(dim=1)
        forwards, backwards = x[:, -1, : self._hidden], x[:, 0, self._hidden :]
        return torch.cat([forwards, backwards], dim=1)  # which has no columns in one direction
