"""The cells of columns as codes, numbers and dates, by NumPy and Arrow.

`texts_of`, `numbers_of` and `moments_of` follow a `Column` that was decided before, and make no
rule. Each distinct text is read once. Shapes: N cells, D distinct texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hpsearch.errors import DataError
from hpsearch.sources.table import dates
from hpsearch.sources.table.column import quoted, shown
from hpsearch.sources.table.numbers import LARGEST
from hpsearch.sources.table.rules import KNOWN_MARKS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from hpsearch.sources.table.column import Column
    from hpsearch.sources.table.numbers import Style
    from hpsearch.sources.table.reading import Table

__all__ = [
    "Coded", "Rows", "as_floats", "coded", "first_places", "floats", "integers", "is_numeric",
    "moments_of", "numbers_of", "seconds", "texts_of",
]  # fmt: skip

Rows = NDArray[np.int64] | None
"""The rows to read, counted from 0, in any order; None for all."""


@dataclass(frozen=True)
class Coded:
    """A column as its distinct texts, stripped, and the place of each cell among them."""

    texts: pa.StringArray
    """(D,)"""
    codes: NDArray[np.int64]
    """(N,): 0 to D - 1, and -1 for a missing cell."""

    def spread(self, values: NDArray[Any], missing: Any) -> NDArray[Any]:
        """(N, ...): of each cell what its text has in `values` (D, ...), or `missing`."""
        last = np.broadcast_to(np.asarray(missing, values.dtype), (1, *values.shape[1:]))
        spread: NDArray[Any] = np.concatenate([values, last])[self.codes]
        return spread

    def among(self, some: Collection[str]) -> NDArray[np.bool_]:
        """(D,): which texts are among `some`."""
        return _flags(pc.is_in(self.texts, pa.array(sorted(some), pa.string())))

    def without(self, marks: Collection[str]) -> Coded:
        """The same with these texts missing."""
        gone = self.among(marks)
        if not gone.any():
            return self
        return Coded(self.texts, np.where(self.spread(gone, False), -1, self.codes))

    def places_in(self, values: tuple[str, ...]) -> NDArray[np.int64]:
        """(D,): the place of each text among `values`, -1 where it is none of them.

        Truth values are the same in any case.
        """
        texts = self.texts
        if sorted(value.lower() for value in values) == ["false", "true"]:
            texts, values = pc.utf8_lower(texts), tuple(value.lower() for value in values)
        return integers(pc.fill_null(pc.index_in(texts, pa.array(values, pa.string())), -1))

    def text(self, place: int) -> str:
        """The text of the cell at a place from 0 to N - 1."""
        text: str = self.texts[int(self.codes[place])].as_py()
        return text


def coded(column: Any, odd: Mapping[int, str], rows: Rows, marks: Collection[str] = ()) -> Coded:
    """The texts of a column in some rows; empty cells and `marks` are missing.

    Args:
        column: An Arrow array of any kind.
        odd: Of a column of numbers the cells that were none, by row; they are null in it.
        rows: The rows.
        marks: Texts that are missing values.
    """
    if odd:
        texts = pc.cast(column, pa.string()).to_numpy(zero_copy_only=False)
        texts[[*odd]] = [*odd.values()]
        column = pa.array(texts, pa.string())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    distinct, codes_N = column.dictionary, integers(pc.fill_null(column.indices, -1))
    if not pa.types.is_string(distinct.type):
        distinct = pc.cast(distinct, pa.string())
    stripped = pc.utf8_trim_whitespace(distinct)
    if not stripped.equals(distinct):
        again = stripped.dictionary_encode()
        codes_N = np.append(integers(again.indices), -1)[codes_N]
        stripped = again.dictionary
    return Coded(stripped, codes_N if rows is None else codes_N[rows]).without({"", *marks})


def is_numeric(column: Any) -> bool:
    """Whether a column comes as numbers."""
    kind = column.type
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def as_floats(column: Any) -> NDArray[np.float64]:
    """A column of numbers or truth values as float64 (N,), nan where one is missing."""
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def first_places(codes: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Where each of the codes 0 to `number` - 1 comes first; -1 is none of them."""
    firsts = np.zeros(number + 1, np.int64)
    firsts[codes[::-1]] = np.arange(len(codes))[::-1]
    return firsts[:number]


def floats(texts: pa.StringArray, style: Style) -> NDArray[np.float64]:
    """The number that each text is, as `Style.value` reads it; nan where it is none."""
    right = pc.match_substring_regex(texts, style.pattern)
    plain = pc.if_else(right, texts, pa.scalar(None, pa.string()))
    for mark in style.dropped:
        plain = pc.replace_substring(plain, mark, "")
    plain = pc.replace_substring(plain, "\u2212", "-")
    if style.decimal != ".":
        plain = pc.replace_substring(plain, style.decimal, ".")
    values = pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(np.abs(values) <= LARGEST, values, np.nan)


def seconds(texts: pa.StringArray, form: dates.Format) -> NDArray[np.float64]:
    """Each text as `dates.Format.value` reads it, nan where it is no such date."""
    parts = pc.extract_regex(texts, form.pattern)
    right = ~_flags(parts.is_null())
    names = {parts.type.field(place).name for place in range(parts.type.num_fields)}

    def part(name: str, default: int) -> NDArray[np.int64]:
        if name not in names:
            return np.full(len(texts), default, np.int64)
        return _whole(parts.field(name), default)

    year, month, day = part("year", 1970), part("month", 1), part("day", 1)
    hour, minute, second = part("hour", 0), part("minute", 0), part("second", 0)
    if "name" in names:
        short = pc.utf8_lower(pc.utf8_slice_codeunits(parts.field("name"), 0, 3))
        month = integers(pc.fill_null(pc.index_in(short, pa.array(dates.MONTHS)), -1)) + 1
    if "half" in names:
        half = pc.fill_null(pc.utf8_lower(parts.field("half")), "")
        am, pm = (_flags(pc.equal(half, letter)) for letter in "ap")
        right &= ~(am | pm) | ((hour >= 1) & (hour <= 12))
        hour = np.where(am | pm, hour % 12, hour) + 12 * pm
    if "year" in names:
        short_year = integers(pc.fill_null(pc.binary_length(parts.field("year")), 4)) == 2
        year = year + short_year * np.where(year >= 69, 1900, 2000)
    right &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    right &= (hour < 24) & (minute < 60) & (second < 61)
    months = (np.where(right, (year - 1970) * 12 + month - 1, 0)).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + np.where(right, day - 1, 0)
    right &= days.astype("datetime64[M]") == months
    clock = hour * 3600 + minute * 60 + np.minimum(second, 59)
    values = days.astype("datetime64[s]").astype(np.int64) + clock
    return np.where(right, values, np.nan)


def texts_of(column: Column, table: Table, rows: Rows, *, known: bool = False) -> Coded:
    """The texts of a column in some rows; empty cells and its own missing marks are missing.

    With `known`, so are the marks that are known among numbers and dates.
    """
    marks = (*column.marks, *(KNOWN_MARKS if known else ()))
    return coded(_cells(column, table), table.odd.get(column.name, {}), rows, marks)


def numbers_of(column: Column, table: Table, rows: Rows) -> NDArray[np.float64]:
    """A column of numbers in some rows (N,), nan where one is missing.

    Raises DataError for a cell that is none.
    """
    cells = _cells(column, table)
    if is_numeric(cells) or pa.types.is_boolean(cells.type):
        return _typed_numbers(column, table, as_floats(cells), rows)
    cells = texts_of(column, table, rows, known=True)
    values = floats(cells.texts, column.style)
    for place in np.flatnonzero(np.isnan(values)):  # few: a column of numbers was decided
        value = column.style.of_new(cells.texts[int(place)].as_py())
        values[place] = np.nan if value is None else value
    return _checked(column, table, rows, cells, values)


def _typed_numbers(
    column: Column, table: Table, values_N: NDArray[np.float64], rows: Rows
) -> NDArray[np.float64]:
    values_N, odd = np.array(values_N), table.odd.get(column.name, {})
    for row, text in odd.items():
        if text.strip() not in (*column.marks, *KNOWN_MARKS):
            value = column.style.of_new(text.strip())
            values_N[row] = np.inf if value is None else value
    marks = [column.style.value(mark) for mark in column.marks]
    values_N[np.isin(values_N, [value for value in marks if value is not None])] = np.nan
    values_N = values_N if rows is None else values_N[rows]
    infinite = np.flatnonzero(np.abs(values_N) > LARGEST)
    if len(infinite):
        row = int(infinite[0] if rows is None else rows[infinite[0]])
        raise _odd(column, table, row, odd.get(row, f"{values_N[infinite[0]]}"))
    return values_N


def moments_of(column: Column, table: Table, rows: Rows) -> NDArray[np.float64]:
    """A column of dates in some rows as seconds since 1970-01-01 (N,), nan where one is missing.

    Raises DataError for a cell that is no such date.
    """
    cells = _cells(column, table)
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        values_N = as_floats(pc.cast(pc.cast(cells, pa.timestamp("s"), safe=False), pa.int64()))
        return values_N if rows is None else values_N[rows]
    cells = texts_of(column, table, rows, known=True)
    return _checked(column, table, rows, cells, seconds(cells.texts, column.format))


def _cells(column: Column, table: Table) -> Any:
    cells = table.column(column.name)
    return pa.array(cells, pa.string()) if isinstance(cells, list | tuple) else cells


def _checked(
    column: Column, table: Table, rows: Rows, cells: Coded, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    odd = np.flatnonzero(cells.spread(np.isnan(values), False))
    if len(odd):
        row = int(odd[0] if rows is None else rows[odd[0]])
        raise _odd(column, table, row, cells.text(odd[0]))
    return cells.spread(values, np.nan)


def _odd(column: Column, table: Table, row: int, text: str) -> DataError:
    what = f"number (like 1{column.thousands}000{column.decimal}5)"
    return DataError(
        f"column {shown(column.name)}, line {table.line_of(row)}: {quoted(text)} is no "
        f"{f'date ({column.date})' if column.date else what}, as the cells were that the network "
        "learned from; an empty cell is a missing value"
    )


def _whole(texts: pa.StringArray, default: int) -> NDArray[np.int64]:
    """Digits as numbers; what is empty or null is the default."""
    empty = pc.fill_null(pc.equal(texts, ""), True)
    digits = pc.if_else(empty, str(default), texts)
    return integers(pc.cast(digits, pa.int64()))


def integers(array: Any) -> NDArray[np.int64]:
    """An Arrow array without nulls as int64 (N,)."""
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)


def _flags(array: Any) -> NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)
