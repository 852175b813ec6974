"""The rows of an array as inputs of a network, in training and in prediction.

Shapes: `N` rows, `C` channels, `H` height, `W` width, `T` steps, `D` numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpsearch.errors import DataError
from hpsearch.sources.arrays.files import blocks, check_numbers, fingerprint, names_in, opened
from hpsearch.sources.arrays.targets import indices
from hpsearch.sources.inputs import (
    Deviation,
    Finite,
    Floats,
    Given,
    Known,
    Shades,
    Unit,
    only_file,
    scaled_units,
)
from hpsearch.sources.scaling import deviations

if TYPE_CHECKING:
    from hpsearch.sources.raw import Rows

__all__ = ["ArrayInputs", "ArrayKind", "Layout", "Selection", "fit", "fit_sequences"]

ArrayKind = Literal["rows", "images", "sequences"]


@dataclass(frozen=True)
class Layout:
    """What one row of an array is: plain values."""

    kind: ArrayKind
    given: tuple[int, ...]
    """The shape of one row, as the array has it."""
    channels_last: bool = False
    """Whether it is an image (H, W, C)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: (D,), (C, H, W) or (T, D)."""
        if self.kind == "rows":
            return (math.prod(self.given),)
        if self.kind == "sequences":
            return self.given
        if len(self.given) == 2:
            return (1, *self.given)
        return (self.given[2], *self.given[:2]) if self.channels_last else self.given

    @property
    def scaled(self) -> int:
        """The axis of `shape` along which each place has a scale of its own: a column, a channel,
        or one of the numbers of a step."""
        return 1 if self.kind == "sequences" else 0

    def arranged(self, array: NDArray[Any]) -> NDArray[Any]:
        """(N, *given) as (N, *shape)."""
        if self.channels_last:
            return array.transpose(0, 3, 1, 2)
        return array.reshape(len(array), *self.shape)


@dataclass(frozen=True)
class Selection:
    """Some rows of an array."""

    array: NDArray[Any]
    rows: Rows

    @classmethod
    def whole(cls, array: NDArray[Any]) -> Selection:
        """All rows of an array."""
        return cls(array, np.arange(len(array)))

    def blocks(self, layout: Layout) -> Any:
        """Pieces of them, float64 (n, *layout.shape), and where each is among them."""
        for piece in blocks(np.broadcast_to(self.array[:1], (len(self.rows), *layout.given))):
            yield piece, layout.arranged(self.array[self.rows[piece]]).astype(np.float64)


@dataclass(frozen=True)
class ArrayInputs:
    """The inputs made of an array, scaled to mean 0 and deviation 1: plain values."""

    layout: Layout
    mean: tuple[Finite, ...]
    """Of each column of rows, channel of images, or number of a step of sequences."""
    deviation: tuple[Deviation, ...]
    """The same; 1 where all values are the same."""
    names: tuple[str, str] = ("X", "y")
    """Of the arrays of inputs and targets."""
    classes: tuple[str, ...] = ()
    """Names of the classes; none where the target is a number."""
    ends: tuple[Finite, Finite] | None = None
    """Of images: the values of black and white. None of other inputs, and of what older versions of
    hpsearch saved."""

    @property
    def kind(self) -> ArrayKind:
        """What one input is."""
        return self.layout.kind

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input, without the batch."""
        return self.layout.shape

    @property
    def given(self) -> tuple[int, ...]:
        """The shape of one row, as the array has it."""
        return self.layout.given

    def fault(self) -> str | None:
        """Why no inputs can be made by values that were read again; None for what is whole."""
        given, kind = self.layout.given, self.layout.kind
        axes = {"rows": (1, 2, 3), "images": (2, 3), "sequences": (2,)}[kind]
        if len(given) not in axes or min(given) < 1:
            return f"{list(given)} is no shape of {kind}"
        if self.layout.channels_last and (kind, len(given)) != ("images", 3):
            return "only images (H, W, C) have their channels last"
        whole = len(self.mean) == len(self.deviation) == self.shape[self.layout.scaled]
        return None if whole else "expected a mean and a deviation for each column or channel"

    def shades(self) -> Shades | None:
        """What black and white become; None where inputs are no images."""
        return None if self.ends is None else Shades.of(self.mean, self.deviation, self.ends)

    def __call__(self, raw: Selection | NDArray[Any]) -> Floats:
        """The inputs (N, *shape) of rows of an array, or of all rows of one (N, *given)."""
        if not isinstance(raw, Selection):
            raw = Selection.whole(raw)
        inputs = np.empty((len(raw.rows), *self.shape), np.float32)
        spread = [1] * len(self.shape)
        spread[self.layout.scaled] = len(self.mean)
        mean, deviation = (np.reshape(own, spread) for own in (self.mean, self.deviation))
        for piece, numbers in raw.blocks(self.layout):
            inputs[piece] = (numbers - mean) / deviation
        return inputs

    def units(self) -> tuple[Unit, ...]:
        """What each column, channel, or number of a step is in the data's own terms."""
        return scaled_units(self.mean, self.deviation)

    def of_files(self, files: Sequence[Path]) -> Given:
        """The inputs of the array in a .npy file, or of that of the study's name in another; with
        the targets beside it, where the file has them.

        Raises DataError for other files and other shapes.
        """
        path = only_file(files)
        names = names_in(path)
        inputs, targets = self.names
        given = self._given(f"{inputs} of {path}" if names else str(path), opened(path, inputs))
        if targets not in names:
            return given
        what = f"{targets} of {path}"
        return self._scored(given, what, opened(path, targets))

    def of_rows(self, rows: Any) -> Given:
        """The inputs of an array (N, *given) in memory; DataError for another."""
        return self._given("the array", np.asarray(rows))

    def _given(self, what: str, array: NDArray[Any]) -> Given:
        check_numbers(what, array)
        if array.shape[1:] != self.layout.given:
            wanted = ", ".join(map(str, ("N", *self.layout.given)))
            raise DataError(f"{what} has the shape {array.shape}; the network takes ({wanted})")
        fingerprint({what: array})  # which looks for NaN
        return Given(self(array), source=what)

    def _scored(self, given: Given, what: str, targets: NDArray[Any]) -> Given:
        rows = np.arange(len(given.inputs))
        try:
            if len(targets) != len(rows):
                raise DataError(f"{what} has {len(targets):,} targets for {len(rows):,} rows")
            fingerprint({what: targets})
            scored = Known(indices(what, targets, self.classes), rows)
        except DataError as error:
            return Given(given.inputs, unscored=str(error), source=given.source)
        return Given(given.inputs, known=scored, source=given.source)


def fit(
    layout: Layout,
    training: Selection,
    names: tuple[str, str] = ("X", "y"),
    classes: tuple[str, ...] = (),
) -> ArrayInputs:
    """What the training rows teach: the mean and the deviation of each column, channel or number of
    a step. Two passes, as the difference of two large sums would lose the digits."""
    axes = tuple(axis for axis in range(len(layout.shape) + 1) if axis != layout.scaled + 1)
    count = len(training.rows) * math.prod(layout.shape) // layout.shape[layout.scaled]
    total, low, high = np.zeros(layout.shape[layout.scaled]), math.inf, -math.inf
    for _, numbers in training.blocks(layout):
        total += numbers.sum(axis=axes)
        low, high = min(low, numbers.min()), max(high, numbers.max())
    mean = total / count
    spread = [len(mean) if axis == layout.scaled else 1 for axis in range(len(layout.shape))]
    middle = mean.reshape(spread)
    squares = sum(
        ((numbers - middle) ** 2).sum(axis=axes) for _, numbers in training.blocks(layout)
    )
    scale = deviations(mean, squares / count, count)
    ends = _ends(training.array.dtype, float(low), float(high)) if layout.kind == "images" else None
    return ArrayInputs(layout, tuple(mean.tolist()), tuple(scale.tolist()), names, classes, ends)


def fit_sequences(sequences_NTD: NDArray[Any]) -> ArrayInputs:
    """What the training sequences (N, T, D) teach: the mean and the deviation of each of the D
    numbers of a step. DataError for another shape.

    For a source of sequences, whose `Raw.take` then gives some of them, (B, T, D).
    """
    if sequences_NTD.ndim != 3 or not sequences_NTD.size:
        raise DataError(
            f"the sequences have the shape {sequences_NTD.shape}; expected (N, T, D): N sequences "
            "of T steps of D numbers, each 1 or more"
        )
    layout = Layout("sequences", sequences_NTD.shape[1:])
    return fit(layout, Selection.whole(sequences_NTD))


def _ends(dtype: np.dtype[Any], low: float, high: float) -> tuple[float, float]:
    """The values of black and white, by those of the training images: 0 and 255 of bytes, 0 and 1
    where none is beyond these, else the smallest and the largest."""
    if dtype == np.uint8:
        return 0.0, 255.0
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, max(high, low + 1))
