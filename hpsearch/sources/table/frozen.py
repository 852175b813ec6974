"""The cells of a table by the rules of a `Column` that was decided before: no rule is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpsearch.errors import DataError
from hpsearch.sources.table import arrow
from hpsearch.sources.table.arrow import Coded, Rows
from hpsearch.sources.table.column import Column, shown
from hpsearch.sources.table.rules import KNOWN_MARKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.sources.table.reading import Table

__all__ = ["Coded", "Rows", "coded", "moments", "numbers"]


def coded(column: Column, table: Table, rows: Rows, *, known: bool = False) -> Coded:
    """The texts of a column in some rows; empty cells and its own missing marks are missing.

    With `known`, so are the marks that are known among numbers and dates.
    """
    marks = (*column.marks, *(KNOWN_MARKS if known else ()))
    return arrow.coded(_cells(column, table), table.odd.get(column.name, {}), rows, marks)


def numbers(column: Column, table: Table, rows: Rows) -> NDArray[np.float64]:
    """A column of numbers in some rows (N,), nan where one is missing.

    Raises DataError for a cell that is none.
    """
    cells = _cells(column, table)
    if arrow.is_numeric(cells) or pa.types.is_boolean(cells.type):
        return _typed_numbers(column, table, arrow.values_of(cells), rows)
    texts = coded(column, table, rows, known=True)
    return _checked(column, table, rows, texts, arrow.floats(texts.texts, column.style))


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
        row = int(infinite[0] if rows is None else rows[infinite[0]])
        raise _odd(column, table, row, odd.get(row, f"{values_N[infinite[0]]}"))
    return values_N


def moments(column: Column, table: Table, rows: Rows) -> NDArray[np.float64]:
    """A column of dates in some rows as seconds since 1970-01-01 (N,), nan where one is missing.

    Raises DataError for a cell that is no such date.
    """
    cells = _cells(column, table)
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        seconds = pc.cast(pc.cast(cells, pa.timestamp("s"), safe=False), pa.int64())
        values_N = arrow.values_of(seconds)
        return values_N if rows is None else values_N[rows]
    texts = coded(column, table, rows, known=True)
    return _checked(column, table, rows, texts, arrow.seconds(texts.texts, column.format))


def _cells(column: Column, table: Table) -> Any:
    cells = table.column(column.name)
    return pa.array(cells, pa.string()) if isinstance(cells, list | tuple) else cells


def _checked(
    column: Column, table: Table, rows: Rows, texts: Coded, values: NDArray[np.float64]
) -> NDArray[np.float64]:
    odd = np.flatnonzero(texts.spread(np.isnan(values), False))
    if len(odd):
        row = int(odd[0] if rows is None else rows[odd[0]])
        raise _odd(column, table, row, texts.text(odd[0]))
    return texts.spread(values, np.nan)


def _odd(column: Column, table: Table, row: int, text: str) -> DataError:
    what = f"number (like 1{column.thousands}000{column.decimal}5)"
    return DataError(
        f"column {shown(column.name)}, line {table.line_of(row)}: `{text}` is no "
        f"{f'date ({column.date})' if column.date else what}, as the cells were that the network "
        "learned from; an empty cell is a missing value"
    )
