"""Decoded images, in memory or in a file that vanishes with this process.

Shapes: `N` images, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hpsearch.errors import DataError, line
from hpsearch.spec.sizes import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["InFile", "InMemory", "Pixels"]

_CAN_ADVISE = hasattr(os, "posix_fadvise")


class Pixels(Protocol):
    """Images of one size, uint8 (N, C, H, W), that are put one after the other."""

    def put(self, images: Sequence[NDArray[np.uint8]]) -> None:
        """Add the next ones."""

    def __call__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """Some of them, (B, C, H, W)."""


class InMemory:
    """Images in memory."""

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        self._images = np.empty((count, *shape), np.uint8)
        self._end = 0

    def put(self, images: Sequence[NDArray[np.uint8]]) -> None:
        """Add the next ones."""
        np.stack(images, out=self._images[self._end : self._end + len(images)])
        self._end += len(images)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some of them."""
        taken: NDArray[np.uint8] = self._images[rows]
        return taken


class InFile:
    """Images in a file without a name, which no process leaves behind however it ends.

    They are read where they are needed: a process that reads ahead takes hundreds of megabytes, and
    a batch takes longer on its way from there than to be read.
    """

    def __init__(self, count: int, shape: tuple[int, ...]) -> None:
        """Raises DataError where there is no room for it."""
        self._shape, self._bytes = shape, math.prod(shape)
        folder = _roomy()
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                _reserve(file.fileno(), count * self._bytes)
                self._fd = os.dup(file.fileno())
        except OSError as error:
            raise DataError(
                f"decoded, the images take {in_words(count * self._bytes)}, which {folder} has no "
                f"room for ({line(error)}): name another folder in the environment variable "
                "TMPDIR, or set a lower data.size or data.limit"
            ) from error
        self._end = 0

    def put(self, images: Sequence[NDArray[np.uint8]]) -> None:
        """Add the next ones."""
        data = np.stack(images)
        os.pwrite(self._fd, data.data, self._end * self._bytes)
        self._end += len(images)

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Some of them. Read, not mapped: mapped pages would count as memory of this process."""
        taken = np.empty((len(rows), *self._shape), np.uint8)
        if _CAN_ADVISE:  # the disk fetches all of them at once, not one after the other
            for row in rows.tolist():
                os.posix_fadvise(self._fd, row * self._bytes, self._bytes, os.POSIX_FADV_WILLNEED)
        for place, row in enumerate(rows.tolist()):
            os.preadv(self._fd, [taken[place].data], row * self._bytes)
        return taken

    def __del__(self) -> None:
        if "_fd" in self.__dict__:
            os.close(self._fd)


def _reserve(file: int, size: int) -> None:
    """Make a file so large; OSError where the disk has no room for it, as far as that is known."""
    if sys.platform == "linux":
        os.posix_fallocate(file, 0, max(size, 1))
    else:
        os.ftruncate(file, size)


def _roomy() -> str:
    """A folder for large files: /tmp is memory on many machines."""
    large = Path("/var/tmp")
    return str(large) if "TMPDIR" not in os.environ and large.is_dir() else tempfile.gettempdir()
