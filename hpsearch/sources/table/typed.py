"""Tables of other kinds than text: Parquet, Feather, JSON lines, Excel."""

from __future__ import annotations

import datetime
import io
import json
import re
import zipfile
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from hpsearch.errors import DataError, line
from hpsearch.sources.table.dialect import Record
from hpsearch.sources.table.filekind import MOST_UNPACKED_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hpsearch.sources.table.filekind import Content

__all__ = ["objects", "read_sheet", "read_typed"]

_MOST_BYTES = 1 << 34
"""What the columns of a Parquet file may unpack to: a constant column of any length takes a few
bytes."""


def read_typed(source: str, content: Content) -> tuple[list[str], list[pa.Array], tuple[str, ...]]:
    """The names and columns of a table, and what a user should know.

    Columns are float64, int64, bool and timestamp, null for an empty cell, or string without nulls;
    those of lists and other nested values are left out with a note. A pandas index is named ''.

    Raises DataError where the file cannot be read.
    """
    readers = {"parquet": _parquet, "feather": _feather, "json lines": _json_lines}
    data = content.data
    if not content.complete:  # the last line may be cut off
        data = data[: data.rfind(b"\n") + 1]
    try:
        table = readers[content.kind](source, data)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{source} cannot be read as {content.kind}: {line(error)}") from error
    names, columns, notes = [], [], []
    for name, column in zip(table.column_names, table.columns, strict=True):
        plain = _plain(column.combine_chunks())
        if plain is None:
            notes.append(f"column `{name}` left out: it holds {column.type}, not single values")
        else:
            names.append("" if re.fullmatch(r"__index_level_\d+__", name) else name)
            columns.append(plain)
    return names, columns, tuple(notes)


def _parquet(source: str, data: bytes) -> pa.Table:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    claimed = file.metadata.num_rows * file.metadata.num_columns * 8
    if claimed > _MOST_BYTES:
        raise DataError(
            f"{source} has {file.metadata.num_rows:,} rows of {file.metadata.num_columns:,} "
            f"columns, {claimed:,} bytes of numbers; at most {_MOST_BYTES:,} are read"
        )
    return file.read()


def _feather(source: str, data: bytes) -> pa.Table:
    return pa.ipc.open_file(pa.BufferReader(data)).read_all()


def _json_lines(source: str, data: bytes) -> pa.Table:
    import pyarrow.json

    block = pyarrow.json.ReadOptions(block_size=min(max(1 << 22, _longest(data)), (1 << 31) - 1))
    try:
        return pyarrow.json.read_json(pa.BufferReader(data), read_options=block)
    except pa.ArrowInvalid:  # a value of another type than those above it, or no JSON
        return _as_texts(source, data)


def _longest(data: bytes) -> int:
    """The length of the longest line; an object has to fit into one block."""
    return max(map(len, io.BytesIO(data))) + 1


def _as_texts(source: str, data: bytes) -> pa.Table:
    """Every value as the text that stands in the file: what the columns are is decided later."""
    rows = [row for _, row in objects(source, data)]
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: pa.array([_text(row.get(name)) for row in rows]) for name in names})


def objects(source: str, data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of JSON lines, each with its line; numbers as the texts that stand there."""
    for number, text in enumerate(io.BytesIO(data), 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{source}, line {number} is no JSON: {line(error)}") from error
        if not isinstance(row, dict):
            raise DataError(f"{source}, line {number} is no JSON object of names and values")
        yield number, {_utf8(name): value for name, value in row.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    return _utf8(value) if isinstance(value, str) else json.dumps(value)


def _utf8(text: str) -> str:
    """A text with half characters, which JSON can name, as they are written there."""
    return text.encode(errors="backslashreplace").decode()


def _plain(column: pa.Array) -> pa.Array | None:
    """A column in one of the types that are read; None for nested values."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    if pa.types.is_boolean(kind) or pa.types.is_timestamp(kind):
        return column
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("ms"))
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.int64()), _ticks(kind))
    if pa.types.is_signed_integer(kind) or kind in (pa.uint8(), pa.uint16(), pa.uint32()):
        return column.cast(pa.int64())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _without_nan(column.cast(pa.float64(), safe=False))
    if pa.types.is_nested(kind):
        return None
    return _texts(column)


def _ticks(kind: pa.DataType) -> float:
    return {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]


def _without_nan(column: pa.Array) -> pa.Array:
    """NaN is how many programs write an empty cell."""
    return pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)


def _texts(column: pa.Array) -> pa.StringArray:
    """Values of any kind as texts, '' where there is none."""
    return column.cast(pa.string()).fill_null("")


def read_sheet(source: str, data: bytes) -> tuple[list[Record], tuple[str, ...]]:
    """The rows of the first sheet that are not blank, each with its number in the sheet, and notes.

    Numbers are written without `.0` where they are whole, times as `2024-05-01 12:30:00`.

    Raises DataError where python-calamine is not installed, or cannot read the file.
    """
    try:
        from python_calamine import CalamineWorkbook
    except ImportError as error:
        raise DataError(
            f"{source} is an Excel workbook: pip install 'hpsearch[excel]', or save it as CSV"
        ) from error
    _check_size(source, data)
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        sheet = book.get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    except Exception as error:  # of damaged files it raises of everything
        raise DataError(f"{source} cannot be read as an Excel workbook: {line(error)}") from error
    records = [Record(number, [*map(_cell, row)]) for number, row in enumerate(rows, 1)]
    filled = [record for record in records if any(map(str.strip, record.cells))]
    others = len(book.sheet_names) - 1
    if not others:
        return filled, ()
    return filled, (
        f"the sheet `{sheet.name}` was read, and {others} more of the workbook were not",
    )


def _check_size(source: str, data: bytes) -> None:
    """Refuse what unpacks to more than is taken, or says that it has less than it has."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > MOST_UNPACKED_BYTES:
                raise DataError(
                    f"{source} unpacks to {size:,} bytes, and at most {MOST_UNPACKED_BYTES:,} are "
                    f"read; save it as CSV"
                )
            damaged = archive.testzip()
    except Exception as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{source} cannot be unpacked: {line(error)}") from error
    if damaged:
        raise DataError(f"{source} is damaged: {damaged} in it does not unpack to what it should")


def _cell(value: Sequence[str] | object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return str(value)
