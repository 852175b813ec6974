"""RandAugment: Cubuk et al., "RandAugment: practical automated data augmentation with a reduced
search space" (2019), with the 14 operations, the ranges and the 31 steps of torchvision's.

Shapes: `N` images, `C` channels, `H` height, `W` width. Images that are changed alike are changed
together: one call for all that are moved, one for each other operation that is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hpsearch.training.augmentation import colors, geometry

__all__ = ["NAMES", "changed", "randaugment"]

_LARGEST = 30
"""Magnitude."""

Change = Callable[[Tensor, Tensor], Tensor]
"""(pixels_NCHW, strength (N,) from -1 to 1) -> pixels_NCHW."""

_MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
"""What moves pixels: all together in `_moved`."""

_CHANGES: Mapping[str, Change] = {
    "brightness": lambda x, s: colors.brightness(x, 1 + 0.9 * s),
    "color": lambda x, s: colors.saturation(x, 1 + 0.9 * s),
    "contrast": lambda x, s: colors.contrast(x, 1 + 0.9 * s),
    "sharpness": lambda x, s: colors.sharpness(x, 1 + 0.9 * s),
    "posterize": lambda x, s: colors.posterize(x, (8 - 4 * s.abs()).round()),
    "solarize": lambda x, s: colors.solarize(x, 1 - s.abs()),
    "autocontrast": lambda x, s: colors.autocontrast(x),
    "equalize": lambda x, s: colors.equalize(x),
}
"""What changes values."""

NAMES = (*_MOVES, *_CHANGES, "identity")
"""The operations, each as likely as the others."""


def randaugment(
    pixels_NCHW: Tensor, draws_ND: Tensor, magnitude_N: Tensor, operations_N: Tensor
) -> Tensor:
    """Do so many operations to each image, one after the other, each drawn out of all and as likely
    to one side as to the other."""
    for number in range(int(operations_N.max())):
        which_N = (draws_ND[:, 2 * number] * len(NAMES)).long()
        which_N[operations_N <= number] = NAMES.index("identity")
        sign_N = torch.where(draws_ND[:, 2 * number + 1] < 0.5, -1.0, 1.0)
        pixels_NCHW = changed(pixels_NCHW, which_N, sign_N * magnitude_N / _LARGEST)
    return pixels_NCHW


def changed(pixels_NCHW: Tensor, which_N: Tensor, strength_N: Tensor) -> Tensor:
    """Images after an operation each, by its place in `NAMES` and how strong it is, from -1 to 1:
    both on the CPU. The images are written to."""
    moves_N5 = strength_N.unsqueeze(1) * (which_N.unsqueeze(1) == torch.arange(len(_MOVES)))
    _change(pixels_NCHW, which_N < len(_MOVES), _moved, moves_N5)
    for place, change in enumerate(_CHANGES.values(), len(_MOVES)):
        _change(pixels_NCHW, which_N == place, change, strength_N)
    return pixels_NCHW


def _change(pixels_NCHW: Tensor, chosen_N: Tensor, change: Change, strength: Tensor) -> None:
    """Change the chosen ones of the images, each as strongly as its row of `strength` says."""
    rows = chosen_N.nonzero().flatten()
    if len(rows):
        on_device = rows.to(pixels_NCHW.device)
        some = change(pixels_NCHW.index_select(0, on_device), strength[rows])
        pixels_NCHW.index_copy_(0, on_device, some)


def _moved(pixels_NCHW: Tensor, moves_N5: Tensor) -> Tensor:
    """Images under each of `_MOVES`, as strongly as is said. Shears are about the upper left
    corner."""
    height, width = pixels_NCHW.shape[2:]
    shear_x, shear_y, right, below, turn = moves_N5.unbind(1)
    shear_x, shear_y = 0.3 * shear_x, 0.3 * shear_y
    a, b, c, d = geometry.turn(turn * (math.pi / 6))
    to_right = shear_x * (height / 2) - (right * (width * 150 / 331)).trunc()
    to_below = shear_y * (width / 2) - (below * (height * 150 / 331)).trunc()
    return geometry.mapped(
        pixels_NCHW, torch.stack([a, b + shear_x, c + shear_y, d, to_right, to_below], dim=1)
    )
