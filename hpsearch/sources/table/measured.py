"""Numbers and dates as inputs: what is learnt from training rows, and how it is applied.

Each encoding is plain values. `fill` writes the inputs of N cells and says what training had not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hpsearch.sources.table import dates, frozen
from hpsearch.sources.table.column import Column
from hpsearch.sources.table.frozen import Rows
from hpsearch.sources.table.gaps import enough_gaps, new_gaps, with_gaps
from hpsearch.sources.table.rules import shown

if TYPE_CHECKING:
    from hpsearch.sources.table.reading import Table

__all__ = ["DateInput", "NumberInput", "Scale", "fit_date", "fit_number"]

# What is read again from a file may have been changed there.
Finite = Annotated[float, Field(allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Values = NDArray[np.float64]
Floats = NDArray[np.float32]

_DAY_S = 86400.0


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
    return Scale(median, mean, deviation, enough_gaps(missing_N), not missing_N.any())


@dataclass(frozen=True)
class NumberInput:
    """A number, standardised, and whether it was missing."""

    column: Column
    scale: Scale
    kind: Literal["number"] = "number"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its inputs."""
        return with_gaps(self.column, (self.column.name,), self.scale.gaps)

    def fill(self, table: Table, rows: Rows, out_ND: Floats) -> list[str]:
        """Write the inputs of rows of a table, (N, inputs), and say what training had not."""
        values_N = frozen.numbers(self.column, table, rows)
        self.scale.fill(values_N, out_ND[:, 0])
        missing_N = np.isnan(values_N)
        if self.scale.gaps:
            out_ND[:, -1] = missing_N
        return new_gaps(self.column, missing_N, self.scale.complete, "the median is used")


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
        return with_gaps(self.column, (*days, *circles), self.scale.gaps)

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
        gaps = new_gaps(self.column, missing_N, self.scale.complete, "the median is used")
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


def fit_number(column: Column, values_N: Values) -> NumberInput:
    """What training rows teach about a column of numbers, nan where one is missing."""
    return NumberInput(column, _scale(values_N))


def fit_date(column: Column, seconds_N: Values) -> DateInput:
    """What training rows teach about a column of dates, in seconds, nan where one is missing."""
    present = seconds_N[~np.isnan(seconds_N)]
    first, last = (float(present.min()), float(present.max())) if len(present) else (0.0, 0.0)
    hours = bool((present % _DAY_S).any())
    return DateInput(column, _scale((seconds_N - first) / _DAY_S), first, last, hours)
