from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from hpsearch.families import Family, Setting
from hpsearch.preflight.overfit_check import Finding, examine
from hpsearch.sources.dataset import Resident
from hpsearch.spec.family import FAMILIES
from tests.unit.training.packing import DEVICE


def found(candidate, dataset):
    return examine(candidate, dataset, DEVICE, lambda: False)


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_a_network_that_learns_is_not_suspected_whatever_its_regularisation(
    digits, candidate, family: str
) -> None:
    strong = {"dropout": 0.9, "weight_decay": 5.0, "clip": 1e-6, "label_smoothing": 0.5}
    assert found(candidate(family=family, **strong), digits).suspect is None


def noisy(problem, noise) -> nn.Module:
    if noise != 0.5:
        raise TypeError(f"a noise of {noise}")
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, problem.outputs))


def test_regularization_that_has_no_least_value_stays(digits, candidate, monkeypatch) -> None:
    noise = Setting("noise", "float", 0.5, "Noise.", low=0, open_low=True, more="regularization")
    family = Family("odd", "Odd.", frozenset({"images"}), (noise,), f"{__name__}:noisy")
    monkeypatch.setitem(FAMILIES._loaded, "odd", family)
    settings = {**family.vocabulary().defaults, "epochs": 4}
    noised = replace(candidate(), family="odd", settings=settings)
    assert found(noised, digits) == Finding(None)


@pytest.mark.parametrize("loss", [None, "l1", "huber"])
def test_regression_is_learnt_too(diabetes, candidate, loss: str | None) -> None:
    assert found(candidate(widths=(64, 64), loss=loss), diabetes).suspect is None


def test_one_target_far_from_all_others_is_no_reason(table, candidate) -> None:
    """A sentinel left in: the others are 1e-4 apart beside it, and it is 17 deviations off."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, generator=generator).tolist()
    lines = [f"{value},{9999 if row == 3 else value / 2}" for row, value in enumerate(x)]
    dataset = table("\n".join(["x,y", *lines]), task="regression")
    assert bool((dataset.train.targets > 10).any()), "it is one of the training rows"
    line = candidate(widths=None, depth=0, loss="l1", lr=1e-2)
    assert found(line, dataset) == Finding(None)


def test_two_classes_are_learnt_by_bce_and_labels_that_mean_nothing_are(table, candidate) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(60, 4, generator=generator).tolist()
    lines = [",".join(map(str, [*row, i % 7 % 2])) for i, row in enumerate(rows)]
    dataset = table("\n".join(["a,b,c,d,y", *lines]))
    assert found(candidate(widths=(64, 64)), dataset).suspect is None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda part: Resident(part.inputs * 0, part.targets), "the same inputs"),
        (lambda part: Resident(part.inputs, part.targets * 0), "the same target"),
    ],
)
def test_rows_that_are_all_alike_are_told(digits, candidate, spoil, said: str) -> None:
    finding = found(candidate(), replace(digits, train=spoil(digits.train)))
    assert finding.suspect == "data"
    assert said in finding.said


def test_a_few_rows_that_are_alike_are_no_reason(digits, candidate) -> None:
    """Of every two rows one is a copy of the other with another target: half of them are noise."""
    inputs = digits.train.inputs.clone()
    inputs[1::2] = inputs[::2]
    doubled = replace(digits, train=Resident(inputs, digits.train.targets))
    assert found(candidate(widths=(64,)), doubled).suspect is None


@pytest.mark.parametrize("lr", [1e-9, 100.0])
def test_a_rate_that_is_far_off_is_told_with_one_that_works(digits, candidate, lr: float) -> None:
    finding = found(candidate(lr=lr, widths=(64,)), digits)
    assert finding.suspect == "learning rate"
    assert finding.said.endswith(f"; at {finding.rate:g} it does")
    assert found(candidate(lr=finding.rate, widths=(64,)), digits) == Finding(None)


def test_a_network_that_passes_nothing_on_is_told(digits, candidate) -> None:
    assert found(candidate(widths=(8,) * 12, activation="sigmoid"), digits).suspect == "network"


def test_a_look_that_is_interrupted_or_too_large_decides_nothing(digits, candidate) -> None:
    finding = examine(candidate(), digits, DEVICE, lambda: True)
    assert finding == Finding(None, "not decided before the first trial: it would take too long")
    assert "weights" in found(candidate(widths=(5000, 5000)), digits).said
