"""The cells of a table arrive as they stand in the file, or the line that is wrong is named."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from hpsearch.errors import DataError
from hpsearch.sources.table.cells import read
from hpsearch.sources.table.reading import ReadOptions, Table
from hpsearch.sources.table.sample import sample
from tests.later import Later

hypothesis = Later("hypothesis")
st = Later("hypothesis.strategies")


def written(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def texts(cells: Table) -> dict[str, list[object]]:
    return {name: cells.column(name).to_pylist() for name in cells.names}


def fault(path: Path, options: ReadOptions | None = None) -> str:
    """The error of a file, without its name; the sample of its first rows gives the same."""
    with pytest.raises(DataError) as whole:
        read(path, options)
    with pytest.raises(DataError) as first:
        sample(path, options)
    assert str(first.value) == str(whole.value)
    assert "\n" not in str(whole.value)
    return str(whole.value).removeprefix(str(path)).lstrip(", ")


EVERY = ReadOptions(header=True, every=True)
STYLES = [("\n", csv.QUOTE_ALL), ("\r", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]
"""Ends of lines; with others the csv module leaves some line breaks without quotes."""


def test_what_the_csv_module_writes_is_read_to_the_cell(tmp_path: Path) -> None:
    plain = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
    cell = plain | st.text(st.sampled_from('a1.,;\t|"\r\n #'), max_size=8)
    rows = st.integers(2, 4).flatmap(
        lambda width: st.lists(
            st.lists(cell, min_size=width, max_size=width), min_size=1, max_size=5
        )
    )

    def check(rows: list[list[str]], delimiter: str, style: tuple[str, int]) -> None:
        _is_read_to_the_cell(tmp_path, rows, delimiter, style)

    # The first draw makes a table of all characters, which takes seconds on a machine at work.
    patient = hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.too_slow])
    patient(hypothesis.given(rows, st.sampled_from(",;\t|"), st.sampled_from(STYLES))(check))()


def _is_read_to_the_cell(
    folder: Path, rows: list[list[str]], delimiter: str, style: tuple[str, int]
) -> None:
    end, quoting = style
    names = [f"name {place}" for place in range(len(rows[0]))]
    text = io.StringIO(newline="")
    text.write(f"sep={delimiter}{end}")
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(
        [names, *rows]
    )
    path = written(folder, text.getvalue())
    cells, first = read(path, EVERY), sample(path, EVERY)
    assert texts(cells) == dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    assert {name: list(first.column(name)) for name in first.names} == texts(cells)
    assert [cells.line_of(row) for row in range(len(rows))] == [
        first.line_of(row) for row in range(len(rows))
    ]


def test_a_row_is_found_in_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, '# made\n\nname,y\n\n"a\nb",1\n,\n \nc,2\n')
    cells = read(path)
    assert texts(cells) == {"name": ["a\nb", "c"], "y": ["1", "2"]}
    assert [cells.line_of(0), cells.line_of(1)] == [5, 9]
    assert cells.notes == ("1 line that begins with # skipped at the top of the file",)


def test_predictions_are_made_for_records_without_a_value(tmp_path: Path) -> None:
    wide, narrow = written(tmp_path, "a,b\n1,2\n,\n\n3,4\n"), written(tmp_path, "a\n1\n\n2\n", "n")
    assert texts(read(wide, EVERY)) == {"a": ["1", "", "3"], "b": ["2", "", "4"]}
    assert texts(read(narrow, EVERY)) == {"a": ["1", "", "2"]}
    assert texts(read(narrow)) == {"a": ["1", "2"]}
    assert sample(narrow, EVERY).column("a") == ("1", "", "2")


def long(cells: list[str]) -> str:
    return "a,b\n" + "".join(f"{cell},x\n" for cell in cells)


def test_different_numbers_come_as_numbers_and_odd_cells_as_their_texts(tmp_path: Path) -> None:
    numbers = [f"{place / 8 - 100:.3f}" for place in range(2000)]
    numbers[7], numbers[8], numbers[1999] = "-", "", "nan"
    cells = read(written(tmp_path, long(numbers)))
    assert cells.column("a").type == pa.float64()
    assert cells.odd == {"a": {7: "-", 1999: "nan"}}
    assert cells.column("a").null_count == 3
    assert cells.column("a")[9].as_py() == 9 / 8 - 100
    assert cells.column("b").dictionary.to_pylist() == ["x"]
    kept = read(written(tmp_path, long(numbers)), ReadOptions(texts=frozenset("a")))
    assert kept.column("a").to_pylist() == numbers


@pytest.mark.parametrize(
    "numbers",
    [
        [f"{place:05d}" for place in range(2000)],
        [f"{place}.125" for place in range(1, 1000)] + [f"{place}.250" for place in range(1, 1000)],
        [f"{10**16 + place}" for place in range(2000)],
        [str(place) for place in range(1999)] + ["1e400"] * 200,
        [f"word {place}" for place in range(2000)],
        [str(place % 150) for place in range(2000)],
        [str(place) for place in range(1000)],
    ],
    ids=["leading zeros", "points of thousands", "long", "too large", "words", "few", "short"],
)
def test_numbers_stay_texts_where_something_would_be_lost(
    tmp_path: Path, numbers: list[str]
) -> None:
    cells = read(written(tmp_path, long(numbers)))
    assert cells.column("a").to_pylist() == numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3\n", "line 3 has 1 cell, but the table has 2 columns; is the line cut off?"),
        ("a,b\n1,2\n3,4\n1,2,3\n", "line 4 has 3 cells, but the table has 2 columns; a delimiter"),
        ('a,b\n"x\ny",2\n3,4,5\n', "line 4 has 3 cells"),
        ('a,b\n1,ok\n2,"oops\n3,ok\n', "line 3: the quote that opens in this line never closes"),
        ('a,b\n1,ok\n2,"oops\n3,"ok"\n', "line 3: the quote that opens in this line never closes"),
        ('"a,b\n1,2\n', "line 1: the quote that opens in this line never closes"),
        ('a,b\n"the "best" one",2\n', 'line 2: text follows a closing quote ("the "best" one'),
        ("a,b,a\n1,2,3\n", "line 1 names a column twice: `a` (columns 1 and 3); rename one"),
        ("1.5,2.5\n3.5,4.5\n", "line 1 looks like a row and not like names of columns (1.5, 2.5)"),
        ("made by x\na,b,c\n1,2,3\n4,5,6\n", "line 1 has 1 name, but most lines have 3 cells"),
        ("\n \n", "is empty"),
        (",,\n,,\n", "has neither a name of a column nor a value"),
        ("sep=é\na,b\n1,2\n3,4\n", "line 1 has 1 name,"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    assert fault(written(tmp_path, text)).startswith((message, " " + message))


def test_a_fault_far_below_the_first_rows_is_named_with_its_line(tmp_path: Path) -> None:
    rows = "".join(f'{place},"a ""b"", {place}"\n' for place in range(60_000))
    for wrong, message in (
        ('9,"x\n', "line 60002: the quote that"),
        ('9,"x" y\n', "line 60002: text follows a closing quote"),
        ("9\n", "line 60002 has 1 cell"),
    ):
        path = written(tmp_path, f"a,b\n{rows}{wrong}")
        assert (sample(path).rows, sample(path).complete) == (1000, False)
        with pytest.raises(DataError, match=re.escape(message)):
            read(path)


def test_a_header_without_rows_is_a_table(tmp_path: Path) -> None:
    for text in "a,b", "a,b\n", "a,b\n\n,\n":
        path = written(tmp_path, text)
        for table in read(path), sample(path):
            assert (table.names, table.rows, len(table.column("b"))) == (("a", "b"), 0, 0)


def test_a_record_may_be_larger_than_a_block(tmp_path: Path) -> None:
    large = "word\n" * 2_000_000
    cells = read(written(tmp_path, f'a,b\n"{large}",1\n"x",2\n'))
    assert cells.column("a").to_pylist() == [large, "x"]


def test_quotes_within_a_text_are_texts(tmp_path: Path) -> None:
    cells = read(written(tmp_path, 'size,y\n5" pipe,1\n"6""",2\n'))
    assert texts(cells)["size"] == ['5" pipe', '6"']


def test_blanks_between_delimiters_and_quotes_are_no_part_of_a_cell(tmp_path: Path) -> None:
    cells = read(written(tmp_path, '"a", "b"\n1, "x, y"\n2, "z"\n'))
    assert texts(cells) == {"a": ["1", "2"], "b": ["x, y", "z"]}


def test_files_that_know_types_keep_them(tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": [1.5, None, float("nan")],
            "i": pa.array([1, 2, None], pa.int16()),
            "t": ["x", None, "None"],
            "b": [True, False, None],
            "lists": [[1], [2], []],
            "__index_level_0__": [0, 1, 2],
        }
    )
    parquet.write_table(table, tmp_path / "t.csv")
    feather.write_feather(table, tmp_path / "u.csv")
    for path in tmp_path / "t.csv", tmp_path / "u.csv":
        cells = read(path)
        assert texts(cells) == {
            "n": [1.5, None, None],
            "i": [1, 2, None],
            "t": ["x", "", "None"],
            "b": [True, False, None],
            "column_5": [0, 1, 2],
        }
        assert cells.notes[0].startswith("column `lists` left out")
        assert sample(path).names == cells.names


def test_json_lines_of_one_type_keep_it_and_others_are_texts(tmp_path: Path) -> None:
    path = written(tmp_path, '{"a": 1.50, "b": "x"}\n\n{"a": 2, "b": "y", "c": true}\n')
    assert texts(read(path)) == {"a": [1.5, 2.0], "b": ["x", "y"], "c": [None, True]}
    assert read(path).line_of(1) == 3
    mixed = written(tmp_path, '{"a": 1.50}\n{"a": "-"}\n{"a": null}\n')
    assert texts(read(mixed)) == {"a": ["1.50", "-", ""]}
    half = written(tmp_path, '{"a\\udc00": "x"}\n{"a\\udc00": "\\ud800"}\n')
    assert texts(read(half)) == {"a\\udc00": ["x", "\\ud800"]}
    broken = written(tmp_path, '{"a": 1}\n{"a": \n')
    assert fault(broken).startswith("line 2 is no JSON")


OFFICE = "http://schemas.openxmlformats.org"
MAIN = f'xmlns="{OFFICE}/spreadsheetml/2006/main"'
DOCUMENT = f"{OFFICE}/officeDocument/2006/relationships"
SHEET = f"""<worksheet {MAIN}><sheetData>
<row r="2"><c r="A2" t="inlineStr"><is><t>size</t></is></c>
<c r="B2" t="inlineStr"><is><t>kind</t></is></c></row>
<row r="3"><c r="A3"><v>1.5</v></c><c r="B3" t="inlineStr"><is><t>x</t></is></c></row>
<row r="5"><c r="A5"><v>2</v></c></row></sheetData></worksheet>"""


def related(kind: str, targets: list[str]) -> str:
    each = "".join(
        f'<Relationship Id="r{place}" Type="{DOCUMENT}/{kind}" Target="{target}"/>'
        for place, target in enumerate(targets)
    )
    return f'<Relationships xmlns="{OFFICE}/package/2006/relationships">{each}</Relationships>'


def test_the_first_sheet_of_a_workbook_is_read(tmp_path: Path) -> None:
    sheets = "".join(f'<sheet name="s{n}" sheetId="{n + 1}" r:id="r{n}"/>' for n in range(2))
    parts = {
        "_rels/.rels": related("officeDocument", ["xl/workbook.xml"]),
        "xl/workbook.xml": f'<workbook {MAIN} xmlns:r="{DOCUMENT}"><sheets>{sheets}</sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": related("worksheet", ["a.xml", "b.xml"]),
        "xl/a.xml": SHEET,
        "xl/b.xml": SHEET,
    }
    with zipfile.ZipFile(tmp_path / "t.csv", "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)
    cells = read(tmp_path / "t.csv")
    assert texts(cells) == {"size": ["1.5", "2"], "kind": ["x", ""]}
    assert cells.line_of(1) == 5
    assert cells.notes == ("the sheet `s0` was read, and 1 more of the workbook were not",)
