"""Residual convolutional networks.

He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2016), section 4.2: the
small ones, for images of 32 x 32, with projections where a block changes the shape.

Shapes: `N` batch, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from hpsearch.families.layers import (
    Residual,
    SqueezeExcite,
    activation_layer,
    dropout_layer,
    initialise,
)

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["resnet"]


def resnet(
    problem: Problem, *, stages: int, blocks: int, width: int, batch_norm: bool, activation: str,
    negative_slope: float, dropout: float, squeeze_excite: bool, stochastic_depth: float, init: str,
) -> nn.Sequential:  # fmt: skip
    """(N, C, H, W) -> (N, outputs): one convolution, residual blocks, the mean of each map, one
    linear layer.

    An input of any size will do. Of B blocks the b-th, counted from 1, is left out for a share of
    `stochastic_depth` b / B of the rows of a batch (Huang et al. 2016).
    """
    block = _Block(batch_norm, activation, negative_slope, dropout, squeeze_excite)
    layers = [*block.convolution(problem.shape[0], width), *block.bend()]
    maps = width
    for stage in range(stages):
        for number in range(blocks):
            share = stochastic_depth * (stage * blocks + number + 1) / (stages * blocks)
            wider, stride = width * 2**stage, 2 if stage and not number else 1
            layers += [block.residual(maps, wider, stride, share), *block.bend()]
            maps = wider
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(maps, problem.outputs)]
    return initialise(nn.Sequential(*layers), init)


@dataclass(frozen=True)
class _Block:
    """What the blocks of a network have in common."""

    batch_norm: bool
    activation: str
    negative_slope: float
    dropout: float
    squeeze_excite: bool

    def residual(self, inputs: int, maps: int, stride: int, depth: float) -> Residual:
        """(N, inputs, H, W) -> (N, maps, H / stride, W / stride), rounded up: a block up to
        its last activation."""
        branch = nn.Sequential(
            *self.convolution(inputs, maps, stride=stride),
            *self.bend(),
            *dropout_layer(self.dropout),
            *self.convolution(maps, maps),
            *([SqueezeExcite(maps)] if self.squeeze_excite else []),
        )
        if inputs == maps and stride == 1:
            return Residual(branch, depth=depth)
        projection = nn.Sequential(*self.convolution(inputs, maps, kernel=1, stride=stride))
        return Residual(branch, projection, depth)

    def convolution(
        self, inputs: int, maps: int, *, kernel: int = 3, stride: int = 1
    ) -> list[nn.Module]:
        """A convolution and BatchNorm, which brings a bias of its own."""
        bias = not self.batch_norm
        layer = nn.Conv2d(inputs, maps, kernel, stride, padding=kernel // 2, bias=bias)
        return [layer, *([nn.BatchNorm2d(maps)] if self.batch_norm else [])]

    def bend(self) -> list[nn.Module]:
        """The activation."""
        return activation_layer(self.activation, self.negative_slope)
