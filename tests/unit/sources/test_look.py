"""What `hpsearch check` sees of a table at a glance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpsearch.errors import DataError
from hpsearch.sources.look import Look
from hpsearch.sources.read import read
from hpsearch.sources.split import DataSettings
from hpsearch.sources.table.look import look
from hpsearch.sources.table.section import TableSpec

Seen = Callable[..., Look]


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    """Writes a table and looks at it."""

    def looked(text: str, *, ignore: tuple[str, ...] = (), target: str = "kind") -> Look:
        (tmp_path / "wine.csv").write_text(text)
        return look(
            TableSpec(source="table", path="wine.csv", target=target, ignore=ignore), tmp_path
        )

    return looked


def table(rows: int) -> str:
    return "alcohol,kind\n" + "".join(
        f"{row / 7:.3f},{'uv'[row % 3 == 0]}\n" for row in range(rows)
    )


@pytest.mark.parametrize("source", ["table", "images", "arrays", "series"])
def test_a_path_that_the_system_refuses_is_one_line(tmp_path: Path, source: str) -> None:
    keys = {"target": "kind"} if source in ("table", "series") else {}
    settings = DataSettings.of(source, tmp_path, path="x" * 5000, **keys)
    with pytest.raises(DataError, match=r"x{100}\S*: File name too long$"):
        read(settings)


def test_of_a_small_table_all_is_known(seen: Seen) -> None:
    small = seen(table(40))
    assert small.title == "wine.csv: 40 rows"
    assert [line.split()[0] for line in small.lines] == ["column", "kind", "alcohol"]
    assert (small.classes, small.rarest) == (("u", "v"), 14)


@pytest.mark.parametrize("rows", [1500, 120_000])
def test_of_a_table_of_a_few_megabytes_all_rows_are_read(seen: Seen, rows: int) -> None:
    whole = seen(table(rows))
    assert (whole.title, whole.rarest) == (f"wine.csv: {rows:,} rows", rows // 3)


def test_of_a_large_table_only_its_first_rows(seen: Seen) -> None:
    large = seen(table(400_000))
    assert large.title == "wine.csv: its first 1,000 rows"
    assert (large.classes, large.rarest) == (None, None)


@pytest.mark.parametrize(
    ("target", "ignore", "words"),
    [
        ("king", (), r"wine\.csv: the table has no column `king`; did you mean `kind`\?"),
        ("kind", ("Alcohl", "zzz"), r"columns `Alcohl`, `zzz`; did you mean `alcohol`\? It has"),
        ("KIND", (), r"no column `KIND`; did you mean `kind`\?"),
        ("kind", ("zzz",), r"wine\.csv: the table has no column `zzz`; it has alcohol, kind"),
    ],
)
def test_columns_that_are_missing(
    seen: Seen, target: str, ignore: tuple[str, ...], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        seen(table(40), target=target, ignore=ignore)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "gone.csv", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(DataError, match=words):
            look(
                TableSpec(source="table", path=path.name, target="y"), tmp_path.parent / path.parent
            )


def test_a_slip_in_the_name_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(table(4))
    for name, words in (
        ("custmers.csv", r"did you mean .*/customers\.csv\?$"),
        ("else.csv", "it is not in "),
    ):
        with pytest.raises(DataError, match=f"No such file or directory; {words}"):
            look(TableSpec(source="table", path=name, target="y"), tmp_path)


def test_a_cell_that_the_first_rows_leave_open_is_a_fault_of_the_whole_file(seen: Seen) -> None:
    rows = [f"{i % 70 + 0.5},{i % 30 + 0.25},{'ab'[i % 2]}\n" for i in range(1500)]
    rows[7] = "unknown,unknown,a\n"
    with pytest.raises(DataError, match="2 columns have cells that only you can read") as caught:
        seen("x,z,y\n" + "".join(rows), target="y")
    assert "column `x`, line 9" in str(caught.value)
    assert "column `z`, line 9" in str(caught.value)
    words = [f"word{i},{i},a\n" for i in range(200)]  # with these it is no column of numbers
    rows[1100:1300] = words
    assert seen("x,z,y\n" + "".join(rows).replace("unknown,a", "3,a"), target="y").facts["complete"]


def test_a_table_of_names_alone_has_no_rows(seen: Seen) -> None:
    with pytest.raises(DataError, match=r"wine\.csv: the table has names of columns, and no rows"):
        seen("alcohol,kind\n")
