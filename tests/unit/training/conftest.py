"""Small data sets and candidates for the tests of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from hpsearch import catalog
from hpsearch.training.candidate import Candidate
from hpsearch.training.data import Dataset, DataSettings, load

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """More threads than free cores make small networks many times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """420 training and 90 validation rows."""
    return load(DataSettings("digits", limit=510), CPU)


@pytest.fixture(scope="session")
def diabetes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A regression table of 442 rows, targets from 25 to 346."""
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)
    path = tmp_path_factory.mktemp("data") / "diabetes.csv"
    rows = [",".join(map(str, [*x, y])) for x, y in zip(data.data, data.target, strict=True)]
    path.write_text("\n".join([",".join([*data.feature_names, "progress"]), *rows]))
    return load(DataSettings("csv", path, "progress"), CPU)


@pytest.fixture
def candidate():
    def make(key: int = 0, family: str = "mlp", seed: int = 7, **settings: Any) -> Candidate:
        small = {"widths": (16,)} if family == "mlp" else {"channels": (4, 4)}
        complete = {**catalog.defaults(family), "epochs": 4, **small, **settings}
        assert complete.keys() == catalog.settings_of(family).keys()
        return Candidate(key, family, complete, seed)

    return make


@pytest.fixture
def table(tmp_path: Path):
    def write(text: str, name: str = "table.csv", **settings: Any) -> Dataset:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return load(DataSettings("csv", path, **{"target": "y", **settings}), CPU)

    return write
