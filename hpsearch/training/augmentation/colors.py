"""Operations that change the values of pixels; see `spec.augmentation.Operation`.

Shapes: `N` images, `C` channels, `H` height, `W` width. Each is held against torchvision's of the
same name by the tests. Images of three channels are in colour; of any other number grey is the mean
of all, and they have no saturation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "autocontrast", "brightness", "color", "contrast", "equalize", "posterize", "saturation",
    "sharpness", "solarize",
]  # fmt: skip

_LUMA = 0.2989, 0.587, 0.114
"""How bright red, green and blue are (ITU-R BT.601), as torchvision and Pillow have it."""
_LEVELS = 256


def color(pixels_NCHW: Tensor, draws_N3: Tensor, strength_N: Tensor) -> Tensor:
    """Brightness, contrast and saturation changed, each by a factor around 1: the jitter of timm,
    which leaves the hue out."""
    factor_N3 = 1 + (2 * draws_N3 - 1) * strength_N.unsqueeze(1)
    for change, factor_N in zip(
        (brightness, contrast, saturation), factor_N3.unbind(1), strict=True
    ):
        pixels_NCHW = change(pixels_NCHW, factor_N)
    return pixels_NCHW


def brightness(pixels_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    """So many times as bright; 0 is black."""
    return pixels_NCHW.mul(_each(factor_N, pixels_NCHW)).clamp_(0, 1)


def contrast(pixels_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    """So many times as far from the image's mean brightness."""
    mean_N111 = _grey(pixels_NCHW).mean(dim=(1, 2, 3), keepdim=True)
    return _blended(pixels_NCHW, mean_N111, factor_N)


def saturation(pixels_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    """So many times as colourful; 0 is grey."""
    if pixels_NCHW.shape[1] != len(_LUMA):
        return pixels_NCHW
    return _blended(pixels_NCHW, _grey(pixels_NCHW), factor_N)


def sharpness(pixels_NCHW: Tensor, factor_N: Tensor) -> Tensor:
    """So many times as sharp; 0 is blurred. The outermost pixels stay as they are."""
    if min(pixels_NCHW.shape[2:]) < 3:
        return pixels_NCHW
    of_rows = pixels_NCHW[:, :, :-2] + pixels_NCHW[:, :, 1:-1] + pixels_NCHW[:, :, 2:]
    of_nine = of_rows[..., :-2] + of_rows[..., 1:-1] + of_rows[..., 2:]
    blurred = pixels_NCHW.clone()
    blurred[:, :, 1:-1, 1:-1].mul_(4).add_(of_nine).div_(13)
    return _blended(pixels_NCHW, blurred, factor_N)


def posterize(pixels_NCHW: Tensor, bits_N: Tensor) -> Tensor:
    """Of each value so many bits, from 1 to 8."""
    levels = _each(2**bits_N, pixels_NCHW)
    return pixels_NCHW.mul(levels).floor_().clamp_(min=0).minimum(levels - 1).div_(levels)


def solarize(pixels_NCHW: Tensor, threshold_N: Tensor) -> Tensor:
    """Values from a threshold on turned to their negative."""
    above = pixels_NCHW >= _each(threshold_N, pixels_NCHW)
    return torch.where(above, 1 - pixels_NCHW, pixels_NCHW)


def autocontrast(pixels_NCHW: Tensor) -> Tensor:
    """Each channel stretched from black to white; one of a single value stays as it is."""
    low, high = pixels_NCHW.amin(dim=(2, 3), keepdim=True), pixels_NCHW.amax((2, 3), keepdim=True)
    flat = high == low
    return torch.where(flat, pixels_NCHW, (pixels_NCHW - low) / (high - low + flat)).clamp_(0, 1)


def equalize(pixels_NCHW: Tensor) -> Tensor:
    """Each channel mapped so that all of 256 levels are about as frequent, as Pillow does it."""
    level_NCP = (pixels_NCHW.clamp(0, 1) * (_LEVELS - 1e-3)).long().flatten(2)
    count_NCL = level_NCP.new_zeros(*level_NCP.shape[:2], _LEVELS)
    count_NCL.scatter_add_(2, level_NCP, torch.ones_like(level_NCP))
    below_NCL = count_NCL.cumsum(dim=2) - count_NCL
    last_NC1 = count_NCL.gather(2, level_NCP.amax(dim=2, keepdim=True))
    step_NC1 = (level_NCP.shape[2] - last_NC1) // (_LEVELS - 1)
    table = (below_NCL + step_NC1 // 2) // step_NC1.clamp(min=1)
    table = table.clamp(max=_LEVELS - 1).where(step_NC1 > 0, torch.arange(_LEVELS).to(table))
    return (table.gather(2, level_NCP).to(pixels_NCHW) / (_LEVELS - 1)).view_as(pixels_NCHW)


def _grey(pixels_NCHW: Tensor) -> Tensor:
    """(N, 1, H, W)"""
    if pixels_NCHW.shape[1] != len(_LUMA):
        return pixels_NCHW.mean(dim=1, keepdim=True)
    red, green, blue = pixels_NCHW.unbind(1)
    return (red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]).unsqueeze(1)


def _blended(pixels_NCHW: Tensor, other: Tensor, factor_N: Tensor) -> Tensor:
    """From another image, at 0, over the image itself, at 1, and on."""
    return (other + (pixels_NCHW - other) * _each(factor_N, pixels_NCHW)).clamp_(0, 1)


def _each(value_N: Tensor, pixels_NCHW: Tensor) -> Tensor:
    return value_N.to(pixels_NCHW.device, pixels_NCHW.dtype).view(-1, 1, 1, 1)
