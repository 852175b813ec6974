"""Columns of texts that are nearly all different and plain numbers, as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["numbers_of"]

_FEWEST_ROWS = 1000
"""In a shorter table texts cost nothing."""

_LOOKED_AT = 200
_DIFFERENT = 180
"""How many of so many cells, evenly spread over the rows, must differ: then a thousand texts do."""

_PLAIN = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"

_MOST_ODD = 100
"""How many different texts that are no numbers may stand in a column of numbers."""

_MOST_EXACT = 1e15
"""Whole numbers above may not be what was written once they are float64."""


def numbers_of(texts: pa.StringArray) -> tuple[pa.DoubleArray, dict[int, str]] | None:
    """Texts as float64, null where one is empty or odd, and the odd ones by row.

    Only of more than 1,000 rows whose texts mostly differ and mostly are numbers, and only where
    nothing is lost that the texts say: none has leading zeros, or more digits than float64, and a
    point is a decimal point for sure. Else None.
    """
    if len(texts) <= _FEWEST_ROWS:
        return None
    spread = np.linspace(0, len(texts) - 1, _LOOKED_AT).astype(np.int64)
    some = texts.take(pa.array(spread))
    if len(some.unique()) < _DIFFERENT:
        return None
    odd: dict[int, str] = {}
    numbers = _at_once(texts)
    if numbers is None:
        if not _mostly_plain(some):
            return None
        trimmed = pc.utf8_trim_whitespace(texts)
        numbers, odd = _with_gaps(texts, trimmed)
        texts = trimmed
    values = numbers.to_numpy(zero_copy_only=False)  # nan for null
    return None if len({*odd.values()}) > _MOST_ODD or _says_more(texts, values) else (numbers, odd)


def _at_once(texts: pa.StringArray) -> pa.DoubleArray | None:
    """Texts that are all finite numbers; ten times as fast as looking at the form of each."""
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return numbers if np.isfinite(numbers.to_numpy()).all() else None  # it reads nan and inf, too


def _mostly_plain(texts: pa.StringArray) -> bool:
    plain = pc.match_substring_regex(pc.utf8_trim_whitespace(texts), _PLAIN)
    return bool(pc.sum(plain).as_py() > len(texts) // 2)


def _with_gaps(
    texts: pa.StringArray, trimmed: pa.StringArray
) -> tuple[pa.DoubleArray, dict[int, str]]:
    plain = pc.match_substring_regex(trimmed, _PLAIN)
    numbers = pc.if_else(plain, trimmed, pa.scalar(None, pa.string())).cast(pa.float64())
    odd = pc.and_(pc.invert(plain), pc.not_equal(trimmed, ""))
    rows = pc.indices_nonzero(odd)
    return numbers, dict(zip(rows.to_pylist(), texts.take(rows).to_pylist(), strict=True))


def _says_more(texts: pa.StringArray, values: NDArray[np.float64]) -> bool:
    """Whether texts say something that they do not as values, nan for those that are no numbers.

    It is read from the bytes of the texts: 007, 12345678901234567, and points that all may mark
    thousands, as in 1.234.
    """
    plain = ~np.isnan(values)
    sizes = np.abs(values[plain])
    if np.any((sizes >= _MOST_EXACT) & (sizes == np.round(sizes))):
        return True
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    characters = np.frombuffer(data, np.uint8)
    begins, ends = ends[:-1][plain], ends[1:][plain]
    begins = begins + (characters[begins] == ord("-")) + (characters[begins] == ord("+"))
    zero = characters[begins] == ord("0")
    if np.any(zero & (sizes >= 1)):
        return True
    points = np.flatnonzero(characters == ord("."))
    rows = np.searchsorted(begins, points, side="right") - 1
    inside = (rows >= 0) & (points < ends[rows])
    points, rows = points[inside], rows[inside]
    decimal = (ends[rows] - points != 4) | (points - begins[rows] > 3) | zero[rows]
    return bool(len(points)) and not decimal.any()
