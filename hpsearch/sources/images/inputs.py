"""The inputs that are made of image files, for training and for predictions alike.

Shapes: `N` images, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpsearch.errors import DataError
from hpsearch.sources.imagefile import ARRAYS, images_of, read_array
from hpsearch.sources.images.decode import Picture, Shape
from hpsearch.sources.images.files import images_below
from hpsearch.sources.inputs import (
    Deviation,
    Finite,
    Floats,
    Given,
    ImageInputs,
    Shades,
    Unit,
    only_file,
    scaled_units,
)
from hpsearch.sources.unreadable import attempted, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["PictureInputs"]

_BRIGHTEST = 255


@dataclass(frozen=True)
class PictureInputs:
    """The inputs made of images of any size: resized, cropped and scaled."""

    shape: tuple[int, ...]
    """(C, H, W)"""
    crop: Literal["center", "none"]
    mean: tuple[Finite, ...]
    """(C,): what is taken from pixels of 0 to 255."""
    deviation: tuple[Deviation, ...]
    """(C,): what they are divided by after that."""
    kind: Literal["images"] = "images"

    def fault(self) -> str | None:
        """Why no inputs can be made by values that were read again; None for what is whole."""
        return self._pixels.fault()

    def shades(self) -> Shades:
        """What black and white become."""
        return self._pixels.shades()

    def __call__(self, images_NCHW: NDArray[Any]) -> Floats:
        """The inputs (N, C, H, W) of images of pixels in the network's size."""
        return self._pixels(images_NCHW)

    def encode(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """What makes inputs of such images on that device."""
        import torch

        mean, deviation = (
            torch.tensor(values, dtype=torch.float32, device=device).view(-1, 1, 1)
            for values in (self.mean, self.deviation)
        )
        return lambda images_NCHW: (images_NCHW.float() - mean).div_(deviation)

    def units(self) -> tuple[Unit, ...]:
        """What each channel is in the data's own terms."""
        return scaled_units(self.mean, self.deviation)

    def of_files(self, files: Sequence[Path]) -> Given:
        """The inputs of image files and of those in folders, or of the array in one file.

        Raises DataError where they are none.
        """
        if files[0].suffix in ARRAYS:
            path = only_file(files)
            images = images_of(str(path), read_array(path, self._pixels), self._pixels)
            return Given(self(images), source=str(path))
        paths, skipped = _expanded(files)
        shape = Shape.of(self.shape, self.crop)
        tried = [attempted(path, partial(Picture.of, shape=shape)) for path in paths]
        refuse([one for one in tried if isinstance(one, DataError)], len(paths))
        pictures = [one for one in tried if isinstance(one, Picture)]
        notes = [f"{name}: no image, left out" for name in skipped]
        return Given(
            self(np.stack([picture.pixels_CHW for picture in pictures])),
            (*notes, *Picture.notes(paths, pictures, shape)),
            names=tuple(map(str, paths)),
        )

    def of_rows(self, rows: Any) -> Given:
        """The inputs of an array (N, C, H, W), (N, H, W, C), or (N, H, W) for one channel, in the
        network's size."""
        return Given(self(images_of("the array", np.asarray(rows), self._pixels)))

    @property
    def _pixels(self) -> ImageInputs:
        """The same for images that have the network's size."""
        return ImageInputs(self.shape, _BRIGHTEST, self.mean, self.deviation)


def _expanded(files: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Image files, in folders too; and what is left out of the folders."""
    paths, skipped = list[Path](), list[str]()
    for file in files:
        if file.is_dir():
            inside = images_below(file)
            paths += [file / name for name in inside.images]
            skipped += [str(file / name) for name in inside.others]
        else:
            paths.append(file)
    if not paths:
        raise DataError(f"there is no image in {', '.join(map(str, files))}")
    return paths, skipped
