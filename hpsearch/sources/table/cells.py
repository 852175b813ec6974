"""All cells of a table, column by column.

`read` gives `Cells`. In a file of texts (CSV, Excel) every cell is a text until a column rule says
otherwise, so that `None`, `007` and `1,234` arrive as they stand in the file. A column of more than
a thousand rows, most of them different and plain numbers, comes as float64 at once: a dictionary of
300,000 texts would cost more memory and time than the rest of the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa

from hpsearch.sources.table.arrow import numbers_of
from hpsearch.sources.table.delimited import read_delimited
from hpsearch.sources.table.dialect import dialect_of, rows_of
from hpsearch.sources.table.filekind import load
from hpsearch.sources.table.header import Header, header_of, tidy, usable
from hpsearch.sources.table.reading import ReadOptions
from hpsearch.sources.table.typed import objects, read_typed
from hpsearch.sources.table.workbook import read_sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from hpsearch.sources.table.filekind import Content

__all__ = ["Cells", "of_content", "read"]


@dataclass(frozen=True)
class Cells:
    """A table of N rows. It satisfies `reading.Table`."""

    names: tuple[str, ...]
    """The columns' names: not empty, no two the same, without line breaks."""
    rows: int
    """N, how many rows there are; the header is none."""
    notes: tuple[str, ...]
    """What a user should know of how the file was read, a sentence each."""
    fingerprint: str
    """The SHA-256 of the file's bytes, in hexadecimal digits."""
    complete: bool = True
    """Whether these are all rows of the file."""
    columns: Mapping[str, pa.Array] = field(default_factory=dict, repr=False)
    """What `column` gives, by name."""
    odd: Mapping[str, Mapping[int, str]] = field(default_factory=dict, repr=False)
    """By column that came as float64: the cells that are no plain number, by row; they are null in
    the column. A null whose row is not among them is an empty cell."""
    locate: Callable[[int], int] = field(default=lambda row: row + 1, repr=False)
    """What `line_of` asks; it may walk the whole file."""

    def column(self, name: str) -> pa.Array:
        """A column, (N,).

        Texts: `dictionary<int32, string>` without nulls, '' for an empty cell. Numbers: float64,
        null for a cell that is empty or odd. Of files that know types, such as Parquet, also
        int64, bool and timestamp, null for an empty cell.
        """
        return self.columns[name]

    def line_of(self, row: int) -> int:
        """The line of the file, from 1, in which a row begins; of Parquet its number, from 1."""
        return self.locate(row)


def read(path: Path, options: ReadOptions | None = None) -> Cells:
    """All cells of a table in a file: CSV and its relatives, Parquet, Feather, JSON lines, .xlsx.

    Raises DataError, with file and line, for what cannot be read as a table.
    """
    options = options or ReadOptions()
    return of_content(path, load(path, stream=options.stream), options)


def of_content(path: Path, content: Content, options: ReadOptions) -> Cells:
    """All cells of a table whose bytes are at hand.

    Args:
        path: What to call it in an error, and where it lies.
        content: What `filekind.load` gave.
        options: What is said of the table.
    """
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
    return Cells(
        tuple(places),
        raw.rows,
        (*notes, *raw.notes, *of_names),
        fingerprint,
        complete,
        columns,
        {name: cells for name, cells in odd.items() if cells},
        raw.locate,
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
    columns = read_delimited(source, content.data, dialect, every=every)
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
    """A column as `Cells` gives it, and its odd cells."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if whole.type != pa.string():
        return whole, {}
    numbers = None if as_texts else numbers_of(whole)
    return numbers or (whole.dictionary_encode(), {})


def _is_empty(column: pa.Array | pa.ChunkedArray) -> bool:
    if column.type != pa.string():
        return bool(column.null_count == len(column))
    return not any(text.strip() for text in column.unique().to_pylist())
