"""What is said about columns while they are decided; a thousand columns alike share a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.sources.table.rules import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hpsearch.errors import DataError
    from hpsearch.sources.table.tally import Text

__all__ = ["Notes", "cells_of", "number_of"]

_NAMED = 5
"""Columns that one sentence names."""


class Notes:
    """Sentences about columns, in the order in which they were first said."""

    def __init__(self, line_of: Callable[[int], int]) -> None:
        self._line_of = line_of
        self._notes: dict[str, list[str]] = {}
        self._warnings: dict[str, list[str]] = {}

    def line(self, row: int) -> int:
        """The line of the file that a row begins in."""
        return self._line_of(row)

    def note(self, name: str, what: str) -> None:
        """Note something about a column; columns with the same `what` share a sentence."""
        self._notes.setdefault(what, []).append(name)

    def warn(self, name: str, what: str) -> None:
        """Note a choice that may hurt."""
        self._warnings.setdefault(what, []).append(name)

    def doubt(self, fault: DataError) -> None:
        """Warn of what the first rows cannot settle, and the whole file may."""
        self._warnings[f"in the first rows: {fault}"] = []

    def marks(self, name: str, marks: Iterable[Text], way_out: str) -> None:
        """Note texts that are read as missing values."""
        for text in marks:
            where = f"line {self.line(text.row)}"
            self.note(
                name,
                f"`{text.text}` is read as missing in {cells_of(text.cells)}, first in {where}; "
                f"{way_out}",
            )

    def sentences(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All notes, and all warnings."""
        return _sentences(self._notes), _sentences(self._warnings)


def _sentences(said: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(f"{_columns(n)}: {what}" if n else what for what, n in said.items())


def _columns(names: list[str]) -> str:
    if len(names) == 1:
        return f"column {shown(names[0])}"
    listed = ", ".join(shown(name) for name in names[:_NAMED])
    more = len(names) - _NAMED
    return f"{len(names):,} columns, {listed}" + (f" and {more:,} more" if more > 0 else "")


def cells_of(cells: int) -> str:
    """So many cells, as a sentence has it."""
    return number_of(cells, "cell")


def number_of(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
