"""The tally of a column that is read as numbers at once: the same face, without texts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.sources.table import bulk
from hpsearch.sources.table.style import Style
from hpsearch.sources.table.tally import Shape, Text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.sources.table import dates

__all__ = ["NumberTally"]


class NumberTally:
    """The tally of float64 values (N,), nan where one is missing, beside a few odd texts by row."""

    def __init__(
        self,
        values_N: NDArray[np.float64],
        odd: Mapping[int, str],
        rows: Any,
        marks: frozenset[str],
    ) -> None:
        self._all_N, self._rows, self._marks = values_N, rows, marks
        wanted = set(odd) if rows is None else {*odd} & {*np.asarray(rows).tolist()}
        texts = {row: odd[row] for row in sorted(wanted)}
        values_N = values_N if rows is None else values_N[rows]
        infinite = np.flatnonzero(np.isinf(values_N))
        if len(infinite):
            texts |= {self._row(place): str(values_N[place]) for place in infinite}
            values_N = np.where(np.isinf(values_N), np.nan, values_N)
        missing = [value for mark in marks if (value := Style().value(mark)) is not None]
        if missing:
            values_N = np.where(np.isin(values_N, missing), np.nan, values_N)
        self._odd = {row: text for row, text in texts.items() if text not in marks}
        self._values_N = values_N
        self._distinct, self._counts = np.unique(values_N[~np.isnan(values_N)], return_counts=True)
        self.cells = int(self._counts.sum()) + len(self._odd)
        self.missing = len(values_N) - self.cells
        self.distinct = len(self._distinct) + len({*self._odd.values()})

    @property
    def shapes(self) -> Sequence[Shape]:
        """Whole numbers, and others."""
        whole = self._distinct == np.floor(self._distinct)
        return [
            Shape(pattern, int(self._counts[of].sum()), int(of.sum()), f"{self._distinct[of][0]:g}")
            for pattern, of in (("9", whole), ("9.9", ~whole))
            if of.any()
        ]

    def without(self, marks: Collection[str]) -> NumberTally:
        """The same column with these texts missing."""
        odd = {row: text for row, text in self._odd.items() if text not in marks}
        return NumberTally(self._all_N, odd, self._rows, self._marks | frozenset(marks))

    def texts(self, most: int) -> list[Text]:
        """The commonest distinct texts."""
        order = np.argsort(-self._counts, kind="stable")[:most]
        values = self._distinct[order].tolist()
        return [
            Text(f"{value:.17g}", int(count), self._row(np.argmax(self._values_N == value)))
            for value, count in zip(values, self._counts[order], strict=True)
        ]

    def odd(self, kind: Style | dates.Format, most: int) -> tuple[int, int, list[Text]]:
        """What `kind` cannot read: cells, distinct texts, and the first texts."""
        texts = self._odd_texts()
        return len(self._odd), len(texts), texts[:most]

    def among(self, some: Collection[str]) -> list[Text]:
        """Those of `some` that cells have, by row."""
        return [text for text in self._odd_texts() if text.text in some]

    def present(self) -> NDArray[np.int64]:
        """The rows that have a value."""
        places = np.flatnonzero(~np.isnan(self._values_N))
        rows = places if self._rows is None else np.asarray(self._rows)[places]
        return np.sort(np.append(rows, np.array([*self._odd], np.int64)))

    def row(self, text: str) -> int:
        """The first row with this text."""
        rows = [row for row, odd in self._odd.items() if odd == text]
        value = Style().value(text)
        return rows[0] if rows else self._row(np.argmax(self._values_N == value))

    def first_missing(self) -> int | None:
        """The first row that lacks a value."""
        missing = (self._row(place) for place in np.flatnonzero(np.isnan(self._values_N)))
        return next((row for row in missing if row not in self._odd), None)

    def words(self) -> float:
        """Words in a cell, on average."""
        return 1.0

    def bounds(self, kind: Style | dates.Format) -> tuple[float, float]:
        """The least and the largest value."""
        return float(self._distinct[0]), float(self._distinct[-1])

    def steps(self, kind: Style | dates.Format) -> tuple[bool, bool]:
        """Whether values rise by 1 with each row of the table, and whether they never fall."""
        return bulk.steps(self._values_N, self._rows)

    def _odd_texts(self) -> list[Text]:
        counts = Counter(self._odd.values())
        firsts: dict[str, int] = {}
        for row, text in self._odd.items():
            firsts.setdefault(text, row)
        return [Text(text, counts[text], row) for text, row in firsts.items()]

    def _row(self, place: Any) -> int:
        return int(place if self._rows is None else self._rows[place])
