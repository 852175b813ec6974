"""The rows of a CSV file or a relative as columns of texts, by pyarrow."""

from __future__ import annotations

import csv
import io
from collections import deque
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from hpsearch.errors import DataError, line
from hpsearch.sources.table.dialect import rows_of

if TYPE_CHECKING:
    from hpsearch.sources.table.dialect import Dialect

__all__ = ["read_delimited"]

_BLOCK_BYTES = 1 << 22
_MOST_BLOCK_BYTES = (1 << 31) - 1


def read_delimited(
    source: str, data: bytes, dialect: Dialect, *, every: bool
) -> list[pa.ChunkedArray]:
    """The columns of a text, each of strings without nulls.

    Args:
        source: What to call the file in an error.
        data: The text, in UTF-8 without a byte order mark.
        dialect: How it is written.
        every: Whether records without any value are rows too.

    Raises DataError for a record with more or fewer cells than there are columns, and for a quote
    that never closes.
    """
    quoted = data.find(b'"', dialect.start) >= 0
    if dialect.syntax.blanks:  # which pyarrow would make part of the cells
        rows = _commas(source, data, dialect, every=every)
    else:
        rows = pa.py_buffer(data).slice(dialect.start)
        if quoted and not _quotes_pair_up(rows, dialect.syntax.delimiter):
            deque(rows_of(source, data, dialect), maxlen=0)
    try:
        columns = _columns(rows, dialect, quoted=quoted or dialect.syntax.blanks, every=every)
    except pa.ArrowInvalid as error:
        deque(rows_of(source, data, dialect), maxlen=0)  # names the line
        raise DataError(f"{source} cannot be read as a table: {line(error)}") from error
    return columns if every else _without_blank_rows(columns)


def _commas(source: str, data: bytes, dialect: Dialect, *, every: bool) -> pa.Buffer:
    """The rows written again, with a comma between cells."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(row.cells for row in rows_of(source, data, dialect, every=every))
    return pa.py_buffer(text.getvalue().encode())


def _quotes_pair_up(rows: pa.Buffer, delimiter: str) -> bool:
    """Whether every quote opens a cell, closes one, or is one of two that stand for one.

    The quotes are taken two by two. Each first one must follow a delimiter, a line end, or the
    quote before it; each second one must come before such. Then none is left open. Where one
    stands within a text without quotes, as in `5" pipe`, the answer is no, and a slower walk tells.
    """
    text = np.frombuffer(rows, np.uint8)
    places = np.flatnonzero(text == ord('"'))
    if len(places) % 2:
        return False
    edge = np.zeros(256, bool)
    edge[[ord(delimiter), ord("\r"), ord("\n")]] = True
    opening, closing = places[::2], places[1::2]
    twice = np.zeros(len(opening) + 1, bool)
    twice[1:-1] = opening[1:] == closing[:-1] + 1
    opens = twice[:-1] | edge[text[opening - 1]] | (opening == 0)
    last = closing == len(text) - 1
    closes = twice[1:] | last | edge[text[np.minimum(closing + 1, len(text) - 1)]]
    return bool(opens.all() and closes.all())


def _columns(
    rows: pa.Buffer, dialect: Dialect, *, quoted: bool, every: bool
) -> list[pa.ChunkedArray]:
    if not memoryview(rows)[:1000].tobytes().strip(b"\r\n") and not bytes(rows).strip(b"\r\n"):
        return [pa.chunked_array([], pa.string())] * dialect.width
    names = [str(place) for place in range(dialect.width)]
    parsing = pacsv.ParseOptions(
        delimiter="," if dialect.syntax.blanks else dialect.syntax.delimiter,
        newlines_in_values=quoted,
        ignore_empty_lines=not (every and dialect.width == 1),
        invalid_row_handler=lambda row: "error" if row.text.strip() else "skip",
    )
    converting = pacsv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=False,
        check_utf8=False,  # the text has been decoded once
    )

    def read(block_bytes: int) -> list[pa.ChunkedArray]:
        # One thread takes two thirds of the processor time and memory that several take.
        reading = pacsv.ReadOptions(column_names=names, block_size=block_bytes, use_threads=False)
        table = pacsv.read_csv(pa.BufferReader(rows), reading, parsing, converting)
        columns: list[pa.ChunkedArray] = table.columns
        return columns

    try:
        return read(_BLOCK_BYTES)
    except pa.ArrowInvalid as error:
        if "straddling" not in str(error):  # a record is larger than a block
            raise
    return read(min(rows.size + 1, _MOST_BLOCK_BYTES))


def _without_blank_rows(columns: list[pa.ChunkedArray]) -> list[pa.ChunkedArray]:
    blank = _blank(columns[0])
    for column in columns[1:]:
        if not pc.any(blank).as_py():
            return columns
        blank = pc.and_(blank, _blank(column))
    rows = pc.invert(blank)
    return [column.filter(rows) for column in columns] if pc.any(blank).as_py() else columns


def _blank(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which texts are empty or hold blanks only."""
    return pc.equal(pc.utf8_trim_whitespace(texts), "")
