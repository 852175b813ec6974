"""Models of timm with a last layer for the problem."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from hpsearch.families.backbone import Backbone, input_size

if TYPE_CHECKING:
    from torch import nn

    from hpsearch.families import Problem

__all__ = ["timm"]

_LEAST = 32
"""Of a model that does not name its smallest side: most halve it five times."""


def timm(problem: Problem, *, model: str, size: int | None, dropout: float) -> nn.Module:
    """(N, C, H, W) -> (N, outputs): the model without its last layer, and one for the problem.

    Models of one input size, most transformers among them, are made for `size`, by default their
    own.
    """
    import timm as library  # here, for it takes seconds to load

    if not library.is_model(model):
        near = get_close_matches(model, library.list_models(), 1)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"timm has no model {model}{meant}")
    try:
        own = library.get_pretrained_cfg(model)
    except RuntimeError as error:  # an unknown tag
        raise ValueError(str(error)) from error
    given: dict[str, Any] = {}
    if own.fixed_input_size:
        height, width = own.input_size[1:]
        sides = (size, size) if size else (height, width)
        given = {"img_size": sides}
    else:
        least = own.min_input_size[1] if own.min_input_size else _LEAST
        sides = input_size(problem, size, least)
    try:
        body = library.create_model(model, num_classes=0, **given)
    except AssertionError as error:
        raise ValueError(f"{model} is not made for images of {sides[0]}: {error}") from error
    return Backbone(body, body.head_hidden_size, problem, sides, dropout)
