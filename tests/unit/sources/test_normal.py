"""Networks that learn their own inputs are trained on normal rows alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpsearch.errors import DataError
from hpsearch.sources.dataset import load
from hpsearch.sources.normal import divide_kinds, marked, reference
from hpsearch.sources.opening import look
from hpsearch.sources.raw import Raw
from hpsearch.sources.split import DataSettings, Split
from hpsearch.spec import StudySpec
from hpsearch.spec import load as load_study
from hpsearch.spec.problem import REFERENCE

COUNTS = 100, 60, 40, 20


def settings(**keys: Any) -> DataSettings:
    return DataSettings.of("digits", every_class=True, **{"task": "anomaly", **keys})


def raw_of(own_test: int = 0, **more: Any) -> Raw:
    """Rows of the classes a to d, in an order of their own."""
    targets = np.random.default_rng(5).permutation(np.repeat(np.arange(4), COUNTS))
    raw = Raw("anomaly", targets, tuple("abcd"), len, len, "x", own_test)
    return replace(raw, **more)


def divided(raw: Raw, **keys: Any) -> tuple[Split, np.ndarray]:
    """The split, and rows of each class by part."""
    keys = {"normal": ["a", "b"], **keys}
    raw = marked(raw, settings(**keys).section)
    split, _ = divide_kinds(raw, settings(**keys))
    rows = np.concatenate(list(vars(split).values()))
    assert len(rows) == len(np.unique(rows)), "no row is in two parts"
    for part in vars(split).values():
        assert (np.diff(part) > 0).all()
    counts = [np.bincount(raw.targets[part], minlength=4) for part in vars(split).values()]
    return split, np.array(counts)


def test_strange_rows_are_halved_between_validation_and_test() -> None:
    split, counts = divided(raw_of())
    assert counts.tolist() == [[70, 42, 0, 0], [15, 9, 20, 10], [15, 9, 20, 10]]
    assert divided(raw_of())[0].digest == split.digest != divided(raw_of(), seed=1)[0].digest


def test_only_classes_that_are_named_are_looked_at() -> None:
    _, counts = divided(raw_of(), normal=["a"], strange=["d"])
    assert counts.tolist() == [[70, 0, 0, 0], [15, 0, 0, 10], [15, 0, 0, 10]]


def test_without_normal_classes_all_rows_are_normal() -> None:
    raw = marked(raw_of(), settings().section)
    split, _ = divide_kinds(raw, settings())
    assert [len(part) for part in vars(split).values()] == [154, 33, 33]
    assert not raw.classes
    assert not raw.targets.any()


def test_a_test_part_of_the_datas_own_keeps_its_strange_rows() -> None:
    split, counts = divided(raw_of(own_test=50), test=0.0)
    assert (split.test >= 170).all()
    assert len(split.test) == 50
    assert (counts[:2].sum(axis=0) + counts[2]).tolist() == [*COUNTS]
    assert counts[0, 2:].sum() == 0


def test_without_a_test_part_all_strange_rows_are_validated_on() -> None:
    _, counts = divided(raw_of(), test=0.0)
    assert counts[:, 2:].tolist() == [[0, 0], [40, 20], [0, 0]]


def test_a_limit_holds_and_keeps_the_shares() -> None:
    split, counts = divided(raw_of(), limit=83)
    assert len(split.train) + len(split.validation) == 83
    assert counts[1, 2:].tolist() == [10, 5]


@pytest.mark.parametrize("own", [(50, 0), (0, 40), (50, 40)])
@pytest.mark.parametrize("limit", [65, 110])
def test_a_limit_holds_beside_parts_of_the_datas_own(own: tuple[int, int], limit: int) -> None:
    own_test, own_validation = own
    raw = raw_of(own_test, own_validation=own_validation)
    keys = {} if own_test else {"test": 0.0}
    split, counts = divided(raw, limit=limit, **keys)
    last = 220 - own_test
    own_rows = np.arange(last - own_validation, last)
    own_normal = own_rows[raw.targets[own_rows] < 2]
    assert {*own_normal} <= {*split.validation}
    assert len(split.train) + len(split.validation) - len(own_normal) == limit
    normal = (raw.targets[: last - own_validation] < 2).sum()
    strange = (raw.targets[:last] > 1).sum()
    used = counts[:2].sum(axis=0)
    assert used[2:].sum() == pytest.approx(strange * limit / (normal + strange), abs=1)


def test_of_rows_in_an_order_the_latest_are_tested_on() -> None:
    raw = raw_of(order=np.arange(220.0))
    split, counts = divided(raw)
    targets = raw.targets
    for kind in ((0, 1), (2, 3)):
        parts = [part[np.isin(targets[part], kind)] for part in vars(split).values()]
        ends = [(part.min(), part.max()) for part in parts if len(part)]
        assert all(one[1] < other[0] for one, other in pairwise(ends))
    assert counts[0, 2:].sum() == 0


def test_no_group_is_in_two_parts() -> None:
    raw = raw_of(groups=np.arange(220) // 4)
    split, counts = divided(raw)
    groups = [{*raw.groups[part]} for part in vars(split).values()]
    assert all(one.isdisjoint(other) for one, other in combinations(groups, 2))
    assert counts[0, 2:].sum() == 0 < counts[1, 2:].min()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"normal": ["A"]}, "data.normal: there is no class 'A'; the classes are a, b, c, d"),
        ({"normal": ["a"], "strange": ["e"]}, "data.strange: there is no class 'e'"),
        ({"normal": ["a", "b", "c", "d"]}, "data.normal names every class"),
    ],
)
def test_classes_that_the_data_does_not_have_are_named(keys: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        marked(raw_of(), settings(**keys).section)


def study(folder: Path, data: str, family: str) -> StudySpec:
    (folder / "s.yaml").write_text(
        f"name: s\ndata: {data}\nnetwork: {{family: {family}}}\nmetric: auroc\n"
        "parameters: {lr: {min: 1e-4, max: 1e-2}}\nbudget: {trials: 2, epochs: 2}\n"
    )
    return load_study(folder / "s.yaml")


def test_a_look_at_the_data_finds_them_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{n},{'uvw'[n % 3]}\n" for n in range(60)))
    data = "{source: table, path: t.csv, target: y, task: anomaly, normal: [U]}"
    with pytest.raises(DataError, match="no class 'U'; the classes are u, v, w"):
        look(study(tmp_path, data, "autoencoder"), tmp_path)


def test_families_that_learn_the_task_from_the_data_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", X=np.zeros((40, 6, 3)), y=np.arange(40) % 2)
    data = "{source: arrays, path: t.npz, task: anomaly, normal: [1]}"
    with pytest.raises(DataError, match=r"set network.family to autoencoder$"):
        look(study(tmp_path, data, "conv_autoencoder"), tmp_path)


def test_normal_classes_need_classes() -> None:
    raw = raw_of(targets=np.arange(220.0), classes=())
    with pytest.raises(DataError, match="the target is a number"):
        marked(raw, settings(normal=["a"]).section)


def test_training_rows_are_measured_beside_the_validation_rows() -> None:
    dataset = load(settings(normal=[0, 1]), torch.device("cpu"))
    count = len(dataset.train.targets)
    assert (dataset.validation.targets == REFERENCE).sum() == count < 2000
    assert torch.equal(dataset.validation.inputs[-count:], dataset.train.inputs)
    assert dataset.record["rows"]["validation"] == len(dataset.validation.targets) - count
    assert {*dataset.train.targets.tolist()} == {0, 1}
    baseline = dataset.record["baseline"]
    mean = dataset.train.inputs.mean(dim=0)
    off = (dataset.validation.inputs - mean).square().flatten(1).mean(1)
    normal = (dataset.validation.targets == 0) | (dataset.validation.targets == 1)
    assert baseline["name"] == "distance to the mean row"
    assert baseline["values"]["reconstruction"] == pytest.approx(float(off[normal].mean()))
    assert 0.5 < baseline["values"]["auroc"] < 1


def test_many_training_rows_are_measured_by_some() -> None:
    some = reference(np.arange(5000, 12_000))
    assert len(some) == 2000 == len(np.unique(some))
    assert (some[0], some[-1]) == (5000, 11_996)
