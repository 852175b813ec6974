"""Models of torchvision with a last layer for the problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from hpsearch.families.backbone import Backbone, input_size, without_last_linear

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["torchvision"]

_AUXILIARY = ("googlenet", "inception_v3")
"""Models that give outputs of inner layers too while training, unless they are asked not to."""
_SQUARE = {"vit_b_16": 16, "vit_b_32": 32, "vit_l_16": 16, "vit_l_32": 32, "vit_h_14": 14,
           "maxvit_t": 224}  # fmt: skip
"""Models that are made for square images of one size, and what that has to be a multiple of."""


def torchvision(problem: Problem, *, model: str, size: int | None, dropout: float) -> nn.Module:
    """(N, C, H, W) -> (N, outputs): the model, its last linear layer replaced.

    A vision transformer and MaxViT are made for square images of the size that they are given.
    """
    from torchvision import models  # here, for it takes seconds to load

    least, square = models.get_model_weights(model).DEFAULT.meta["min_size"][0], _SQUARE.get(model)
    sides = input_size(problem, size, least, square)
    own: dict[str, Any] = {}
    if model in _AUXILIARY:
        own = {"aux_logits": False, "init_weights": True}
    elif square:
        own = {"image_size": sides[0]} if model.startswith("vit") else {"input_size": sides}
    body: Any = models.get_model(model, weights=None, **own)
    if model.startswith("squeezenet"):  # whose last layer is a convolution
        features = body.classifier[1].in_channels
        body.classifier = nn.AdaptiveAvgPool2d(1)
    else:
        features = without_last_linear(body)
    return Backbone(body, features, problem, sides, dropout)
