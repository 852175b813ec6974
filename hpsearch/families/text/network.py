"""Networks that read text.

Padding has no say: whatever a body makes of a text, it makes the same with more padding behind it,
and of a row without a single word 0. Shapes: `N` batch, `T` words, `E` numbers of a word, `H`
hidden units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from hpsearch.families.layers import Dropout, activation_layer, dense_block, initialise
from hpsearch.families.words import PADDING, WordVectors, pooled

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.families import Problem

__all__ = ["text"]


def text(
    problem: Problem, *, embedding: int, body: str, hidden: int, layers: int, cell: str,
    bidirectional: bool, kernel: int, pool: str, dense: int, activation: str,
    negative_slope: float, dropout: float, init: str,
) -> nn.Module:  # fmt: skip
    """Tokens (N, T) -> (N, outputs): embeddings, a body, a linear layer.

    Dropout comes after the embeddings, after each layer of the body, and before the last layer.
    """
    read: nn.Module
    width = embedding
    if body == "mean":
        read = _Mean()
    elif body == "rnn":
        read = _Recurrent(embedding, hidden, layers, cell, pool, dropout, both=bidirectional)
        width = hidden * (2 if bidirectional else 1)
    else:
        read = _Convolutional(
            embedding, hidden, layers, kernel, activation, negative_slope, pool, dropout
        )
        width = hidden
    head: list[nn.Module] = [Dropout(dropout)]
    if dense:
        head += dense_block(
            width,
            dense,
            activation=activation,
            negative_slope=negative_slope,
            batch_norm=False,
            dropout=dropout,
        )
    head.append(nn.Linear(dense or width, problem.outputs))
    embeddings = WordVectors(problem.vocabulary, embedding)
    return initialise(_Text(embeddings, read, Dropout(dropout), nn.Sequential(*head)), init)


class _Text(nn.Module):
    """Embeddings, a body that is given them and which of them are words, and a head."""

    def __init__(
        self, embeddings: nn.Embedding, body: nn.Module, dropout: nn.Module, head: nn.Module
    ) -> None:
        super().__init__()
        self.embeddings, self.dropout, self.body, self.head = embeddings, dropout, body, head

    def forward(self, tokens_NT: Tensor) -> Tensor:
        """(N, T) -> (N, outputs)."""
        words_NT = tokens_NT != PADDING
        vectors_NTE = self.dropout(self.embeddings(tokens_NT))
        outputs: Tensor = self.head(self.body(vectors_NTE, words_NT))
        return outputs


class _Mean(nn.Module):
    """The mean of the words' vectors."""

    def forward(self, x_NTE: Tensor, words_NT: Tensor) -> Tensor:
        """(N, T, E) -> (N, E)."""
        return pooled(x_NTE, words_NT, "mean")


class _Recurrent(nn.Module):
    """Recurrent layers over the words, in one direction or in both."""

    def __init__(
        self, width: int, hidden: int, layers: int, cell: str, pool: str, dropout: float, *,
        both: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        sizes = (width, *[hidden * (1 + both)] * (layers - 1))
        # A layer of PyTorch's that reads in both directions would read the padding first.
        self.forwards = nn.ModuleList(kind(size, hidden, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(
            kind(size, hidden, batch_first=True) for size in sizes if both
        )
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in sizes[1:])
        self._pool = pool

    def forward(self, x_NTE: Tensor, words_NT: Tensor) -> Tensor:
        """(N, T, E) -> (N, H), or (N, 2 H)."""
        x = x_NTE
        for place, layer in enumerate(self.forwards):
            if place:
                x = self.dropouts[place - 1](x)
            ways = [layer(x)[0]]
            if self.backwards:
                ways.append(_turned(self.backwards[place](_turned(x, words_NT))[0], words_NT))
            x = torch.cat(ways, dim=-1)
        if self._pool != "last":
            return pooled(x, words_NT, self._pool)
        hidden = x.shape[-1] // (2 if self.backwards else 1)
        last = pooled(x[..., :hidden], words_NT, "last")
        first = pooled(x[:, :1, hidden:], words_NT[:, :1], "mean")
        return torch.cat([last, first], dim=-1)  # which has no columns in one direction


class _Convolutional(nn.Module):
    """Convolutions over neighbouring words; beyond the ends of a text there are zeros."""

    def __init__(
        self, width: int, hidden: int, layers: int, kernel: int, activation: str,
        negative_slope: float, pool: str, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        sizes = (width, *[hidden] * (layers - 1))
        before, after = (kernel - 1) // 2, kernel // 2  # differ for an even kernel
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.ConstantPad1d((before, after), 0.0),
                nn.Conv1d(size, hidden, kernel),
                *activation_layer(activation, negative_slope),
            )
            for size in sizes
        )
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in sizes[1:])
        self._pool = pool

    def forward(self, x_NTE: Tensor, words_NT: Tensor) -> Tensor:
        """(N, T, E) -> (N, H)."""
        x = x_NTE.transpose(1, 2)
        for place, layer in enumerate(self.layers):
            if place:  # a bias has made something of the padding
                x = self.dropouts[place - 1](x * words_NT.unsqueeze(1))
            x = layer(x)
        return pooled(x.transpose(1, 2), words_NT, self._pool)


def _turned(x_NTE: Tensor, words_NT: Tensor) -> Tensor:
    """The words of each row from the last to the first; padding stays where it is."""
    steps = torch.arange(words_NT.shape[1], device=x_NTE.device)
    turned_NT = (words_NT.sum(dim=1, keepdim=True) - 1 - steps) % words_NT.shape[1]
    return torch.take_along_dim(x_NTE, turned_NT.unsqueeze(-1), dim=1)
