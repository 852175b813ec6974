"""Columns as inputs: what is learnt from training rows, and how it is applied to any rows.

Each encoding is plain values. Shapes: N rows, D inputs of one column.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from hpsearch.sources.inputs import Unit
from hpsearch.sources.scaling import deviations
from hpsearch.sources.table import arrow, dates
from hpsearch.sources.table.arrow import Rows
from hpsearch.sources.table.column import Column, quoted, shown
from hpsearch.sources.table.rules import MOST_INPUTS, enough_gaps, frequent

if TYPE_CHECKING:
    from hpsearch.sources.table.reading import Table

__all__ = [
    "BooleanInput", "CategoryInput", "DateInput", "Encoding", "NumberInput", "Scale", "fit_column",
]  # fmt: skip

# What is read again from a file may have been changed there.
Finite = Annotated[float, Field(allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Values = NDArray[np.float64]
Missing = NDArray[np.bool_]
Floats = NDArray[np.float32]

_DAY_S = 86400.0
_MEDIAN = "the median is used"
_FAR = 20
"""Standard deviations from the mean: of n training rows none can be farther than the root of n."""
_MOST_REMEMBERED = 1000
"""Rare values that are handed over with a network, so that new ones can be told from them."""


@dataclass(frozen=True)
class _Input(ABC):
    """What all encodings share: the input for missing cells, and what is said of new ones."""

    column: Column
    gaps: bool
    """Whether the last input says that the value was missing."""
    complete: bool
    """Whether no training row lacks a value."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return (*self._names(), *((f"{self.column.name} missing",) if self.gaps else ()))

    @property
    def units(self) -> tuple[Unit, ...]:
        """What each of its inputs is: as it stands, unless an encoding scales it."""
        return tuple(map(Unit, self.names))

    def cells(self, inputs_ND: Floats) -> list[str]:
        """The cells that such inputs are of, as far as these tell; "" for a missing one."""
        missing_N = inputs_ND[:, -1] if self.gaps else np.zeros(len(inputs_ND))
        return [
            "" if missing else self._cell(row_D)
            for row_D, missing in zip(inputs_ND, missing_N, strict=True)
        ]

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the inputs of rows of a table, and say what training had not."""
        missing_N, instead, remarks = self._write(table, rows, out_ND)
        if self.gaps:
            out_ND[:, -1] = missing_N
        if self.complete and missing_N.any():
            gaps = f"{int(missing_N.sum()):,} of {len(missing_N):,} values are missing"
            remarks.insert(0, self._remark(f"{gaps}, and none was in training; {instead}"))
        return remarks

    def _remark(self, what: str) -> str:
        return f"column {shown(self.column.name)}: {what}"

    def _new(self, texts: arrow.Coded, places: NDArray[np.int64], instead: str) -> list[str]:
        """What is said of cells whose texts have the place -1 among those that training had."""
        new_N = texts.spread(places < 0, False)
        if not new_N.any():
            return []
        values = f"{int(new_N.sum()):,} of {len(new_N):,} values are new to the network"
        example = quoted(texts.text(int(np.argmax(new_N))))
        return [self._remark(f"{values}, such as {example}; {instead}")]

    @abstractmethod
    def _names(self) -> tuple[str, ...]:
        """The names of the inputs besides that for missing cells."""

    @abstractmethod
    def _cell(self, inputs_D: Floats) -> str:
        """The cell that these inputs are of; "" where they tell of none."""

    @abstractmethod
    def _write(self, table: Table, rows: Rows, out_ND: Floats) -> tuple[Missing, str, list[str]]:
        """Write these inputs.

        Which cells are missing; what stands for such ones and for new values, as part of a
        sentence; and what is said of the others.
        """


@dataclass(frozen=True)
class Scale:
    """Numbers filled and standardised by what the training rows have."""

    median: Finite
    """Stands where a value is missing; 0 where there is none in the training rows."""
    mean: Finite
    deviation: Deviation
    """The standard one; 1 where all values are the same."""

    def fill(self, values_N: Values, out_N: Floats) -> None:
        """Write the standardised values."""
        filled_N = np.where(np.isnan(values_N), self.median, values_N)
        out_N[:] = (filled_N - self.mean) / self.deviation


def _scale(values_N: Values) -> Scale:
    missing_N = np.isnan(values_N)
    median = float(np.median(values_N[~missing_N])) if not missing_N.all() else 0.0
    filled_N = np.where(missing_N, median, values_N)
    mean = float(filled_N.mean())
    return Scale(median, mean, float(deviations(mean, filled_N.var(), len(filled_N))))


@dataclass(frozen=True)
class NumberInput(_Input):
    """A number, standardised."""

    scale: Scale
    kind: Literal["number"] = "number"

    @property
    def units(self) -> tuple[Unit, ...]:
        """What each of its inputs is."""
        first, *rest = self.names
        return (Unit(first, self.scale.mean, self.scale.deviation), *map(Unit, rest))

    def _names(self) -> tuple[str, ...]:
        return (self.column.name,)

    def _cell(self, inputs_D: Floats) -> str:
        scale = self.scale
        value = float(inputs_D[0]) * scale.deviation + scale.mean
        # Single precision has seven digits of the standardised number.
        # Adding 0 takes the sign from a 0.
        return f"{round(value, 5 - math.floor(math.log10(scale.deviation))) + 0.0:.10g}"

    def _write(self, table: Table, rows: Rows, out_ND: Floats) -> tuple[Missing, str, list[str]]:
        values_N = arrow.numbers_of(self.column, table, rows)
        self.scale.fill(values_N, out_ND[:, 0])
        return np.isnan(values_N), _MEDIAN, self._far(values_N)

    def _far(self, values_N: Values) -> list[str]:
        """What is said of numbers so far from the training rows' that nothing was learnt there."""
        mean, deviation = self.scale.mean, self.scale.deviation
        far_N = np.abs(values_N - mean) > _FAR * deviation
        if not far_N.any():
            return []
        example = f"{values_N[int(np.argmax(far_N))]:.10g}"
        return [
            self._remark(
                f"{int(far_N.sum()):,} of {len(values_N):,} values are far from those that the "
                f"network learned from (mean {mean:.4g}, standard deviation {deviation:.4g}), such "
                f"as {example}; its predictions for them are guesses"
            )
        ]


@dataclass(frozen=True)
class DateInput(_Input):
    """Days since the first training date, standardised; month, weekday and hour on a circle.

    Of a missing date the days are the median's, and the others 0, the middle of the circle.
    """

    scale: Scale
    """That of the days."""
    first_s: Finite
    """The first training date, in seconds since 1970-01-01."""
    last_s: Finite
    hours: bool
    """Whether training dates have times of day."""
    kind: Literal["date"] = "date"

    @property
    def _timeless(self) -> bool:
        """Whether there are times of day alone."""
        return self.column.date == dates.TIME

    def _names(self) -> tuple[str, ...]:
        parts = [] if self._timeless else ["month", "weekday"]
        parts += ["hour"] if self.hours or self._timeless else []
        name = self.column.name
        circles = [f"{name} {part} {of}" for part in parts for of in ("sine", "cosine")]
        return (*([] if self._timeless else [f"{name} days"]), *circles)

    def _cell(self, inputs_D: Floats) -> str:
        circles = inputs_D[0 if self._timeless else 1 :]
        if not circles[:2].any():
            return ""
        if self._timeless:
            turn = math.atan2(circles[0], circles[1]) / (2 * math.pi) % 1
            return f"{datetime(1970, 1, 1) + timedelta(minutes=round(1440 * turn)):%H:%M}"
        days = float(inputs_D[0]) * self.scale.deviation + self.scale.mean
        seconds = self.first_s + days * _DAY_S
        step = 60 if self.hours else _DAY_S
        moment = datetime(1970, 1, 1) + timedelta(seconds=round(seconds / step) * step)
        return f"{moment:%Y-%m-%d %H:%M}" if self.hours else f"{moment:%Y-%m-%d}"

    def _write(self, table: Table, rows: Rows, out_ND: Floats) -> tuple[Missing, str, list[str]]:
        seconds_N = arrow.moments_of(self.column, table, rows)
        missing_N = np.isnan(seconds_N)
        whole_N = np.where(missing_N, 0, seconds_N).astype(np.int64)
        days_N = whole_N // 86400
        turns = []
        if not self._timeless:
            self.scale.fill((seconds_N - self.first_s) / _DAY_S, out_ND[:, 0])
            months_N = days_N.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
            turns += [months_N % 12 / 12, (days_N + 3) % 7 / 7]  # 1970-01-01 was a Thursday
        if self.hours or self._timeless:
            turns.append(whole_N % 86400 / _DAY_S)
        at = 0 if self._timeless else 1
        for turn_N in turns:
            for of in (np.sin, np.cos):
                out_ND[:, at] = np.where(missing_N, 0, of(2 * np.pi * turn_N))
                at += 1
        return missing_N, _MEDIAN, [] if self._timeless else self._beyond(seconds_N)

    def _beyond(self, seconds_N: Values) -> list[str]:
        if not (beyond := int(((seconds_N < self.first_s) | (seconds_N > self.last_s)).sum())):
            return []
        start = datetime(1970, 1, 1)
        first, last = (start + timedelta(seconds=s) for s in (self.first_s, self.last_s))
        return [
            self._remark(
                f"{beyond:,} of {len(seconds_N):,} dates are outside of those that the network "
                f"learned from, {first:%Y-%m-%d} to {last:%Y-%m-%d}; its predictions for them are "
                "guesses"
            )
        ]


@dataclass(frozen=True)
class BooleanInput(_Input):
    """One of two texts as 0 or 1, a half where it is missing or new."""

    kind: Literal["boolean"] = "boolean"

    def _names(self) -> tuple[str, ...]:
        return (f"{self.column.name} = {self.column.values[1]}",)

    def _cell(self, inputs_D: Floats) -> str:
        place = float(inputs_D[0])
        return "" if place == 0.5 else self.column.values[round(place)]

    def _write(self, table: Table, rows: Rows, out_ND: Floats) -> tuple[Missing, str, list[str]]:
        texts = arrow.texts_of(self.column, table, rows)
        places = texts.places_in(self.column.values)
        half = np.where(places < 0, 0.5, places).astype(np.float32)
        out_ND[:, 0] = texts.spread(half, 0.5)
        instead = "they count as half of each value"
        return texts.codes < 0, instead, self._new(texts, places, instead)


@dataclass(frozen=True)
class CategoryInput(_Input):
    """An input a frequent value, and one that all rare values share."""

    values: tuple[str, ...]
    """Those with an input of their own, the most frequent first."""
    rare: bool = False
    """Whether other values, also unseen ones, have one; else they have 0 in all."""
    seen: tuple[str, ...] | None = None
    """Rare values of the training rows; None where they do not matter, or are more than 1,000."""
    kind: Literal["category"] = "category"

    def _names(self) -> tuple[str, ...]:
        values = (*(f"= {value}" for value in self.values), *(("rare",) if self.rare else ()))
        return tuple(f"{self.column.name} {value}" for value in values)

    def _cell(self, inputs_D: Floats) -> str:
        cells = (*self.values, *(("rare",) if self.rare else ()))
        return next((cell for cell, one in zip(cells, inputs_D, strict=False) if one), "")

    def _write(self, table: Table, rows: Rows, out_ND: Floats) -> tuple[Missing, str, list[str]]:
        texts = arrow.texts_of(self.column, table, rows)
        places = texts.places_in(self.values)
        width = out_ND.shape[1]
        one_hot = np.eye(width + 1, width, dtype=np.float32)  # the last row is that of none
        rare = len(self.values) if self.rare else width
        absent = width if self.gaps else rare
        out_ND[:] = one_hot[texts.spread(np.where(places < 0, rare, places), absent)]
        instead = "they count as rare" if self.rare else "they count as none of its values"
        if self.seen is None:
            return texts.codes < 0, instead, []
        places = np.maximum(places, texts.places_in(self.seen))
        return texts.codes < 0, instead, self._new(texts, places, instead)


Encoding = Annotated[
    NumberInput | BooleanInput | DateInput | CategoryInput, Field(discriminator="kind")
]


def fit_column(column: Column, table: Table, rows: NDArray[np.int64]) -> Encoding | None:
    """What the training rows teach about a column; None where it has no value worth an input."""
    if column.kind == "number":
        values_N = arrow.numbers_of(column, table, rows)
        return NumberInput(column, *_gaps(np.isnan(values_N)), _scale(values_N))
    if column.kind == "date":
        return _fit_date(column, arrow.moments_of(column, table, rows))
    if column.kind not in ("boolean", "category"):  # whether there is a value is all it says
        return CategoryInput(column, gaps=True, complete=False, values=())
    texts = arrow.texts_of(column, table, rows)
    if column.kind == "boolean":
        return BooleanInput(column, *_gaps(texts.codes < 0))
    return _fit_category(column, texts)


def _gaps(missing_N: Missing) -> tuple[bool, bool]:
    """Whether missing cells have an input, and whether there are none."""
    return enough_gaps(int(missing_N.sum()), len(missing_N)), not missing_N.any()


def _fit_date(column: Column, seconds_N: Values) -> DateInput:
    present = seconds_N[~np.isnan(seconds_N)]
    first, last = (float(present.min()), float(present.max())) if len(present) else (0.0, 0.0)
    scale, hours = _scale((seconds_N - first) / _DAY_S), bool((present % _DAY_S).any())
    return DateInput(column, *_gaps(np.isnan(seconds_N)), scale, first, last, hours)


def _fit_category(column: Column, texts: arrow.Coded) -> CategoryInput | None:
    codes = texts.codes
    counts = np.bincount(codes[codes >= 0], minlength=len(texts.texts))
    missing = int((codes < 0).sum())
    least = frequent(column.distinct, len(codes))
    # By count and, where counts are the same, by text: the order of rows decides nothing.
    common = np.flatnonzero(counts >= least)
    names = np.array(texts.texts.take(pa.array(common)).to_pylist(), dtype=object)
    common = common[np.lexsort((names, -counts[common]))] if len(common) else common
    gaps = missing >= least
    if not len(common) and not gaps:
        return None
    rest = int((counts > 0).sum()) - len(common) + (0 < missing < least)
    room = MOST_INPUTS - gaps
    rare = len(common) > 0 and (rest > 0 or len(common) > room)
    common = common[: room - rare]
    values = tuple(texts.texts.take(pa.array(common)).to_pylist())
    others = np.setdiff1d(np.flatnonzero(counts > 0), common)
    few = len(others) <= _MOST_REMEMBERED
    seen = tuple(texts.texts.take(pa.array(others)).to_pylist()) if few else None
    return CategoryInput(column, gaps, not missing, values, rare, seen)
