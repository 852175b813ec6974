"""Rows that are in a table more than once, where that is no chance: some column nearly tells each
row from the others, and these agree in all columns."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from hpsearch.sources.table.column import Column, number_of
from hpsearch.sources.table.rules import FEW_VALUES, IDENTIFIER_SHARE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.sources.table.reading import Table

__all__ = ["repeats"]


def repeats(table: Table, columns: Sequence[Column]) -> str:
    """A sentence about such rows; "" where there are none."""
    telling = max(columns, key=lambda c: c.distinct / max(c.cells, 1), default=None)
    if telling is None or not max(FEW_VALUES, IDENTIFIER_SHARE * telling.cells) < telling.distinct:
        return ""
    if telling.distinct == telling.cells:
        return ""
    column = table.column(telling.name)
    cells = column if isinstance(column, list | tuple) else column.to_pylist()
    often = {cell for cell, count in Counter(cells).items() if count > 1} - {"", None}
    rows = [row for row, cell in enumerate(cells) if cell in often]
    alike = Counter(zip(*(_of(table.column(name), rows) for name in table.names), strict=True))
    if not (copies := len(rows) - len(alike)):
        return ""
    name = json.dumps(telling.name, ensure_ascii=False)
    are = "is" if copies == 1 else "are"
    return (
        f"{number_of(copies, 'row')} {are} a copy of another, the same in all columns, so a "
        "network may be tested on rows that it has learnt from; remove the copies, or "
        f"data.split: {{group: {name}}} keeps each with its row"
    )


def _of(column: Any, rows: Sequence[int]) -> Sequence[Any]:
    """The cells of some rows."""
    if isinstance(column, list | tuple):
        return [column[row] for row in rows]
    import pyarrow as pa

    some: Sequence[Any] = column.take(pa.array(rows, pa.int64())).to_pylist()
    return some
