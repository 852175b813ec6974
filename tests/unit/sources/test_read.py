"""Tables as data sets: what training sees of them, and what is frozen with the study."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpsearch.errors import DataError
from hpsearch.sources import dataset
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.sources.table.look import look
from hpsearch.sources.table.section import TableSpec

ROWS = 60
CPU = torch.device("cpu")
Table = Callable[..., Dataset]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Writes a table and loads it."""

    def write(text: str, decided: Mapping[str, Any] | None = None, **settings: Any) -> Dataset:
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return load(
            DataSettings.of("table", path=path, **{"target": "y", **settings}), CPU, decided
        )

    return write


def csv(columns: Mapping[str, Sequence[object]], delimiter: str = ",") -> str:
    lines = [columns.keys(), *zip(*columns.values(), strict=True)]
    return "\n".join(delimiter.join(map(str, line)) for line in lines) + "\n"


def numbers(scale: float = 1.0) -> list[object]:
    return [round(x * scale, 4) for x in np.random.default_rng(0).normal(size=ROWS)]


def cycle(*values: object) -> list[object]:
    return [values[row % len(values)] for row in range(ROWS)]


def everything(loaded: Dataset) -> torch.Tensor:
    return torch.cat([loaded.train.inputs, loaded.validation.inputs])


def test_numbers_are_standardised_and_texts_one_hot(table: Table) -> None:
    loaded = table(csv({"a": numbers(1000), "b": cycle("x", "y", "z"), "y": cycle("no", "yes")}))
    assert loaded.problem().kind == "rows"
    assert (loaded.task, loaded.classes) == ("classification", ("no", "yes"))
    assert loaded.input_shape == (4,)
    train = loaded.train.inputs
    assert train.dtype == torch.float32
    assert abs(float(train[:, 0].mean())) < 1e-6
    assert float(train[:, 0].std(correction=0)) == pytest.approx(1, rel=1e-5)
    assert set(everything(loaded)[:, 1:].unique().tolist()) == {0.0, 1.0}
    assert bool((everything(loaded)[:, 1:].sum(dim=1) == 1).all())
    assert loaded.record["rows"] == {"train": 42, "validation": 9, "test": 9}


def test_decimal_commas(table: Table) -> None:
    columns = {"a": numbers(), "b": numbers(7), "y": cycle(0, 1)}
    german = csv(columns, ";").replace(".", ",")
    assert torch.equal(table(german).train.inputs, table(csv(columns)).train.inputs)


def test_notes_and_warnings_are_recorded(table: Table) -> None:
    a, y = numbers(), cycle(0, 1)
    a[3] = "-"
    y[10] = y[11] = ""
    loaded = table(csv({"a": a, "empty": cycle(""), "y": y}))
    assert sum(loaded.record["rows"].values()) == ROWS - 2
    notes = "\n".join(loaded.record["notes"])
    for words in ("`-` is read as missing in 1 cell, first in line 5", "`empty`: left out, empty",
                  "2 rows without a target left out, the first in line 12"):  # fmt: skip
        assert words in notes
    assert loaded.record["warnings"] == []


def test_what_the_study_says_of_columns(table: Table) -> None:
    text = csv({"a": cycle("1.234", "5", "x"), "b": numbers(2), "y": cycle(0, 1)})
    columns = {"a": {"kind": "number", "thousands": ".", "missing": ["x"]}}
    loaded = table(text, columns=columns, ignore=["b"])
    assert loaded.input_shape == (2,)
    values = sorted(everything(loaded)[:, 0].unique().tolist())
    assert len(values) == 2 or values[0] < values[1]
    with pytest.raises(DataError, match=r"table\.csv: .*no column to learn from"):
        table(text, ignore=["a", "b"])


def test_a_table_without_a_header(table: Table) -> None:
    text = csv({"1": numbers(), "2": cycle(0, 1)}).partition("\n")[2]
    assert table(text, names=["a", "y"]).record["rows"]["train"] == 42
    with pytest.raises(DataError, match=r"looks like a row.*data\.header: false"):
        table(text)
    loaded = table(text, header=False, target="column_2")
    assert loaded.classes == ("0", "1")


def test_the_task_can_be_said(table: Table) -> None:
    text = csv({"a": numbers(), "y": cycle(1, 2, 3)})
    assert table(text).task == "classification"
    assert table(text, task="regression").task == "regression"


def test_regression_targets_can_be_turned_back(table: Table) -> None:
    salaries = [20_000.0 + 500 * row for row in range(ROWS)]
    loaded = table(csv({"a": numbers(), "y": salaries}))
    assert loaded.train.targets.shape == (42, 1)
    assert loaded.train.targets.dtype == torch.float32
    assert abs(float(loaded.train.targets.mean())) < 1e-6
    both = torch.cat([loaded.train.targets, loaded.validation.targets])
    back = both * loaded.target_std + loaded.target_mean
    assert all(min(abs(float(y) - s) for s in salaries) < 0.05 for y in back)


@pytest.mark.parametrize("number", [4.5, 0.1, 1e9 + 0.1])
def test_a_constant_target_is_no_trouble(table: Table, number: float) -> None:
    loaded = table(csv({"a": numbers(), "y": cycle(number)}), task="regression")
    assert loaded.train.targets.abs().max() < 1e-6
    assert loaded.target_mean == pytest.approx(number)
    assert loaded.target_std == 1.0
    assert "r2" not in loaded.record["baseline"]["values"]


def test_a_rare_class_is_noted(table: Table) -> None:
    loaded = table(csv({"a": numbers(), "y": ["rare", *cycle("x", "y")[1:]]}))
    lacking = [note for note in loaded.record["notes"] if "part: no row" in note]
    assert len(lacking) == 2
    loaded = table(csv({"a": cycle("-", *numbers()[1:]), "y": ["rare", *cycle("x", "y")[1:]]}))
    assert loaded.record["notes"][:2] == lacking, "what weighs most comes first"
    assert len(loaded.record["notes"]) > 2


def test_what_was_decided_is_followed_and_not_decided_again(table: Table) -> None:
    """As by a worker whose hpsearch would decide otherwise."""
    text = csv({"a": cycle(1, 2, 3), "b": numbers(), "y": cycle("no", "yes")})
    loaded = table(text)
    decided = json.loads(json.dumps(loaded.record["decided"]))
    assert torch.equal(table(text, decided).train.inputs, loaded.train.inputs)
    assert loaded.input_shape == (2,)
    (column,) = (column for column in decided["columns"] if column["name"] == "a")
    column.update(kind="category", inputs=3)
    other = table(text, decided)
    assert other.input_shape == (4,)
    assert other.record["decided"] == decided
    decided["columns"] = "?"
    with pytest.raises(DataError, match=r"table\.csv: what was decided of its columns is damaged"):
        table(text, decided)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,y\n" + "1,0\n2,1\n" * 2, r"table\.csv: 4 rows with a target `y`; give 5 or more"),
        (csv({"a": numbers(), "y": cycle(1.5, "high")}), "`y`, line 3: `high`"),
    ],
)
def test_faults_are_named(table: Table, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        table(text, task="regression" if "high" in text else None)


def days(count: int) -> list[str]:
    return [f"2024-{1 + day // 28:02}-{1 + day % 28:02}" for day in range(count)]


def values(loaded: Dataset) -> list[list[float]]:
    """The first column of the training and of the validation rows, sorted and not scaled."""
    inputs: Any = loaded.preprocessing
    scale = inputs.encoder.encodings[0].scale
    columns = (part.inputs[:, 0] for part in (loaded.train, loaded.validation))
    return [sorted((c * scale.deviation + scale.mean).round(decimals=2).tolist()) for c in columns]


@pytest.mark.parametrize("ignore", [(), ("day",)])
def test_later_rows_are_validated_on_and_the_latest_are_the_test_part(
    table: Table, ignore: tuple[str, ...]
) -> None:
    draw = np.random.default_rng(0).permutation(ROWS)
    when = days(ROWS // 2) * 2  # two rows a day
    columns = {"a": [f"{row % 30}.5" for row in draw], "day": [when[row] for row in draw],
               "y": [f"{row * 7 % 11}.5" for row in draw]}  # fmt: skip
    loaded = table(csv(columns), split={"by": "day"}, ignore=ignore)
    train, validation = values(loaded)
    assert loaded.record["rows"] == {"train": 40, "validation": 10, "test": 10}
    assert (train[-1], validation[0], validation[-1]) == (19.5, 20.5, 24.5)
    assert loaded.input_shape == ((1,) if ignore else (6,))
    assert not loaded.record["warnings"]


def test_rows_are_not_split_by_a_column_without_an_order(table: Table) -> None:
    text = csv({"a": numbers(), "b": cycle("x", "y"), "y": cycle(0, 1)})
    for by, words in (("b", r"column `b`, which is neither of dates nor of numbers \(boolean\)"),
                      ("c", "no column `c`, which data.split names")):  # fmt: skip
        with pytest.raises(DataError, match=words):
            table(text, split={"by": by})


def test_rows_without_a_place_in_the_order_are_left_out(table: Table, tmp_path: Path) -> None:
    places = [*range(ROWS)]
    moments = ["" if row in (7, 20) else f"{row}.5" for row in places]
    text = csv({"a": [f"{row % 30}.5" for row in places], "day": moments, "y": cycle("1.5", "2.5")})
    loaded = table(text, split={"by": "day"})
    assert loaded.record["rows"] == {"train": 40, "validation": 9, "test": 9}
    note = "column `day`: 2 rows without a value left out, the first in line 9, as data.split"
    assert any(one.startswith(note) for one in loaded.record["notes"])
    (tmp_path / "seen.csv").write_text(text)
    section = TableSpec(source="table", path="seen.csv", target="y", split={"by": "day"})
    note = "column `day`: 2 rows without a value left out, as data.split"
    assert any(one.startswith(note) for one in look(section, tmp_path).notes)


def test_a_group_is_never_in_two_parts(table: Table) -> None:
    groups = [f"{row % 12}" for row in range(ROWS)]
    text = csv({"a": groups, "who": groups, "y": [f"{row * 7 % 11}.5" for row in range(ROWS)]})
    settings: Any = {"split": {"group": "who"}}
    loaded = table(text, **settings)
    train, validation = values(loaded)
    assert not {*train} & {*validation}
    assert loaded.record["rows"] == {"train": 40, "validation": 10, "test": 10}
    assert table(text, **settings).record["split"] == loaded.record["split"]
    with pytest.raises(DataError, match="too few groups"):
        table(
            csv({"a": numbers(), "who": cycle("x"), "y": cycle(0, 1)}),
            split={"group": "who"},
            test=0.0,
        )


def test_another_file_can_be_the_test_part(table: Table, tmp_path: Path) -> None:
    text = csv({"a": numbers(), "b": cycle("u", "v", "w"), "y": cycle("no", "yes")})
    other = tmp_path / "other.csv"
    other.write_text("y,b,a,more\nyes,u,1,2\nno,v,2,2\n,w,3,2\nyes,new,1e2,2\n")
    loaded = table(text, test_path=other)
    assert loaded.record["rows"] == {"train": 51, "validation": 9, "test": 3}
    settings = DataSettings.of("table", path=tmp_path / "table.csv", target="y", test_path=other)
    part, _ = dataset.test_part(settings, loaded, loaded.record, CPU)
    assert part.targets.tolist() == [1, 0, 1]
    assert part.inputs.shape == (3, 4)
    other.write_text("y,a\nyes,1\n")
    with pytest.raises(DataError, match=r"other\.csv: the test part lacks `b`"):
        table(text, test_path=other)
    other.write_text("y,a,b\nperhaps,1,u\n")
    with pytest.raises(DataError, match="`perhaps` is none of the classes"):
        table(text, test_path=other)
