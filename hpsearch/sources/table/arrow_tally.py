"""The tallies of columns of an Arrow table: of texts as codes, and of numbers without texts."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpsearch.sources.table import arrow
from hpsearch.sources.table.arrow import Coded
from hpsearch.sources.table.numbers import LARGEST, Style
from hpsearch.sources.table.tally import MOST_SHAPES, Shape, Text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.sources.table import dates
    from hpsearch.sources.table.tally import Tally

__all__ = ["arrow_tally", "shapes"]


def arrow_tally(
    column: Any, odd: Mapping[int, str], rows: Any, marks: frozenset[str], *, as_text: bool
) -> Tally:
    """The tally of a column; the arguments are those of `tally.tally`."""
    rows_N = np.arange(len(column)) if rows is None else np.asarray(rows)
    if as_text or not arrow.is_numeric(column):
        return _TextTally(arrow.coded(column, odd, rows, marks), rows_N)
    values_N = arrow.as_floats(column)
    wanted = odd.keys() if rows is None else odd.keys() & {*rows_N.tolist()}
    odd = {row: odd[row] for row in sorted(wanted)}
    return _NumberTally(values_N if rows is None else values_N[rows_N], odd, rows_N, marks)


_ZERO, _NINE, _PLUS, _MINUS = b"09+-"
_TO_SHAPE = np.arange(256, dtype=np.uint8)
_TO_SHAPE[[*b"0123456789"]] = _NINE
_TO_SHAPE[[*b"abcdfghijklmnopqrstuvwxyzABCDFGHIJKLMNOPQRSTUVWXYZ"]] = ord("a")
_TO_SHAPE[ord("E")] = ord("e")


def shapes(texts: pa.StringArray) -> tuple[pa.StringArray, NDArray[np.int64]]:
    """The shapes of texts, as `tally` defines them, and each text's place among them.

    None of the texts may be "". Texts without a digit have no shape, and the place -1.
    """
    if not len(texts):
        return texts, np.zeros(0, np.int64)
    _, buffer, data = texts.buffers()
    offsets = np.frombuffer(buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    bytes_ = np.frombuffer(data, np.uint8)
    pattern = _TO_SHAPE.take(bytes_)  # four times as fast as [bytes_]
    with_digit = np.logical_or.reduceat((pattern == _NINE)[: offsets[-1]], offsets[:-1])
    first = offsets[:-1][with_digit]
    leading = bytes_[first]
    first = first + ((leading == _PLUS) | (leading == _MINUS))
    pattern[first[bytes_[first] == _ZERO]] = _ZERO  # a digit follows a sign, or it is no sign
    all_ = pa.StringArray.from_buffers(
        len(texts), pa.py_buffer(offsets.tobytes()), pa.py_buffer(pattern)
    )
    if not with_digit.all():
        all_ = all_.filter(pa.array(with_digit))
    encoded = all_.dictionary_encode()
    places = np.full(len(texts), -1, np.int64)
    places[with_digit] = arrow.integers(encoded.indices)
    return encoded.dictionary, places


class _TextTally:
    """A `Tally`: distinct texts are looked at once, rows as codes."""

    def __init__(self, coded: Coded, rows_N: NDArray[np.int64]) -> None:
        counts = np.bincount(coded.codes + 1, minlength=len(coded.texts) + 1)[1:]
        used = np.flatnonzero(counts)
        if len(used) < len(counts):  # texts of rows without a target, or that are missing
            firsts = arrow.first_places(coded.codes, len(counts))
            used = used[np.argsort(firsts[used], kind="stable")]  # in order of appearance
            places = np.full(len(counts), -1)
            places[used] = np.arange(len(used))
            coded = Coded(coded.texts.take(pa.array(used)), coded.spread(places, -1))
            counts = counts[used]
        self._coded, self._rows_N, self._counts = coded, rows_N, counts
        self._read: dict[Style | dates.Format, NDArray[np.float64]] = {}
        self.cells, self.distinct = int(counts.sum()), len(counts)
        self.missing = len(rows_N) - self.cells

    @cached_property
    def shapes(self) -> Sequence[Shape]:
        patterns, places = shapes(self._coded.texts)
        shaped = places >= 0
        distinct = np.bincount(places[shaped], minlength=len(patterns))
        cells = np.bincount(places[shaped], self._counts[shaped], len(patterns)).astype(np.int64)
        order = np.argsort(-cells, kind="stable")[:MOST_SHAPES]
        firsts = arrow.first_places(places, len(patterns))[order]
        rows = zip(
            patterns.take(pa.array(order)).to_pylist(),
            cells[order].tolist(),
            distinct[order].tolist(),
            self._coded.texts.take(pa.array(firsts)).to_pylist(),
            strict=True,
        )
        return [Shape(*row) for row in rows]

    def without(self, marks: Collection[str]) -> Tally:
        return _TextTally(self._coded.without(marks), self._rows_N)

    def texts(self, most: int) -> list[Text]:
        return self._texts(np.argsort(-self._counts, kind="stable")[:most])

    def odd(self, kind: Style | dates.Format, most: int) -> tuple[int, int, list[Text]]:
        odd = np.flatnonzero(np.isnan(self._values(kind)))
        texts = sorted(self._texts(odd[:most]), key=lambda text: text.row)
        return int(self._counts[odd].sum()), len(odd), texts

    def among(self, some: Collection[str]) -> list[Text]:
        texts = self._texts(np.flatnonzero(self._coded.among(some)))
        return sorted(texts, key=lambda text: text.row)

    def present(self) -> NDArray[np.int64]:
        return self._rows_N[self._coded.codes >= 0]

    def first_missing(self) -> int | None:
        missing = self._rows_N[self._coded.codes < 0]
        return int(missing[0]) if len(missing) else None

    def words(self) -> float:
        words = pc.count_substring_regex(self._coded.texts, r"\pL\S*").to_numpy()
        return float(np.average(words, weights=self._counts)) if self.cells else 0.0

    def bounds(self, kind: Style | dates.Format) -> tuple[float, float]:
        values = self._values(kind)
        return float(np.nanmin(values)), float(np.nanmax(values))

    def steps(self, kind: Style | dates.Format) -> tuple[bool, bool]:
        return _steps(self._coded.spread(self._values(kind), np.nan), self._rows_N)

    @cached_property
    def _firsts(self) -> NDArray[np.int64]:
        return arrow.first_places(self._coded.codes, len(self._counts))

    def _values(self, kind: Style | dates.Format) -> NDArray[np.float64]:
        """The value of each distinct text, nan where there is none."""
        if kind not in self._read:
            texts = self._coded.texts
            self._read[kind] = (
                arrow.floats(texts, kind) if isinstance(kind, Style) else arrow.seconds(texts, kind)
            )
        return self._read[kind]

    def _texts(self, places: NDArray[np.int64]) -> list[Text]:
        if not len(places):
            return []
        texts = self._coded.texts.take(pa.array(places)).to_pylist()
        counts, rows = self._counts[places].tolist(), self._rows_N[self._firsts[places]].tolist()
        return [Text(*text) for text in zip(texts, counts, rows, strict=True)]


class _NumberTally:
    """A `Tally` of float64 values (N,), nan where one is missing, beside odd texts by row."""

    def __init__(
        self,
        values_N: NDArray[np.float64],
        odd: Mapping[int, str],
        rows_N: NDArray[np.int64],
        marks: Collection[str],
    ) -> None:
        infinite_N = np.abs(values_N) > LARGEST
        odd = {
            **odd,
            **{int(rows_N[place]): str(values_N[place]) for place in np.flatnonzero(infinite_N)},
        }
        missing = [value for mark in marks if (value := Style().value(mark)) is not None]
        values_N = np.where(infinite_N | np.isin(values_N, missing), np.nan, values_N)
        self._odd = {row: text for row, text in odd.items() if text not in marks}
        self._values_N, self._rows_N = values_N, rows_N
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

    def without(self, marks: Collection[str]) -> Tally:
        return _NumberTally(self._values_N, self._odd, self._rows_N, marks)

    def texts(self, most: int) -> list[Text]:
        order = np.argsort(-self._counts, kind="stable")[:most]
        _, firsts = np.unique(self._values_N, return_index=True)  # nan is the last of them
        columns = (self._distinct, self._counts, self._rows_N[firsts[: len(self._distinct)]])
        cells = zip(*(column[order].tolist() for column in columns), strict=True)
        return [Text(f"{value:.17g}", count, row) for value, count, row in cells]

    def odd(self, kind: Style | dates.Format, most: int) -> tuple[int, int, list[Text]]:
        counts = Counter(self._odd.values())
        return len(self._odd), len(counts), self.among(counts)[:most]

    def among(self, some: Collection[str]) -> list[Text]:
        counts = Counter(self._odd.values())
        firsts = {text: row for row, text in sorted(self._odd.items(), reverse=True)}
        texts = [Text(text, counts[text], row) for text, row in firsts.items() if text in some]
        return sorted(texts, key=lambda text: text.row)

    def present(self) -> NDArray[np.int64]:
        rows = self._rows_N[~np.isnan(self._values_N)]
        return np.sort(np.append(rows, np.array([*self._odd], np.int64)))

    def first_missing(self) -> int | None:
        missing = self._rows_N[np.isnan(self._values_N)].tolist()
        return next((row for row in missing if row not in self._odd), None)

    def words(self) -> float:
        return 1.0

    def bounds(self, kind: Style | dates.Format) -> tuple[float, float]:
        return float(self._distinct[0]), float(self._distinct[-1])

    def steps(self, kind: Style | dates.Format) -> tuple[bool, bool]:
        return _steps(self._values_N, self._rows_N)


def _steps(values_N: NDArray[np.float64], rows_N: NDArray[np.int64]) -> tuple[bool, bool]:
    """Whether values rise by 1 with each row, and whether they never fall; nan is passed over."""
    present_N = ~np.isnan(values_N)
    steps = np.diff(values_N[present_N])
    if not len(steps):
        return False, False
    return bool((steps == np.diff(rows_N[present_N])).all()), bool((steps >= 0).all())
