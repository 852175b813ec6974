"""What augmentation is good for, and what it costs, on real images."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import pytest
import torch
from torch import Tensor

from hpsearch.handover.trained import Trained
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset, DataSettings, Resident, load
from hpsearch.sources.dataset import test_part as part_for_test
from hpsearch.spec.family import FAMILIES
from hpsearch.training.array import Array
from hpsearch.training.augmentation.batches import Augmentation
from hpsearch.training.augmentation.geometry import moved
from hpsearch.training.solo import Solo
from hpsearch.training.trial_progress import TrialProgress

CPU = torch.device("cpu")
TESTED = 2000
WAYS: Mapping[str, Mapping[str, Any]] = {
    "none": {}, "crop 3": {"crop": 3}, "flip": {"flip": True}, "both": {"crop": 3, "flip": True},
    "randaugment 9": {"randaugment": 9},
}  # fmt: skip
SEEDS = (0, 1, 2)


def candidate(key: int, seed: int, **settings: Any) -> Candidate:
    small: dict[str, Any] = {
        "blocks": 2, "channels": 16, "batch_norm": True, "batch_size": 50, "epochs": 20,
        "schedule": "cosine", "lr": 3e-3,
    }  # fmt: skip
    defaults = FAMILIES["cnn"].vocabulary().defaults
    return Candidate(key, "cnn", {**defaults, **small, **settings}, seed)


@pytest.fixture(scope="module")
def thousand(fashion_mnist: Path) -> tuple[Dataset, dict[str, Resident]]:
    """1,000 images to train on; test images as they are, moved and mirrored."""
    settings = DataSettings.of("fashion_mnist", root=fashion_mnist, limit=1200, validation=0.1667)
    dataset = load(settings, CPU)
    assert len(dataset.train) == 1000
    part, _ = part_for_test(settings, dataset, dataset.record, CPU)
    images, targets = part.inputs[:TESTED], part.targets[:TESTED]
    black = images.amin()
    steps = torch.randint(-3, 4, (TESTED, 2), generator=torch.Generator().manual_seed(0))
    kinds = {
        "as they are": images,
        "moved": moved(images - black, steps, 3) + black,
        "mirrored": images.flip(3),
    }
    return dataset, {kind: Resident(inputs, targets) for kind, inputs in kinds.items()}


def accuracies(dataset: Dataset, parts: Mapping[str, Resident], way: str) -> dict[str, float]:
    """The mean of all seeds on each part."""
    array = Array(dataset, "accuracy", CPU)
    some = [candidate(seed, seed, **WAYS[way]) for seed in SEEDS]
    for one in some:
        array.add(one)
    while any(not report.finished for report in array.reports()):
        pass
    right: dict[str, list[float]] = {kind: [] for kind in parts}
    for one in some:
        saved = array.saved(one.key)
        assert saved is not None
        network = Trained("cnn", one.settings, saved.state["model"], dataset)
        for kind, part in parts.items():
            answers: Tensor = network.outputs(part).argmax(dim=1)
            right[kind].append((answers == part.targets).double().mean().item())
    return {kind: fmean(shares) for kind, shares in right.items()}


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_networks_know_images_that_differ_as_they_have_seen_it(
    thousand: tuple[Dataset, dict[str, Resident]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {way: accuracies(*thousand, way) for way in WAYS}
    with capsys.disabled():
        for way, shares in found.items():
            print("\n" + way, {kind: round(share, 3) for kind, share in shares.items()}, end="")
    plain = found["none"]
    assert found["crop 3"]["moved"] >= plain["moved"] + 0.08
    assert found["flip"]["mirrored"] >= plain["mirrored"] + 0.12
    assert min(found["randaugment 9"].values()) > 0.5


COSTS = {
    "flip": True, "flip_vertical": True, "crop": 3, "rotate": 10.0, "scale": 0.6, "color": 0.3,
    "erase": 0.5, "mixup": 0.2, "randaugment": 9,
}  # fmt: skip


@pytest.mark.nightly
def test_it_costs_little_of_a_step(
    thousand: tuple[Dataset, dict[str, Resident]], capsys: pytest.CaptureFixture[str]
) -> None:
    """In CPU time, each in turn with the step of the network of the shipped study: an epoch of
    batches, draws included, by the steps that it has."""
    dataset, _ = thousand
    one = candidate(0, 0, batch_size=64)
    solo = Solo(TrialProgress(one, dataset), CPU)
    ways = {name: {name: value} for name, value in COSTS.items()} | {"flip and crop": {
        "flip": True, "crop": 3,
    }}  # fmt: skip
    rows = torch.arange(64)
    split = torch.arange(1000).split(64)
    changes = {
        way: Augmentation(
            [TrialProgress(replace(one, settings={**one.settings, **own}), dataset)], dataset
        )
        for way, own in ways.items()
    }
    times: dict[str, list[float]] = {way: [] for way in (*ways, "step")}
    for _ in range(40):
        began = time.thread_time()
        solo.step(rows, 1e-3)
        times["step"].append(time.thread_time() - began)
        for way, change in changes.items():
            given = list(dataset.train.batches(split))
            change._epochs.clear()
            began = time.thread_time()
            list(change.batches(given, [some.unsqueeze(0) for some in split]))
            times[way].append((time.thread_time() - began) / len(split))
    shares = {way: median(t[5:]) / median(times["step"][5:]) for way, t in times.items()}
    with capsys.disabled():
        print("\na step:", f"{median(times['step']) * 1e3:.1f} ms of a core")
        print({way: f"{share:.1%}" for way, share in shares.items() if way != "step"})
    most = {"randaugment": 0.1}
    assert all(shares[way] < most.get(way, 0.05) for way in ways), shares
