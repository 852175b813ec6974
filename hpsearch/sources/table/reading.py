"""Reading a table: what may be said about it beforehand, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    def line_of(self, row: int) -> int:
        """The line of the file, from 1, in which a row begins."""
