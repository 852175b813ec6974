"""Images from elsewhere, in the shape and the range that a network was trained on.

Shapes: `N` images, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

import math
import os
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import DataError, line
from hpsearch.files import open_regular
from hpsearch.sources.images.decode import upright, upright_size, why
from hpsearch.sources.unreadable import attempted, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

    from hpsearch.sources.inputs import ImageInputs

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
    images = np.asarray(array)
    order = _order(source, images.shape, wanted)
    images = images[:, None] if order is None else images.transpose(order)
    if images.dtype.kind not in "uif" or not np.isfinite(images).all():
        raise DataError(f"{source} has other things than finite numbers in it")
    low, high = images.min(), images.max()
    if low < 0 or high > wanted.brightest or (images.dtype.kind == "f" and 0 < high <= 1):
        raise DataError(
            f"{source} has pixels from {low:g} to {high:g}; the network was trained on pixels "
            f"from 0, black, to {wanted.brightest}: give them in that range"
        )
    return images


def _order(source: str, shape: tuple[int, ...], wanted: ImageInputs) -> tuple[int, ...] | None:
    """The axes of an array in the order (N, C, H, W); None: it has no C, which is to be 1.

    Raises DataError for a shape that the network does not take.
    """
    channels, height, width = wanted.shape
    if len(shape) > 1 and shape[0]:
        if shape[1:] == wanted.shape:
            return (0, 1, 2, 3)
        if shape[1:] == (height, width, channels):
            return (0, 3, 1, 2)
        if shape[1:] == (height, width) and channels == 1:
            return None
    raise DataError(
        f"{source} has the shape {shape}; the network takes images "
        f"(N, {channels}, {height}, {width}), N of 1 or more"
    )


_MOST_BYTES = 1 << 30
"""What the array of a .npz file may unpack to: two megabytes can hold two gigabytes."""


def read_array(path: Path, wanted: ImageInputs) -> NDArray[Any]:
    """The array of a .npy file, or the only one of a .npz file.

    Its shape is read, and held against what the network takes, before any of its data: a few bytes
    can claim a terabyte. Raises DataError where there is none, or of another shape.
    """
    try:
        with open_regular(path) as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as packed:
                    return _unpacked(path, packed, wanted)
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            claimed = _claimed(path, file, wanted)
            if file.tell() + claimed > size:
                raise DataError(
                    f"{path} says that it holds {claimed:,} bytes of numbers, and has "
                    f"{size - file.tell():,}; it is cut off or damaged"
                )
            file.seek(0)
            return np.asarray(np.load(file, allow_pickle=False))
    except DataError:
        raise
    except Exception as error:  # of damaged files NumPy and zipfile raise of everything
        raise DataError(f"cannot read the array {path}: {line(error)}") from error


def _unpacked(path: Path, packed: zipfile.ZipFile, wanted: ImageInputs) -> NDArray[Any]:
    names = packed.namelist()
    if len(names) != 1:
        arrays = ", ".join(name.removesuffix(".npy") for name in names) or "none"
        raise DataError(f"{path} has these arrays: {arrays}; give a file with one")
    size = packed.getinfo(names[0]).file_size
    with packed.open(names[0]) as file:
        claimed = _claimed(path, file, wanted)
    if max(claimed, size) > _MOST_BYTES:
        raise DataError(
            f"{path} unpacks to {max(claimed, size):,} bytes, and at most {_MOST_BYTES:,} are "
            "taken at a time: give it in parts, or as .npy"
        )
    with packed.open(names[0]) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _claimed(path: Path, file: IO[bytes], wanted: ImageInputs) -> int:
    """How many bytes of numbers the header of an array announces, in a shape that is wanted."""
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise DataError(f"cannot read the array {path}: it holds Python objects, not numbers")
    _order(str(path), shape, wanted)
    return math.prod(shape) * dtype.itemsize


def read_images(
    paths: Sequence[Path], wanted: ImageInputs
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Image files as (N, C, H, W): grey for one channel, RGB for three, from 0 to the brightest.

    Beside them what was done that a reader should know, a sentence each. Raises DataError for what
    Pillow cannot read, and for an image of another size.
    """
    tried = [attempted(path, lambda path: _read_image(path, wanted)) for path in paths]
    refuse([one for one in tried if isinstance(one, DataError)], len(paths))
    read = [one for one in tried if not isinstance(one, DataError)]
    return np.stack([pixels for pixels, _ in read]), tuple(_notes(paths, [did for _, did in read]))


def _notes(paths: Sequence[Path], did: Sequence[Sequence[str]]) -> Iterator[str]:
    for what in dict.fromkeys(what for of_image in did for what in of_image):
        which = [path for path, of_image in zip(paths, did, strict=True) if what in of_image]
        count = f"{len(which)} of {len(paths)} images, such as " if len(paths) > 1 else ""
        yield f"{count}{which[0]}: {what}"


def _read_image(path: Path, wanted: ImageInputs) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    channels, height, width = wanted.shape
    flat: Image | None = None
    did: tuple[str, ...] = ()
    try:
        with _open_image(path) as image:
            size = image.size  # known before its pixels are unpacked
            if sorted(size) == sorted((width, height)):
                size = upright_size(image)
            if size == (width, height):
                flat, did = upright(image, "L" if channels == 1 else "RGB")
    except Exception as error:  # of damaged files Pillow raises of everything
        raise DataError(f"cannot read the image {path}: {why(error)}") from error
    if flat is None:
        raise DataError(
            f"{path} is of {size[0]} x {size[1]} pixels; the network takes {width} x {height}"
        )
    pixels = np.asarray(flat, np.float64) * wanted.brightest / _FILE_BRIGHTEST
    pixels_CHW = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.broadcast_to(pixels_CHW, wanted.shape), did  # 16 bits are grey


@contextmanager
def _open_image(path: Path) -> Iterator[ImageFile]:
    """The image with its header read. Pillow's own limit of pixels is off for that moment: it
    would be a warning or an error without the size, which the caller looks at."""
    from PIL import Image

    open_regular(path).close()  # Pillow would wait for a pipe
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        image = Image.open(path)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    with image:
        yield image
