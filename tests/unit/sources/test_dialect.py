"""How a file is written is found out from its first records: delimiter, header, names."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpsearch.errors import DataError
from hpsearch.sources.table.reading import ReadOptions, Table
from hpsearch.sources.table.sample import sample


def first(folder: Path, text: str, options: ReadOptions | None = None) -> Table:
    path = folder / "t.txt"
    path.write_text(text, newline="")
    return sample(path, options)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a,b\n1,x\n", {"a": ["1"], "b": ["x"]}),
        ("a;b\n1,5;2,5\n", {"a": ["1,5"], "b": ["2,5"]}),
        ("a\tb\n4,173\tx\n3,828\ty\n", {"a": ["4,173", "3,828"], "b": ["x", "y"]}),
        ("a|b\nx, y; z|1\n", {"a": ["x, y; z"], "b": ["1"]}),
        ("t;T;;\n10/03/2004;13,6;;\n", {"t": ["10/03/2004"], "T": ["13,6"]}),
        ("a   b\n1   x\n22  y\n", {"a": ["1", "22"], "b": ["x", "y"]}),
        ("sep=;\na;b\n1,2;3,4\n", {"a": ["1,2"], "b": ["3,4"]}),
        ("sep=,\na,b;c\n1,2;3\n", {"a": ["1"], "b;c": ["2;3"]}),
        ("text\nhello world\nwell, yes\n", {"text": ["hello world", "well, yes"]}),
        ("a,b\nx;y,1\nz;w,2\n", {"a": ["x;y", "z;w"], "b": ["1", "2"]}),
        ('a,b\n1,"x, ""y"""\n2, w\n', {"a": ["1", "2"], "b": ['x, "y"', " w"]}),
        ('"length\n(cm)", y \n1,2\n', {"length (cm)": ["1"], "y": ["2"]}),
        ("a,b,\n1,2\n3,4\n", {"a": ["1", "3"], "b": ["2", "4"]}),
        ("a,b\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"]}),
        ("a,b,a\n1,2,\n3,4,\n", {"a": ["1", "3"], "b": ["2", "4"]}),
        (",a\n0,x\n1,y\n", {"column_1": ["0", "1"], "a": ["x", "y"]}),
        ('"a" "b"\n"1" 1.5 "x"\n"2" 2 "y"\n', {"column_1": ["1", "2"], "a": ["1.5", "2"]}),
    ],
)
def test_columns_of_common_files(tmp_path: Path, text: str, columns: dict[str, list[str]]) -> None:
    table = first(tmp_path, text)
    assert {name: list(table.column(name)) for name in table.names if name in columns} == columns
    assert len(table.names) == len(columns) + ('"x"' in text)


def frame(names: list[object], **how: object) -> str:
    numbers = np.random.default_rng(0).normal(size=(5, len(names)))
    return pd.DataFrame(numbers, columns=names).to_csv(**how)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (frame([0, 1, 2], index=False), ("0", "1", "2")),
        (frame([0]), ("column_1", "0")),
        (frame([0], index=False), ("0",)),
        (frame(["y", 350, 351, 352]), ("column_1", "y", "350", "351", "352")),
        ("land,1990,1995,2003\nA,1.5,2,3\n", ("land", "1990", "1995", "2003")),
        ("1990 1995 2003\nA 1 2 3\nB 4 5 6\n", ("column_1", "1990", "1995", "2003")),
        ("a,b\nx,y\n", ("a", "b")),
        ("#a,b\n1.5,2\n3,4\n", ("a", "b")),
        ("1.2.3,1.2.4\n5,6\n7,9\n", ("1.2.3", "1.2.4")),
    ],
)
def test_names_that_are_numbers_are_names(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    assert first(tmp_path, text).names == names


def test_the_header_that_numpy_writes_is_one(tmp_path: Path) -> None:
    file = io.StringIO()
    np.savetxt(file, np.array([[1.5, 2.5], [3.5, 4.5]]), header="a b")
    table = first(tmp_path, file.getvalue())
    assert table.names == ("a", "b")
    assert float(table.column("b")[1]) == 4.5
    assert table.notes == ()


ROWS = "M,0.349,15\nF,0.4,9\n"


def test_a_file_without_a_header_asks_and_takes_the_answer(tmp_path: Path) -> None:
    for rows in ROWS, "$5,6 €\n$7,9 €\n":
        with pytest.raises(DataError, match=r"line 1 looks like a row .* data.header: false"):
            first(tmp_path, rows)
    table = first(tmp_path, ROWS, ReadOptions(header=False))
    assert (table.names, table.rows) == (("column_1", "column_2", "column_3"), 2)
    assert table.notes == ()
    named = first(tmp_path, ROWS, ReadOptions(names=("sex", "length", "rings")))
    assert (named.names, named.column("rings"), named.line_of(0)) == (
        ("sex", "length", "rings"),
        ("15", "9"),
        1,
    )
    taken = first(tmp_path, ROWS, ReadOptions(header=True))
    assert (taken.names, taken.rows) == (("M", "0.349", "15"), 1)
    with pytest.raises(DataError, match=r"has 3 columns, but data.names has 2 names"):
        first(tmp_path, ROWS, ReadOptions(names=("a", "b")))


def test_names_that_are_expected_are_the_header(tmp_path: Path) -> None:
    text = "2.5,1.5\n1,2\n"
    assert first(tmp_path, text, ReadOptions(expected=("1.5", "2.5"))).names == ("2.5", "1.5")


def test_what_was_done_about_names_is_noted(tmp_path: Path) -> None:
    table = first(tmp_path, ",a,b,a,\n7,1,2,,\n")
    assert table.notes == (
        "a column without name or value left out",
        "line 1 names `a` 2 times; what is empty of it is left out",
        "columns without a name are called by their place: `column_1`",
    )


def test_a_cut_off_record_is_none_of_the_first_rows(tmp_path: Path) -> None:
    wide = ",".join("abcdefgh" for _ in range(2000))
    names = ",".join(f"x{place}" for place in range(2000))
    table = first(tmp_path, "\n".join([names] + [wide] * 300))
    assert (table.complete, table.rows) == (False, 57)


def test_a_quick_check_loads_neither_pyarrow_nor_numpy(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    program = (
        "import sys; from pathlib import Path\n"
        "from hpsearch.sources.table.sample import sample\n"
        "sample(Path('t.csv')); print({'pyarrow', 'numpy', 'torch'} & {*sys.modules})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == "set()\n"
