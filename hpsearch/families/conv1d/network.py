"""Convolutional networks over time.

Shapes: `N` batch, `T` steps, `D` numbers a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from hpsearch.families.layers import AsSequence, activation_layer, dropout_layer, initialise
from hpsearch.families.sizes import block_channels, convolved

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["conv1d"]


def conv1d(
    problem: Problem, *, blocks: int, channels: int | Sequence[int], kernel: int, stride: int,
    pool: int, batch_norm: bool, activation: str, dropout: float, head: str, dense: int, init: str,
    negative_slope: float,
) -> nn.Sequential:  # fmt: skip
    """(N, *shape) -> (N, outputs): convolution blocks, a head, one linear layer.

    A sequence of any length will do: a block leaves its pooling out once there are fewer steps than
    it makes one of. A list of channels decides the number of blocks too, whatever `blocks` says.
    """
    steps = AsSequence(problem, maps_first=True)
    length, maps = steps.length, steps.width
    layers: list[nn.Module] = [steps]
    for wider in block_channels(channels, blocks):
        layers.append(nn.Conv1d(maps, wider, kernel, stride, padding=kernel // 2))
        length = convolved(length, kernel, stride)
        layers += [nn.BatchNorm1d(wider)] if batch_norm else []
        layers += activation_layer(activation, negative_slope)
        if 1 < pool <= length:
            layers.append(nn.MaxPool1d(pool))
            length //= pool
        layers += dropout_layer(dropout)
        maps = wider
    if head == "gap":
        layers, length = [*layers, nn.AdaptiveAvgPool1d(1)], 1
    layers.append(nn.Flatten())
    features = maps * length
    if dense:
        layers += [nn.Linear(features, dense), *activation_layer(activation, negative_slope)]
        layers += dropout_layer(dropout)
        features = dense
    return initialise(nn.Sequential(*layers, nn.Linear(features, problem.outputs)), init)
