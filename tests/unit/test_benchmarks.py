"""The benchmarks compare like with like, and what is made of them is up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.dispatch import EPOCHS, STUDY
from benchmarks.noop import NoopArray
from benchmarks.problems import PROBLEMS, RANGES, SHARE, write_table
from benchmarks.report import made
from benchmarks.training import STUDIES
from hpsearch.code import Code, use
from hpsearch.runner import Runner
from hpsearch.sources.dataset import DataSettings
from hpsearch.sources.dataset import load as load_data
from hpsearch.spec import load
from hpsearch.spec.problem import Problem
from hpsearch.training.array import Array
from hpsearch.training.networks import build
from tests.building import built

SPECS = {name: load(STUDIES / f"{name}.yaml", []) for name in PROBLEMS}
SHAPES = {"digits": (1, 8, 8), "circles": (2,), "wine": (13,), "breast_cancer": (30,)}
CLASSES = {"circles": 2, "wine": 3, "breast_cancer": 2}
IMAGE = (1, 28, 28)
SHAPES["gru"] = SHAPES["digits"]


def test_the_readme_and_the_page_are_made_of_the_results() -> None:
    for path, content in made().items():
        assert path.read_text(encoding="utf-8") == content, "run python -m benchmarks.report"


def layers(network: nn.Module) -> list[str]:
    """What it computes: without dropout of nothing."""
    return [str(layer) for layer in network.children() if getattr(layer, "p", None) != 0]


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_peers_train_the_networks_of_the_studies(name: str) -> None:
    settings = SPECS[name].settings({"lr": 1e-3, "dropout": 0.1, "weight_decay": 1e-4})
    shape, classes = SHAPES.get(name, IMAGE), CLASSES.get(name, 10)
    ours, theirs = (
        built(SPECS[name].family, shape, classes, **settings),
        PROBLEMS[name].network(0.1),
    )
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
    assert name == "gru" or layers(theirs) == layers(ours)
    assert PROBLEMS[name].batch_size == settings["batch_size"]
    assert (settings["optimizer"], settings["schedule"]) == ("adam", "constant")


def test_the_own_module_is_the_network_of_digits_and_searched_alike() -> None:
    own = load(STUDIES / "own-module.yaml", [])
    assert own.filled["parameters"] == SPECS["digits"].filled["parameters"]
    assert own.budget == SPECS["digits"].budget
    use(Code.at(STUDIES))
    try:
        problem = Problem("classification", "images", (1, 8, 8), 10, tuple("0123456789"))
        module = build(own.family, problem, own.settings({"dropout": 0.1}))
    finally:
        use(None)
    assert layers(module) == layers(PROBLEMS["digits"].network(0.1))


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_peers_search_as_the_studies_do(name: str) -> None:
    spec, problem = SPECS[name], PROBLEMS[name]
    assert (spec.budget.trials, spec.budget.epochs) == (problem.trials, problem.epochs)
    assert spec.data.validation == SHARE
    found = {p["name"]: (p["min"], p["max"], p["log"]) for p in spec.filled["parameters"]}
    assert found == RANGES


@pytest.mark.parametrize(
    ("name", "source"),
    [("digits", "digits"), ("circles", "csv"), ("wine", "csv"), ("breast_cancer", "csv")],
)
def test_the_peers_read_the_same_rows(
    name: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_table(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = (
        DataSettings.of(source)
        if source == "digits"
        else DataSettings.of(source, path=tmp_path / f"{name}.csv", target="kind")
    )
    ours = load_data(settings, torch.device("cpu"))
    parts: Any = PROBLEMS[name].data()
    for part, theirs in zip((ours.train, ours.validation), parts, strict=True):
        inputs, targets = theirs.tensors
        assert torch.allclose(inputs, part.inputs.flatten(1), atol=1e-4)
        assert torch.equal(targets, part.targets)


def test_the_array_without_cost_has_the_face_of_the_real_one() -> None:
    face = {name for name in vars(Runner) if not name.startswith("_")}
    assert face <= set(vars(Array))
    assert face <= set(vars(NoopArray))
    assert load(STUDY, []).budget.epochs == EPOCHS
