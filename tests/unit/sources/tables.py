"""Tables in memory, as a whole file's cells and as the sample that `check` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

FIRST_LINE = 2
"""The line of the first row, below the header."""


@dataclass
class Rows:
    """A table of columns by name; a row a line."""

    columns: Mapping[str, Any]
    odd: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    complete: bool = True
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.columns)

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))

    def column(self, name: str) -> Any:
        return self.columns[name]

    def line_of(self, row: int) -> int:
        return row + FIRST_LINE


def sample(**columns: Sequence[str]) -> Rows:
    """Texts in plain lists."""
    return Rows({name: list(cells) for name, cells in columns.items()})


def whole(**columns: Sequence[str]) -> Rows:
    """The same texts as Arrow's dictionary codes."""
    return Rows({n: pa.array(c, pa.string()).dictionary_encode() for n, c in columns.items()})
