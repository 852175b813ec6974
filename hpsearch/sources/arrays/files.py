"""Arrays in files, opened without running what may be pickled in them.

A .npy file is mapped into memory: its rows are read from the disk where they are used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from hpsearch.errors import DataError, line
from hpsearch.files import open_regular

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["blocks", "check_numbers", "fingerprint", "names_in", "opened"]

T = TypeVar("T")

_BLOCK_BYTES = 1 << 24
_ZIP, _NPY = (b"PK\3\4", b"PK\5\6"), b"\x93NUMPY"
"""How files begin; a zip may also be without a file."""
_NOT_OF_NUMPY = ("BF16", "F8_", "F6_", "F4")
"""How the names of numbers begin that safetensors has and NumPy has not."""


def blocks(array: NDArray[Any]) -> Iterator[slice]:
    """The rows of an array in pieces of some megabytes: what is computed of them takes no more."""
    row = max(array[:1].nbytes, 1)
    step = max(_BLOCK_BYTES // row, 1)
    for start in range(0, len(array), step):
        yield slice(start, start + step)


def names_in(path: Path) -> tuple[str, ...]:
    """The names of the arrays in a file or in a folder of .npy files; none of a single .npy file.

    Raises DataError where it is neither.
    """
    if path.is_dir():
        return tuple(sorted(file.stem for file in path.glob("*.npy")))
    return _guarded(path, "", _names)


def opened(path: Path, name: str) -> NDArray[Any]:
    """An array of a file or folder, not all of it read; of a .npy file its only one.

    Raises DataError where it is missing, damaged, or holds Python objects.
    """
    if path.is_dir():
        file = path / name
        file = file if file.suffix == ".npy" else path / f"{name}.npy"
        if not file.is_file():
            raise _missing(path, name, [f"{present}.npy" for present in names_in(path)])
        return _guarded(file, name, _array)
    return _guarded(path, name, _array)


def _guarded(path: Path, name: str, read: Callable[[Path, str, BinaryIO], T]) -> T:
    try:
        with open_regular(path) as file:
            return read(path, name, file)
    except DataError:
        raise
    except (
        Exception
    ) as error:  # of damaged files NumPy, zipfile and safetensors raise of everything
        if any(word in str(error) for word in ("allow_pickle", "Python objects", "pickled")):
            what = f"{name} of {path}" if name else path
            raise DataError(
                f"{what} holds Python objects, which are never unpickled; save it as an array of "
                "numbers or of texts"
            ) from error
        raise DataError(f"cannot read the array {path}: {line(error)}") from error


def _start(file: BinaryIO) -> bytes:
    start = file.read(len(_NPY))
    file.seek(0)
    return start


def _names(path: Path, _: str, file: BinaryIO) -> tuple[str, ...]:
    start = _start(file)
    if start == _NPY:
        return ()
    if start.startswith(_ZIP):
        with np.load(file, allow_pickle=False) as arrays:
            names = tuple(arrays.files)
    elif path.suffix == ".safetensors":
        with _safetensors(path) as arrays:
            names = tuple(arrays.keys())
    else:
        raise DataError(
            f"{path} is none of .npy, .npz and .safetensors files, nor a folder of .npy"
        )
    if not names:
        raise DataError(f"{path} has no arrays")
    return names


def _array(path: Path, name: str, file: BinaryIO) -> NDArray[Any]:
    start = _start(file)
    if start == _NPY:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    names = _names(path, name, file)
    if name not in names:
        raise _missing(path, name, names)
    if start.startswith(_ZIP):
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return np.asarray(arrays[name])
    with _safetensors(path) as arrays:
        kind = arrays.get_slice(name).get_dtype()
        if kind.startswith(_NOT_OF_NUMPY):
            raise DataError(f"{name} of {path} is of {kind}, which NumPy lacks; save it as float32")
        return np.asarray(arrays.get_tensor(name))


def _safetensors(path: Path) -> Any:
    from safetensors import safe_open

    return safe_open(path, framework="numpy")


def _missing(path: Path, name: str, names: Any) -> DataError:
    listed = ", ".join(list(names)[:20]) or "none"
    return DataError(f"{path} has no array {name!r}; it has: {listed}")


def check_numbers(what: str, array: NDArray[Any]) -> None:
    """DataError unless it is an array of real numbers or truth values, one row or more, each of one
    number or more."""
    if array.dtype.kind not in "buif":
        raise DataError(f"{what} is of {array.dtype}; expected real numbers")
    if not array.size or not array.ndim:
        raise DataError(f"{what} has the shape {array.shape}: it is empty")


def fingerprint(arrays: Mapping[str, NDArray[Any]]) -> str:
    """A hash of arrays, by the name that an error calls each: every one is read once.

    Raises DataError for NaN and infinity.
    """
    digest = hashlib.sha256()
    for place, (what, array) in enumerate(arrays.items()):
        odd, first = 0, -1
        digest.update(f"{place} {array.dtype.str} {array.shape} ".encode())
        for rows in blocks(array):
            block = np.ascontiguousarray(array[rows])
            digest.update(block.view(np.uint8).data if block.dtype.kind != "U" else block.tobytes())
            if block.dtype.kind == "f" and not (finite := np.isfinite(block)).all():
                finite = finite.reshape(len(finite), -1)
                first = first if odd else rows.start + int(np.argmin(finite.all(axis=1)))
                odd += int(finite.size - finite.sum())
        if odd:
            values = "1 value that is" if odd == 1 else f"{odd:,} values that are"
            raise DataError(
                f"{what} has {values} NaN or infinite, the first in row {first} (from 0); replace "
                "them, or leave those rows out"
            )
    return digest.hexdigest()
