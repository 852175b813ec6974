"""What the peers train: the same data, split and network as hpsearch's studies beside this file.

Written as a user of PyTorch would. `tests/unit/test_benchmarks.py` holds it to the studies.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- its usual name
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

__all__ = ["PROBLEMS", "RANGES", "SHARE", "Data", "Problem", "accuracies", "parts", "write_table"]

SHARE = 0.15
"""Of all rows: the validation part, and as much for the test part, which nobody looks at."""

RANGES: Mapping[str, tuple[float, float, bool]] = {
    "lr": (1e-4, 1e-1, True),
    "dropout": (0.0, 0.5, False),
    "weight_decay": (1e-6, 1e-2, True),
}
"""What is searched: least, most, whether uniform in the exponent."""

Floats = NDArray[np.float64]
Data = tuple[Dataset[tuple[Tensor, ...]], Dataset[tuple[Tensor, ...]]]
"""Training part, validation part."""


@dataclass(frozen=True)
class Problem:
    """One data set and the network for it."""

    data: Callable[[], Data]
    """Reads a table in the current folder, or images below HPSEARCH_DATA."""
    network: Callable[[float], nn.Module]
    """By its dropout."""
    batch_size: int
    epochs: int
    trials: int


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def accuracies(
    problem: Problem, data: Data, lr: float, weight_decay: float, dropout: float
) -> Iterator[float]:
    """Train one network as PyTorch's tutorials do: its validation accuracy after each epoch.

    A loader without worker processes is the fastest for data that fits in memory.
    """
    train, validation = data
    train_loader = DataLoader(train, batch_size=problem.batch_size, shuffle=True)
    validation_loader = DataLoader(validation, batch_size=1024)
    network = problem.network(dropout).to(DEVICE)
    optimizer = torch.optim.Adam(network.parameters(), lr=lr, weight_decay=weight_decay)
    for _ in range(problem.epochs):
        network.train()
        for inputs, targets in train_loader:
            optimizer.zero_grad()
            outputs = network(inputs.to(DEVICE))
            loss = F.cross_entropy(outputs, targets.to(DEVICE))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        yield _accuracy(network, validation_loader)


def _accuracy(network: nn.Module, loader: DataLoader[tuple[Tensor, ...]]) -> float:
    network.eval()
    right = rows = 0
    with torch.inference_mode():
        for inputs, targets in loader:
            predicted = network(inputs.to(DEVICE)).argmax(dim=1)
            right += int((predicted == targets.to(DEVICE)).sum())
            rows += len(targets)
    return right / rows


def _dense(*sizes: int) -> Callable[[float], nn.Module]:
    def network(dropout: float) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes[:-1]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
        return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))

    return network


def _convolutional(dropout: float) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 8), (8, 16)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs),
                   nn.MaxPool2d(2), nn.ReLU(), nn.Dropout(dropout)]  # fmt: skip
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


class _Gru(nn.Module):
    """(N, 64) -> (N, 10): a GRU over the rows of 8 x 8 images."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(8, 32, batch_first=True), nn.Linear(32, 10)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """What the state after the last row comes to."""
        states = self.dropout(self.gru(x.view(-1, 8, 8))[0])
        outputs: Tensor = self.last(states[:, -1])
        return outputs


def parts(inputs: Floats, targets: Floats, axis: int | None) -> Data:
    """Split as hpsearch splits, and scaled by the training rows: all at once, or by column."""
    from hpsearch.sources.split import stratified

    count, bits = round(SHARE * len(targets)), np.random.PCG64(0)
    rest = np.flatnonzero(~stratified(targets, count, bits))  # all but the test part
    chosen = stratified(targets[rest], count, bits)
    rows, validation = rest[~chosen], rest[chosen]
    scaled = (inputs - inputs[rows].mean(axis)) / inputs[rows].std(axis)

    def part(rows: NDArray[np.int64]) -> TensorDataset:
        return TensorDataset(
            torch.from_numpy(scaled[rows]).float(), torch.from_numpy(targets[rows]).long()
        )

    return part(rows), part(validation)


def _digits() -> Data:
    from sklearn.datasets import load_digits

    inputs, targets = load_digits(return_X_y=True)
    return parts(inputs, targets, None)


def _table(name: str) -> Data:
    rows = np.loadtxt(f"{name}.csv", delimiter=",", skiprows=1)
    return parts(rows[:, :-1], rows[:, -1], 0)


def _fashion_mnist(limit: int | None = None) -> Data:
    from torchvision import datasets, transforms

    root = os.environ["HPSEARCH_DATA"]
    images = datasets.FashionMNIST(root, train=True, transform=transforms.ToTensor())
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(0)).tolist()[:limit]
    count = round(SHARE * len(rows))
    return Subset(images, rows[count:]), Subset(images, rows[:count])


def write_table(name: str, folder: Path) -> None:
    """`NAME.csv`, made by scikit-learn, for the problems that are tables; else nothing."""
    from sklearn.datasets import load_breast_cancer, load_wine, make_circles

    if name == "circles":
        inputs, targets = make_circles(1000, noise=0.1, factor=0.5, random_state=0)
    elif name == "wine":
        inputs, targets = load_wine(return_X_y=True)
    elif name == "breast_cancer":
        inputs, targets = load_breast_cancer(return_X_y=True)
    else:
        return
    head = ",".join([*(f"x{i}" for i in range(inputs.shape[1])), "kind"])
    table = np.column_stack([inputs, targets])
    columns = ["%.6g"] * inputs.shape[1] + ["%d"]
    np.savetxt(folder / f"{name}.csv", table, columns, ",", header=head, comments="")


PROBLEMS: Mapping[str, Problem] = {
    "digits": Problem(_digits, _dense(64, 64, 64, 10), 64, 20, 256),
    "circles": Problem(lambda: _table("circles"), _dense(2, 32, 32, 2), 32, 20, 256),
    "wine": Problem(lambda: _table("wine"), _dense(13, 32, 32, 3), 32, 20, 256),
    "breast_cancer": Problem(lambda: _table("breast_cancer"), _dense(30, 32, 32, 2), 32, 20, 256),
    "fashion_mnist": Problem(_fashion_mnist, _dense(784, 512, 512, 10), 64, 2, 8),
    "cnn": Problem(lambda: _fashion_mnist(10_000), _convolutional, 64, 3, 8),
    "gru": Problem(_digits, _Gru, 64, 20, 64),
}
