"""Own training code in a study file: what is read, what is a fault, what the database keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.spec import StudyFaultsError, StudySpec, load, schema, write
from hpsearch.spec.document import read
from hpsearch.spec.faults import Faults
from hpsearch.spec.models import BudgetSpec
from hpsearch.spec.own_training import evaluation_of, untested
from hpsearch.spec.study import differences

STUDY = """
name: own
train: {function: "train.py:train", fresh: true}
metric: {name: score, direction: minimize}
resources: {memory: 2 GB, minutes: 1.5}
parameters:
  architecture:
    width: {values: [8, 16]}
    sizes: {values: [[8, 8], [16]]}
  learning_rate:
    lr: {min: 0.001, max: 1.0, log: true, default: 0.1}
    optimizer: {values: [adam, lion, null]}
    momentum: {min: 0, max: 1, when: {optimizer: lion}}
    nesterov: true
start: [{width: 16}]
budget: {trials: 9, epochs: 5}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("def train(run): ...\n")
    return tmp_path / "study.yaml"


def faults(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(StudyFaultsError) as caught:
        load(file)
    return str(caught.value)


def test_any_parameters_are_searched(file: Path) -> None:
    file.write_text(STUDY)
    spec = load(file)
    assert spec.data is None
    assert (spec.metric, spec.direction) == ("score", "minimize")
    assert spec.code == ("train.py:train",)
    assert spec.resources.memory_bytes == 2_000_000_000
    assert spec.settings({"width": 8}) == {
        "width": 8, "sizes": None, "lr": None, "optimizer": None, "momentum": None,
        "nesterov": True, "epochs": 5,
    }  # fmt: skip
    assert {p.name: p.group for p in spec.space}["lr"] == "learning_rate"


@pytest.mark.parametrize("epochs", [BudgetSpec().epochs, BudgetSpec().epochs + 1])
def test_a_budget_at_its_default_is_read_from_the_database(file: Path, epochs: int) -> None:
    file.write_text(STUDY.replace("epochs: 5", f"epochs: {epochs}"))
    spec = load(file)
    assert StudySpec.from_document(spec.document) == spec
    assert spec.budget.epochs == epochs


def test_the_database_and_a_file_give_it_back(file: Path) -> None:
    file.write_text(STUDY)
    spec = load(file)
    again = StudySpec.from_document(spec.document)
    assert again.digest == spec.digest
    assert again.train == spec.train
    assert again.resources == spec.resources
    file.write_text(write(spec))
    assert load(file).digest == spec.digest


def test_flat_parameters_stay_flat(file: Path) -> None:
    flat = STUDY.replace("  architecture:\n", "").replace("  learning_rate:\n", "")
    flat = flat.replace("    ", "  ")
    file.write_text(flat)
    old = load(file)
    assert "architecture" not in write(old)
    file.write_text(flat.replace("values: [8, 16]", "values: [8, 16, 32]"))
    assert differences(old, load(file)) == [
        "parameters.width.values: [8, 16] in the database, [8, 16, 32] in the file"
    ]


def test_the_schema_knows_it() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(schema())
    assert validator.is_valid(read(STUDY, Faults()))
    assert not validator.is_valid(read(STUDY.replace("train: {", "trains: {"), Faults()))
    assert not validator.is_valid(read(STUDY.replace("minimize", "smaller"), Faults()))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("train.py:train", "train.py:fit", "train.function: expected def fit or class fit"),
        ("train.py:train", "../train.py:train", "train.function: expected FILE.py:FUNCTION"),
        ("{function:", "{functoin:", "train.functoin"),
        ("epochs: 5", "hours: 1", "budget.epochs: expected the most epochs that train may report"),
        ("minimize", "min", "metric.direction: expected one of maximize, minimize"),
        ("{name: score, direction: minimize}", "score", "metric: expected name and direction"),
        ("memory: 2 GB", "memory: lots", "resources.memory: expected a size such as 8 GB"),
        ("minutes: 1.5", "minutes: 0", "resources.minutes: expected a number above 0"),
        ("width:", "seed:", "parameters.architecture.seed: expected another name"),
        ("width:", "hidden-size:", "expected a name that Python can have"),
        ("[8, 16]", "[8, 1.5, [0.5]]", "expected a number, a text, true, false, null or a list"),
        ("when: {optimizer: lion}", "when: {optim: lion}", "expected another parameter"),
        ("budget:", "data: {source: digits}\nbudget:", "data: expected no data, as train says"),
        ("budget:", "network: {family: mlp}\nbudget:", "network: expected no network, as train"),
        ("start: [{width: 16}]", "start: [{width: 17}]", "start"),
        ("start: [{width: 16}]", "search: {strategy: recipe}", "search.strategy: expected joint"),
    ],
)
def test_faults(file: Path, old: str, new: str, expected: str) -> None:
    assert old in STUDY
    assert expected in faults(file, STUDY.replace(old, new, 1))


def test_a_batch_size_of_its_own_has_no_auto(file: Path) -> None:
    text = STUDY.replace("width: {values: [8, 16]}", "batch_size: {min: 8, max: auto}")
    assert "batch_size.max: expected a number" in faults(
        file, text.replace("start: [{width: 16}]", "")
    )


def test_a_study_of_networks_has_neither(file: Path) -> None:
    text = "name: s\nparameters: {lr: 0.1}\nresources: {cpus: 2}\nbudget: {trials: 1}\n"
    lines = faults(file, text)
    assert "data: expected a value; got nothing" in lines
    assert "network: expected a value; got nothing" in lines
    assert "resources: expected no resources: they are for own training code" in lines


def test_a_parameter_called_epochs_bounds_a_trial(file: Path) -> None:
    file.write_text(STUDY.replace("width: {values: [8, 16]}", "epochs: {values: [2, 4]}").replace(
        "start: [{width: 16}]", ""
    ))  # fmt: skip
    assert load(file).settings({"epochs": 2})["epochs"] == 2
    text = file.read_text().replace("[2, 4]", "[2, 9]")
    assert "at most budget.epochs (5)" in faults(file, text)


def test_what_tests_is_known_by_its_arguments(file: Path) -> None:
    file.write_text(STUDY)
    train, code = load(file).train, file.parent
    assert evaluation_of(train, code) is None
    assert untested(train) == "train.py has no evaluate(run, part)"
    for helper in ("def evaluate(net, rows): ...", "def evaluate(run, part, *more): ..."):
        (code / "train.py").write_text(f"def train(run): ...\n{helper}\n")
        assert evaluation_of(train, code) is None, "a helper of that name is none"
    (code / "train.py").write_text("def train(run): ...\ndef evaluate(run, part): ...\n")
    assert evaluation_of(train, code) == "train.py:evaluate"
    assert "train.evaluate: expected no command" in faults(
        file, STUDY.replace("fresh: true", "evaluate: [a]")
    )


def test_a_command_tests_where_the_file_names_one(file: Path) -> None:
    words = 'command: [a, "{width}"], evaluate: [b, "{checkpoint}", "{seed}"]'
    text = STUDY.replace('function: "train.py:train", fresh: true', words)
    file.write_text(text)
    spec = load(file)
    assert evaluation_of(spec.train, file.parent) == ("b", "{checkpoint}", "{seed}")
    assert StudySpec.from_document(spec.document).train == spec.train
    without = spec.train.model_copy(update={"evaluate": None})
    assert untested(without) == "the study file has no train.evaluate"
    given = "expected a parameter, or one of checkpoint, device, folder, seed, in braces; got"
    line = f"train.evaluate.1: {given} {{chekpoint}}; did you mean checkpoint?"
    assert line in faults(file, text.replace("{checkpoint}", "{chekpoint}"))
    line = f"train.command.1: {given} {{withd}}; did you mean width?"
    assert line in faults(file, text.replace("{width}", "{withd}"))
    line = f"train.command.1: {given} {{hidden}}"
    assert f"{line}\n" in f"{faults(file, text.replace('{width}', '--n={hidden}'))}\n"
