"""What kind of file a table lies in, by its bytes and never by its name.

Packed files (gzip, zip with one file in it) are unpacked, within a limit. Text of any usual
encoding comes as UTF-8. What cannot be read as a table is named, with the way to a file that can.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zipfile
import zlib
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Literal, cast

from hpsearch.errors import DataError, line
from hpsearch.files import content as read_content
from hpsearch.files import near, open_regular
from hpsearch.sources.table.utf8 import as_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["HEAD_BYTES", "MOST_UNPACKED_BYTES", "Content", "load"]

HEAD_BYTES = 1 << 20
"""How much of a text decides how it is to be read: its first MiB."""

MOST_UNPACKED_BYTES = 1 << 30
"""What a packed file may unpack to: a few kilobytes can hold gigabytes."""

Kind = Literal["text", "json lines", "parquet", "feather", "excel"]


@dataclass(frozen=True)
class Content:
    """The bytes of a table."""

    kind: Kind
    data: bytes
    """Unpacked; text and JSON lines in UTF-8 without a byte order mark."""
    complete: bool
    """Whether this is all of it, and not only its head."""
    notes: tuple[str, ...] = ()
    """What a user should know of how the bytes were read, a sentence each."""
    fingerprint: str = ""
    """The SHA-256 of the file as it lies on the disk; '' of a head."""

    @property
    def head(self) -> bytes:
        """The first MiB of a text, the same whether the file was loaded as a whole or not."""
        return self.data[:HEAD_BYTES]


def load(path: Path, *, head: bool = False, stream: bool = False) -> Content:
    """The content of a file, or with `head` only the beginning of one that is text.

    Args:
        path: The file; it must be a regular one.
        head: Whether the first MiB is enough.
        stream: Whether it may be a pipe that the shell opened, such as /dev/stdin.

    Raises DataError for what cannot be read, or is no table.
    """
    try:
        content = io.BytesIO(read_content(path, stream=True)) if stream else open_regular(path)
        with content as file:
            unpacked = _unpacked(str(path), file)
            loaded = _loaded(str(path), unpacked, head=head, packed=unpacked is not file)
            if not loaded.complete:
                return loaded
            file.seek(0)
            fingerprint = hashlib.file_digest(cast("io.BytesIO", file), "sha256").hexdigest()
            return replace(loaded, fingerprint=fingerprint)
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile, RuntimeError) as error:
        # RuntimeError: a zip file with a password
        raise DataError(f"{path} cannot be unpacked: {line(error)}") from error
    except OSError as error:
        raise DataError(f"cannot read the table {path}: {line(error)}{near(path)}") from error


def _unpacked(name: str, file: IO[bytes], depth: int = 0) -> IO[bytes]:
    """The file itself, or what is packed in it."""
    if depth > 2:  # there are archives that hold themselves
        raise DataError(f"{name} is packed more than twice; unpack it yourself")
    start = file.read(4)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return _unpacked(name, cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb")), depth + 1)
    if start.startswith(b"PK\x03\x04"):
        archive = zipfile.ZipFile(file)
        names = _members(archive)
        if _office(names) is None and len(names) == 1 and not names[0].endswith(".npy"):
            return _unpacked(name, archive.open(names[0]), depth + 1)
        file.seek(0)
    return file


def _members(archive: zipfile.ZipFile) -> list[str]:
    """The names of the files in a zip file, without those that macOS adds."""
    names = (member.filename for member in archive.infolist() if not member.is_dir())
    return [name for name in names if not name.startswith("__MACOSX/")]


def _office(names: list[str]) -> str | None:
    """The kind of document that a zip file with these names in it is."""
    parts = {
        "xl/workbook.xml": "an Excel workbook",
        "xl/workbook.bin": "a binary Excel workbook (.xlsb)",
        "word/document.xml": "a Word document",
        "content.xml": "an OpenDocument file",
    }
    return next((what for part, what in parts.items() if part in names), None)


def _loaded(name: str, file: IO[bytes], *, head: bool, packed: bool) -> Content:
    # Twice the head, as UTF-16 has two bytes a character.
    start = file.read(2 * HEAD_BYTES)
    complete = len(start) < 2 * HEAD_BYTES
    kind = _kind_of_bytes(name, start, file)
    if not complete and not (head and kind == "text"):
        file.seek(0)
        start, complete = _all(name, file, packed=packed), True
    if kind != "text":
        return Content(kind, start, complete)
    data, notes = as_utf8(name, start, complete=complete)
    complete = complete and not (head and len(data) > HEAD_BYTES)
    kind = _kind_of_text(name, data[:HEAD_BYTES])
    return Content(kind, data if complete else data[:HEAD_BYTES], complete, notes)


def _all(name: str, file: IO[bytes], *, packed: bool) -> bytes:
    if not packed:
        return file.read()
    data = io.BytesIO()
    while chunk := file.read(HEAD_BYTES):
        data.write(chunk)
        if data.tell() > MOST_UNPACKED_BYTES:
            raise DataError(
                f"{name} unpacks to more than {MOST_UNPACKED_BYTES:,} bytes; unpack it yourself"
            )
    return data.getvalue()


_CSV = "save it as CSV or Parquet"
_PANDAS = "write it with pandas' to_parquet or to_csv"
_UNPACK = "unpack it, or pack it with gzip"
_SIGNATURES: dict[bytes, tuple[str, str]] = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an old Excel or Office file", "save it as .xlsx or CSV"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", _PANDAS),
    b"%PDF-": ("a PDF document", _CSV),
    b"\x93NUMPY": ("a NumPy array", _PANDAS),
    b"SQLite format 3\0": ("an SQLite database", "write the table with pandas' to_csv"),
    b"BZh": ("a bzip2 file", _UNPACK),
    b"\xfd7zXZ\0": ("an xz file", _UNPACK),
    b"\x28\xb5\x2f\xfd": ("a zstd file", _UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", _UNPACK),
    b"Rar!": ("a RAR archive", _UNPACK),
    b"PK\x05\x06": ("an empty zip archive", "put one table in it"),
    b"ORC": ("an ORC file", _PANDAS),
    b"Obj\x01": ("an Avro file", _PANDAS),
    b"FEA1": ("a Feather file of version 1", "write it again with pandas' to_feather"),
    b"<stata_dta>": ("a Stata file", _PANDAS),
    b"$FL2": ("an SPSS file", _PANDAS),
    b"RDX": ("an R data file", "write it with R's write.csv"),
    b"X\n\0\0": ("an R data file", "write it with R's write.csv"),
    b"MATLAB ": ("a MATLAB file", "write it with MATLAB's writetable"),
    b"\x89PNG": ("an image", "give a table"),
    b"\xff\xd8\xff": ("an image", "give a table"),
    b"GIF8": ("an image", "give a table"),
    b"II*\0": ("an image", "give a table"),
    b"MM\0*": ("an image", "give a table"),
}
"""How files begin that are no tables, or not such as are read: what they are and what to do."""

_PICKLE = re.compile(rb"\x80[\x02-\x05]")


def _kind_of_bytes(name: str, start: bytes, file: IO[bytes]) -> Kind:
    """`text` for whatever may be one. Raises DataError for what certainly is no table."""
    if not start.strip():
        raise DataError(f"{name} is empty; give a table with a header and a row a line")
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith(b"ARROW1"):
        return "feather"
    if start.startswith(b"PK\x03\x04"):
        return _kind_of_zip(name, file)
    if _PICKLE.match(start):
        raise _no_table(name, "a Python pickle, which could run code when it is opened", _PANDAS)
    for signature, (what, instead) in _SIGNATURES.items():
        if start.startswith(signature):
            raise _no_table(name, what, instead)
    return "text"


def _kind_of_zip(name: str, file: IO[bytes]) -> Kind:
    with zipfile.ZipFile(file) as archive:
        names = _members(archive)
    what = _office(names)
    if what == "an Excel workbook":
        return "excel"
    if what is not None:
        raise _no_table(name, what, "save it as .xlsx or CSV")
    if all(member.endswith(".npy") for member in names):
        raise _no_table(name, "a file of NumPy arrays", _PANDAS)
    listing = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    raise _no_table(name, f"a zip archive of {len(names)} files ({listing})", "unpack the table")


def _kind_of_text(name: str, head: bytes) -> Kind:
    """`text` (a CSV file or a relative) or `json lines`; DataError for other texts."""
    text = head.decode("utf-8", "ignore").lstrip()
    first, *_ = text.splitlines() or [""]
    if text.startswith("{") and _is_object(first):
        return "json lines"
    for what, instead in _other_texts(text, first):
        raise _no_table(name, what, instead)
    return "text"


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


_LIBSVM = re.compile(r"[-+]?[\d.]+( \d+:[-+\d.eE]+)+\s*")


def _other_texts(text: str, first: str) -> Iterator[tuple[str, str]]:
    """What a text is that is no table, if it is one of these."""
    lines = "write an object a line (pandas: to_json(orient='records', lines=True))"
    beginning = text[:200].casefold()
    if re.match(r"\[\s*[\[{]", text) or re.match(r'\{\s*["}]', text):
        yield "a JSON document", lines
    if beginning.startswith(("<!doctype html", "<html", "<head", "<body")):
        yield "an HTML page, which servers often send in place of a file", "download it again"
    if beginning.startswith(("<?xml", "<table")):
        yield "an XML or HTML document", _CSV
    if beginning.startswith("version https://git-lfs"):
        yield "a pointer of Git LFS to the file", "fetch it with `git lfs pull`"
    if re.search(r"^\s*@relation\b", text[:10_000], re.IGNORECASE | re.MULTILINE):
        yield "an ARFF file", "write it as CSV (scipy.io.arff.loadarff, pandas' to_csv)"
    if _LIBSVM.fullmatch(first):
        yield "a LIBSVM file", "write it as CSV (sklearn.datasets.load_svmlight_file)"


def _no_table(name: str, what: str, instead: str) -> DataError:
    return DataError(f"{name} is {what}; {instead}")
