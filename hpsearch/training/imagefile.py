"""Images from elsewhere, in the shape and the range that a network was trained on.

Shapes: `N` images, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import DataError, line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hpsearch.training.preprocessing import ImageInputs

__all__ = ["ARRAYS", "images_of", "read_array", "read_images"]

ARRAYS = (".npy", ".npz")
"""How the names of files end that hold arrays; any other file is one image."""

_FILE_BRIGHTEST = 255


def images_of(source: str, array: NDArray[Any], wanted: ImageInputs) -> NDArray[Any]:
    """(N, C, H, W), as `wanted` takes it.

    Args:
        source: What to call the array in an error.
        array: (N, C, H, W) or (N, H, W, C), or (N, H, W) where there is one channel. Numbers from
            0 to `wanted.brightest`, as the data set has them.
        wanted: What the network takes.

    Raises DataError for any other shape or range.
    """
    channels, height, width = wanted.shape
    images = np.asarray(array)
    if images.ndim == 3 and channels == 1:
        images = images[:, None]
    elif images.shape[1:] == (height, width, channels) != wanted.shape:
        images = images.transpose(0, 3, 1, 2)
    if images.shape[1:] != wanted.shape or not len(images):
        raise DataError(
            f"{source} has the shape {array.shape}; the network takes images "
            f"(N, {channels}, {height}, {width}), N of 1 or more"
        )
    if images.dtype.kind not in "uif" or not np.isfinite(images).all():
        raise DataError(f"{source} has other things than finite numbers in it")
    low, high = images.min(), images.max()
    if low < 0 or high > wanted.brightest or (images.dtype.kind == "f" and 0 < high <= 1):
        raise DataError(
            f"{source} has pixels from {low:g} to {high:g}; the network was trained on pixels "
            f"from 0, black, to {wanted.brightest}: give them in that range"
        )
    return images


def read_array(path: Path) -> NDArray[Any]:
    """The array of a .npy file, or the only one of a .npz file; DataError where there is none."""
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            if len(found.files) != 1:
                there = ", ".join(found.files) or "none"
                raise DataError(f"{path} has these arrays: {there}; give a file with one")
            return np.asarray(found[found.files[0]])
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the array {path}: {line(error)}") from error


def read_images(paths: Sequence[Path], wanted: ImageInputs) -> NDArray[np.float64]:
    """Image files as (N, C, H, W): grey for one channel, RGB for three, from 0 to the brightest.

    Raises DataError for what Pillow cannot read, and for an image of another size.
    """
    return np.stack([_read_image(path, wanted) for path in paths])


def _read_image(path: Path, wanted: ImageInputs) -> NDArray[np.float64]:
    from PIL import Image

    channels, height, width = wanted.shape
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"), np.float64)
    except (OSError, ValueError, SyntaxError) as error:  # of damaged files Pillow raises these
        raise DataError(f"cannot read the image {path}: {line(error)}") from error
    if pixels.shape[:2] != (height, width):
        raise DataError(
            f"{path} is of {pixels.shape[1]} x {pixels.shape[0]} pixels; the network takes "
            f"{width} x {height}"
        )
    scaled = pixels * wanted.brightest / _FILE_BRIGHTEST
    return scaled[None] if channels == 1 else scaled.transpose(2, 0, 1)
