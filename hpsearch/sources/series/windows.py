"""The rows of a table in order of time, and windows over them.

Shapes: `R` rows of the table, `N` windows, `T` rows of a window, `D` inputs of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hpsearch.errors import DataError
from hpsearch.sources.table.column import number_of, shown
from hpsearch.sources.table.order import order_of

if TYPE_CHECKING:
    from hpsearch.sources.table.column import Column
    from hpsearch.sources.table.reading import Table

__all__ = ["Series", "Windows", "over", "sorted_by"]

_GAP = 1.5
"""A step in time that is longer than so many usual ones is a gap: months differ by less."""


@dataclass(frozen=True)
class Series:
    """A table and the order of its rows."""

    table: Table
    rows: NDArray[np.int64]
    """(R,): its rows, the earliest first."""
    notes: tuple[str, ...] = ()
    """What was done to put them in order, and what it showed, a sentence each."""


@dataclass(frozen=True)
class Windows:
    """Some windows of a series."""

    series: Series
    ends: NDArray[np.int64]
    """(N,): the place in time of the last row of each."""


def sorted_by(table: Table, time: Column | None) -> Series:
    """The rows of a table in order of time; as they stand where there is no such column.

    Raises DataError for a row without a time, and for two rows of one time.
    """
    if time is None:
        return Series(table, np.arange(table.rows))
    order = order_of(time, table, None, "data.time")
    rows = np.argsort(order, kind="stable")
    steps = np.diff(order[rows])
    name = shown(time.name)
    if len(same := np.flatnonzero(steps == 0)):
        one, other = (table.line_of(int(rows[place])) for place in (same[0], same[0] + 1))
        raise DataError(
            f"column {name}: lines {one} and {other} are of one time; a series has a row a time: "
            "give a table of one series, or leave data.time out where the rows stand in order"
        )
    notes = []
    if (np.diff(rows) < 0).any():
        notes.append(f"rows were put in order by column {name}")
    gaps = np.flatnonzero(steps > _GAP * np.median(steps)) if len(steps) else steps
    if len(gaps):
        first = table.line_of(int(rows[gaps[0]]))
        notes.append(
            f"column {name}: {number_of(len(gaps), 'gap')} in time, the first after line {first}; "
            "windows pass over them as if there were none"
        )
    return Series(table, rows, tuple(notes))


def over(steps: NDArray[Any], ends: NDArray[np.int64], length: int) -> NDArray[Any]:
    """The windows (N, T, ...) of steps (R, ...) that end, each with its last step, at `ends`."""
    views = np.moveaxis(sliding_window_view(steps, length, axis=0), -1, 1)
    return views[ends - (length - 1)]
