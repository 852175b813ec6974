"""A file is known by its bytes: what can be read as a table is, and anything else is named."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hpsearch.errors import DataError
from hpsearch.sources.table import filekind
from hpsearch.sources.table.filekind import load

TEXT = "a,b\n1,größe\n"


# The time would be in the name of a test, and differ between test processes.
gzipped = partial(gzip.compress, mtime=0)


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, X=np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("utf-32"),
        gzipped(TEXT.encode()),
        gzipped(TEXT.encode("utf-16")),
        zipped(("t.csv", TEXT.encode()), ("__MACOSX/._t.csv", b"\0")),
        zipped(("t.csv.gz", gzipped(TEXT.encode()))),
    ],
)
@pytest.mark.parametrize("head", [True, False])
def test_a_text_comes_as_utf_8_whatever_it_is_packed_in(
    tmp_path: Path, data: bytes, head: bool
) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    content = load(path, head=head)
    assert (content.kind, content.data.decode(), content.complete) == ("text", TEXT, True)
    assert content.notes == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_the_head_is_the_same_whether_the_file_is_read_whole_or_not(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes((TEXT * 200_000).encode(encoding))
    first, whole = load(path, head=True), load(path)
    assert first.head == whole.head == first.data
    assert (first.complete, whole.complete) == (False, True)
    assert whole.data.decode() == TEXT * 200_000


def test_a_text_that_is_not_utf_8_is_windows_1252_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("a,b\n1,x größe y\n2,5 €\n".encode("cp1252"))
    content = load(path)
    assert content.data.decode() == "a,b\n1,x größe y\n2,5 €\n"
    assert content.notes == (
        "the file is not UTF-8 and was read as Windows-1252: line 2 has `größe`",
    )


JSON = b'[{"a": 1}, {"a": 2}]'


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (pickle.dumps({"a": 1}), "is a Python pickle"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "is an old Excel or Office file"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "is an HDF5 file"),
        (b"%PDF-1.7\n%\xe2\xe3", "is a PDF document"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is an image"),
        (b"<!DOCTYPE html>\n<html>", "is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a pointer of Git LFS"),
        (b"% c\n@RELATION t\n@attribute a numeric\n", "is an ARFF file"),
        (b"+1 1:0.5 2:1\n-1 1:0.1 2:0\n", "is a LIBSVM file"),
        (JSON, "is a JSON document; write an object a line"),
        (b'{\n "a": [1, 2]}', "is a JSON document; write an object a line"),
        (npz(), "is a file of NumPy arrays"),
        (zipped(("a.csv", b"a"), ("b.csv", b"b")), "is a zip archive of 2 files (a.csv, b.csv)"),
        (zipped(("word/document.xml", b"")), "is a Word document; save it as .xlsx or CSV"),
        (b"a,b\n1,\0\n", "line 2: a zero byte, which no text has"),
        (b"\n \n", "is empty"),
        (b"a\n\xc3\xa9\n\xff\n", "line 3: not UTF-8, which the lines before are"),
        (b"a\n\x81\n", "line 2: neither UTF-8 nor Windows-1252"),
        (gzipped(TEXT.encode())[:-9], "cannot be unpacked: "),
        (gzipped(gzipped(gzipped(b"a"))), "is packed more than twice"),
    ],
)
def test_what_is_no_table_is_named_with_the_way_out(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    for head in True, False:
        with pytest.raises(DataError) as error:
            load(path, head=head)
        message = str(error.value)
        assert message.removeprefix(str(path)).lstrip(", ").startswith(what)
        assert "\n" not in message


def test_what_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filekind, "MOST_UNPACKED_BYTES", 5 << 20)
    path = tmp_path / "t.csv"
    for data in gzipped(bytes(b"a\n" * (4 << 20))), zipped(("a", b"a\n" * (4 << 20))):
        path.write_bytes(data)
        with pytest.raises(DataError, match="unpacks to more than 5,242,880 bytes"):
            load(path)
        assert not load(path, head=True).complete
