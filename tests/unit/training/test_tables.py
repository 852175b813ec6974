from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from hpsearch.errors import DataError
from hpsearch.sources.csvfile import read_columns
from hpsearch.sources.dataset import Dataset, DataSettings, load

ROWS = 60


def csv(columns: Mapping[str, Sequence[object]], delimiter: str = ",") -> str:
    lines = [columns.keys(), *zip(*columns.values(), strict=True)]
    return "\n".join(delimiter.join(map(str, line)) for line in lines) + "\n"


def numbers(scale: float = 1.0) -> list[object]:
    return [round(x * scale, 4) for x in np.random.default_rng(0).normal(size=ROWS)]


def cycle(*values: object) -> list[object]:
    return [values[row % len(values)] for row in range(ROWS)]


def everything(loaded: Dataset) -> torch.Tensor:
    return torch.cat([loaded.train.inputs, loaded.validation.inputs])


def test_numbers_are_standardised_and_texts_one_hot(table) -> None:
    loaded = table(csv({"a": numbers(1000), "b": cycle("x", "y", "z"), "y": cycle("no", "yes")}))
    assert loaded.task == "classification"
    assert loaded.classes == ("no", "yes")
    assert loaded.input_shape == (4,)
    train = loaded.train.inputs
    assert train.dtype == torch.float32
    assert abs(float(train[:, 0].mean())) < 1e-6
    assert float(train[:, 0].std(correction=0)) == pytest.approx(1, rel=1e-5)
    assert set(everything(loaded)[:, 1:].unique().tolist()) == {0.0, 1.0}
    assert bool((everything(loaded)[:, 1:].sum(dim=1) == 1).all())
    assert loaded.record["rows"] == {"train": 42, "validation": 9, "test": 9}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_and_the_mark_of_utf8(table, delimiter: str) -> None:
    columns = {"größe, cm": numbers(), "b": cycle("a b", "c"), "y": cycle(0, 1)}
    if delimiter == ",":
        columns = {f'"{name}"': values for name, values in columns.items()}
    assert table("\ufeff" + csv(columns, delimiter)).input_shape == (3,)


def test_decimal_commas(table) -> None:
    columns = {"a": numbers(), "b": numbers(7), "y": cycle(0, 1)}
    german = csv(columns, ";").replace(".", ",")
    assert torch.equal(table(german).train.inputs, table(csv(columns)).train.inputs)


def test_gaps_are_filled_and_said(table) -> None:
    a, b = numbers(), cycle("x", "x", "y")
    a[3], a[4], a[5] = "", "NA", "?"
    b[7] = "NaN"
    loaded = table(csv({"a": a, "b": b, "empty": cycle("", "null"), "y": cycle(0, 1)}))
    assert loaded.record["notes"] == [
        "3 missing values in column `a` filled with the median of the training rows",
        "1 missing value in column `b` filled with the most frequent value of the training rows",
        "column `empty` left out: it is empty",
    ]
    assert loaded.input_shape == (3,)
    assert bool(torch.isfinite(everything(loaded)).all())


def test_a_value_seen_only_in_validation_is_ignored(table) -> None:
    text = csv({"a": numbers(), "b": [f"v{row // 4}" for row in range(ROWS)], "y": cycle(0, 1)})
    loaded = table(text, validation=0.6)
    sums = loaded.validation.inputs[:, 1:].sum(dim=1)
    assert set(sums.unique().tolist()) == {0.0, 1.0}


def test_columns_that_tell_nothing_are_left_out(table) -> None:
    names = [f"animal {row}" for row in range(ROWS)]
    loaded = table(csv({"name": names, "a": numbers(), "y": cycle(0, 1)}))
    assert loaded.input_shape == (1,)
    assert loaded.record["notes"] == ["column `name` left out: 60 different texts in 60 rows"]


def test_ignored_columns(table) -> None:
    text = csv({"a": numbers(), "b": numbers(2), "y": cycle(0, 1)})
    assert table(text, ignore=("b",)).input_shape == (1,)
    with pytest.raises(DataError, match="no column to learn from besides the target `y`"):
        table(text, ignore=("a", "b"))


def test_rows_without_a_target_are_dropped_and_said(table) -> None:
    y = cycle(0, 1)
    y[10] = y[11] = ""
    loaded = table(csv({"a": numbers(), "y": y}))
    assert sum(loaded.record["rows"].values()) == 58
    assert loaded.record["notes"] == ["2 rows without a value of `y` left out"]


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (cycle("b", "a"), "classification", ("a", "b")),
        (cycle(10, 2, 1), "classification", ("1", "2", "10")),
        (cycle("1", "1.0", "2"), "classification", ("1", "2")),
        (cycle(1, 2, "other"), "classification", ("1", "2", "other")),
        (cycle(0.5, 1.5), "regression", ()),
        (cycle(*range(13)), "regression", ()),  # more than a fifth of the rows
        ([20_000 + 500 * row for row in range(ROWS)], "regression", ()),
    ],
)
def test_the_target_tells_the_task(table, y, task, classes) -> None:
    loaded = table(csv({"a": numbers(), "y": y}))
    assert (loaded.task, loaded.classes) == (task, classes)


def test_the_task_can_be_said(table) -> None:
    text = csv({"a": numbers(), "y": cycle(1, 2, 3)})
    assert table(text).task == "classification"
    assert table(text, task="regression").task == "regression"


def test_regression_targets_can_be_turned_back(table) -> None:
    salaries = [20_000.0 + 500 * row for row in range(ROWS)]
    loaded = table(csv({"a": numbers(), "y": salaries}))
    assert loaded.train.targets.shape == (42, 1)
    assert loaded.train.targets.dtype == torch.float32
    assert abs(float(loaded.train.targets.mean())) < 1e-6
    both = torch.cat([loaded.train.targets, loaded.validation.targets])
    back = both * loaded.target_std + loaded.target_mean
    assert all(min(abs(float(y) - s) for s in salaries) < 0.05 for y in back)


def test_a_constant_target_is_no_trouble(table) -> None:
    loaded = table(csv({"a": numbers(), "y": cycle(4.5)}))
    assert not loaded.train.targets.any()
    assert (loaded.target_mean, loaded.target_std) == (4.5, 1.0)


def test_a_rare_class_is_said(table) -> None:
    loaded = table(csv({"a": numbers(), "y": ["rare", *cycle("x", "y")[1:]]}))
    parts = {"training", "validation", "test"}
    has_it = {p for p in parts if not any(n.startswith(f"{p} part: ") for n in notes(loaded))}
    assert len(has_it) == 1
    assert len(notes(loaded)) == 2


def notes(loaded: Dataset) -> list[str]:
    return loaded.record["notes"]


GOOD = csv({"age": numbers(), "y": cycle(0, 1)})


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("", {}, "is empty; its first line must name the columns"),
        ("1,2\n3,4\n", {}, "starts with numbers; its first line must name"),
        ("a,a,y\n1,2,3\n", {}, "names a column twice: a"),
        (GOOD, {"target": "Age"}, "no column `Age`; did you mean `age`\\? It has: age, y"),
        (GOOD, {"ignore": ("agee",)}, "no column `agee`; did you mean `age`"),
        (GOOD + "1,2,3\n", {}, "line 62: 3 values, but the first line names 2 columns"),
        ("a,y\n" + "1,0\n2,1\n" * 2, {}, "has 4 rows with a target; give 5 or more"),
        ("a,y\n" + "1,0\n" * 20, {}, "`y` is `0` in every row; need two classes"),
        (
            csv({"a": numbers(), "y": [f"n{row}" for row in range(ROWS)]}),
            {},
            "`y` has 60 different values in 60 rows, such as `n0`",
        ),
        (
            csv({"a": numbers(), "y": cycle(1.5, "high")}),
            {"task": "regression"},
            "regression needs numbers, but `y` has `high`",
        ),
    ],
)
def test_faults_are_named(table, text: str, settings: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        table(text, **settings)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    with pytest.raises(DataError, match=r"cannot read the table .*gone\.csv: No such file"):
        load(DataSettings("csv", tmp_path / "gone.csv", "y"), cpu)
    (tmp_path / "latin.csv").write_bytes("größe,y\n1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match="no table in UTF-8: byte 2"):
        load(DataSettings("csv", tmp_path / "latin.csv", "y"), cpu)
    with pytest.raises(DataError, match=r"data\.path and data\.target"):
        load(DataSettings("csv"), cpu)


@pytest.mark.parametrize(
    ("text", "every", "kept"),
    [
        ("\na\n1\n\n2\n", ["1", "", "2"], ["1", "2"]),
        ("a,b\n1,2\n\n,\n3,4\n", ["1", "", "3"], ["1", "3"]),
    ],
)
def test_rows_without_any_value_count_where_every_row_does(
    text: str, every: list[str], kept: list[str]
) -> None:
    assert read_columns(Path("t.csv"), text.encode(), every=True)["a"].texts == every
    assert read_columns(Path("t.csv"), text.encode())["a"].texts == kept
