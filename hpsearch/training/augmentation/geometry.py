"""Operations that move pixels, or black them out; see `spec.augmentation.Operation`.

Shapes: `N` images, `C` channels, `H` height, `W` width. Each is held against torchvision's of the
same name by the tests.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.spec.conflicts import SettingsError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "blackened", "crop", "erase", "flip", "flip_vertical", "mapped", "moved", "resized", "rotate",
    "scale", "turn",
]  # fmt: skip

_RATIO = 3 / 4, 4 / 3
"""Width to height of what `scale` cuts out: torchvision's `RandomResizedCrop`."""
_AREA, _ERASED_RATIO = (0.02, 0.33), (0.3, 3.3)
"""Share of the area, and height to width, of what `erase` blackens: Zhong et al., "Random erasing
data augmentation" (2017), and torchvision's `RandomErasing`."""


def flip(pixels_NCHW: Tensor, draws_N1: Tensor, on_N: Tensor) -> Tensor:
    """Mirror half of the images, left to right."""
    return _mirrored(pixels_NCHW, 3, draws_N1[:, 0] * on_N >= 0.5)


def flip_vertical(pixels_NCHW: Tensor, draws_N1: Tensor, on_N: Tensor) -> Tensor:
    """Mirror half of the images, top to bottom."""
    return _mirrored(pixels_NCHW, 2, draws_N1[:, 0] * on_N >= 0.5)


def _mirrored(pixels_NCHW: Tensor, axis: int, chosen_N: Tensor) -> Tensor:
    chosen = chosen_N.to(pixels_NCHW.device).view(-1, 1, 1, 1)
    return torch.where(chosen, pixels_NCHW.flip(axis), pixels_NCHW)


def crop(pixels_NCHW: Tensor, draws_N2: Tensor, most_N: Tensor) -> Tensor:
    """Move each image by up to so many whole pixels: torchvision's `RandomCrop` with that padding.

    Raises SettingsError where that could move all of it out of sight.
    """
    most, (height, width) = int(most_N.max()), pixels_NCHW.shape[2:]
    if most >= min(height, width):
        raise SettingsError(
            f"crop {most} moves images of {width} x {height} out of sight; lower it to "
            f"{min(height, width) // 4} or less"
        )
    steps_N2 = (draws_N2 * (2 * most_N + 1).unsqueeze(1)).floor() - most_N.unsqueeze(1)
    return moved(pixels_NCHW, steps_N2.long(), most)


def moved(pixels_NCHW: Tensor, steps_N2: Tensor, most: int) -> Tensor:
    """Images moved down and to the right by so many pixels, int64, each at most `most`."""
    height, width = pixels_NCHW.shape[2:]
    padded = F.pad(pixels_NCHW, (most, most, most, most))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    top_N, left_N = (most - steps_N2).to(pixels_NCHW.device).unbind(1)
    every_N = torch.arange(len(windows), device=windows.device)
    return windows[every_N, :, top_N, left_N]


def rotate(pixels_NCHW: Tensor, draws_N1: Tensor, most_N: Tensor) -> Tensor:
    """Turn each image about its middle by up to so many degrees to either side."""
    angle_N = (2 * draws_N1[:, 0] - 1) * most_N * (math.pi / 180)
    still_N = torch.zeros_like(angle_N)
    return mapped(pixels_NCHW, torch.stack([*turn(angle_N), still_N, still_N], dim=1))


def turn(angle_N: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The first four numbers of the map that turns images to the left by so many radians."""
    cos_N, sin_N = angle_N.cos(), angle_N.sin()
    return cos_N, -sin_N, sin_N, cos_N


def mapped(pixels_NCHW: Tensor, map_N6: Tensor) -> Tensor:
    """Images under affine maps, bilinear between pixels; what comes in is black.

    A map is (a, b, c, d, right, below): what comes to be x to the right of the middle and y below
    it was at (a x + b y + right, c x + d y + below) before, in pixels.
    """
    height, width = pixels_NCHW.shape[2:]
    # The sampler counts from -1 to 1, from one edge of the image to the other.
    unit = torch.tensor([2 / width, 2 / width, 2 / height, 2 / height, 2 / width, 2 / height])
    a, b, c, d, right, below = (map_N6 * unit).unsqueeze(2).unbind(1)
    x_W, y_H = _places(width), _places(height)
    across_NW = torch.complex(a * x_W + right, c * x_W + below)
    return _sampled(pixels_NCHW, across_NW, torch.complex(b * y_H, d * y_H))


def _sampled(
    pixels_NCHW: Tensor, across_NW: Tensor, down_NH: Tensor, outside: str = "zeros"
) -> Tensor:
    """Images whose pixels come each from the sum of a place of its column and one of its row, as
    `torch.nn.functional.grid_sample` counts them: places are complex numbers, across and down, so
    that one call adds both coordinates and leaves them side by side."""
    kind = pixels_NCHW.dtype.to_complex()
    across, down = (places.to(pixels_NCHW.device, kind) for places in (across_NW, down_NH))
    grid_NHW2 = torch.view_as_real(across.unsqueeze(1) + down.unsqueeze(2))
    return F.grid_sample(pixels_NCHW, grid_NHW2, padding_mode=outside, align_corners=False)


def _places(count: int) -> Tensor:
    """How far the middles of so many pixels in a row are from the middle of all."""
    return torch.arange(count) - (count - 1) / 2


def scale(pixels_NCHW: Tensor, draws_N4: Tensor, least_N: Tensor) -> Tensor:
    """Enlarge a part of each image, of that share of its area at least, to the whole.

    A part that is longer than the image is cut short, where torchvision draws another one.
    """
    height, width = pixels_NCHW.shape[2:]
    share_N, ratio_N, top_N, left_N = draws_N4.unbind(1)
    area_N = (least_N + share_N * (1 - least_N)) * (height * width)
    sides_N2 = _sides(area_N, 1 / _between(ratio_N, *_RATIO), (height, width))
    free_N2 = torch.tensor([height, width]) - sides_N2
    corner_N2 = (torch.stack([top_N, left_N], dim=1) * (free_N2 + 1)).floor()
    return resized(pixels_NCHW, corner_N2, sides_N2)


def resized(pixels_NCHW: Tensor, corner_N2: Tensor, sides_N2: Tensor) -> Tensor:
    """Parts of images, by their upper left corners and their heights and widths in pixels, enlarged
    to the whole: bilinear, as `torch.nn.functional.interpolate` does it."""
    places = []
    for axis, count in enumerate(pixels_NCHW.shape[2:]):
        corner_N1, side_N1 = (
            part[:, axis : axis + 1] * (2 / count) for part in (corner_N2, sides_N2)
        )
        steps = torch.arange(0.5, count) / count
        within = (side_N1 * steps - 1 / count).clamp_(min=0).minimum(side_N1 - 2 / count)
        places.append(within + (corner_N1 + (1 / count - 1)))
    down_NH, across_NW = places
    return _sampled(pixels_NCHW, across_NW + 0j, down_NH * 1j, "border")


def erase(pixels_NCHW: Tensor, draws_N5: Tensor, share_N: Tensor) -> Tensor:
    """Blacken a rectangle of that share of the images."""
    height, width = pixels_NCHW.shape[2:]
    chosen_N, area_N, ratio_N, top_N, left_N = draws_N5.unbind(1)
    low, high = _AREA
    area_N = (low + area_N * (high - low)) * (height * width)
    sides_N2 = _sides(area_N, _between(ratio_N, *_ERASED_RATIO), (height, width))
    sides_N2 = sides_N2 * (chosen_N < share_N).unsqueeze(1)
    free_N2 = torch.tensor([height, width]) - sides_N2
    corner_N2 = (torch.stack([top_N, left_N], dim=1) * (free_N2 + 1)).floor()
    return blackened(pixels_NCHW, corner_N2, sides_N2)


def blackened(pixels_NCHW: Tensor, corner_N2: Tensor, sides_N2: Tensor) -> Tensor:
    """Images with black rectangles, by their upper left corners and their heights and widths."""
    within = []
    for axis, count in enumerate(pixels_NCHW.shape[2:]):
        place, first = torch.arange(count), corner_N2[:, axis].unsqueeze(1)
        inside = (place >= first) & (place < first + sides_N2[:, axis].unsqueeze(1))
        within.append(inside.to(pixels_NCHW).unsqueeze(1).unsqueeze(3 - axis))
    return pixels_NCHW.mul_(1 - within[0] * within[1])


def _sides(area_N: Tensor, ratio_N: Tensor, shape: tuple[int, int]) -> Tensor:
    """Heights and widths (N, 2), in whole pixels, of rectangles of an area whose height is so many
    times their width, none longer than the image."""
    sides_N2 = torch.stack([(area_N * ratio_N).sqrt(), (area_N / ratio_N).sqrt()], dim=1)
    return sides_N2.round().clamp(min=1).minimum(torch.tensor(shape))


def _between(draws_N: Tensor, low: float, high: float) -> Tensor:
    """Numbers between two ends, uniform in the exponent."""
    return low * (high / low) ** draws_N
