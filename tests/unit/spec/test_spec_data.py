from __future__ import annotations

import pytest

from hpsearch.errors import DataError
from hpsearch.spec import DataSpec, check_data


@pytest.fixture
def problem(tmp_path):
    """Writes a table, and gives what `check_data` says of it."""

    def said(content: bytes | None, **keys) -> str:
        if content is not None:
            (tmp_path / "wine.csv").write_bytes(content)
        data = DataSpec(source="csv", **({"path": "wine.csv", "target": "kind"} | keys))
        try:
            check_data(data, tmp_path)
        except DataError as error:
            return str(error).replace(str(tmp_path), "BASE")
        return ""

    return said


@pytest.mark.parametrize(
    "content",
    [
        b"alcohol,kind\n1,2\n",
        b"kind",
        b'\xef\xbb\xbf"kind",b\n',
        b"a,kind\r\n1,2\r\n",
        b"\na; kind\n",
    ],
)
def test_a_table_that_is_there(problem, content):
    assert problem(content) == ""


def test_columns_are_looked_for(problem):
    assert problem(b"alcohol,king,ph\n", ignore=("alcohl", "ph", "zzz")).splitlines() == [
        'BASE/wine.csv: no column "kind", which data.target names; did you mean "king"?',
        'BASE/wine.csv: no column "alcohl", which data.ignore names; did you mean "alcohol"?',
        'BASE/wine.csv: no column "zzz", which data.ignore names; it has one of alcohol, king, ph',
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "BASE/wine.csv: no such file, which data.path names"),
        (b"", "expected names of columns in the first line; got nothing"),
        (b"\n ,\n", "expected names of columns in the first line; got nothing"),
        (b"a,\xff\n", "cannot be read as a table"),
        (b"x" * 200_000 + b",kind", "expected names of columns"),
    ],
)
def test_what_is_no_table(problem, content, words):
    assert words in problem(content)


def test_a_folder_is_no_table(problem):
    assert "cannot be read as a table" in problem(None, path=".")


def test_a_full_path_needs_no_base(problem, tmp_path):
    assert problem(b"kind\n", path=str(tmp_path / "wine.csv")) == ""


@pytest.mark.parametrize("source", ["digits", "mnist"])
def test_other_sources_are_not_looked_for(tmp_path, source):
    check_data(DataSpec(source=source), tmp_path)
