"""The parameters of vision transformers."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

from hpsearch.families import sizes

if TYPE_CHECKING:
    from hpsearch.families import Problem

__all__ = ["count", "patch_side"]

_SHARE, _LARGEST = 4, 16
"""By default so many patches stand along the shorter side, as long as none is larger than that:
Dosovitskiy et al. take 16 for images of 224."""


def patch_side(problem: Problem, patch: int | None) -> int:
    """The side of the patches, in pixels. Raises ValueError where it is larger than the image."""
    _, height, width = problem.shape
    if patch is None:
        return max(1, min(min(height, width) // _SHARE, _LARGEST))
    if patch > max(height, width):
        raise ValueError(f"a patch of {patch} is larger than the image, {height} x {width}")
    return patch


def count(
    problem: Problem, *, patch: int | None, dim: int, depth: int, feed_forward: int, pool: str,
    **_rest: Any,
) -> int:  # fmt: skip
    """Of `network.vit`."""
    channels, height, width = problem.shape
    side = patch_side(problem, patch)
    patches = ceil(height / side) * ceil(width / side)
    vectors = sizes.dense(channels, dim, width=side**2) + (patches + (pool == "class")) * dim
    blocks = sizes.transformer_block(dim, feed_forward) * depth
    return vectors + blocks + sizes.norm(dim) + sizes.dense(dim, problem.outputs)
