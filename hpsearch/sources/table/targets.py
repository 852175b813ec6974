"""The targets of a table's rows, by what was decided of the target column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import DataError
from hpsearch.sources.table import frozen
from hpsearch.sources.table.rules import shown
from hpsearch.sources.table.target import label

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.sources.table.reading import Table
    from hpsearch.sources.table.target import Target

__all__ = ["targets"]


def targets(target: Target, table: Table) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The targets (M,) of the rows that have one, and those M rows, counted from 0.

    They are int64 indices of `target.classes`, or float64 numbers in their own unit. DataError for
    a cell that is no class, or no number.
    """
    if target.task == "regression":
        values_N = frozen.numbers(target.column, table, None)
        rows = np.flatnonzero(~np.isnan(values_N))
        return values_N[rows], rows
    texts = frozen.coded(target.column, table, None, known=target.column.kind == "number")
    places = {name: place for place, name in enumerate(target.classes)}
    classes = [places.get(label(text, target), -1) for text in texts.texts.to_pylist()]
    rows = np.flatnonzero(texts.codes >= 0)
    classes_M = np.array([*classes, -1], np.int64)[texts.codes[rows]]
    odd = np.flatnonzero(classes_M < 0)
    if len(odd):
        row = int(rows[odd[0]])
        text = texts.texts[int(texts.codes[row])].as_py()
        listed = ", ".join(target.classes[:20]) + (", ..." if len(target.classes) > 20 else "")
        raise DataError(
            f"column {shown(target.column.name)}, line {table.line_of(row)}: `{text}` is none of "
            f"the classes, which are {listed}"
        )
    return classes_M, rows
