"""All cells of a table, column by column.

In a file of texts (CSV, Excel) every cell is a text until a column rule says
otherwise, so that `None`, `007` and `1,234` arrive as they stand in the file. A column of more than
a thousand rows, most of them different and plain numbers, comes as float64 at once: a dictionary of
300,000 texts would cost more memory and time than the rest of the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpsearch.sources.table import arrow
from hpsearch.sources.table.arrow_tally import shapes
from hpsearch.sources.table.delimited import read_delimited
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

    from hpsearch.sources.table.filekind import Content

__all__ = ["of_content", "read"]


def read(path: Path, options: ReadOptions | None = None) -> Table:
    """All cells of a table in a file: CSV and its relatives, Parquet, Feather, JSON lines, .xlsx.

    Raises DataError, with file and line, for what cannot be read as a table.
    """
    options = options or ReadOptions()
    return of_content(path, load(path, stream=options.stream), options)


def of_content(path: Path, content: Content, options: ReadOptions) -> Table:
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
    found = evidence(Shape(pattern, 1, 1, pattern) for pattern in shapes(numbers)[0].to_pylist())
    return bool(found.leading_zeros or found.digits > 15 or (found.open and not found.decimals))
