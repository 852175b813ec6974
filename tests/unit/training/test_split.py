"""Which rows are trained on, and that each part has what its metrics need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from hpsearch.sources.raw import Raw
from hpsearch.sources.read import read
from hpsearch.sources.split import DataSettings, Split, divide, facts
from hpsearch.tasks.classification.measure import metrics_of as classification_metrics
from hpsearch.tasks.regression.learning import metrics_of as regression_metrics


def raw_of(counts: Sequence[int], own_test: int = 0) -> Raw:
    """A source with so many rows of each class, in an order of its own."""
    targets = np.random.default_rng(5).permutation(np.repeat(np.arange(len(counts)), counts))
    names = tuple("abcdefghijklmnopqrstuvwxyz"[: len(counts)])
    return Raw("classification", targets, names, len, len, "x", own_test)  # type: ignore[arg-type]


def parts_of(raw: Raw, *, every_class: bool = True, **settings) -> tuple[Split, np.ndarray]:
    """The split, and rows of each class by part."""
    split, _ = divide(raw, DataSettings.of("digits", every_class=every_class, **settings))
    rows = np.concatenate(list(vars(split).values()))
    assert len(rows) == len(np.unique(rows)), "no row is in two parts"
    return split, np.array([*facts(raw, split)["class_rows"].values()])


@pytest.mark.parametrize("seed", range(10))
def test_each_class_of_three_rows_is_in_each_part_and_sizes_stay(seed: int) -> None:
    raw = raw_of([194, 3, 394, 4, 9])
    split, counts = parts_of(raw, seed=seed)
    before, _ = parts_of(raw, every_class=False, seed=seed)
    assert (counts > 0).all()
    assert [*map(len, vars(split).values())] == [*map(len, vars(before).values())]
    again, _ = parts_of(raw, seed=seed)
    assert again.digest == split.digest


def test_without_a_test_part_two_rows_are_enough() -> None:
    _, counts = parts_of(raw_of([100, 2, 50]), test=0.0)
    assert (counts[:2] > 0).all()


def test_a_class_of_two_rows_cannot_be_in_three_parts() -> None:
    raw = raw_of([100, 2, 50])
    for seed in range(5):
        kept, before = (parts_of(raw, every_class=e, seed=seed)[0] for e in (True, False))
        assert kept.digest == before.digest


def test_a_limit_leaves_no_class_out() -> None:
    split, counts = parts_of(raw_of([500, 6, 500]), limit=60)
    assert (counts > 0).all()
    assert len(split.train) + len(split.validation) == 60


def test_a_sources_own_test_part_is_left_alone() -> None:
    raw = raw_of([300, 4, 300], own_test=100)
    split, counts = parts_of(raw, validation=0.05)
    assert split.test.tolist() == list(range(504, 604))
    assert (counts[:2, counts[:2].sum(axis=0) >= 2] > 0).all()


def test_a_part_grows_where_it_has_fewer_rows_than_there_are_classes() -> None:
    split, counts = parts_of(raw_of([4] * 20), validation=0.1, test=0.1)
    assert (counts > 0).all()
    assert (len(split.validation), len(split.test)) == (20, 20)


PINNED = {
    0: "c4d78332567c0b4b4afc30ba90f2351cd5cf34ca74895cfe7037bee4a2176711",
    7: "8ac085673b6f9e7ed8857a6313f27f5adce9db9121a6756ef2412c63570e152f",
}


@pytest.mark.parametrize("every_class", [False, True])
@pytest.mark.parametrize("seed", PINNED)
def test_where_no_class_is_missing_the_split_is_that_of_before(
    seed: int, every_class: bool
) -> None:
    raw = read(DataSettings.of("digits"))
    settings = DataSettings.of("digits", seed=seed, every_class=every_class)
    assert divide(raw, settings)[0].digest == PINNED[seed]


# What a constant answer gives


@pytest.mark.parametrize("counts", [[190, 10], [50, 30, 20], [5, 80, 3, 40]])
def test_the_baseline_of_classes_is_measured_as_any_answer(counts: list[int]) -> None:
    raw = raw_of(counts)
    split, _ = divide(raw, DataSettings.of("digits", every_class=True))
    baseline = facts(raw, split)["baseline"]
    most = int(np.argmax(counts))
    assert baseline["name"] == f"majority class {raw.classes[most]}"
    targets = torch.from_numpy(raw.targets[split.validation])
    shares = torch.bincount(torch.from_numpy(raw.targets[split.train])).double()
    logits = (shares / shares.sum()).log().expand(1, len(targets), -1)
    found = {name: float(v) for name, v in classification_metrics(logits, targets).items()}
    found["loss"] = float(torch.nn.functional.cross_entropy(logits[0], targets))
    assert baseline["values"] == pytest.approx({**found, "auroc": 0.5})


def test_the_baseline_of_numbers_is_measured_as_any_answer() -> None:
    targets = np.random.default_rng(0).normal(3.0, 2.0, 200)
    raw = Raw("regression", targets, (), len, len, "x")  # type: ignore[arg-type]
    split, _ = divide(raw, DataSettings.of("digits", every_class=True))
    known = facts(raw, split)
    truth = torch.from_numpy(targets[split.validation]).unsqueeze(1)
    answer = torch.full((1, len(truth), 1), float(targets[split.train].mean()))
    found = {name: float(v) for name, v in regression_metrics(answer, truth).items()}
    assert known["baseline"] == {
        "name": "mean of the target", "values": pytest.approx(found, rel=1e-5)
    }  # fmt: skip
    assert known["constant"] == []
    flat = Raw("regression", np.ones(50), (), len, len, "x")  # type: ignore[arg-type]
    known = facts(flat, divide(flat, DataSettings.of("digits"))[0])
    assert known["constant"] == ["train", "validation", "test"]
    assert "r2" not in known["baseline"]["values"]
