"""Convolutional networks.

Shapes: `N` batch, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from hpsearch.families.layers import activation_layer, dropout_layer, initialise

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["cnn"]


def cnn(
    problem: Problem, *, blocks: int, channels: int | Sequence[int], kernel: int, batch_norm: bool,
    activation: str, dropout: float, head: str, dense: int, init: str,
) -> nn.Sequential:  # fmt: skip
    """(N, C, H, W) -> (N, outputs): convolution blocks, a head, one linear layer.

    An input of any size will do: a block leaves its pooling out once a side is below 2. A list of
    channels decides the number of blocks too, whatever `blocks` says. The head is all maps as one
    vector (`flatten`) or the mean of each (`gap`), then `dense` units if any.
    """
    maps, height, width = problem.shape
    if isinstance(channels, int):
        channels = [channels * 2**block for block in range(blocks)]

    def bent() -> list[nn.Module]:
        return [*activation_layer(activation), *dropout_layer(dropout)]

    layers: list[nn.Module] = []
    for wider in channels:
        layers += _convolution(maps, wider, kernel)
        layers += [nn.BatchNorm2d(wider)] if batch_norm else []
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        layers += bent()
        maps = wider
    if head == "gap":
        layers, height, width = [*layers, nn.AdaptiveAvgPool2d(1)], 1, 1
    layers.append(nn.Flatten())
    features = maps * height * width
    if dense:
        layers += [nn.Linear(features, dense), *bent()]
        features = dense
    return initialise(nn.Sequential(*layers, nn.Linear(features, problem.outputs)), init)


def _convolution(inputs: int, maps: int, kernel: int) -> list[nn.Module]:
    """(N, inputs, H, W) -> (N, maps, H, W)."""
    before, after = (kernel - 1) // 2, kernel // 2  # differ for an even kernel
    if before == after:
        return [nn.Conv2d(inputs, maps, kernel, padding=before)]
    return [nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(inputs, maps, kernel)]
