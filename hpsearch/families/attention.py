"""What networks of attention are made of.

Vaswani et al., "Attention is all you need" (2017), with the norm before each part, so that they
train without warm-up: Xiong et al., "On layer normalization in the transformer architecture"
(2020).

Shapes: `N` rows, `T` places in a sequence, `D` numbers of each place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.families.layers import Dropout

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TransformerBlock", "sine_positions"]

_LONGEST = 10_000.0
"""The longest wave of `sine_positions` is 2 pi times as long: Vaswani et al., section 3.5."""


class TransformerBlock(nn.Module):
    """(N, T, D) -> (N, T, D): attention, then a dense layer and back, each added to its input."""

    def __init__(self, dim: int, heads: int, feed_forward: int, dropout: float) -> None:
        """Make one.

        Args:
            dim: D, which `heads` divides.
            heads: Attentions side by side, each over D / heads numbers.
            feed_forward: Units of the dense layer, as a multiple of D.
            dropout: Share of what each of both parts adds, and of the dense layer's units.
        """
        super().__init__()
        self._heads = heads
        self.attention_norm, self.dense_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value, self.mix = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.dropout = Dropout(dropout)
        self.dense = nn.Sequential(
            nn.Linear(dim, feed_forward * dim), nn.GELU(), Dropout(dropout),
            nn.Linear(feed_forward * dim, dim), Dropout(dropout),
        )  # fmt: skip

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Of `seen`, bool (N, 1, 1, T), the places that are False have no say; each row needs one
        that is True."""
        x = x + self.dropout(self._attention(self.attention_norm(x), seen))
        widened: Tensor = x + self.dense(self.dense_norm(x))
        return widened

    def _attention(self, x: Tensor, seen: Tensor | None) -> Tensor:
        rows, places, dim = x.shape
        query, key, value = (
            part.reshape(rows, places, self._heads, dim // self._heads).transpose(1, 2)
            for part in self.query_key_value(x).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        attention: Tensor = self.mix(mixed.transpose(1, 2).reshape(rows, places, dim))
        return attention


def sine_positions(like: Tensor) -> Tensor:
    """(T, D): the vectors of the places of `like`, (N, T, D): sines and cosines of D / 2 lengths of
    wave from 2 pi to 20,000 pi, scaled so that each vector has length 1."""
    places, dim = like.shape[1:]
    waves = (dim + 1) // 2
    place = torch.arange(places, dtype=like.dtype, device=like.device).unsqueeze(1)
    wave = torch.arange(waves, dtype=like.dtype, device=like.device) / waves
    angles = place / _LONGEST**wave
    waved = torch.cat([angles.sin(), angles.cos()], dim=1)[:, :dim]
    return waved / math.sqrt(waves)
