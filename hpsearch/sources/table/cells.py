"""All cells of a table, column by column.

In a file of texts (CSV, Excel) every cell is a text until a column rule says
otherwise, so that `None`, `007` and `1,234` arrive as they stand in the file. A column of more than
a thousand rows, most of them different and plain numbers, comes as float64 at once: a dictionary of
300,000 texts would cost more memory and time than the rest of the table.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from hpsearch.errors import DataError, line
from hpsearch.sources.table import arrow
from hpsearch.sources.table.arrow_tally import shapes
from hpsearch.sources.table.dialect import dialect_of, rows_of
from hpsearch.sources.table.filekind import load
from hpsearch.sources.table.header import Header, header_of, tidy, usable
from hpsearch.sources.table.numbers import LARGEST, Style, evidence
from hpsearch.sources.table.reading import ReadOptions, Table
from hpsearch.sources.table.rules import KNOWN_MARKS, MOST_ODD_TEXTS, NUMBER_SHARE
from hpsearch.sources.table.tally import Shape
from hpsearch.sources.table.typed import objects, read_sheet, read_typed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hpsearch.sources.table.dialect import Dialect
    from hpsearch.sources.table.filekind import Content

__all__ = ["of_content", "read"]


def read(path: Path, options: ReadOptions | None = None) -> Table:
    """All cells of a table in a file: CSV and its relatives, Parquet, Feather, JSON lines, .xlsx.

    Raises DataError, with file and line, for what cannot be read as a table.
    """
    options = options or ReadOptions()
    return of_content(path, load(path, stream=options.stream), options)


def of_content(path: Path, content: Content, options: ReadOptions) -> Table:
    """All cells of a table whose bytes `filekind.load` gave; errors call it `path`."""
    if content.kind == "text":
        raw = _of_text(path, content, options)
    elif content.kind == "excel":
        raw = _of_sheet(str(path), content, options)
    else:
        raw = _of_typed(path, content, options)
    notes, fingerprint, complete = content.notes, content.fingerprint, content.complete
    del content  # the bytes are not needed any more, and the columns want their room
    places, of_names = usable(str(path), raw.header, lambda place: _is_empty(raw.columns[place]))
    columns, odd = {}, {}
    for name, place in places.items():
        column, raw.columns[place] = raw.columns[place], None  # its texts go when it is settled
        columns[name], odd[name] = _settled(column, as_texts=name in options.texts)
    return Table(
        columns=columns,
        rows=raw.rows,
        line_of=raw.locate,
        complete=complete,
        notes=(*notes, *raw.notes, *of_names),
        odd={name: cells for name, cells in odd.items() if cells},
        fingerprint=fingerprint,
    )


@dataclass(frozen=True)
class _Raw:
    """A table with its names and columns as they stand in the file."""

    header: Header
    columns: list[pa.Array | pa.ChunkedArray | None]
    rows: int
    notes: tuple[str, ...]
    locate: Callable[[int], int]


def _of_text(path: Path, content: Content, options: ReadOptions) -> _Raw:
    source, head, every = str(path), content.head, options.every
    dialect = dialect_of(source, head, options, complete=len(content.data) == len(head))
    columns = _read_delimited(source, content.data, dialect, every=every)
    again = _again(path, content, options)

    def locate(row: int) -> int:
        return next(islice(rows_of(source, again(), dialect, every=every), row, None)).line

    return _Raw(dialect.header, [*columns], len(columns[0]), dialect.notes, locate)


def _of_sheet(source: str, content: Content, options: ReadOptions) -> _Raw:
    records, notes = read_sheet(source, content.data)
    header = header_of(source, records, (), options)
    rows = records[1:] if header.in_file else records
    cells = zip(*(row.cells for row in rows), strict=True) if rows else [()] * len(header.names)
    columns = [pa.array(column, pa.string()) for column in cells]
    return _Raw(header, columns, len(rows), notes, [row.line for row in rows].__getitem__)


def _of_typed(path: Path, content: Content, options: ReadOptions) -> _Raw:
    names, columns, notes = read_typed(str(path), content)
    again = _again(path, content, options)

    def locate(row: int) -> int:
        if content_kind != "json lines":
            return row + 1
        return next(islice(objects(str(path), again()), row, None))[0]

    content_kind = content.kind
    header = Header(tuple(map(tidy, names)), 1, in_file=False)
    return _Raw(header, columns, len(columns[0]) if columns else 0, notes, locate)


def _again(path: Path, content: Content, options: ReadOptions) -> Callable[[], bytes]:
    """The bytes of a file for a message that may never be needed: read again rather than kept."""
    data = content.data if options.stream else None
    return lambda: load(path).data if data is None else data


def _settled(
    column: pa.Array | pa.ChunkedArray, *, as_texts: bool
) -> tuple[pa.Array, dict[int, str]]:
    """A column as `Table` gives it, and its odd cells."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if whole.type != pa.string():
        return whole, {}
    numbers = None if as_texts else _numbers_of(whole)
    return numbers or (whole.dictionary_encode(), {})


def _is_empty(column: pa.Array | pa.ChunkedArray) -> bool:
    if column.type != pa.string():
        return bool(column.null_count == len(column))
    return not any(text.strip() for text in column.unique().to_pylist())


_FEWEST_ROWS = 1000
"""In a shorter table texts cost nothing."""
_LOOKED_AT, _DIFFERENT = 200, 180
"""How many of so many cells, evenly spread over the rows, must differ: then a thousand texts do."""


def _numbers_of(texts: pa.StringArray) -> tuple[pa.DoubleArray, dict[int, str]] | None:
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
    if (np.abs(values) <= LARGEST).all():  # it reads nan and inf, too
        return None if _say_more(texts) else (pa.array(values), {})
    if np.isnan(arrow.floats(pc.utf8_trim_whitespace(some), Style())).mean() > 1 / 2:
        return None
    trimmed = pc.utf8_trim_whitespace(texts)
    values = arrow.floats(trimmed, Style())
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
    evident = evidence(Shape(pattern, 1, 1, pattern) for pattern in shapes(numbers)[0].to_pylist())
    return bool(
        evident.leading_zeros or evident.digits > 15 or (evident.open and not evident.decimals)
    )


_BLOCK_BYTES = 1 << 22
_MOST_BLOCK_BYTES = (1 << 31) - 1


def _read_delimited(
    source: str, data: bytes, dialect: Dialect, *, every: bool
) -> list[pa.ChunkedArray]:
    """The columns of a text, strings without nulls; with `every` blank records are rows too.

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
