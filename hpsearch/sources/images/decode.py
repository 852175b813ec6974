"""One image file as pixels in the size that a network takes: the same for training and predictions.

Shapes: `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch import files
from hpsearch.errors import DataError, line
from hpsearch.sources.unreadable import ADVICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["Notes", "Picture", "Shape", "size_of", "sizes_of", "upright", "upright_size", "why"]

_MOST_BYTES = 1 << 28
"""Of one file. How many pixels it may claim is bounded by Pillow."""

_WHITE, _DEEPEST = 255, 65_535


@dataclass(frozen=True)
class Shape:
    """What images are made into."""

    channels: int
    height: int
    width: int
    crop: str
    """`center` or `none`."""

    @classmethod
    def of(cls, shape: Sequence[int], crop: str) -> Shape:
        """That of images (C, H, W)."""
        channels, height, width = shape
        return cls(channels, height, width, crop)

    @property
    def pixels(self) -> tuple[int, int, int]:
        """(C, H, W)"""
        return self.channels, self.height, self.width


@dataclass(frozen=True)
class Picture:
    """An image that was read."""

    pixels_CHW: NDArray[np.uint8]
    """From 0, black, to 255."""
    size: tuple[int, int]
    """Its own width and height."""
    digest: str
    """SHA-256 of the file."""
    remarks: tuple[str, ...]
    """What was done to it that nobody may expect."""

    @classmethod
    def of(cls, path: Path, shape: Shape) -> Picture:
        """Read a file. DataError, which names it, where that cannot be."""
        try:
            content = files.content(path, at_most=_MOST_BYTES)
            image, size, remarks = _opened(content, shape)
            pixels = np.asarray(_fitted(image, shape))
        except Exception as error:  # of damaged files Pillow raises of everything
            raise DataError(f"cannot read the image {path}: {why(error)}") from error
        pixels_CHW = pixels[None] if shape.channels == 1 else pixels.transpose(2, 0, 1)
        digest = hashlib.sha256(content).hexdigest()
        return cls(np.ascontiguousarray(pixels_CHW), size, digest, remarks)

    @staticmethod
    def notes(paths: Sequence[Path], pictures: Sequence[Picture], shape: Shape) -> Iterator[str]:
        """What was done to images that a reader should know, a sentence each."""
        notes = Notes(shape)
        for path, picture in zip(paths, pictures, strict=True):
            notes.add(path, picture)
        return iter(notes.lines())


class Notes:
    """What was done to images, of as many as come."""

    def __init__(self, shape: Shape) -> None:
        self._shape, self._count = shape, 0
        self._by_remark: dict[str, tuple[int, Path]] = {}
        self._sizes: dict[tuple[int, int], None] = {}
        self._resized = 0

    def add(self, path: Path, picture: Picture) -> None:
        """Take note of one."""
        self._count += 1
        for remark in picture.remarks:
            count, first = self._by_remark.get(remark, (0, path))
            self._by_remark[remark] = (count + 1, first)
        if picture.size != (self._shape.width, self._shape.height):
            self._resized += 1
            self._sizes[picture.size] = None

    def lines(self) -> list[str]:
        """A sentence each."""
        lines = [
            f"{self._of(count)}, such as {first}: {remark}"
            for remark, (count, first) in self._by_remark.items()
        ]
        if self._resized:
            lines.append(
                f"{self._of(self._resized)} of {sizes_of(self._sizes)} pixels resized to "
                f"{self._shape.width} x {self._shape.height}"
            )
        return lines

    def _of(self, count: int) -> str:
        return f"{count:,} of {self._count:,} images"


def size_of(path: Path) -> tuple[int, int]:
    """The width and the height of an image, read from its header. DataError for what is none."""
    from PIL import Image

    try:
        with files.open_regular(path) as file, Image.open(file) as image:
            return upright_size(image)
    except Exception as error:  # of damaged files Pillow raises of everything
        raise DataError(f"cannot read the image {path}: {why(error)}") from error


def why(error: Exception) -> str:
    """What is wrong with an image, without Python's name of the place in memory that it was in."""
    from PIL import UnidentifiedImageError

    if isinstance(error, DataError) or (isinstance(error, OSError) and error.errno):
        return line(error)
    is_none = isinstance(error, UnidentifiedImageError)
    what = "it is damaged, or no image" if is_none else line(error)
    return f"{what}{ADVICE}"


_FIRST_FRAME = "it has several frames, of which the first is taken"
_ON_WHITE = "transparent pixels are laid on white"

_ORIENTATION, _ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)
"""The tag of Exif that says how a camera was held, and its values that turn width to height."""


def upright_size(image: Image) -> tuple[int, int]:
    """The width and the height of an image when it is upright."""
    turned = image.getexif().get(_ORIENTATION, 1) in _ON_ITS_SIDE
    return (image.height, image.width) if turned else image.size


def _opened(content: bytes, shape: Shape) -> tuple[Image, tuple[int, int], tuple[str, ...]]:
    """The image upright, in 8 bits, grey or RGB; its own size, and what was done to it."""
    from PIL import Image

    mode = "L" if shape.channels == 1 else "RGB"
    with Image.open(io.BytesIO(content)) as image:
        size = upright_size(image)
        # JPEG can be unpacked at a half, a quarter or an eighth, in a fraction of the time.
        image.draft(None, (2 * max(shape.pixels[1:]),) * 2)
        flat, remarks = upright(image, mode)
    if flat.mode == "F":
        flat = Image.fromarray(np.rint(np.asarray(flat)).astype(np.uint8)).convert(mode)
    return flat, size, remarks


def upright(image: Image, mode: str) -> tuple[Image, tuple[str, ...]]:
    """An image of any mode, turned upright, and what was done to it that nobody may expect.

    Its pixels are from 0, black, to 255: in the mode `L` or `RGB` that is given; those of 16 bits,
    which lie between these numbers, as `F`. DataError for pixels of no known range.
    """
    from PIL import ImageOps

    frames = getattr(image, "n_frames", 1)
    flat, laid = _flat(ImageOps.exif_transpose(image), mode)
    did = (frames > 1, _FIRST_FRAME), (laid, _ON_WHITE)
    return flat, tuple(remark for done, remark in did if done)


def _flat(image: Image, mode: str) -> tuple[Image, bool]:
    """An image of any mode as `L`, `RGB` or `F`; whether transparent pixels were laid on white."""
    from PIL import Image as Pillow

    if image.mode == "F":
        raise DataError("it has floating-point pixels of no known range; save it with 8 or 16 bits")
    if image.mode.startswith("I"):  # Pillow would cut 16 bits off at 255
        deep = np.asarray(image, np.float64)
        if deep.min() < 0 or deep.max() > _DEEPEST:
            raise DataError("it has pixels of more than 16 bits; save it with 8 or 16")
        return Pillow.fromarray((deep * (_WHITE / _DEEPEST)).astype(np.float32)), False
    if not image.has_transparency_data:
        image = image.convert("RGB") if image.mode == "CMYK" else image
        return image.convert(mode), False
    layered = image.convert("RGBA")
    white = Pillow.new("RGBA", image.size, "white")
    whole = layered.getchannel("A").getextrema()[0] == _WHITE
    return Pillow.alpha_composite(white, layered).convert(mode), not whole


def _fitted(image: Image, shape: Shape) -> Image:
    """The image in the network's size."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    size, filter_ = (shape.width, shape.height), Resampling.BILINEAR
    if image.size == size:
        return image
    if shape.crop == "none":
        return image.resize(size, filter_)
    return ImageOps.fit(image, size, filter_)


def sizes_of(sizes: Iterable[tuple[int, int]]) -> str:
    """Widths and heights of images, as a range of each."""
    sides = ([*side] for side in zip(*sizes, strict=True))
    ranges = [(min(side), max(side)) for side in sides]
    return " x ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in ranges)
