"""All cells of a table, column by column.

`read` gives `Cells`. In a file of texts (CSV, Excel) every cell is a text until a column rule says
otherwise, so that `None`, `007` and `1,234` arrive as they stand in the file. A column of more than
a thousand texts, nearly all of them different and plain numbers, comes as float64 at once: a
dictionary of 300,000 texts would cost more memory and time than the rest of the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from hpsearch.sources.table.texts import Distinct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Cells"]


@dataclass(frozen=True)
class Cells:
    """A table of N rows. It satisfies `texts.Table`."""

    names: tuple[str, ...]
    """The columns' names: not empty, no two the same, without line breaks."""
    rows: int
    """N, how many rows there are; the header is none."""
    notes: tuple[str, ...]
    """What a user should know of how the file was read, a sentence each."""
    fingerprint: str
    """The SHA-256 of the file's bytes, in hexadecimal digits."""
    complete: bool = True
    """Whether these are all rows of the file."""
    columns: Mapping[str, pa.Array] = field(default_factory=dict, repr=False)
    """What `column` gives, by name."""
    odd: Mapping[str, Mapping[int, str]] = field(default_factory=dict, repr=False)
    """By column that came as float64: the cells that are no plain number, by row; they are null in
    the column. A null whose row is not among them is an empty cell."""
    locate: Callable[[int], int] = field(default=lambda row: row + 1, repr=False)
    """What `line_of` asks; it may walk the whole file."""

    def column(self, name: str) -> pa.Array:
        """A column, (N,).

        Texts: `dictionary<int32, string>` without nulls, '' for an empty cell. Numbers: float64,
        null for a cell that is empty or odd. Of files that know types, such as Parquet, also
        int64, bool and timestamp, null for an empty cell.
        """
        return self.columns[name]

    def is_text(self, name: str) -> bool:
        """Whether a column is one of texts, `dictionary<int32, string>`."""
        return pa.types.is_dictionary(self.columns[name].type)

    def distinct(
        self, name: str, rows: Sequence[bool] | NDArray[np.bool_] | None = None
    ) -> Distinct:
        """The texts of a column with their counts, over the rows marked True (None: all).

        Of a column of another type these are its `odd` cells, and '' for those that are empty.
        """
        texts, codes, where = self._coded(name)
        if rows is not None:
            marked = np.asarray(rows)[where]
            codes, where = codes[marked], where[marked]
        values, first, counts = np.unique(codes, return_index=True, return_counts=True)
        order = np.argsort(first)
        return Distinct(
            tuple(texts.take(pa.array(values[order])).to_pylist()),
            tuple(counts[order].tolist()),
            tuple(where[first[order]].tolist()),
        )

    def _coded(self, name: str) -> tuple[pa.Array, NDArray[np.integer], NDArray[np.integer]]:
        """Texts, and for each cell that is one: which of them, and in which row."""
        column = self.columns[name]
        if self.is_text(name):
            return column.dictionary, column.indices.to_numpy(), np.arange(self.rows)
        odd = self.odd.get(name, {})
        where = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
        coded = pa.array(
            [odd.get(row, "") for row in where.tolist()], pa.string()
        ).dictionary_encode()
        return coded.dictionary, coded.indices.to_numpy(), where

    def line_of(self, row: int) -> int:
        """The line of the file, from 1, in which a row begins; of Parquet its number, from 1."""
        return self.locate(row)
