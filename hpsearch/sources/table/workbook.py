"""Excel workbooks: the first sheet as records of texts."""

from __future__ import annotations

import datetime
import io
import zipfile
from typing import TYPE_CHECKING

from hpsearch.errors import DataError, line
from hpsearch.sources.table.filekind import MOST_UNPACKED_BYTES
from hpsearch.sources.table.records import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["read_sheet"]


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
    records = [Record(number, [*map(_text, row)]) for number, row in enumerate(rows, 1)]
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


def _text(value: Sequence[str] | object) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    return str(value)
