"""A column of cells as a column rule sees it: its distinct texts, and how often each occurs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Distinct", "ReadOptions", "Table"]


@dataclass(frozen=True)
class ReadOptions:
    """What the user, or a finished training, says about how a table is to be read."""

    header: bool | None = None
    """Whether the first record names the columns; None: decided from the file (`data.header`)."""
    names: tuple[str, ...] = ()
    """The columns' names, of a file that has no header (`data.names`)."""
    expected: tuple[str, ...] = ()
    """Names a network was trained on: a first record that has all of them is the header."""
    texts: frozenset[str] = frozenset()
    """Columns that stay texts even where they are nearly all different numbers."""
    every: bool = False
    """Keep records without any value, such as `;;;`: a prediction is made for each record."""
    stream: bool = False
    """Also read a pipe that the shell opened, such as /dev/stdin."""


@dataclass(frozen=True)
class Distinct:
    """The distinct texts of a column, in the order in which they first occur."""

    texts: tuple[str, ...]
    """The cells as they stand in the file, blanks around them included; '' is an empty cell."""
    counts: tuple[int, ...]
    """How many of the rows have each text."""
    first_rows: tuple[int, ...]
    """The first row of each text, from 0."""


class Table(Protocol):
    """What a whole table (`cells.Cells`) and the first rows of one (`sample.Sample`) both give."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names: not empty, no two the same, without line breaks."""

    @property
    def rows(self) -> int:
        """How many rows were read; the header is none."""

    @property
    def complete(self) -> bool:
        """Whether these are all rows of the file."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how the file was read, a sentence each."""

    @property
    def odd(self) -> Mapping[str, Mapping[int, str]]:
        """By column that comes as numbers: the cells that are none, by row."""

    def column(self, name: str) -> Any:
        """The cells of a column: a tuple of texts, or an Arrow array."""

    def distinct(self, name: str, rows: Sequence[bool] | None = None) -> Distinct:
        """The texts of a column with their counts, over the rows marked True (None: all)."""

    def line_of(self, row: int) -> int:
        """The line of the file, from 1, in which a row begins."""
