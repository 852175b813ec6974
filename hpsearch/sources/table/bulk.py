"""Texts of an Arrow table as codes, shapes, numbers and dates; each distinct text is read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpsearch.sources.table import dates

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from hpsearch.sources.table.style import Style

__all__ = [
    "are_empty",
    "coded",
    "firsts",
    "floats",
    "integers",
    "is_in",
    "is_numeric",
    "numbers_of",
    "seconds",
    "shapes",
    "steps",
    "with_odd",
]

_ZERO, _NINE, _PLUS, _MINUS = b"09+-"
_TO_SHAPE = np.arange(256, dtype=np.uint8)
_TO_SHAPE[[*b"0123456789"]] = _NINE
_TO_SHAPE[[*b"abcdfghijklmnopqrstuvwxyzABCDFGHIJKLMNOPQRSTUVWXYZ"]] = ord("a")
_TO_SHAPE[ord("E")] = ord("e")


def is_numeric(column: Any) -> bool:
    """Whether a column comes as numbers."""
    kind = column.type
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def numbers_of(column: Any) -> NDArray[np.float64]:
    """A column of numbers or truth values as float64 (N,), nan where one is missing."""
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.int8())
    return np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def with_odd(column: Any, odd: Mapping[int, str]) -> Any:
    """A column of numbers as texts, with the cells that were no numbers."""
    if not odd:
        return column
    texts = pc.cast(column, pa.string()).to_numpy(zero_copy_only=False)
    texts[[*odd]] = [*odd.values()]
    return pa.array(texts, pa.string())


def coded(column: Any) -> tuple[pa.StringArray, NDArray[np.int64]]:
    """A column as its distinct texts, stripped, and each cell's place among them (N,), -1: null."""
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    distinct, codes_N = column.dictionary, integers(pc.fill_null(column.indices, -1))
    if not pa.types.is_string(distinct.type):
        distinct = pc.cast(distinct, pa.string())
    stripped = pc.utf8_trim_whitespace(distinct)
    if not stripped.equals(distinct):
        again = stripped.dictionary_encode()
        codes_N = np.append(integers(again.indices), -1)[codes_N]
        stripped = again.dictionary
    return stripped, codes_N


def integers(array: Any) -> NDArray[np.int64]:
    """An Arrow array without nulls as int64 (N,)."""
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.int64)


def is_in(texts: pa.StringArray, some: Collection[str]) -> NDArray[np.bool_]:
    """Which texts are among `some`."""
    among = pc.is_in(texts, pa.array(sorted(some), pa.string()))
    return np.asarray(among.to_numpy(zero_copy_only=False), dtype=np.bool_)


def are_empty(texts: pa.StringArray) -> NDArray[np.bool_]:
    """Which texts are ""."""
    offsets = _offsets(texts)
    return np.equal(offsets[1:], offsets[:-1])


def _offsets(texts: pa.StringArray) -> NDArray[np.int32]:
    """Where each text begins in the buffer of all, and where the last one ends (N + 1,)."""
    buffer = texts.buffers()[1]
    if buffer is None or not len(texts):
        return np.zeros(1, np.int32)
    return np.frombuffer(buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]


def shapes(texts: pa.StringArray) -> tuple[pa.StringArray, NDArray[np.int64]]:
    """The shapes of texts, as `tally` defines them, and each text's place among them.

    None of the texts may be "". Texts without a digit have no shape, and the place -1.
    """
    if not len(texts):
        return texts, np.zeros(0, np.int64)
    offsets = _offsets(texts)
    bytes_ = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    pattern = _TO_SHAPE[bytes_]
    with_digit = np.logical_or.reduceat((pattern == _NINE)[: offsets[-1]], offsets[:-1])
    first = offsets[:-1][with_digit]
    leading = bytes_[first]
    first = first + ((leading == _PLUS) | (leading == _MINUS))
    pattern[first[bytes_[first] == _ZERO]] = _ZERO  # a digit follows a sign, or it is no sign
    all_ = pa.StringArray.from_buffers(
        len(texts), pa.py_buffer(offsets.tobytes()), pa.py_buffer(pattern)
    )
    if with_digit.all():
        encoded = all_.dictionary_encode()
        return encoded.dictionary, integers(encoded.indices)
    encoded = all_.filter(pa.array(with_digit)).dictionary_encode()
    places = np.full(len(texts), -1, np.int64)
    places[with_digit] = integers(encoded.indices)
    return encoded.dictionary, places


def firsts(places: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Where each of the places 0 to `number` - 1 comes first."""
    first = np.zeros(number, np.int64)
    back = np.arange(len(places))[::-1]
    shown = places[back] >= 0
    first[places[back][shown]] = back[shown]
    return first


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
    right = ~np.asarray(parts.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    names = {parts.type.field(place).name for place in range(parts.type.num_fields)}

    def part(name: str, default: int) -> NDArray[np.int64]:
        if name not in names:
            return np.full(len(texts), default, np.int64)
        return _whole(parts.field(name), default)

    year, month, day = part("year", 1970), part("month", 1), part("day", 1)
    hour, minute, second = part("hour", 0), part("minute", 0), part("second", 0)
    if "name" in names:
        short = pc.utf8_lower(pc.utf8_slice_codeunits(parts.field("name"), 0, 3))
        month = integers(pc.fill_null(pc.index_in(short, pa.array(dates.MONTHS)), -1)) + 1
    if "half" in names:
        half = pc.fill_null(pc.utf8_lower(parts.field("half")), "")
        am, pm = is_in(half, {"a"}), is_in(half, {"p"})
        right &= ~(am | pm) | ((hour >= 1) & (hour <= 12))
        hour = np.where(am | pm, hour % 12, hour) + 12 * pm
    if "year" in names:
        short_year = integers(pc.fill_null(pc.binary_length(parts.field("year")), 4)) == 2
        year = year + short_year * np.where(year >= 69, 1900, 2000)
    right &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    right &= (hour < 24) & (minute < 60) & (second < 61)
    months = (np.where(right, (year - 1970) * 12 + month - 1, 0)).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + np.where(right, day - 1, 0)
    right &= days.astype("datetime64[M]") == months
    clock = hour * 3600 + minute * 60 + np.minimum(second, 59)
    values = days.astype("datetime64[s]").astype(np.int64) + clock
    return np.where(right, values, np.nan)


def steps(values_N: NDArray[np.float64], rows_N: NDArray[np.int64] | None) -> tuple[bool, bool]:
    """Whether values rise by 1 with each row of the table, and whether they never fall.

    Args:
        values_N: The values, nan where one is missing.
        rows_N: Their rows, rising; None for 0 to N - 1.
    """
    places = np.flatnonzero(~np.isnan(values_N))
    steps = np.diff(values_N[places])
    if not len(steps):
        return False, False
    rows = places if rows_N is None else rows_N[places]
    return bool((steps == np.diff(rows)).all()), bool((steps >= 0).all())


def _whole(texts: pa.StringArray, default: int) -> NDArray[np.int64]:
    """Digits as numbers; what is empty or null is the default."""
    empty = pc.fill_null(pc.equal(texts, ""), True)
    digits = pc.if_else(empty, str(default), texts)
    return integers(pc.cast(digits, pa.int64()))
