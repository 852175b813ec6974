"""A study of Python's own objects: what is filled in, and what is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hpsearch as hp
from hpsearch.api.definition import of_values
from hpsearch.errors import DataError, HpsearchError, StudyFileError

TABLE = {"a": np.arange(40.0), "kind": ["x", "y"] * 20}


def document(tmp_path: Path, **content: object) -> dict:
    defined = of_values("s", {"parameters": {}, **content}, lambda: tmp_path / "tables")
    return defined.spec.document


def test_a_table_needs_no_network_and_no_budget(tmp_path: Path) -> None:
    made = document(tmp_path, data=TABLE, target="kind", metric="accuracy")
    (file,) = (tmp_path / "tables").iterdir()
    assert made["data"] == {"source": "table", "path": file.name, "target": "kind", "test": 0.15}
    assert made["network"] == {"family": "mlp"}
    assert made["budget"] == {"trials": 30}
    section = {"source": "table", "path": TABLE, "target": "kind", "test": 0.3}
    assert document(tmp_path, data=section, metric="accuracy")["data"]["test"] == 0.3


@pytest.mark.parametrize(("storage", "reached"), [("s.db", True), ("postgresql://u@h/s", False)])
def test_a_table_that_other_machines_do_not_see_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str, *, reached: bool
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    study = hp.Study(name="s", data=TABLE, target="kind", metric="accuracy",
                     parameters={"lr": hp.log(0.01, 1)}, storage=storage)  # fmt: skip
    warned = [note for note in study.check().notes if "on this machine alone" in note]
    assert len(warned) == (0 if reached else 1)


def test_paths_and_names_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets").mkdir()
    for data, source in (("digits", "digits"), ("wine.csv", "table"), ("pets", "images"),
                         (Path("data.npz"), "arrays")):  # fmt: skip
        more = {"target": "kind"} if source == "table" else {}
        made = document(tmp_path, data=data, network="mlp", metric="accuracy", **more)
        assert made["data"]["source"] == source
    arrays = {"X": np.zeros((40, 3)), "y": TABLE["kind"]}
    made = document(tmp_path, data=arrays, network="mlp", metric="accuracy")
    assert made["data"]["source"] == "arrays"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"data": 3}, "data is a int; expected a table"),
        ({"data": "digits", "network": "mlpp"}, 'network.family: .* got "mlpp"; did you mean mlp'),
        ({"data": "digits", "network": "mlp", "parameters": {"lr": hp.log(0, 1)}},
         "study s: parameters.lr.min: expected a number above 0"),
        ({"data": "digits", "network": "mlp", "parameters": {"lr": np.zeros(3)}}, "parameters.lr"),
        ({"data": "digits", "network": "mlp", "parameters": {"lr": float("nan")}}, "finite number"),
        ({"data": "digits"}, "network: expected a value; got nothing"),
        ({"train": "train.py:train", "metric": {"name": "f1", "direction": "maximize"}},
         "train.function"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyFileError, match=said):
        document(tmp_path, **content)


@pytest.mark.parametrize(
    ("slip", "meant"), [("epoch", "epochs"), ("trial", "trials"), ("samplers", "sampler")]
)
def test_a_slip_of_an_argument(slip: str, meant: str) -> None:
    arguments: dict[str, Any] = {slip: 4}
    with pytest.raises(StudyFileError, match=f"no argument {slip}; did you mean {meant}\\?"):
        hp.Study({"command": ["true"]}, name="s", parameters={}, **arguments)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"target": "visitor"}, "no column `visitor`; it has a, kind"),
        ({"target": "a"}, "the metric of study 's' is accuracy, and by its target 'a'"),
        ({"data": "nosuch.csv"}, "nosuch.csv: No such file"),
        ({"data": {"X": np.zeros((40, 3)), "y": np.arange(40.0)}, "network": "mlp",
          "target": None}, "the metric of study 's' is accuracy, and by its target 'y'"),
        ({"data": "nosuch.npz", "network": "mlp", "target": None}, "nosuch.npz is missing"),
        ({"data": {"source": "images", "path": "pets"}, "network": "cnn", "target": None}, "pets"),
    ],
)  # fmt: skip
def test_data_that_does_not_suit_the_study_is_said_when_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: dict, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    usual: dict[str, Any] = {"name": "s", "data": TABLE, "target": "kind", "metric": "accuracy"}
    parameters = {"lr": hp.log(0.01, 1)}
    with pytest.raises(DataError, match=said):
        hp.Study(**usual | content, parameters=parameters)
    file = tmp_path / "s.yaml"
    file.write_text("name: s\ndata: {source: table, path: nosuch.csv, target: kind}\n"
                    "network: {family: mlp}\nmetric: accuracy\nbudget: {trials: 3}\n"
                    "parameters: {lr: {min: 0.01, max: 1}}\n")  # fmt: skip
    with pytest.raises(DataError, match=r"nosuch\.csv: No such file"):
        hp.Study.from_file(file)


def test_a_grid_has_as_many_trials_as_cells(tmp_path: Path) -> None:
    parameters = {"width": hp.choice(32, 64), "depth": hp.choice(1, 2, 3)}
    made = document(tmp_path, data="digits", network="mlp", parameters=parameters,
                    search={"sampler": "grid"})  # fmt: skip
    assert "budget" not in made


def test_the_import_is_light() -> None:
    code = (
        "import sys, hpsearch as hp; hp.log(1, 2), hp.Run; "
        "print([m for m in ('torch', 'optuna', 'sqlalchemy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_of_the_package() -> None:
    assert {"Study", "log", "range", "choice", "load"} <= set(dir(hp))
    assert issubclass(StudyFileError, HpsearchError)
    assert hp.HpsearchError is HpsearchError
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hp.nothing  # noqa: B018
