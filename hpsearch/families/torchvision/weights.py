"""The weights that torchvision publishes: where they lie, and what they are in networks of ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hpsearch.weights.files import Published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["entries", "published"]

_DENSE = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\..*)")
"""Names in the files of DenseNet, which are from before dots in names of layers were refused:
torchvision changes them as it reads."""
_LAST = "classifier", "fc", "head"
"""How the last layers of torchvision's models are called."""
_OUTSIDE = re.compile(r"(AuxLogits|aux\d)\.")
"""Outputs of inner layers, which our networks do without."""


def published(model: str) -> Published:
    """The file that torchvision itself would take for that model.

    Raises ValueError where it has no such model.
    """
    from torchvision import models  # here, for it takes seconds to load

    url = models.get_model_weights(model).DEFAULT.url
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return Published((folder / url.rpartition("/")[2],), url)


def entries(weights: Mapping[str, Tensor], model: str, **_: Any) -> dict[str, Tensor]:
    """The weights of a model of torchvision by the names that they have in our networks."""
    last = _last(weights, model)
    return {
        "body." + _DENSE.sub(r"\1\2", name): tensor
        for name, tensor in weights.items()
        if not name.startswith(last) and not _OUTSIDE.match(name)
    }


def _last(weights: Mapping[str, Tensor], model: str) -> str:
    """How the names of the last layer begin; a name that none has where the file is without it."""
    if model.startswith("squeezenet"):
        return "classifier."
    *_, last = [".", *(name for name, tensor in weights.items() if tensor.dim() == 2)]
    return f"{last.rpartition('.')[0]}." if last.startswith(_LAST) else "."
