"""The tally of a column of an Arrow table: distinct texts are looked at once, rows as codes."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpsearch.sources.table import bulk
from hpsearch.sources.table.style import Style
from hpsearch.sources.table.tally import MOST_SHAPES, Shape, Text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from hpsearch.sources.table import dates

__all__ = ["ArrowTally"]


class ArrowTally:
    """The tally of dictionary codes; -1 is a missing cell."""

    def __init__(self, distinct: pa.StringArray, codes_N: NDArray[Any], rows: Any) -> None:
        self._rows = rows
        present_N = codes_N >= 0
        counts = np.bincount(codes_N[present_N], minlength=len(distinct))
        used = counts > 0
        if not used.all():  # texts of rows without a target
            # In the order in which they first come in these rows.
            order = np.flatnonzero(used)
            order = order[np.argsort(bulk.firsts(codes_N, len(distinct))[order], kind="stable")]
            renumbered = np.full(len(distinct) + 1, -1)
            renumbered[order] = np.arange(len(order))
            distinct = distinct.take(pa.array(order))
            codes_N, counts = renumbered[codes_N], counts[order]
        self._distinct, self._codes_N, self._counts = distinct, codes_N, counts
        self._read: dict[Style | dates.Format, NDArray[np.float64]] = {}
        self.cells = int(counts.sum())
        self.missing = len(codes_N) - self.cells
        self.distinct = len(distinct)

    @classmethod
    def of(cls, column: Any, rows: Any, marks: frozenset[str]) -> ArrowTally:
        """The tally of a whole column, of these rows."""
        distinct, codes_N = bulk.coded(column)
        if rows is not None:
            codes_N = codes_N[rows]
        gone = bulk.are_empty(distinct)
        if marks:
            gone |= bulk.is_in(distinct, marks)
        return cls(distinct, _without(codes_N, gone), rows)

    @cached_property
    def shapes(self) -> Sequence[Shape]:
        """Shapes of texts with a digit, the commonest first."""
        patterns, places = bulk.shapes(self._distinct)
        shaped = places >= 0
        distinct = np.bincount(places[shaped], minlength=len(patterns))
        cells = np.bincount(places[shaped], self._counts[shaped], len(patterns)).astype(np.int64)
        order = np.argsort(-cells, kind="stable")[:MOST_SHAPES]
        examples = self._distinct.take(pa.array(bulk.firsts(places, len(patterns))[order]))
        rows = zip(
            patterns.take(pa.array(order)).to_pylist(),
            cells[order].tolist(),
            distinct[order].tolist(),
            examples.to_pylist(),
            strict=True,
        )
        return [Shape(*row) for row in rows]

    def without(self, marks: Collection[str]) -> ArrowTally:
        """The same column with these texts missing."""
        codes_N = _without(self._codes_N, bulk.is_in(self._distinct, marks))
        return ArrowTally(self._distinct, codes_N, self._rows)

    def texts(self, most: int) -> list[Text]:
        """The commonest distinct texts."""
        order = np.argsort(-self._counts, kind="stable")[:most]
        return [self._text(int(place)) for place in order]

    def odd(self, kind: Style | dates.Format, most: int) -> tuple[int, int, list[Text]]:
        """What `kind` cannot read: cells, distinct texts, and the first texts."""
        odd = np.flatnonzero(np.isnan(self._values(kind)))
        texts = [self._text(int(place)) for place in odd[:most]]
        return int(self._counts[odd].sum()), len(odd), sorted(texts, key=lambda text: text.row)

    def among(self, some: Collection[str]) -> list[Text]:
        """Those of `some` that cells have, by row."""
        places = np.flatnonzero(bulk.is_in(self._distinct, some))
        return sorted((self._text(int(place)) for place in places), key=lambda text: text.row)

    def present(self) -> NDArray[np.int64]:
        """The rows that have a value."""
        places = np.flatnonzero(self._codes_N >= 0)
        return places if self._rows is None else np.asarray(self._rows)[places]

    def row(self, text: str) -> int:
        """The first row with this text."""
        return self._row(np.argmax(self._codes_N == pc.index(self._distinct, text).as_py()))

    def first_missing(self) -> int | None:
        """The first row that lacks a value."""
        missing = np.flatnonzero(self._codes_N < 0)
        return self._row(missing[0]) if len(missing) else None

    def words(self) -> float:
        """Words in a cell, on average."""
        blanks = bulk.integers(pc.count_substring(self._distinct, " "))
        return float(np.average(blanks + 1, weights=self._counts)) if self.cells else 0.0

    def bounds(self, kind: Style | dates.Format) -> tuple[float, float]:
        """The least and the largest value."""
        values = self._values(kind)
        return float(np.nanmin(values)), float(np.nanmax(values))

    def steps(self, kind: Style | dates.Format) -> tuple[bool, bool]:
        """Whether values rise by 1 with each row of the table, and whether they never fall."""
        return bulk.steps(np.append(self._values(kind), np.nan)[self._codes_N], self._rows)

    def _values(self, kind: Style | dates.Format) -> NDArray[np.float64]:
        """The value of each distinct text, nan where there is none."""
        if kind not in self._read:
            self._read[kind] = (
                bulk.floats(self._distinct, kind)
                if isinstance(kind, Style)
                else bulk.seconds(self._distinct, kind)
            )
        return self._read[kind]

    def _text(self, place: int) -> Text:
        row = self._row(np.argmax(self._codes_N == place))
        return Text(self._distinct[place].as_py(), int(self._counts[place]), row)

    def _row(self, place: Any) -> int:
        return int(place if self._rows is None else self._rows[place])


def _without(codes_N: NDArray[Any], gone: NDArray[np.bool_]) -> NDArray[Any]:
    return np.where(np.append(gone, False)[codes_N], -1, codes_N) if gone.any() else codes_N
