"""The cells of a table by the rules of a `Column` that was decided before: no rule is made here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hpsearch.errors import DataError
from hpsearch.sources.table import bulk
from hpsearch.sources.table.rules import KNOWN_MARKS, shown

if TYPE_CHECKING:
    from hpsearch.sources.table.column import Column
    from hpsearch.sources.table.reading import Table

__all__ = ["Coded", "Rows", "coded", "moments", "numbers"]

Rows = NDArray[np.int64] | None
"""The rows to read, counted from 0, in any order; None for all."""
_TEMPORAL_UNIT = pa.timestamp("s")


@dataclass(frozen=True)
class Coded:
    """A column as its D distinct texts and the place of each cell among them."""

    texts: pa.StringArray
    """(D,)"""
    codes: NDArray[np.int64]
    """(N,): 0 to D - 1, and -1 for a missing cell."""

    def spread(self, values: NDArray[Any], missing: Any) -> NDArray[Any]:
        """(N, ...): of each cell what its text has in `values` (D, ...), or `missing`."""
        last = np.broadcast_to(np.asarray(missing, values.dtype), (1, *values.shape[1:]))
        spread: NDArray[Any] = np.concatenate([values, last])[self.codes]
        return spread


def coded(column: Column, table: Table, rows: Rows, *, known: bool = False) -> Coded:
    """The texts of a column in some rows; empty cells and its own missing marks are missing.

    With `known`, so are the marks that are known among numbers and dates.
    """
    cells: Any = table.column(column.name)
    if isinstance(cells, list | tuple):
        cells = pa.array(cells, pa.string())
    texts, codes_N = bulk.coded(bulk.with_odd(cells, table.odd.get(column.name, {})))
    marks = {*column.marks, *(KNOWN_MARKS if known else ())}
    gone = bulk.are_empty(texts) | bulk.is_in(texts, marks)
    codes_N = codes_N if rows is None else codes_N[rows]
    return Coded(texts, np.where(np.append(gone, False)[codes_N], -1, codes_N))


def numbers(column: Column, table: Table, rows: Rows) -> NDArray[np.float64]:
    """A column of numbers in some rows (N,), nan where one is missing.

    Raises DataError for a cell that is none.
    """
    cells = table.column(column.name)
    if not isinstance(cells, list | tuple) and (
        bulk.is_numeric(cells) or pa.types.is_boolean(cells.type)
    ):
        return _typed_numbers(column, table, bulk.numbers_of(cells), rows)
    texts = coded(column, table, rows, known=True)
    values = bulk.floats(texts.texts, column.style)
    return _checked(column, table, rows, texts, values, "number")


def _typed_numbers(
    column: Column, table: Table, values_N: NDArray[np.float64], rows: Rows
) -> NDArray[np.float64]:
    values_N, odd = np.array(values_N), table.odd.get(column.name, {})
    for row, text in odd.items():
        if text.strip() not in (*column.marks, *KNOWN_MARKS):
            value = column.style.value(text.strip())
            values_N[row] = np.inf if value is None else value
    marks = [column.style.value(mark) for mark in column.marks]
    values_N[np.isin(values_N, [value for value in marks if value is not None])] = np.nan
    values_N = values_N if rows is None else values_N[rows]
    infinite = np.flatnonzero(np.isinf(values_N))
    if len(infinite):
        row = _row(rows, infinite[0])
        raise _odd(column, table, row, odd.get(row, f"{values_N[infinite[0]]}"), "number")
    return values_N


def moments(column: Column, table: Table, rows: Rows) -> NDArray[np.float64]:
    """A column of dates in some rows as seconds since 1970-01-01 (N,), nan where one is missing.

    Raises DataError for a cell that is no such date.
    """
    cells = table.column(column.name)
    if not isinstance(cells, list | tuple) and (
        pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type)
    ):
        whole = pc.cast(pc.cast(cells, _TEMPORAL_UNIT, safe=False), pa.int64())
        values_N = bulk.numbers_of(whole)
        return values_N if rows is None else values_N[rows]
    texts = coded(column, table, rows, known=True)
    values = bulk.seconds(texts.texts, column.format)
    return _checked(column, table, rows, texts, values, "date")


def _checked(
    column: Column, table: Table, rows: Rows, texts: Coded, values: NDArray[np.float64], what: str
) -> NDArray[np.float64]:
    odd = np.flatnonzero(texts.spread(np.isnan(values), False))
    if len(odd):
        text = texts.texts[int(texts.codes[odd[0]])].as_py()
        raise _odd(column, table, _row(rows, odd[0]), text, what)
    return texts.spread(values, np.nan)


def _row(rows: Rows, place: Any) -> int:
    return int(place if rows is None else rows[place])


def _odd(column: Column, table: Table, row: int, text: str, what: str) -> DataError:
    written = {"date": column.date, "number": f"like 1{column.thousands}000{column.decimal}5"}
    return DataError(
        f"column {shown(column.name)}, line {table.line_of(row)}: `{text}` is no {what} "
        f"({written[what]}), as the cells were that the network learned from; an empty cell is a "
        "missing value"
    )
