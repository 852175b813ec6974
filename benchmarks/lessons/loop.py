"""A guide on the plain training loop: two hidden layers on Fashion-MNIST."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from statistics import mean
from typing import Any

from benchmarks.lessons.lesson import (
    Figures,
    Goal,
    Hpsearch,
    Lesson,
    Told,
    percent,
    points,
    run,
    share,
)  # fmt: skip

__all__ = ["LESSONS"]

_GUIDE = "the plain training loop"
_SEEDS, _EPOCHS = 10, 2


def _plain(hpsearch: Hpsearch) -> dict[str, Any]:
    name = "fashion-plain-seeds"
    seeds = run(
        hpsearch, "fashion-plain", "--trials", _SEEDS, "--set", f"budget.epochs={_EPOCHS}",
        "--set", "search.pruner=none", "--set", f"name={name}", study=name,
    )  # fmt: skip
    whole = run(hpsearch, "fashion-plain")
    return {
        "studies": [_curve(trial) for trial in seeds.search],
        "whole": _curve(whole.search[0]),
        "loops": [list(_loop(seed)) for seed in range(_SEEDS)],
    }


def _curve(trial: Mapping[str, Any]) -> list[float]:
    """Accuracy on the test part after each epoch."""
    return [trial["curve"][epoch] for epoch in sorted(trial["curve"], key=int)]


def _loop(seed: int) -> Iterator[float]:
    """The guide's loop: accuracy on the test part after each epoch."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    train, test = _part(True), _part(False)
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
        nn.Linear(512, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    for _ in range(_EPOCHS):
        for images, labels in zip(train[0].split(64), train[1].split(64), strict=True):
            optimizer.zero_grad()
            cross_entropy(network(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.inference_mode():
            right = network(test[0]).argmax(1) == test[1]
        yield right.float().mean().item()


def _part(train: bool) -> tuple[Any, Any]:
    """Images (N, 1, 28, 28) from 0 to 1 and labels (N), in the order of the files."""
    from torchvision.datasets import FashionMNIST

    data = FashionMNIST(os.environ["HPSEARCH_DATA"], train=train)
    return data.data.unsqueeze(1) / 255, data.targets


def _tell_plain(f: Figures) -> Told:
    first, second = ([curve[epoch] for curve in f["studies"]] for epoch in (0, 1))
    ranges = [
        f"{percent(min(loop[e] for loop in f['loops']))} to "
        f"{percent(max(loop[e] for loop in f['loops']))}"
        for e in range(_EPOCHS)
    ]
    return Told(
        f"{percent(first)} after epoch 1 and {percent(second)} after epoch 2, the means of "
        f"{len(first)} seeds; the loop by hand gives {ranges[0]} and {ranges[1]} with {_SEEDS} "
        f"seeds. {percent(f['whole'][-1])} after epoch {len(f['whole'])}",
        "It holds as far as it goes: the first epochs depend on the seed by several points. It "
        "is measured on the test part, unshuffled and unscaled, as the guide does.",
    )


def _in_range(f: Figures) -> bool:
    return all(
        min(loop[e] for loop in f["loops"])
        <= mean(curve[e] for curve in f["studies"])
        <= max(loop[e] for loop in f["loops"])
        for e in range(_EPOCHS)
    )


def _search(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "fashion-search")
    return {**found.test, "epochs": max(trial["epoch"] for trial in found.trials)}


def _tell_search(f: Figures) -> Told:
    return Told(
        f"{share(f['test'])} of the test part, with the guide's rate, batch size and optimizer "
        f"{share(f['default'])}: {points(f['difference'])}",
        "Yes: the rate alone is worth most of it. The test part was used once, after the search.",
    )


LESSONS = (
    Lesson(
        "fashion-plain",
        _GUIDE,
        "784-512-512-10 with SGD at 1e-3 has 43.7 % of the test images after one epoch and 60.1 "
        "% after two.",
        _plain,
        _tell_plain,
        (
            Goal(
                "the mean after epochs 1 and 2 within the range of ten seeds of the loop by hand",
                _in_range,
            ),
        ),
        images=True,
    ),
    Lesson(
        "fashion-search",
        _GUIDE,
        "Epochs, batch size and learning rate are the hyperparameters to tune.",
        _search,
        _tell_search,
        (
            Goal("88 % of the test part", lambda f: f["test"]["mean"] >= 0.88),
            Goal("at most ten epochs", lambda f: f["epochs"] <= 10),
        ),
        images=True,
    ),
)
