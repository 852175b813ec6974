"""Columns of an Arrow table as codes, shapes, numbers and dates; each distinct text is read once.

Shapes: N cells, D distinct texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hpsearch.sources.table import dates
from hpsearch.sources.table.numbers import Style, evidence
from hpsearch.sources.table.rules import KNOWN_MARKS, MOST_ODD_TEXTS, NUMBER_SHARE
from hpsearch.sources.table.tally import Shape

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "Coded", "Rows", "coded", "first_places", "floats", "is_numeric", "numbers_of", "seconds",
    "shapes", "values_of",
]  # fmt: skip

Rows = NDArray[np.int64] | None
"""The rows to read, counted from 0, in any order; None for all."""


@dataclass(frozen=True)
class Coded:
    """A column as its distinct texts, stripped, and the place of each cell among them."""

    texts: pa.StringArray
    """(D,)"""
    codes: NDArray[np.int64]
    """(N,): 0 to D - 1, and -1 for a missing cell."""

    def spread(self, values: NDArray[Any], missing: Any) -> NDArray[Any]:
        """(N, ...): of each cell what its text has in `values` (D, ...), or `missing`."""
        last = np.broadcast_to(np.asarray(missing, values.dtype), (1, *values.shape[1:]))
        spread: NDArray[Any] = np.concatenate([values, last])[self.codes]
        return spread

    def among(self, some: Collection[str]) -> NDArray[np.bool_]:
        """(D,): which texts are among `some`."""
        return _flags(pc.is_in(self.texts, pa.array(sorted(some), pa.string())))

    def without(self, marks: Collection[str]) -> Coded:
        """The same with these texts missing."""
        gone = self.among(marks)
        if not gone.any():
            return self
        return Coded(self.texts, np.where(self.spread(gone, False), -1, self.codes))

    def text(self, place: int) -> str:
        """The text of the cell at a place from 0 to N - 1."""
        text: str = self.texts[int(self.codes[place])].as_py()
        return text


def coded(column: Any, odd: Mapping[int, str], rows: Rows, marks: Collection[str] = ()) -> Coded:
    """The texts of a column in some rows; empty cells and `marks` are missing.

    Args:
        column: An Arrow array of any kind.
        odd: Of a column of numbers the cells that were none, by row; they are null in it.
        rows: The rows.
        marks: Texts that are missing values.
    """
    if odd:
        texts = pc.cast(column, pa.string()).to_numpy(zero_copy_only=False)
        texts[[*odd]] = [*odd.values()]
        column = pa.array(texts, pa.string())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    distinct, codes_N = column.dictionary, _integers(pc.fill_null(column.indices, -1))
    if not pa.types.is_string(distinct.type):
        distinct = pc.cast(distinct, pa.string())
    stripped = pc.utf8_trim_whitespace(distinct)
    if not stripped.equals(distinct):
        again = stripped.dictionary_encode()
        codes_N = np.append(_integers(again.indices), -1)[codes_N]
        stripped = again.dictionary
    return Coded(stripped, codes_N if rows is None else codes_N[rows]).without({"", *marks})


def is_numeric(column: Any) -> bool:
    """Whether a column comes as numbers."""
    kind = column.type
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def values_of(column: Any) -> NDArray[np.float64]:
    """A column of numbers or truth values as float64 (N,), nan where one is missing."""
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False))


_FEWEST_ROWS = 1000
"""In a shorter table texts cost nothing."""
_LOOKED_AT, _DIFFERENT = 200, 180
"""How many of so many cells, evenly spread over the rows, must differ: then a thousand texts do."""
_MOST_DIGITS = 15
"""Whole numbers of more may not be what was written once they are float64."""


def numbers_of(texts: pa.StringArray) -> tuple[pa.DoubleArray, dict[int, str]] | None:
    """Texts as float64, null where one is empty or odd, and the odd ones by row.

    Only of more than 1,000 rows whose texts mostly differ and are numbers but for a few, and only
    where nothing is lost that the texts say: none has leading zeros, or more digits than float64,
    and a point is a decimal point for sure. Else None.
    """
    if len(texts) <= _FEWEST_ROWS:
        return None
    some = texts.take(pa.array(np.linspace(0, len(texts) - 1, _LOOKED_AT).astype(np.int64)))
    if len(some.unique()) < _DIFFERENT:
        return None
    try:  # ten times as fast as looking at the form of each
        values = texts.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        values = np.full(1, np.nan)
    if np.isfinite(values).all():  # it reads nan and inf, too
        return None if _say_more(texts) else (pa.array(values), {})
    if np.isnan(floats(pc.utf8_trim_whitespace(some), Style())).mean() > 1 / 2:
        return None
    trimmed = pc.utf8_trim_whitespace(texts)
    values = floats(trimmed, Style())
    odd = pc.and_(pa.array(np.isnan(values)), pc.not_equal(trimmed, ""))
    rows = pc.indices_nonzero(odd).to_numpy()
    cells = dict(zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True))
    others = [text for cell in cells.values() if (text := cell.strip()) not in KNOWN_MARKS]
    few = len({*others}) <= MOST_ODD_TEXTS and len(others) <= (1 - NUMBER_SHARE) * len(texts)
    if not few or _say_more(trimmed.filter(pa.array(~np.isnan(values)))):
        return None
    return pa.array(values, from_pandas=True), cells


def _say_more(numbers: pa.StringArray) -> bool:
    """Whether numbers say something as texts that float64 does not: 007, 1.234, 16 digits."""
    patterns = shapes(numbers)[0].to_pylist()
    found = evidence(Shape(pattern, 1, 1, pattern) for pattern in patterns)
    long = any(
        pattern.strip("+-").isdigit() and len(pattern) > _MOST_DIGITS for pattern in patterns
    )
    return long or found.leading_zeros > 0 or bool(found.open and not found.decimals)


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
    places[with_digit] = _integers(encoded.indices)
    return encoded.dictionary, places


def first_places(codes: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Where each of the codes 0 to `number` - 1 comes first; -1 is none of them."""
    firsts = np.zeros(number + 1, np.int64)
    firsts[codes[::-1]] = np.arange(len(codes))[::-1]
    return firsts[:number]


def floats(texts: pa.StringArray, style: Style) -> NDArray[np.float64]:
    """The number that each text is, nan where it is none or not finite."""
    right = pc.match_substring_regex(texts, style.pattern)
    plain = pc.if_else(right, texts, pa.scalar(None, pa.string()))
    for mark in style.dropped:
        plain = pc.replace_substring(plain, mark, "")
    plain = pc.replace_substring(plain, "\u2212", "-")
    if style.decimal != ".":
        plain = pc.replace_substring(plain, style.decimal, ".")
    values = pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(values), values, np.nan)


def seconds(texts: pa.StringArray, form: dates.Format) -> NDArray[np.float64]:
    """Each text as `dates.Format.value` reads it, nan where it is no such date."""
    parts = pc.extract_regex(texts, form.pattern)
    right = ~_flags(parts.is_null())
    names = {parts.type.field(place).name for place in range(parts.type.num_fields)}

    def part(name: str, default: int) -> NDArray[np.int64]:
        if name not in names:
            return np.full(len(texts), default, np.int64)
        return _whole(parts.field(name), default)

    year, month, day = part("year", 1970), part("month", 1), part("day", 1)
    hour, minute, second = part("hour", 0), part("minute", 0), part("second", 0)
    if "name" in names:
        short = pc.utf8_lower(pc.utf8_slice_codeunits(parts.field("name"), 0, 3))
        month = _integers(pc.fill_null(pc.index_in(short, pa.array(dates.MONTHS)), -1)) + 1
    if "half" in names:
        half = pc.fill_null(pc.utf8_lower(parts.field("half")), "")
        am, pm = (_flags(pc.equal(half, letter)) for letter in "ap")
        right &= ~(am | pm) | ((hour >= 1) & (hour <= 12))
        hour = np.where(am | pm, hour % 12, hour) + 12 * pm
    if "year" in names:
        short_year = _integers(pc.fill_null(pc.binary_length(parts.field("year")), 4)) == 2
        year = year + short_year * np.where(year >= 69, 1900, 2000)
    right &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    right &= (hour < 24) & (minute < 60) & (second < 61)
    months = (np.where(right, (year - 1970) * 12 + month - 1, 0)).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + np.where(right, day - 1, 0)
    right &= days.astype("datetime64[M]") == months
    clock = hour * 3600 + minute * 60 + np.minimum(second, 59)
    values = days.astype("datetime64[s]").astype(np.int64) + clock
    return np.where(right, values, np.nan)


def _whole(texts: pa.StringArray, default: int) -> NDArray[np.int64]:
    """Digits as numbers; what is empty or null is the default."""
    empty = pc.fill_null(pc.equal(texts, ""), True)
    digits = pc.if_else(empty, str(default), texts)
    return _integers(pc.cast(digits, pa.int64()))


def _integers(array: Any) -> NDArray[np.int64]:
    """An Arrow array without nulls as int64 (N,)."""
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)


def _flags(array: Any) -> NDArray[np.bool_]:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.bool_)
