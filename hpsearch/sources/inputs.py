"""What is done to data before a network sees it: learnt from training rows, then frozen.

Training and prediction go through the same objects. They are plain values: written as JSON and
read again they give the same inputs to the last bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

__all__ = [
    "Category", "Deviation", "Finite", "Floats", "ImageInputs", "Number", "Preprocessing",
    "TableInputs", "Values", "fit_images", "fit_table",
]  # fmt: skip

Floats = NDArray[np.float32]
Values = Mapping[str, NDArray[Any]]
"""Columns of a table by name, (N,) each: float64 with nan where a number is missing, or texts with
'' where one is."""

# What is read again from a file may have been changed there.
Finite = Annotated[float, Field(allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Number:
    """A column of numbers: one input."""

    name: str
    median: Finite
    """Stands where a value is missing."""
    mean: Finite
    deviation: Deviation
    """The standard one; 1 where all values are the same."""


@dataclass(frozen=True)
class Category:
    """A column of texts: one input a value, 1 where the row has it and else 0."""

    name: str
    values: tuple[str, ...]
    """Those of the training rows, in the inputs' order; a row with another one has 0 in all."""
    most_frequent: str
    """Stands where a value is missing."""

    def encode(self, texts_N: NDArray[Any]) -> Floats:
        """(N, values)."""
        places = {value: place for place, value in enumerate(self.values)}
        place_N = [places.get(text or self.most_frequent, -1) for text in texts_N]
        return np.equal.outer(place_N, np.arange(len(places))).astype(np.float32)


@dataclass(frozen=True)
class TableInputs:
    """The inputs made of a table's columns: numbers first, then texts."""

    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    kind: Literal["table"] = "table"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row's inputs: (D,)."""
        return (len(self.numbers) + sum(len(column.values) for column in self.categories),)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        numbers, texts = ((c.name for c in columns) for columns in (self.numbers, self.categories))
        return (*numbers, *texts)

    def __call__(self, values: Values) -> Floats:
        """(N, D), standardised; what is beyond float32 becomes infinite."""
        parts = [column.encode(values[column.name]) for column in self.categories]
        if self.numbers:
            medians, means, deviations = (
                np.array([getattr(column, of) for column in self.numbers])
                for of in ("median", "mean", "deviation")
            )
            numbers_ND = _matrix(values, [column.name for column in self.numbers])
            filled_ND = np.where(np.isnan(numbers_ND), medians, numbers_ND)
            parts.insert(0, ((filled_ND - means) / deviations).astype(np.float32))
        return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class ImageInputs:
    """The inputs made of images: each channel scaled to mean 0 and deviation 1."""

    shape: tuple[int, ...]
    """Of one image: (C, H, W)."""
    brightest: Annotated[int, Field(gt=0)]
    """Pixels are from 0, black, to this."""
    mean: tuple[Finite, ...]
    """(C,)"""
    deviation: tuple[Deviation, ...]
    """(C,)"""
    kind: Literal["images"] = "images"

    def __call__(self, images_NCHW: NDArray[Any]) -> Floats:
        """(N, C, H, W)."""
        encoded: Floats = images_NCHW.astype(np.float32)
        encoded -= np.array(self.mean, np.float32)[:, None, None]
        encoded /= np.array(self.deviation, np.float32)[:, None, None]
        return encoded


Preprocessing = TableInputs | ImageInputs


def fit_table(values: Values, texts: Sequence[str]) -> TableInputs:
    """What the training rows teach; `texts` are the columns that are not numbers.

    As scikit-learn's SimpleImputer, StandardScaler and OneHotEncoder, which are slow to load; the
    tests hold it against them.
    """
    numbers = [name for name in values if name not in texts]
    return TableInputs(
        tuple(_number(name, values[name]) for name in numbers),
        tuple(_category(name, values[name]) for name in texts),
    )


def _number(name: str, values_N: NDArray[Any]) -> Number:
    """Of a column without a single value the median is 0."""
    present = values_N[~np.isnan(values_N)]
    median = float(np.median(present)) if len(present) else 0.0
    filled_N = np.where(np.isnan(values_N), median, values_N)
    mean, variance, rows = filled_N.mean(), filled_N.var(), len(filled_N)
    # A variance within its own rounding error is none: Chan, Golub and LeVeque, "Algorithms for
    # Computing the Sample Variance", The American Statistician 37, 1983.
    eps = np.finfo(np.float64).eps
    constant = variance <= rows * eps * variance + (rows * eps * mean) ** 2
    return Number(name, median, float(mean), 1.0 if constant else float(np.sqrt(variance)))


def _category(name: str, texts_N: NDArray[Any]) -> Category:
    """Of a column without a single text '' is the only value."""
    counts = Counter(text for text in texts_N if text)
    fill = min(counts, key=lambda text: (-counts[text], text), default="")
    return Category(name, tuple(sorted({text or fill for text in texts_N})), fill)


def fit_images(images_NCHW: NDArray[np.uint8], brightest: int) -> ImageInputs:
    """What the training images teach; a channel of one colour keeps its deviation of 0 as 1."""
    images = images_NCHW.astype(np.float32)
    mean = images.mean(axis=(0, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    images -= mean
    deviation = np.sqrt((images**2).mean(axis=(0, 2, 3), dtype=np.float64))
    scale = np.where(deviation > 0, deviation, 1.0).astype(np.float32)
    shape = tuple(images.shape[1:])
    return ImageInputs(shape, brightest, _plain(mean.ravel()), _plain(scale))


def _matrix(values: Values, names: Sequence[str]) -> NDArray[Any]:
    """(N, columns)."""
    return np.stack([values[name] for name in names], axis=1)


def _plain(array: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(float(value) for value in array)
