"""Networks of a family, for inputs of a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.spec.family import FAMILIES
from hpsearch.spec.problem import Kind, Problem
from hpsearch.training.networks import build

if TYPE_CHECKING:
    from torch import nn

__all__ = ["built"]


def built(family: str, shape: tuple[int, ...], outputs: int, **settings: Any) -> nn.Module:
    """With defaults for what `settings` does not name."""
    kind: Kind = "images" if len(shape) == 3 else "rows"
    problem = Problem("regression", kind, shape, outputs, ())
    return build(family, problem, {**FAMILIES[family].vocabulary().defaults, **settings})
