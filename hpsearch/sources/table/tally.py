"""The distinct texts of one column with their counts: what deciding a column looks at.

A table has a hundred thousand rows and a column a few ways in which its cells are written. So a
text is reduced to its *shape*: each digit becomes `9`, a zero that leads stays `0`, `e` is an
exponent and other ASCII letters become `a`. `1,234.50` has the shape `9,999.99`, `007` the shape
`099`. Rules about separators, signs and leading zeros are rules about a handful of shapes.

`tally` takes a column of an Arrow table, with NumPy and Arrow doing the work, or a plain list of
texts, with neither of them imported: the sample that `hpsearch check` reads.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from hpsearch.sources.table import dates
    from hpsearch.sources.table.numbers import Style

__all__ = ["MOST_SHAPES", "Shape", "Tally", "Text", "shape_of", "tally"]

MOST_SHAPES = 2_000
"""Numbers are written in a few hundred shapes at most, dates in a dozen; more are codes."""


_DIGITS = {ord(c): "9" for c in "0123456789"}
_LETTERS = {ord(c): "a" for c in "abcdfghijklmnopqrstuvwxyzABCDFGHIJKLMNOPQRSTUVWXYZ"}
_TO_SHAPE = {**_DIGITS, **_LETTERS, ord("E"): "e"}


_WORD = re.compile(r"[^\W\d_]\S*")


def shape_of(text: str) -> str:
    """The shape of a text; `arrow_tally.shapes` is the same for many."""
    pattern = text.translate(_TO_SHAPE)
    at = 1 if pattern[:1] in ("+", "-") else 0
    return f"{pattern[:at]}0{pattern[at + 1 :]}" if text[at : at + 1] == "0" else pattern


@dataclass(frozen=True)
class Shape:
    """One way in which texts with a digit are written."""

    pattern: str
    cells: int
    distinct: int
    example: str


@dataclass(frozen=True)
class Text:
    """One distinct text: so many cells have it, the first in `row`, counted from 0."""

    text: str
    cells: int
    row: int


class Tally(Protocol):
    """What is known of a column's texts; a missing cell is none of them."""

    @property
    def cells(self) -> int:
        """Cells that are not missing."""

    @property
    def missing(self) -> int:
        """Cells that are empty or a missing mark."""

    @property
    def distinct(self) -> int:
        """How many different texts there are."""

    @property
    def shapes(self) -> Sequence[Shape]:
        """Shapes of texts with a digit, the commonest first, 2,000 at most."""

    def without(self, marks: Collection[str]) -> Tally:
        """The same column with these texts missing."""

    def texts(self, most: int) -> list[Text]:
        """The distinct texts by count, then in order of appearance; `most` of them at most."""

    def odd(self, kind: Style | dates.Format, most: int) -> tuple[int, int, list[Text]]:
        """What `kind` cannot read: cells, distinct texts, and the first texts by row."""

    def among(self, some: Collection[str]) -> list[Text]:
        """Those of `some` that cells have, by row."""

    def first_missing(self) -> int | None:
        """The first row that lacks a value."""

    def present(self) -> Any:
        """The rows that have a value, as `tally` takes them."""

    def words(self) -> float:
        """Words in a cell, on average: each has a letter, so that a phone number has none."""

    def bounds(self, kind: Style | dates.Format) -> tuple[float, float]:
        """The least and the largest value among the texts that `kind` reads."""

    def steps(self, kind: Style | dates.Format) -> tuple[bool, bool]:
        """Whether values rise by 1 with each row of the table, and whether they never fall.

        Rows that are not counted, or lack a value, are passed over.
        """


def tally(
    column: Any,
    rows: Any,
    marks: Collection[str],
    odd: Mapping[int, str] | None = None,
    *,
    as_text: bool = False,
) -> Tally:
    """A column's distinct texts and counts.

    Args:
        column: A list of texts, in which None and "" are missing; or an Arrow array of text as
            dictionary codes, of numbers, truth values or times.
        rows: The rows to count, rising, of the same kind as the column: a list of numbers or an
            array of int64; None for all.
        marks: Further texts that are missing values.
        odd: Of a column of numbers the cells that were none, by row; they are null in it.
        as_text: Whether numbers count as the texts that they are written as.
    """
    if isinstance(column, list | tuple):
        return _ListTally(column, rows, frozenset(marks))
    from hpsearch.sources.table.arrow_tally import arrow_tally

    return arrow_tally(column, odd or {}, rows, frozenset(marks), as_text=as_text)


class _ListTally:
    """The tally of a short list of texts, in plain Python."""

    def __init__(
        self, column: Sequence[str | None], rows: Sequence[int] | None, marks: frozenset[str]
    ) -> None:
        self._column, self._rows, self._marks = column, rows, marks
        numbers_ = range(len(column)) if rows is None else rows
        stripped = ((row, (column[row] or "").strip()) for row in numbers_)
        self._present = [(row, t) for row, t in stripped if t and t not in marks]
        self._first: dict[str, int] = {}
        for row, text in self._present:
            self._first.setdefault(text, row)
        self._counts = Counter(text for _, text in self._present)
        self.cells, self.distinct = len(self._present), len(self._counts)
        self.missing = len(numbers_) - self.cells

    @cached_property
    def shapes(self) -> Sequence[Shape]:
        by_pattern: dict[str, list[str]] = {}
        for text in self._counts:
            if any(c in "0123456789" for c in text):
                by_pattern.setdefault(shape_of(text), []).append(text)
        shapes = [
            Shape(pattern, sum(self._counts[t] for t in texts), len(texts), texts[0])
            for pattern, texts in by_pattern.items()
        ]
        return sorted(shapes, key=lambda shape: -shape.cells)[:MOST_SHAPES]

    def without(self, marks: Collection[str]) -> Tally:
        return _ListTally(self._column, self._rows, self._marks | frozenset(marks))

    def texts(self, most: int) -> list[Text]:
        return [self._text(text) for text, _ in self._counts.most_common(most)]

    def odd(self, kind: Style | dates.Format, most: int) -> tuple[int, int, list[Text]]:
        odd = [text for text in self._counts if kind.value(text) is None]
        return sum(self._counts[t] for t in odd), len(odd), [self._text(t) for t in odd[:most]]

    def among(self, some: Collection[str]) -> list[Text]:
        return [self._text(text) for text in self._counts if text in some]

    def present(self) -> Any:
        return [row for row, _ in self._present]

    def first_missing(self) -> int | None:
        present = {row for row, _ in self._present}
        rows = range(len(self._column)) if self._rows is None else self._rows
        return next((row for row in rows if row not in present), None)

    def words(self) -> float:
        return sum(len(_WORD.findall(text)) for _, text in self._present) / max(self.cells, 1)

    def bounds(self, kind: Style | dates.Format) -> tuple[float, float]:
        values = [value for text in self._counts if (value := kind.value(text)) is not None]
        return min(values), max(values)

    def steps(self, kind: Style | dates.Format) -> tuple[bool, bool]:
        read = ((row, kind.value(text)) for row, text in self._present)
        values = [(row, value) for row, value in read if value is not None]
        rows = [later - row for (row, _), (later, _) in pairwise(values)]
        steps = [later - value for (_, value), (_, later) in pairwise(values)]
        return bool(steps) and steps == rows, bool(steps) and min(steps) >= 0

    def _text(self, text: str) -> Text:
        return Text(text, self._counts[text], self._first[text])
