"""Convolutional autoencoders: Masci, Meier, Ciresan and Schmidhuber, "Stacked convolutional
auto-encoders for hierarchical feature extraction" (2011), with strides in place of pooling.

Shapes: `N` batch, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

from torch import nn

from hpsearch.families.conv_autoencoder.count import KERNEL, shapes
from hpsearch.families.layers import activation_layer, dropout_layer, initialise
from hpsearch.families.sizes import code_size

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["conv_autoencoder"]


def conv_autoencoder(
    problem: Problem, *, code: int | None, blocks: int, channels: int, activation: str,
    negative_slope: float, batch_norm: bool, dropout: float, init: str,
) -> nn.Sequential:  # fmt: skip
    """(N, C, H, W) -> (N, C * H * W): convolutions of stride 2, a dense code, and their mirror.

    A convolution makes a side of H one of (H + 1) // 2, and its mirror image makes H of that again,
    even or odd. The code and the outputs are linear.
    """
    steps = shapes(problem, channels, blocks)

    def bent(wide: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(wide)] if batch_norm else []
        return [*norm, *activation_layer(activation, negative_slope), *dropout_layer(dropout)]

    encoder: list[nn.Module] = []
    decoder: list[nn.Module] = []
    for (outer, large), (inner, _) in pairwise(steps):
        encoder += [nn.Conv2d(outer, inner, KERNEL, stride=2, padding=1), *bent(inner)]
        height, width = large
        even = (1 - height % 2, 1 - width % 2)
        widen = nn.ConvTranspose2d(inner, outer, KERNEL, stride=2, padding=1, output_padding=even)
        decoder = [*bent(inner), widen, *decoder]
    inner, small = steps[-1]
    features, narrow = inner * math.prod(small), code_size(code, math.prod(problem.shape))
    network = nn.Sequential(
        *encoder, nn.Flatten(), nn.Linear(features, narrow),
        nn.Linear(narrow, features), nn.Unflatten(1, (inner, *small)), *decoder, nn.Flatten(),
    )  # fmt: skip
    return initialise(network, init)
