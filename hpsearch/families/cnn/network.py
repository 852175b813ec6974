"""Convolutional networks.

Shapes: `N` batch, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from hpsearch.families.layers import (
    Residual,
    SqueezeExcite,
    activation_layer,
    convolution,
    dropout_layer,
    initialise,
)
from hpsearch.families.sizes import block_channels

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["cnn"]


def cnn(
    problem: Problem, *, blocks: int, channels: int | Sequence[int], kernel: int, batch_norm: bool,
    activation: str, dropout: float, head: str, dense: int, init: str,
    negative_slope: float, convs: int, skip: bool, squeeze_excite: bool, dense_dropout: float,
) -> nn.Sequential:  # fmt: skip
    """(N, C, H, W) -> (N, outputs): convolution blocks, a head, one linear layer.

    An input of any size will do: a block leaves its pooling out once a side is below 2. A list of
    channels decides the number of blocks too, whatever `blocks` says. The head is all maps as one
    vector (`flatten`), the mean of each (`gap`) or the largest value of each (`max`), then `dense`
    units if any.
    """
    maps, height, width = problem.shape
    block = _Block(kernel, convs, batch_norm, activation, negative_slope, squeeze_excite, skip)

    def bent() -> list[nn.Module]:
        return [*activation_layer(activation, negative_slope), *dropout_layer(dropout)]

    layers: list[nn.Module] = []
    for wider in block_channels(channels, blocks):
        layers += block.layers(maps, wider)
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        layers += bent()
        maps = wider
    if head != "flatten":
        layers.append(nn.AdaptiveAvgPool2d(1) if head == "gap" else nn.AdaptiveMaxPool2d(1))
        height = width = 1
    layers.append(nn.Flatten())
    features = maps * height * width
    if dense:
        layers += [nn.Linear(features, dense), *bent()]
        features = dense
    network = nn.Sequential(*layers)
    (last_dropout,) = dropout_layer(dense_dropout)
    network.add_module("dense_dropout", last_dropout)  # the others keep the numbers they had
    network.add_module(str(len(layers)), nn.Linear(features, problem.outputs))
    return initialise(network, init)


@dataclass(frozen=True)
class _Block:
    """What the blocks of a network have in common."""

    kernel: int
    convs: int
    batch_norm: bool
    activation: str
    negative_slope: float
    squeeze_excite: bool
    skip: bool

    def layers(self, inputs: int, maps: int) -> list[nn.Module]:
        """(N, inputs, H, W) -> (N, maps, H, W): a block up to its pooling.

        The last activation comes after that, where it has a quarter of the work: for functions that
        never fall it makes no difference.
        """
        layers = self._convolution(inputs, maps)
        for _ in range(self.convs - 1):
            layers += activation_layer(self.activation, self.negative_slope)
            layers += self._convolution(maps, maps)
        if self.squeeze_excite:
            layers.append(SqueezeExcite(maps))
        if not self.skip:
            return layers
        shortcut = None if inputs == maps else nn.Conv2d(inputs, maps, 1, bias=False)
        return [Residual(nn.Sequential(*layers), shortcut)]

    def _convolution(self, inputs: int, maps: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(maps)] if self.batch_norm else []
        return [*convolution(inputs, maps, self.kernel), *norm]
