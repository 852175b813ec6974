"""From the cells of a table to the inputs of a network.

`fit` learns from training rows what an `Encoder` needs: plain values, which are handed over with a
network, so that prediction makes the same inputs of the same cells to the last bit. Shapes: N rows,
D inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from hpsearch.errors import DataError
from hpsearch.sources.inputs import Unit
from hpsearch.sources.room import free_memory
from hpsearch.sources.table.arrow import Rows
from hpsearch.sources.table.column import lacking, number_of, read_by_text, shown
from hpsearch.sources.table.columns import Decision
from hpsearch.sources.table.encodings import CategoryInput, Encoding, fit_column

if TYPE_CHECKING:
    from hpsearch.sources.table.reading import Table

__all__ = ["Encoder", "Floats", "check_columns", "check_memory", "fit", "nothing_left"]

Floats = NDArray[np.float32]
_MEMORY_SHARE = 4
"""The inputs may take one part in so many of the free memory: training, with its copies on the
device and its batches, needs the rest."""


@dataclass(frozen=True)
class Encoder:
    """How the cells of a table become inputs: plain values."""

    encodings: tuple[Encoding, ...]
    """One for each column that has inputs, in the order of the inputs."""
    others: tuple[str, ...] = ()
    """Columns of the training table that are no inputs, its target among them."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the D inputs."""
        return tuple(name for encoding in self.encodings for name in encoding.names)

    def units(self) -> tuple[Unit, ...]:
        """What each of the D inputs is in the table's own terms."""
        return tuple(unit for encoding in self.encodings for unit in encoding.units)

    def cells(self, inputs_ND: NDArray[np.float32]) -> dict[str, list[str]]:
        """The cells of each column that such inputs are of, as far as these tell."""
        cells, at = dict[str, list[str]](), 0
        for encoding in self.encodings:
            width = len(encoding.names)
            cells[encoding.column.name] = encoding.cells(inputs_ND[:, at : at + width])
            at += width
        return cells

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's inputs: (D,)."""
        return (len(self.names),)

    @property
    def kind(self) -> Literal["rows"]:
        """What the inputs are."""
        return "rows"

    @property
    def vocabulary(self) -> int:
        """How many different tokens there are: none, as inputs are numbers."""
        return 0

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table has to have."""
        return tuple(encoding.column.name for encoding in self.encodings)

    @property
    def as_texts(self) -> frozenset[str]:
        """Columns that have to be read as texts, as plain numbers would lose what they say."""
        return frozenset(
            e.column.name
            for e in self.encodings
            if e.column.kind != "number" or (e.column.decimal, e.column.thousands) != (".", "")
        )

    def fault(self) -> str | None:
        """Why no inputs can be made by values that were read again; None for what is whole."""
        names = self.columns
        for name in names:
            if names.count(name) > 1:
                return f"the column {name!r} is there twice"
        for encoding in self.encodings:
            values = encoding.values if isinstance(encoding, CategoryInput) else ()
            if len({*values}) < len(values):
                return f"a value of the column {encoding.column.name!r} is there twice"
        return None

    def inputs(
        self, table: Table, rows: Rows = None, free_bytes: int | None = None
    ) -> tuple[Floats, tuple[str, ...]]:
        """The inputs of a table, (N, D), and what it has that training had not, a sentence each.

        Its columns may come in any order, and there may be more of them.

        Args:
            table: Its cells.
            rows: The rows to read, counted from 0; None for all.
            free_bytes: Free memory; None: it is measured.

        Raises DataError where a column is missing, a cell cannot be read, or memory is short.
        """
        remarks = check_columns(table, self.columns, self.others)
        count = table.rows if rows is None else len(rows)
        _check_memory(count, self.encodings, free_bytes)
        inputs_ND = np.empty((count, len(self.names)), np.float32)
        at = 0
        for encoding in self.encodings:
            width = len(encoding.names)
            remarks += encoding.fill(table, rows, inputs_ND[:, at : at + width])
            at += width
        return inputs_ND, tuple(remarks)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Encoder:
        """The encoder that `as_json` gave; pydantic.ValidationError where it is none."""
        return TypeAdapter(cls).validate_python(values)


def fit(
    decision: Decision,
    table: Table,
    training_rows: NDArray[np.int64],
    free_bytes: int | None = None,
) -> tuple[Encoder, tuple[str, ...]]:
    """What the training rows teach, and what is said of it, a sentence each.

    Args:
        decision: What the columns are.
        table: The table that was decided on.
        training_rows: The rows to learn from, counted from 0: medians, scales, values and ranges
            are theirs alone.
        free_bytes: Free memory; None: it is measured.

    Raises DataError where no input is left, or where the inputs of all rows take more than a
    quarter of the free memory.
    """
    encodings: list[Encoding] = []
    remarks: list[str] = []
    different: list[str] = []
    for column in decision.used:
        encoding = fit_column(column, table, training_rows)
        if encoding is None:
            name = shown(column.name)
            remarks.append(f"column {name}: left out, no value is frequent in the training rows")
        else:
            encodings.append(encoding)
            if (count := len(encoding.names)) != column.inputs:
                different.append(f"{shown(column.name)} has {count} instead of {column.inputs}")
    if not encodings:
        raise nothing_left(decision)
    read = {encoding.column.name for encoding in encodings}
    encoder = Encoder(tuple(encodings), tuple(name for name in table.names if name not in read))
    _check_memory(table.rows, encoder.encodings, free_bytes)
    if different:
        listed = ", ".join(different[:5]) + (", ..." if len(different) > 5 else "")
        inputs = number_of(len(encoder.names), "input")
        remarks.append(
            f"{inputs} by the training rows, where all rows suggest {decision.inputs:,}: {listed}"
        )
    return encoder, tuple(remarks)


def nothing_left(decision: Decision) -> DataError:
    """The error of a table without a column to learn from: what became of those that it has."""
    columns = [c for c in decision.columns if not c.inputs] or [*decision.columns]
    columns.sort(key=lambda column: column.kind == "ignore")  # what is no surprise comes last
    reasons = [f"{shown(column.name)} ({column.reason})" for column in columns[:5]]
    listed = f": {', '.join(reasons)}{', ...' if len(columns) > 5 else ''}" if reasons else ""
    text = next((column.name for column in columns if column.kind == "text"), None)
    way_out = f"; {read_by_text(text)}" if text is not None else ""
    return DataError(f"the table has no column to learn from besides its target{listed}{way_out}")


def check_columns(table: Table, columns: Sequence[str], others: Sequence[str]) -> list[str]:
    """What is said of columns that neither a network reads nor its training table had.

    Raises DataError where one is missing that the network reads.
    """
    if missing := lacking(table.names, columns, ", which the network reads"):
        raise DataError(f"the table lacks the {missing}")
    extra = [name for name in table.names if name not in {*columns, *others}]
    listed = ", ".join(map(shown, extra[:5])) + (", ..." if len(extra) > 5 else "")
    return [f"{number_of(len(extra), 'column')} not used: {listed}"] if extra else []


def _check_memory(rows: int, encodings: Sequence[Encoding], free_bytes: int | None) -> None:
    widest = sorted(encodings, key=lambda encoding: -len(encoding.names))[:3]
    most = ", ".join(f"{shown(e.column.name)} ({len(e.names)})" for e in widest)
    inputs = sum(len(encoding.names) for encoding in encodings)
    way_out = f"the most inputs come from {most}; leave columns out with data.ignore, or"
    check_memory(rows, inputs, 4, way_out, free_bytes)


def check_memory(
    rows: int, inputs: int, size: int, way_out: str, free_bytes: int | None = None
) -> None:
    """DataError where inputs take more than a quarter of the free memory.

    Args:
        rows: How many rows there are.
        inputs: Inputs a row.
        size: Bytes of one input.
        way_out: What to do then, before `use fewer rows`.
        free_bytes: Free memory; None: it is measured.
    """
    total = rows * inputs * size
    free = free_memory() if free_bytes is None else free_bytes
    if total * _MEMORY_SHARE > free:
        raise DataError(
            f"{rows:,} rows x {inputs:,} inputs x {size} bytes are {total / 1e9:.3g} GB, more than "
            f"a quarter of the {free / 1e9:.3g} GB of memory that are free; {way_out} use fewer "
            "rows with data.limit"
        )
