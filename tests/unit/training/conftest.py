"""Small data sets and candidates for the tests of training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset, DataSettings, Resident, load
from hpsearch.spec import settings as catalog
from hpsearch.spec.family import FAMILIES
from hpsearch.training import devices
from tests.unit.training.packing import DEVICE, RULES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def all_digits(monkeypatch: pytest.MonkeyPatch):
    """A GPU rounds what goes into a convolution to 8 or 10 bits, and adds up in any order, where
    it is let."""
    monkeypatch.setattr(devices, "half_precision", lambda _: False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """420 training and 90 validation rows."""
    return load(DataSettings.of("digits", limit=510), DEVICE)


@pytest.fixture
def double(digits: Dataset) -> Iterator[Dataset]:
    """`digits`, and all computations, in double precision.

    A weight whose gradient is zero but for rounding (a bias before BatchNorm) is sent a whole step
    this way or that by AdamW and RMSprop, which divide by the gradient's size: in single precision
    two ways to compute the same differ after some steps. Here rounding is far below their eps, so
    long as such a weight does not start at 0: there weight decay is as small as the rounding.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    train, validation = (
        Resident(part.inputs.double(), part.targets) for part in (digits.train, digits.validation)
    )
    yield replace(digits, train=train, validation=validation)
    torch.set_default_dtype(before)


@pytest.fixture(scope="session")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A regression table of 442 rows, targets from 25 to 346."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    path = tmp_path_factory.mktemp("data") / "diabetes.csv"
    rows = [",".join(map(str, [*x, y])) for x, y in zip(data.data, data.target, strict=True)]
    path.write_text("\n".join([",".join([*data.feature_names, "progress"]), *rows]))
    return load(DataSettings.of("table", path=path, target="progress"), DEVICE)


@pytest.fixture
def candidate():
    def make(key: int = 0, family: str = "mlp", seed: int = 7, **settings: Any) -> Candidate:
        small = {"widths": (16,)} if family == "mlp" else {"channels": (4, 4)}
        complete = {**FAMILIES[family].vocabulary().defaults, "epochs": 4, **small, **settings}
        assert complete.keys() == FAMILIES[family].vocabulary().settings.keys()
        return Candidate(key, family, complete, seed)

    return make


@pytest.fixture
def crowd(candidate):
    """Candidates of one shape that differ in everything that may differ, but dropout and epochs."""

    def make(count: int, family: str = "mlp", rule: str = "adam", **settings: Any):
        fixed = {"batch_size": 30, "epochs": 4}  # of 420 rows: 56 steps
        lr = 0.02 if RULES[rule]["optimizer"] == "sgd" else 1e-3
        return [
            candidate(key, family, 40 + key, **{**own(key, lr), **fixed, **RULES[rule], **settings})
            for key in range(count)
        ]

    def own(key: int, lr: float) -> dict[str, Any]:
        return {
            "lr": lr * (1 + key / 8), "schedule": catalog.SCHEDULES[key % 6], "patience": 0,
            "warmup": (0.0, 1.5)[key % 2], "weight_decay": 1e-3 * key,
            "clip": (None, 0.1, 1.0)[key % 3], "momentum": 0.5 + 0.03 * key,
            "beta1": 0.8 + 0.01 * key, "beta2": 0.98 + 0.001 * key,
            "label_smoothing": 0.02 * key, "class_weight": ("none", "balanced")[key % 2],
            "init": ("default", "kaiming_normal")[key % 2],
        }  # fmt: skip

    return make


@pytest.fixture
def table(tmp_path: Path):
    def write(text: str, name: str = "table.csv", **settings: Any) -> Dataset:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return load(DataSettings.of("table", path=path, **{"target": "y", **settings}), DEVICE)

    return write
