"""Networks of a family, for inputs of a shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hpsearch.spec.family import FAMILIES
from hpsearch.spec.problem import Kind, Problem
from hpsearch.training.networks import build

if TYPE_CHECKING:
    from torch import nn

__all__ = ["built", "own_families"]

_LARGE = ("timm", "torchvision")
"""Families whose default is a network of ten million weights; tests of them take small models."""


def own_families() -> list[Any]:
    """The names of hpsearch's families, for `pytest.mark.parametrize`."""
    return [
        pytest.param(name, marks=pytest.mark.nightly) if name in _LARGE else name
        for name in FAMILIES.own
    ]


def built(family: str, shape: tuple[int, ...], outputs: int, **settings: Any) -> nn.Module:
    """With defaults for what `settings` does not name."""
    kind: Kind = "images" if len(shape) == 3 else "rows"
    problem = Problem("regression", kind, shape, outputs, ())
    return build(family, problem, {**FAMILIES[family].vocabulary().defaults, **settings})
