"""Vision transformers.

Dosovitskiy et al., "An image is worth 16x16 words" (2021).

Shapes: `N` batch, `C` channels, `H` height, `W` width, `T` patches, `D` numbers of a patch.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import nn

from hpsearch.families.attention import TransformerBlock
from hpsearch.families.layers import Dropout, initialise
from hpsearch.families.vit.count import patch_side

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.families import Problem

__all__ = ["vit"]

_POSITION_STD = 0.02


def vit(
    problem: Problem, *, patch: int | None, dim: int, depth: int, heads: int, feed_forward: int,
    pool: str, dropout: float, init: str,
) -> nn.Module:  # fmt: skip
    """(N, C, H, W) -> (N, outputs): patches, blocks of attention, one linear layer.

    An input of any size will do: it is padded with zeros to whole patches. Dropout comes after the
    positions are added, and in each block.
    """
    channels, height, width = problem.shape
    side = patch_side(problem, patch)
    blocks = [TransformerBlock(dim, heads, feed_forward, dropout) for _ in range(depth)]
    network = _Vit(
        _Patches(channels, height, width, side, dim),
        nn.Sequential(Dropout(dropout), *blocks, nn.LayerNorm(dim)),
        nn.Linear(dim, problem.outputs),
        pool,
    )
    return initialise(network, init)


class _Patches(nn.Module):
    """(N, C, H, W) -> (N, T, D): the patches row by row, each a vector with its position in it."""

    def __init__(self, channels: int, height: int, width: int, patch: int, dim: int) -> None:
        super().__init__()
        rows, columns = ceil(height / patch), ceil(width / patch)
        below, right = rows * patch - height, columns * patch - width
        self.pad = nn.ZeroPad2d((right // 2, right - right // 2, below // 2, below - below // 2))
        self.project = nn.Conv2d(channels, dim, patch, stride=patch)
        self.positions = nn.Parameter(_POSITION_STD * torch.randn(1, rows * columns, dim))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, T, D)."""
        maps: Tensor = self.project(self.pad(images_NCHW))
        return maps.flatten(2).transpose(1, 2) + self.positions


class _Vit(nn.Module):
    """Patches, blocks, and a last layer for what these make of them."""

    def __init__(self, patches: nn.Module, blocks: nn.Module, head: nn.Linear, pool: str) -> None:
        super().__init__()
        self.patches, self.blocks, self.head = patches, blocks, head
        self.own = nn.Parameter(torch.zeros(1, 1, head.in_features)) if pool == "class" else None

    def features(self, images_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D)."""
        x_NTD = self.patches(images_NCHW)
        if self.own is None:
            mean: Tensor = self.blocks(x_NTD).mean(dim=1)
            return mean
        x_NTD = torch.cat([self.own.expand(len(x_NTD), -1, -1), x_NTD], dim=1)
        own: Tensor = self.blocks(x_NTD)[:, 0]
        return own

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, outputs)."""
        outputs: Tensor = self.head(self.features(images_NCHW))
        return outputs
