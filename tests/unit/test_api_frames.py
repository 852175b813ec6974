"""Tables and arrays in memory as files, named by what is in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from hpsearch.api.frames import arrays_file, is_arrays, is_table, table_file
from hpsearch.errors import DataError

COLUMNS = {"a": [1.5, 2.5, 3.5], "b": ["x", "y", "x"], "c": [1, 2, 3]}


class Stream:
    """What polars is to others: something with Arrow's stream."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


class Lazy:
    """What only others' methods make a table."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def to_pandas(self) -> pd.DataFrame:
        return self._table.to_pandas()


def tables() -> dict[str, object]:
    table = pa.table(COLUMNS)
    indexed = pd.DataFrame(COLUMNS, index=[7, 8, 9])
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    arrays = {"a": np.array([1.5, 2.5, 3.5]), "b": np.array(["x", "y", "x"]),
              "c": torch.tensor([1, 2, 3])}  # fmt: skip
    return {"arrow": table, "chunked": chunked, "pandas": indexed, "stream": Stream(table),
            "to_pandas": Lazy(table), "mapping": COLUMNS, "arrays": arrays}  # fmt: skip


@pytest.mark.parametrize("kind", tables())
def test_the_same_table_has_the_same_name_whoever_holds_it(tmp_path: Path, kind: str) -> None:
    data = tables()[kind]
    assert is_table(data)
    file = table_file(data, tmp_path / "beside")
    assert file.name == table_file(pa.table(COLUMNS), tmp_path).name
    assert pq.read_table(file).to_pydict() == COLUMNS  # an index of pandas is no column
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_another_value_or_another_name_is_another_file(tmp_path: Path) -> None:
    first = table_file(COLUMNS, tmp_path)
    assert table_file({**COLUMNS, "c": [1, 2, 4]}, tmp_path) != first
    assert table_file({**COLUMNS, "d": [1, 2, 3]}, tmp_path) != first


def test_a_file_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    file = table_file(COLUMNS, tmp_path)
    before = file.stat().st_mtime_ns
    assert table_file(COLUMNS, tmp_path).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "the table has 0 rows and 0 columns"),
        ({"a": []}, "the table has 0 rows and 1 columns"),
        ({"a": [1, 2], "b": [1]}, "cannot be made a table"),
        (pd.DataFrame({"a": [1, "x"]}), "cannot be made a table"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns called 'a'|cannot be made"),
    ],
)
def test_what_is_no_table(tmp_path: Path, data: object, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        table_file(data, tmp_path)
    assert "\n" not in str(caught.value)


def test_arrays(tmp_path: Path) -> None:
    arrays = {"X": np.arange(6.0).reshape(3, 2), "y": torch.tensor([0, 1, 0])}
    assert is_arrays(arrays)
    assert not is_arrays(COLUMNS)
    assert not is_arrays({"X": np.arange(3), "y": np.arange(3)})  # a column called X
    file = arrays_file(arrays, tmp_path)
    with np.load(file) as there:
        assert there["X"].tolist() == [[0, 1], [2, 3], [4, 5]]
        assert there["y"].tolist() == [0, 1, 0]
    assert arrays_file(dict(reversed(arrays.items())), tmp_path) == file
    texts = arrays_file({**arrays, "y": np.array(["a", "b", "a"], object)}, tmp_path)
    assert texts != file
    with pytest.raises(DataError, match="neither numbers nor texts"):
        arrays_file({**arrays, "y": np.array([{}, 1, 2], object)}, tmp_path)
