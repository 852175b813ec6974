"""The column of dates or numbers that puts the rows of a table in order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.errors import DataError
from hpsearch.sources.table.column import lacking, number_of, shown
from hpsearch.sources.table.columns import decide
from hpsearch.sources.table.rules import Override

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.sources.table.arrow import Rows
    from hpsearch.sources.table.column import Column
    from hpsearch.sources.table.reading import Table
    from hpsearch.sources.table.rules import Overrides

__all__ = ["order_column", "order_of", "places_of", "without_place"]


def order_column(table: Table, name: str, overrides: Overrides, key: str) -> Column:
    """What the column is, whether or not it is an input too.

    Args:
        table: Its cells.
        name: The column.
        overrides: What the study file says of columns.
        key: The key of the study file that names it, for errors.

    Raises DataError where it is missing, or neither of dates nor of numbers.
    """
    if missing := lacking(table.names, [name], f", which {key} names"):
        raise DataError(f"the table has no {missing}")
    own = overrides.columns.get(name, Override())
    own = replace(own, kind=None) if own.kind == "ignore" else own
    alone = replace(overrides, columns={name: own}, ignore=(), text=None)
    (column,) = decide(replace(table, columns={name: table.column(name)}), None, alone).columns
    if column.kind not in ("date", "number", "row number"):
        raise DataError(
            f"{key}: rows cannot be put in order by column {shown(name)}, which is neither of "
            f"dates nor of numbers ({column.kind})"
        )
    return column


def places_of(column: Column, table: Table, rows: Rows) -> NDArray[np.float64]:
    """Where rows stand in time, (N,): seconds since 1970-01-01, or the column's numbers; NaN for a
    row without a value."""
    from hpsearch.sources.table import arrow

    read = arrow.moments_of if column.kind == "date" else arrow.numbers_of
    return read(column, table, rows)


def without_place(name: str, count: int, line: int | None = None) -> str:
    """The note that so many rows are left out, as they have no place in the order."""
    first = "" if line is None else f", the first in line {line}"
    return (
        f"column {shown(name)}: {number_of(count, 'row')} without a value left out{first}, as "
        "data.split puts rows in order by it"
    )


def order_of(column: Column, table: Table, rows: Rows, key: str) -> NDArray[np.float64]:
    """The same as `places_of`; DataError for a row without a value."""
    import numpy as np

    order = places_of(column, table, rows)
    gaps = np.flatnonzero(np.isnan(order))
    if len(gaps):
        row = int(gaps[0]) if rows is None else int(rows[gaps[0]])
        alone = len(gaps) == 1
        raise DataError(
            f"column {shown(column.name)}, line {table.line_of(row)}: no value"
            f"{'' if alone else f' (in {len(gaps):,} rows)'}, and {key} puts rows in order by it; "
            f"leave {'that row' if alone else 'those rows'} out"
        )
    return order
