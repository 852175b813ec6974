"""Models of other libraries as networks of ours: a backbone and a last layer that fits the problem.

Shapes: `N` batch, `C` channels, `H` height, `W` width, `F` features.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.families.layers import Dropout

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.families import Problem

__all__ = ["Backbone", "input_size", "without_last_linear"]

_COLOURS = 3


class Backbone(nn.Module):
    """(N, C, H, W) -> (N, outputs): `forward(x)` is `head(features(x))`."""

    def __init__(
        self, body: nn.Module, features: int, problem: Problem, size: tuple[int, int],
        dropout: float,
    ) -> None:  # fmt: skip
        """Make one.

        Args:
            body: (N, 3, *size) -> (N, F), or maps (N, F, 1, 1).
            features: F.
            problem: What it has to fit.
            size: Height and width that images are brought to.
            dropout: Share of the features set to zero while training.

        Raises ValueError where images are neither grey nor in colour.
        """
        super().__init__()
        channels, *sides = problem.shape
        if channels not in (1, _COLOURS):
            raise ValueError(
                f"its models take images of 1 or {_COLOURS} channels, and these have {channels}"
            )
        self._size = None if tuple(sides) == size else size
        self._smaller = min(size) < min(sides)
        self.body = body
        self.head = nn.Sequential(Dropout(dropout), nn.Linear(features, problem.outputs))

    def features(self, images_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, F). A grey image is given as all three colours."""
        if self._size is not None:
            images_NCHW = F.interpolate(
                images_NCHW, self._size, mode="bilinear", antialias=self._smaller
            )
        if images_NCHW.shape[1] == 1:
            images_NCHW = torch.cat([images_NCHW] * _COLOURS, dim=1)
        features: Tensor = self.body(images_NCHW)
        return features.flatten(1)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, outputs)."""
        outputs: Tensor = self.head(self.features(images_NCHW))
        return outputs


def input_size(
    problem: Problem, size: int | None, least: int, square: int | None = None
) -> tuple[int, int]:
    """Height and width that a model is given.

    Args:
        problem: What the images are.
        size: Of both sides, where the study says so; None: the image's own, enlarged in proportion
            where a side is below `least`.
        least: The smallest side that the model works with; where it is made for `square` images,
            its usual one.
        square: What both sides have to be a multiple of, where the model takes square images alone.

    Raises ValueError where `size` is none that the model takes.
    """
    if size is not None:
        if square is not None and size % square:
            raise ValueError(f"the model takes images whose size is a multiple of {square}, "
                             f"not of {size}")  # fmt: skip
        if square is None and size < least:
            raise ValueError(f"the model takes images of {least} x {least} or more, not of {size}")
        return size, size
    height, width = problem.shape[1:]
    if square is not None:
        side = square * ceil(max(height, width, least) / square)
        return side, side
    factor = max(1.0, least / min(height, width))
    return round(height * factor), round(width * factor)


def without_last_linear(model: nn.Module) -> int:
    """Take a model's last linear layer away, with a dropout right before it; its inputs.

    Raises ValueError where it has none.
    """
    linear = [
        (name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.Linear)
    ]
    if not linear:
        raise ValueError("the model has no linear layer to replace")
    name, last = linear[-1]
    model.set_submodule(name, nn.Identity())
    parent = model.get_submodule(name.rpartition(".")[0])
    if isinstance(parent, nn.Sequential) and len(parent) > 1 and type(parent[-2]) is nn.Dropout:
        parent[len(parent) - 2] = nn.Identity()
    return last.in_features
