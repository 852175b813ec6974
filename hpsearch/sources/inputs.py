"""What is done to data before a network sees it: learnt from training rows, then frozen.

Training and prediction go through the same objects. They are plain values: written as JSON and
read again they give the same inputs to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hpsearch.errors import DataError, line
from hpsearch.files import open_regular
from hpsearch.sources.scaling import deviations
from hpsearch.spec.problem import Kind
from hpsearch.spec.source import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import Tensor

__all__ = [
    "TABLE", "ArrayRows", "ColumnInputs", "Described", "Deviation", "Finite", "Floats", "Frame",
    "Given", "ImageInputs", "Inputs", "Known", "Packed", "Reading", "RowInputs", "Shaded", "Shades",
    "Tabled", "TokenInputs", "Unit", "Values", "Worded", "blamed", "finite", "fit_images",
    "fit_rows", "mappings", "only_file", "scaled_units",
]  # fmt: skip

Floats = NDArray[np.float32]
Values = NDArray[Any]
"""Inputs of a network: float32, or int64 for tokens."""

# What is read again from a file may have been changed there.
Finite = Annotated[float, Field(allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]

TABLE = "the table"
"""What a table in memory is called in an error."""


def blamed(source: str, error: DataError) -> DataError:
    """The error of rows that a source has, which is named in it once."""
    return DataError(str(error) if str(error).startswith(source) else f"{source}: {error}")


@dataclass(frozen=True)
class Known:
    """Targets that came with rows to predict, by which the predictions are scored."""

    targets: NDArray[Any]
    """(M,): int64 class indices, or float64 numbers in their own unit."""
    rows: NDArray[np.int64]
    """(M,): the rows that they are of, counted from 0."""


@dataclass(frozen=True)
class Given:
    """Rows to predict, as inputs of the network."""

    inputs: Values
    """(N, *shape)."""
    notes: tuple[str, ...] = ()
    """What they have that training had not, a sentence each."""
    known: Known | None = None
    unscored: str = ""
    """Why the predictions cannot be scored, though the rows have a target."""
    source: str = "the images"
    """What to call the rows in an error."""
    names: tuple[str, ...] = ()
    """What each row is called in the predictions; none: they have no names."""
    named: str = "file"
    """What the names are of: the head of their column."""
    fingerprint: str = ""
    """As that of the study's data, where the rows are a whole file; "" where that is not known."""


class Inputs(Protocol):
    """How the rows of a source become inputs: learnt from training rows, plain values.

    A frozen dataclass that pydantic can read again from the JSON of its fields.
    """

    @property
    def kind(self) -> Kind:
        """What one input is."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input, without the batch."""

    def fault(self) -> str | None:
        """Why no inputs can be made by values that were read again; None for what is whole."""

    def __call__(self, raw: Any, /) -> Values:
        """The inputs (N, *shape) of what `Raw.take` gives."""

    def of_files(self, files: Sequence[Path], /) -> Given:
        """The inputs of files that somebody wants predictions of; DataError for other files."""

    def of_rows(self, rows: Any, /) -> Given:
        """The inputs of rows in memory; DataError for rows of another kind."""


@runtime_checkable
class TokenInputs(Inputs, Protocol):
    """Inputs that can be tokens: int64 (N, T), of which 0 is padding and 1 an unknown word."""

    @property
    def vocabulary(self) -> int:
        """How many different tokens there are, those two included; 0 where inputs are others."""


@runtime_checkable
class ColumnInputs(Inputs, Protocol):
    """Inputs that are made of the cells of a table."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table to predict has to have."""


@runtime_checkable
class ArrayRows(Inputs, Protocol):
    """Inputs whose rows in memory are an array of another shape than the inputs'."""

    @property
    def given(self) -> tuple[int, ...]:
        """The shape of one row, as the array has it."""


@runtime_checkable
class Packed(Protocol):
    """Inputs whose rows stay bytes, on the device too, until a batch of them is needed.

    So they take a quarter of the room, and in return each batch takes a little longer.
    """

    def encode(self, device: torch.device, /) -> Callable[[Tensor], Tensor]:
        """What makes inputs, float32 (B, *shape), of rows on that device as `Raw.take` gives them,
        uint8 (B, *shape): to the last bit those that a call gives."""


@dataclass(frozen=True)
class Unit:
    """What one number of an input is in the data's own terms: `number * deviation + mean`."""

    name: str
    """What its column is called; "" where it has no name."""
    mean: float = 0.0
    deviation: float = 1.0


def scaled_units(mean: Sequence[float], deviation: Sequence[float]) -> tuple[Unit, ...]:
    """The units of numbers without names."""
    return tuple(Unit("", *pair) for pair in zip(mean, deviation, strict=True))


@runtime_checkable
class Described(Inputs, Protocol):
    """Inputs that can be shown as the data has them."""

    def units(self) -> tuple[Unit, ...]:
        """One for each column of rows, channel of images, or number of a step of sequences; none
        where inputs are tokens."""


@runtime_checkable
class Tabled(Inputs, Protocol):
    """Inputs that are made of the columns of a table, and can be read as its cells again."""

    def cells(self, inputs_ND: Any, /) -> dict[str, list[str]]:
        """The cells of each column of rows of inputs (N, D); none where inputs are tokens."""


@runtime_checkable
class Worded(Inputs, Protocol):
    """Inputs that can be tokens, and can be read as words again."""

    def texts(self, tokens_NT: Any, /) -> list[str]:
        """The words of each row of tokens (N, T)."""


@dataclass(frozen=True)
class Shades:
    """What inputs a black and a white pixel become: between them those of all others lie evenly."""

    black: tuple[float, ...]
    """(C,)"""
    white: tuple[float, ...]
    """(C,)"""

    @classmethod
    def of(
        cls, mean: Sequence[float], deviation: Sequence[float], ends: tuple[float, float]
    ) -> Shades:
        """Those of images scaled by a mean and a deviation of each channel, and black and white
        before that."""
        black, white = (
            tuple((end - m) / d for m, d in zip(mean, deviation, strict=True)) for end in ends
        )
        return cls(black, white)


@runtime_checkable
class Shaded(Protocol):
    """Inputs that may be images of which it is known what is black and white, so that they can be
    augmented."""

    def shades(self) -> Shades | None:
        """What black and white become; None where inputs are no images, or that is not known."""


@runtime_checkable
class Frame(Protocol):
    """A table in memory, such as a pandas DataFrame; pandas itself is not needed here."""

    def to_csv(self, *, index: bool) -> str:
        """The table as a file has it, without the rows' own names."""


@dataclass(frozen=True)
class Reading:
    """Gives rows by their numbers as they are stored: as inputs, or as bytes that stay packed."""

    take: Callable[[Any], Any]
    """That of `Raw`."""
    inputs: Inputs
    source: str
    """What to call the data in an error."""
    origin: str
    """The name of the `Source`."""

    @property
    def packed(self) -> bool:
        """Whether rows stay bytes."""
        return isinstance(self.inputs, Packed)

    @property
    def item_bytes(self) -> int:
        """Of each number that is stored."""
        return 1 if self.packed else 8 if self.inputs.kind == "tokens" else 4

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(B, *shape): float32, int64 for tokens, or uint8 for bytes.

        Raises DataError where they are too large to compute with, and CodeError where a source of
        an installed package fails.
        """
        with SOURCES.blamed(self.origin):
            return self._read(rows)

    def _read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        raw = self.take(rows)
        with np.errstate(all="ignore"):  # an overflow is an error here
            inputs = np.asarray(raw) if self.packed else self.inputs(raw)
        is_array = isinstance(raw, np.ndarray)
        for what, values in (("take", raw if is_array else inputs), ("what inputs make", inputs)):
            if len(values) != len(rows):
                raise ValueError(f"{what} gives {len(values)} rows, and {len(rows)} were asked for")
        if self.packed:
            return inputs
        came = raw if is_array and raw.dtype.kind == "f" else inputs
        return finite(
            inputs, self.source, columns=SOURCES[self.origin].has_columns, rows=rows, came=came
        )


def finite(
    numbers: Floats, source: str, *, columns: bool = True,
    rows: NDArray[np.int64] | None = None, came: NDArray[Any] | None = None,
) -> Floats:  # fmt: skip
    """The same numbers; DataError, which names `source`, where some are not finite.

    Args:
        numbers: (N, ...)
        source: What to call the data.
        columns: Whether `data.ignore` can leave a column out: then that is advised, and else a row
            is named.
        rows: (N,): the numbers of the rows in the data; by default 0, 1, 2 ...
        came: (N, ...): what the numbers were made of. One row that is NaN makes all others so by
            their mean.
    """
    if np.isfinite(numbers).all():
        return numbers
    if columns:
        raise DataError(
            f"{source} has numbers too large to compute with; "
            "scale that column down, or leave it out with data.ignore"
        )
    for values in (numbers if came is None else came, numbers):
        flat = values.reshape(len(values), -1)
        for bad, what in (
            (np.isnan(flat), "NaN, which is no number"),
            (np.isinf(flat), "a number too large to compute with"),
        ):
            if (wrong := bad.any(axis=1)).any():
                first = int(wrong.argmax())
                number = first if rows is None else rows[first]
                others = f"; {wrong.sum() - 1:,} other rows too" if wrong.sum() > 1 else ""
                raise DataError(f"{source}: row {number}, counted from 0, has {what}{others}")
    return numbers


def mappings(rows: Any) -> tuple[tuple[str, ...], list[list[str]]]:
    """The columns' names, and the cells of each row as texts, of one mapping a row.

    A missing value, or one that is None, is ''. DataError for rows of another kind.
    """
    given = list(rows) if isinstance(rows, Iterable) else [rows]  # csv.DictReader gives them once
    if not all(isinstance(row, Mapping) for row in given):
        raise DataError(
            "expected a DataFrame, or rows of a table, each a mapping from the columns' names"
        )
    names = tuple(dict.fromkeys(name for row in given for name in row))
    return names, [[_text(row.get(name)) for name in names] for row in given]


def _text(value: object) -> str:
    return "" if value is None else str(value)


def only_file(files: Sequence[Path]) -> Path:
    """The one file of `files`; DataError where there are more."""
    if len(files) > 1:
        raise DataError(f"give one table or array at a time; got {len(files)} files")
    return files[0]


@dataclass(frozen=True)
class ImageInputs:
    """The inputs made of images: each channel scaled to mean 0 and deviation 1."""

    shape: tuple[int, ...]
    """The shape of one image: (C, H, W)."""
    brightest: Annotated[int, Field(gt=0)]
    """Pixels are from 0, black, to this."""
    mean: tuple[Finite, ...]
    """(C,)"""
    deviation: tuple[Deviation, ...]
    """(C,)"""
    kind: Literal["images"] = "images"

    def fault(self) -> str | None:
        """Why no inputs can be made by values that were read again; None for what is whole."""
        whole = len(self.shape) == 3 and (len(self.mean) == len(self.deviation) == self.shape[0])
        return None if whole else "expected a mean and a deviation for each channel"

    def shades(self) -> Shades:
        """What black and white become."""
        return Shades.of(self.mean, self.deviation, (0, self.brightest))

    def __call__(self, images_NCHW: NDArray[Any]) -> Floats:
        """The inputs (N, C, H, W) of images of pixels."""
        encoded: Floats = images_NCHW.astype(np.float32)
        encoded -= np.array(self.mean, np.float32)[:, None, None]
        encoded /= np.array(self.deviation, np.float32)[:, None, None]
        return encoded

    def units(self) -> tuple[Unit, ...]:
        """What each channel is in the data's own terms."""
        return scaled_units(self.mean, self.deviation)

    def of_files(self, files: Sequence[Path]) -> Given:
        """The inputs of the array in one file, or of image files, a row each.

        Raises DataError where they are not what the network takes.
        """
        from hpsearch.sources.imagefile import ARRAYS, images_of, read_array, read_images

        if files[0].suffix not in ARRAYS:
            images, notes = read_images(files, self)
            return Given(self(images), notes, names=tuple(map(str, files)))
        path = only_file(files)
        return Given(self(images_of(str(path), read_array(path, self), self)))

    def of_rows(self, rows: Any) -> Given:
        """The inputs of an array (N, C, H, W), (N, H, W, C), or (N, H, W) for one channel."""
        from hpsearch.sources.imagefile import images_of

        return Given(self(images_of("the array", np.asarray(rows), self)))


def fit_images(images_NCHW: NDArray[np.uint8], brightest: int) -> ImageInputs:
    """What the training images (N, C, H, W) teach; a channel of one colour keeps its deviation of 0
    as 1. DataError for another shape."""
    if images_NCHW.ndim != 4:
        raise DataError(f"the images have the shape {images_NCHW.shape}; expected (N, C, H, W)")
    images = images_NCHW.astype(np.float32)
    mean = images.mean(axis=(0, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    images -= mean
    variance = (images**2).mean(axis=(0, 2, 3), dtype=np.float64)
    shape, mean = tuple(images.shape[1:]), mean.ravel()
    count = len(images) * shape[1] * shape[2]
    scale = deviations(mean, variance, count).astype(np.float32)
    return ImageInputs(shape, brightest, _plain(mean), _plain(scale))


def _plain(array: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in array)


@dataclass(frozen=True)
class RowInputs:
    """The inputs made of rows of numbers: each column scaled to mean 0 and deviation 1."""

    mean: tuple[Finite, ...]
    """(D,)"""
    deviation: tuple[Deviation, ...]
    """(D,); 1 where all values are the same."""
    kind: Literal["rows"] = "rows"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row: (D,)."""
        return (len(self.mean),)

    def fault(self) -> str | None:
        """Why no inputs can be made by values that were read again; None for what is whole."""
        whole = len(self.mean) == len(self.deviation) > 0
        return None if whole else "expected a mean and a deviation for each column"

    def __call__(self, rows_ND: NDArray[Any]) -> Floats:
        """The inputs (N, D) of rows of numbers."""
        scaled: Floats = ((rows_ND - self.mean) / self.deviation).astype(np.float32)
        return scaled

    def units(self) -> tuple[Unit, ...]:
        """What each column is in the data's own terms."""
        return scaled_units(self.mean, self.deviation)

    def of_files(self, files: Sequence[Path]) -> Given:
        """The inputs of the array (N, D) in a .npy file; DataError for another."""
        path = only_file(files)
        try:
            with open_regular(path) as file:
                rows_ND = np.load(file, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"cannot read the array {path}: {line(error)}") from error
        return self._given(str(path), rows_ND)

    def of_rows(self, rows: Any) -> Given:
        """The inputs of an array (N, D); DataError for another."""
        return self._given("the array", np.asarray(rows))

    def _given(self, source: str, rows_ND: NDArray[Any]) -> Given:
        if rows_ND.dtype.kind not in "uif" or rows_ND.shape[1:] != self.shape or not len(rows_ND):
            raise DataError(
                f"{source} has the shape {rows_ND.shape} of {rows_ND.dtype}; the network takes "
                f"rows of numbers (N, {len(self.mean)}), N of 1 or more"
            )
        return Given(self(rows_ND), source=source)


def fit_rows(rows_ND: NDArray[Any]) -> RowInputs:
    """What the training rows (N, D) teach of numbers; DataError for another shape."""
    if rows_ND.ndim != 2:
        raise DataError(
            f"the rows have the shape {rows_ND.shape}; expected rows of numbers (N, D). Sequences "
            "(N, T, D) are learnt by hpsearch.sources.arrays.inputs:fit_sequences, images by "
            "fit_images"
        )
    rows = rows_ND.astype(np.float64)
    mean = rows.mean(axis=0)
    scale = deviations(mean, rows.var(axis=0), len(rows))
    return RowInputs(tuple(map(float, mean)), tuple(map(float, scale)))
