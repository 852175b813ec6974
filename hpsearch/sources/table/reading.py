"""Reading a table: what may be said about it beforehand, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ReadOptions", "Table"]


@dataclass(frozen=True)
class ReadOptions:
    """What the user, or a finished training, says about how a table is to be read."""

    header: bool | None = None
    """Whether the first record names the columns; None: decided from the file (`data.header`)."""
    names: tuple[str, ...] = ()
    """The columns' names, of a file that has no header (`data.names`)."""
    expected: tuple[str, ...] = ()
    """Names a network was trained on: a first record that has all of them is the header."""
    target: str = ""
    """The column that may be missing where `names` has all: there is none yet to predict from."""
    texts: frozenset[str] = frozenset()
    """Columns that stay texts even where they are nearly all different numbers."""
    every: bool = False
    """Keep records without any value, such as `;;;`: a prediction is made for each record."""
    stream: bool = False
    """Also read a pipe that the shell opened, such as /dev/stdin."""


@dataclass(frozen=True)
class Table:
    """The cells of N rows, of a whole file or of its beginning."""

    columns: Mapping[str, Any] = field(repr=False)
    """By name (not empty, no two the same, without line breaks) N cells each.

    Of the first rows of a text: a tuple of texts. Else an Arrow array: texts are
    `dictionary<int32, string>` without nulls, '' for an empty cell; numbers are float64, null for a
    cell that is empty or odd. Files that know types, such as Parquet, also give int64, bool and
    timestamp, null for an empty cell.
    """
    rows: int
    """N; the header is no row."""
    line_of: Callable[[int], int] = field(repr=False)
    """The line of the file, from 1, in which a row begins, of Parquet its number, from 1; it may
    walk the whole file."""
    complete: bool = True
    """Whether these are all rows of the file."""
    notes: tuple[str, ...] = ()
    """What a user should know of how the file was read, a sentence each."""
    odd: Mapping[str, Mapping[int, str]] = field(default_factory=dict, repr=False)
    """By column that was read as float64: the cells that are no plain number, by row."""
    fingerprint: str = ""
    """The SHA-256 of the file's bytes, in hexadecimal digits; '' where it was not read whole."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.columns)

    def column(self, name: str) -> Any:
        """The cells of a column."""
        return self.columns[name]
