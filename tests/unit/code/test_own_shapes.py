"""Own networks that differ in the shares that they drop are trained as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpsearch.code import Code, arguments, use
from hpsearch.code.signature import written
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset, DataSettings, Resident, load
from hpsearch.spec.family import FAMILIES
from hpsearch.training.array import Array
from hpsearch.training.stacking.dropout import without_dropout
from hpsearch.training.stacking.shaping import Shapes, sibling
from hpsearch.training.stacking.slots import objection
from hpsearch.training.stacking.stack import Stack
from tests.unit.training.packing import distance, run, state_of

NET = """
import torch
from torch import nn
from torch.nn import functional as F

class build(nn.Module):
    def __init__(self, problem, width: int = 8, dropout: float = 0.0, spread: float = 0.1):
        super().__init__()
        {body}
        nn.init.normal_(self.last.weight, std=spread)

    def forward(self, x):
        return self.last({used})
"""
LAYER = {
    "body": "self.first, self.drop = nn.Linear(64, width), nn.Dropout(dropout); "
            "self.last = nn.Linear(width, problem.outputs)",
    "used": "self.drop(self.first(x.flatten(1)).relu())",
}  # fmt: skip
FUNCTION = {
    "body": "self.first, self.p = nn.Linear(64, width), dropout; "
            "self.last = nn.Linear(width, problem.outputs)",
    "used": "F.dropout(self.first(x.flatten(1)).relu(), self.p, self.training)",
}  # fmt: skip
READ = {**LAYER, "used": "F.dropout(self.first(x.flatten(1)).relu(), self.drop.p, self.training)"}
SCALED = {**LAYER, "used": "self.first(x.flatten(1)).relu() * (1 - self.drop.p)"}
ASKED = {**LAYER, "used": "self.first(x.flatten(1)) if self.drop.p == 0 else x[:, 0, :, 0]"}
OR_NONE = {
    **LAYER,
    "body": "self.first = nn.Linear(64, width); "
            "self.drop = nn.Dropout(dropout) if dropout > 0 else nn.Identity(); "
            "self.last = nn.Linear(width, problem.outputs)",
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load(DataSettings.of("digits", limit=100), torch.device("cpu"))


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    yield
    use(None)


@pytest.fixture
def made(tmp_path: Path):
    def begin(parts: dict[str, str]):
        (tmp_path / "nets.py").write_text(NET.format(**parts))
        use(Code.at(tmp_path))
        family = f"nets.py:build{written(arguments(tmp_path, 'nets.py:build'))}"
        defaults = {**FAMILIES[family].vocabulary().defaults, "epochs": 3, "batch_size": 35}

        def candidate(key: int = 0, **settings: Any) -> Candidate:
            return Candidate(key, family, {**defaults, **settings}, key + 1)

        return candidate

    return begin


def test_shares_and_first_weights_are_no_part_of_a_shape(made, dataset: Dataset) -> None:
    candidate, shape = made(LAYER), Shapes(dataset)
    assert shape(candidate(dropout=0.1)) == shape(candidate(dropout=0.5, spread=2.0))
    assert shape(candidate(dropout=0.1)) != shape(candidate(dropout=0.1, width=9))
    assert shape.by(candidate(), ["width", "dropout", "spread", "lr"]) == {"width"}


def test_a_share_in_an_attribute_is(made, dataset: Dataset) -> None:
    candidate, shape = made(FUNCTION), Shapes(dataset)
    assert shape(candidate(dropout=0.1)) != shape(candidate(dropout=0.5))
    assert shape(candidate(dropout=0.1)) == shape(candidate(dropout=0.1, spread=2.0, lr=0.1))
    assert shape.by(candidate(), ["dropout", "spread", "lr"]) == {"dropout"}


def test_a_layer_that_is_there_for_some_shares_only(made, dataset: Dataset) -> None:
    candidate, shape = made(OR_NONE), Shapes(dataset)
    assert shape(candidate(dropout=0.1)) == shape(candidate(dropout=0.5))
    assert shape(candidate(dropout=0.0)) != shape(candidate(dropout=0.5))
    assert shape.by(candidate(dropout=0.0), ["dropout"]) == frozenset()


def test_networks_that_take_long_to_build_are_not_built_to_be_compared(
    made, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpsearch.training.stacking.shaping._SLOW_S", -1.0)
    candidate, shape = made(LAYER), Shapes(dataset)
    shape(candidate())
    assert shape(candidate(dropout=0.1)) != shape(candidate(dropout=0.5))


@pytest.fixture
def double(dataset: Dataset) -> Iterator[Dataset]:
    torch.set_default_dtype(torch.float64)
    train, validation = (
        Resident(part.inputs.double(), part.targets) for part in (dataset.train, dataset.validation)
    )
    yield replace(dataset, train=train, validation=validation)
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("parts", [LAYER, READ])
def test_a_stack_of_different_shares_is_what_each_is_alone(
    made, double: Dataset, parts: dict[str, str]
) -> None:
    candidate, cpu = made(parts), torch.device("cpu")
    chosen = [candidate(0, dropout=0.1, spread=0.2), candidate(1, dropout=0.5),
              candidate(2, dropout=0.0, lr=0.01)]  # fmt: skip
    together = Array(double, "accuracy", cpu, stack=4)
    for one in chosen:
        together.add(one)
    with without_dropout():
        assert {report.failure for report in run(together)} == {None}
        (stack,) = together._grouping.trainers
        assert len(stack.members) == 3
        for one in chosen:
            alone = Array(double, "accuracy", cpu, stack=1)
            alone.add(one)
            run(alone)
            assert distance(state_of(together, one.key), state_of(alone, one.key)) < 1e-12


def test_each_slot_has_the_share_of_its_own_network(made, dataset: Dataset) -> None:
    candidate = made(LAYER)
    array = Array(dataset, "accuracy", torch.device("cpu"), stack=4)
    for key, share in enumerate((0.1, 0.5, 0.0)):
        array.add(candidate(key, dropout=share))
    list(array.reports())
    (stack,) = array._grouping.trainers
    assert isinstance(stack, Stack)
    assert stack._shares == [{"drop": 0.1}, {"drop": 0.5}, {"drop": 0.0}]
    layer: Any = stack._network._template.get_submodule("drop")
    thresholds = layer.p.threshold_K
    assert [round(65536 * share) - 32768 for share in (0.1, 0.5, 0.0)] == thresholds.tolist()


@pytest.mark.parametrize("parts", [SCALED, ASKED])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_what_computes_with_a_share_is_trained_alone(
    made, dataset: Dataset, parts: dict[str, str], share: float
) -> None:
    """Networks of two shares are compared, whatever the first one's is."""
    candidate = made(parts)
    assert objection(candidate(dropout=share), dataset)


def test_a_sibling_has_the_same_shape_and_other_numbers(made, dataset: Dataset) -> None:
    candidate = made(LAYER)
    for one in (candidate(), candidate(dropout=0.7)):
        other = sibling(one, dataset)
        assert Shapes(dataset)(other) == Shapes(dataset)(one)
        assert other.settings["dropout"] not in (0.0, one.settings["dropout"])
        assert other.settings["spread"] != one.settings["spread"]
    fixed = made(FUNCTION)()
    assert sibling(fixed, dataset).settings["dropout"] == fixed.settings["dropout"]
