"""Dense networks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from torch import nn

from hpsearch.training.networks.layers import dense_block

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["mlp"]


def mlp(settings: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int) -> nn.Sequential:
    """(N, *input_shape) -> (N, outputs): hidden blocks, then one linear layer.

    `widths` names the hidden layers one by one; without it there are `depth` layers of `width`.
    """
    hidden = settings["widths"] or (settings["width"],) * settings["depth"]
    sizes = (math.prod(input_shape), *hidden)
    layers = [layer for ends in pairwise(sizes) for layer in dense_block(*ends, settings)]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], outputs))
