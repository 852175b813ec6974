"""How one column becomes inputs: what is learnt from its training rows, and how it is applied.

Each encoding is plain values. `fill` writes the inputs of N cells and says what training had not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from hpsearch.sources.table import dates, frozen
from hpsearch.sources.table.column import Column
from hpsearch.sources.table.frozen import Rows
from hpsearch.sources.table.rules import GAPS_SHARE, MOST_INPUTS, frequent, shown

if TYPE_CHECKING:
    from hpsearch.sources.table.reading import Table

__all__ = [
    "BooleanInput",
    "CategoryInput",
    "DateInput",
    "Encoding",
    "NumberInput",
    "PresenceInput",
    "Scale",
    "fit_column",
]

# What is read again from a file may have been changed there.
Finite = Annotated[float, Field(allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Values = NDArray[np.float64]
Floats = NDArray[np.float32]

_DAY_S = 86400.0
_MOST_REMEMBERED = 1000
"""Rare values that are handed over with a network, so that new ones can be told from them."""


@dataclass(frozen=True)
class Scale:
    """Numbers filled and standardised by what the training rows have."""

    median: Finite
    """Stands where a value is missing; 0 where there is none in the training rows."""
    mean: Finite
    deviation: Deviation
    """The standard one; 1 where all values are the same."""
    gaps: bool
    """Whether a second input says that the value was missing."""
    complete: bool
    """Whether no training row lacks a value."""

    def fill(self, values_N: Values, out_N: Floats) -> None:
        """Write the standardised values."""
        filled_N = np.where(np.isnan(values_N), self.median, values_N)
        out_N[:] = (filled_N - self.mean) / self.deviation


def _scale(values_N: Values) -> Scale:
    missing_N = np.isnan(values_N)
    median = float(np.median(values_N[~missing_N])) if not missing_N.all() else 0.0
    filled_N = np.where(missing_N, median, values_N)
    mean, variance, rows = float(filled_N.mean()), float(filled_N.var()), len(filled_N)
    # A variance within its own rounding error is none: Chan, Golub and LeVeque, "Algorithms for
    # Computing the Sample Variance", The American Statistician 37, 1983.
    eps = np.finfo(np.float64).eps
    constant = variance <= rows * eps * variance + (rows * eps * mean) ** 2
    deviation = 1.0 if constant else float(np.sqrt(variance))
    return Scale(median, mean, deviation, _enough_gaps(missing_N), not missing_N.any())


def _enough_gaps(missing_N: NDArray[np.bool_]) -> bool:
    return bool(missing_N.any()) and float(missing_N.mean()) >= GAPS_SHARE


@dataclass(frozen=True)
class NumberInput:
    """A number, standardised, and whether it was missing."""

    column: Column
    scale: Scale
    kind: Literal["number"] = "number"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return _with_gaps(self.column, (self.column.name,), self.scale.gaps)

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the inputs of rows of a table, (N, inputs), and say what training had not."""
        values_N = frozen.numbers(self.column, table, rows)
        self.scale.fill(values_N, out_ND[:, 0])
        missing_N = np.isnan(values_N)
        if self.scale.gaps:
            out_ND[:, -1] = missing_N
        return _new_gaps(self.column, missing_N, self.scale.complete, "the median is used")


@dataclass(frozen=True)
class DateInput:
    """Days since the first training date, standardised; month, weekday and hour on a circle."""

    column: Column
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

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its inputs."""
        parts = [] if self._timeless else ["month", "weekday"]
        parts += ["hour"] if self.hours or self._timeless else []
        name = self.column.name
        circles = tuple(f"{name} {part} {of}" for part in parts for of in ("sine", "cosine"))
        days = () if self._timeless else (f"{name} days",)
        return _with_gaps(self.column, (*days, *circles), self.scale.gaps)

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the inputs of rows of a table, (N, inputs), and say what training had not.

        Of a missing date the days are the median's, and the others 0, the middle of the circle.
        """
        seconds_N = frozen.moments(self.column, table, rows)
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
        if self.scale.gaps:
            out_ND[:, -1] = missing_N
        gaps = _new_gaps(self.column, missing_N, self.scale.complete, "the median is used")
        return [*gaps, *([] if self._timeless else self._beyond(seconds_N))]

    def _beyond(self, seconds_N: Values) -> list[str]:
        before, after = int((seconds_N < self.first_s).sum()), int((seconds_N > self.last_s).sum())
        if not before + after:
            return []
        first, last = _day(self.first_s), _day(self.last_s)
        return [
            f"column {shown(self.column.name)}: {before + after:,} of {len(seconds_N):,} dates are "
            f"outside of those that the network learned from, {first} to {last}; what it predicts "
            "there is a guess"
        ]


def _day(seconds: float) -> str:
    return f"{datetime(1970, 1, 1) + timedelta(seconds=seconds):%Y-%m-%d}"


@dataclass(frozen=True)
class BooleanInput:
    """One of two texts as 0 or 1, a half where it is missing, and whether it was."""

    column: Column
    gaps: bool
    complete: bool
    kind: Literal["boolean"] = "boolean"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return _with_gaps(
            self.column, (f"{self.column.name} = {self.column.values[1]}",), self.gaps
        )

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the inputs of rows of a table, (N, inputs), and say what training had not."""
        texts = frozen.coded(self.column, table, rows)
        places = _places(texts.texts, self.column.values)
        half = np.where(places < 0, 0.5, places).astype(np.float32)
        out_ND[:, 0] = texts.spread(half, 0.5)
        missing_N = texts.codes < 0
        if self.gaps:
            out_ND[:, -1] = missing_N
        instead = "they count as half of each value"
        gaps = _new_gaps(self.column, missing_N, self.complete, instead)
        return [*gaps, *_unseen(self.column, texts, places, instead)]


@dataclass(frozen=True)
class CategoryInput:
    """An input a frequent value, one for missing cells and one that all rare values share."""

    column: Column
    values: tuple[str, ...]
    """Those with an input of their own, the most frequent first."""
    missing: bool
    """Whether missing cells have an input."""
    rare: bool
    """Whether other values, also unseen ones, have one; else they have 0 in all."""
    seen: tuple[str, ...] | None
    """Rare values of the training rows; None where there are more than 1,000 of them."""
    complete: bool
    """Whether no training row lacks a value."""
    kind: Literal["category"] = "category"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its inputs."""
        name = self.column.name
        own = tuple(f"{name} = {value}" for value in self.values)
        return _with_gaps(
            self.column, (*own, *((f"{name} rare",) if self.rare else ())), self.missing
        )

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the inputs of rows of a table, (N, inputs), and say what training had not."""
        texts = frozen.coded(self.column, table, rows)
        places = _places(texts.texts, self.values)
        width, nowhere = out_ND.shape[1], np.full(out_ND.shape[1], 0, np.float32)
        one_hot = np.vstack([np.eye(width, dtype=np.float32), nowhere])
        rare = len(self.values) if self.rare else -1
        absent = width - 1 if self.missing else rare
        out_ND[:] = one_hot[texts.spread(np.where(places < 0, rare, places), absent)]
        missing_N = texts.codes < 0
        instead = "they count as rare" if self.rare else "they count as none of its values"
        gaps = _new_gaps(self.column, missing_N, self.complete, instead)
        if self.seen is None:
            return gaps
        places = np.maximum(places, _places(texts.texts, self.seen))
        return [*gaps, *_unseen(self.column, texts, places, instead)]


@dataclass(frozen=True)
class PresenceInput:
    """Whether there is a value, of a column that has only one."""

    column: Column
    kind: Literal["presence"] = "presence"

    @property
    def names(self) -> tuple[str, ...]:
        """The name of its input."""
        return (f"{self.column.name} missing",)

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the input of rows of a table, (N, 1)."""
        out_ND[:, 0] = frozen.coded(self.column, table, rows).codes < 0
        return []


Encoding = NumberInput | DateInput | BooleanInput | CategoryInput | PresenceInput


def fit_column(column: Column, table: Table, rows: NDArray[np.int64]) -> Encoding | None:
    """What the training rows teach about a column; None where it has no value worth an input."""
    match column.kind:
        case "number":
            return NumberInput(column, _scale(frozen.numbers(column, table, rows)))
        case "date":
            return _date_input(column, frozen.moments(column, table, rows))
        case "boolean":
            missing_N = frozen.coded(column, table, rows).codes < 0
            return BooleanInput(column, _enough_gaps(missing_N), not missing_N.any())
        case "category":
            return _category_input(column, frozen.coded(column, table, rows))
        case _:
            return PresenceInput(column)


def _date_input(column: Column, seconds_N: Values) -> DateInput:
    present = seconds_N[~np.isnan(seconds_N)]
    first, last = (float(present.min()), float(present.max())) if len(present) else (0.0, 0.0)
    hours = bool((present % _DAY_S).any())
    return DateInput(column, _scale((seconds_N - first) / _DAY_S), first, last, hours)


def _category_input(column: Column, texts: frozen.Coded) -> CategoryInput | None:
    codes = texts.codes
    counts = np.bincount(codes[codes >= 0], minlength=len(texts.texts))
    gaps = int((codes < 0).sum())
    least = frequent(column.distinct, len(codes))
    # By count and, where counts are the same, by text: the order of rows decides nothing.
    common = np.flatnonzero(counts >= least)
    names = np.array(texts.texts.take(pa.array(common)).to_pylist(), dtype=object)
    common = common[np.lexsort((names, -counts[common]))] if len(common) else common
    missing = gaps >= least
    if not len(common) and not missing:
        return None
    rest = int((counts > 0).sum()) - len(common) + (0 < gaps < least)
    room = MOST_INPUTS - missing
    rare = len(common) > 0 and (rest > 0 or len(common) > room)
    common = common[: room - rare]
    values = tuple(texts.texts.take(pa.array(common)).to_pylist())
    others = np.setdiff1d(np.flatnonzero(counts > 0), common)
    few = len(others) <= _MOST_REMEMBERED
    seen = tuple(texts.texts.take(pa.array(others)).to_pylist()) if few else None
    return CategoryInput(column, values, missing, rare, seen, complete=not gaps)


def _with_gaps(column: Column, names: tuple[str, ...], gaps: bool) -> tuple[str, ...]:
    return (*names, f"{column.name} missing") if gaps else names


def _places(texts: pa.StringArray, values: tuple[str, ...]) -> NDArray[np.int64]:
    """The place of each text among `values`, -1 where it is none of them."""
    if sorted(value.lower() for value in values) == ["false", "true"]:
        texts, values = pc.utf8_lower(texts), tuple(value.lower() for value in values)
    places = pc.fill_null(pc.index_in(texts, pa.array(values, pa.string())), -1)
    return np.asarray(places.to_numpy(zero_copy_only=False), np.int64)


def _new_gaps(
    column: Column, missing_N: NDArray[np.bool_], complete: bool, instead: str
) -> list[str]:
    if not complete or not missing_N.any():
        return []
    return [
        f"column {shown(column.name)}: {int(missing_N.sum()):,} of {len(missing_N):,} values are "
        f"missing, and none was in training; {instead}"
    ]


def _unseen(
    column: Column, texts: frozen.Coded, places: NDArray[np.int64], instead: str
) -> list[str]:
    new_N = texts.spread(places < 0, False)
    if not new_N.any():
        return []
    rows = np.flatnonzero(new_N)
    example = texts.texts[int(texts.codes[rows[0]])].as_py()
    return [
        f"column {shown(column.name)}: {len(rows):,} of {len(new_N):,} values are new to the "
        f"network, such as `{example}`; {instead}"
    ]
