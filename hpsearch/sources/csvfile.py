"""CSV files as columns of text."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import DataError
from hpsearch.spec.header import header

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["Column", "columns_of", "read_columns"]

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_MANY = 20
"""Texts with no more distinct values than this are always worth an input each."""


@dataclass(frozen=True)
class Column:
    """One column as text; a missing value is ''."""

    name: str
    texts: list[str]
    decimal: str

    @property
    def missing(self) -> int:
        """How many values are missing."""
        return self.texts.count("")

    def number(self, text: str) -> float:
        """nan for a text that is no finite number."""
        try:
            value = float(text.replace(self.decimal, "."))
        except ValueError:
            return math.nan
        return value if math.isfinite(value) else math.nan

    @property
    def not_a_number(self) -> str | None:
        """The first text that is no finite number."""
        return next((t for t in self.texts if t and math.isnan(self.number(t))), None)

    @property
    def tells_nothing(self) -> bool:
        """Texts nearly all different, such as names: one input each, and nothing to learn."""
        distinct = len({*self.texts} - {""})
        return distinct > _MANY and distinct > len(self.texts) / 2

    @property
    def counts(self) -> bool:
        """Whole numbers that rise from row to row: they number the rows, most likely."""
        found = self.numbers()
        return bool((found == found.round()).all() and (np.diff(found) > 0).all())

    def where(self, kept: Sequence[bool]) -> Column:
        """The same column of some rows."""
        return Column(self.name, list(compress(self.texts, kept)), self.decimal)

    def numbers(self) -> NDArray[np.float64]:
        """(N,), nan where a value is missing."""
        return np.array([self.number(text) for text in self.texts])


def columns_of(rows: Sequence[Mapping[str, object]]) -> dict[str, Column]:
    """All columns of rows by name, each value as a file would have it; None is a missing one."""
    names = dict.fromkeys(name for row in rows for name in row)
    texts = {name: [_cell(_text(row.get(name))) for row in rows] for name in names}
    return {name: Column(name, found, ".") for name, found in texts.items()}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _cell(text: str) -> str:
    """A value without blanks around it; a missing one is ''."""
    text = text.strip()
    return "" if text.lower() in _MISSING else text


def read_columns(path: Path, content: bytes, *, every: bool = False) -> dict[str, Column]:
    """All columns by name, their texts stripped and missing values emptied.

    With `every` row, also one without any value: of delimiters alone, and in a table of one column
    a blank line. Another blank line is no row.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no table in UTF-8: byte {error.start} is none; save it as CSV in UTF-8"
        ) from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter, _ = header(first)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if row and len(row) != len(rows[0] if rows else row):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} values, but the first line names "
                    f"{len(rows[0])} columns"
                )
            counts = every and rows and (row or len(rows[0]) == 1)
            if counts or any(value.strip() for value in row):
                rows.append(row or [""])
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from error
    names = [name.strip() for name in rows[0]] if rows else []
    _check_header(path, names)
    decimal = "." if delimiter == "," else ","
    cells = [[_cell(value) for value in row] for row in rows[1:]]
    texts = zip(*cells, strict=True) if cells else [()] * len(names)
    return {n: Column(n, list(t), decimal) for n, t in zip(names, texts, strict=True)}


def _check_header(path: Path, names: Sequence[str]) -> None:
    if not names:
        raise DataError(f"{path} is empty; its first line must name the columns")
    if all(not math.isnan(Column("", [], ".").number(name)) for name in names):
        raise DataError(f"{path} starts with numbers; its first line must name the columns")
    twice = [name or "(no name)" for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{path} names a column twice: {', '.join(twice)}")
