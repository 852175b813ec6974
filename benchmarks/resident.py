"""The peer of benchmarks.race: Optuna over a training loop as good as one writes by hand.

    python -m benchmarks.resident search --until 1764000000 --seed 0 --widths 64 128 256 512
    python -m benchmarks.resident replay

In the folder of `race.csv`: the study is `study.db`. The rows lie on the device, an epoch shuffles
them once, the optimizer is fused, and each process has one thread. `search` is Optuna's TPE and
successive halving, until a moment in seconds since 1970; `replay` trains the configurations of
`REPLAYED`, each process every other one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import optuna
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- its usual name

from benchmarks.problems import RANGES, parts
from benchmarks.teacher import CLASSES

__all__ = [
    "REPLAYED", "REPLAY_EPOCHS", "SEARCHED", "SHAPE", "STORAGE", "data", "default", "main",
    "network", "suggest",
]  # fmt: skip

STORAGE = "sqlite:///study.db"
SEARCHED = 27
"""Epochs of a trial, at most."""
REPLAY_EPOCHS = 10

SHAPE: Mapping[str, Any] = {
    "depth": 3, "width": 256, "activation": "gelu", "batch_norm": True, "batch_size": 128,
    "optimizer": "adamw",
}  # fmt: skip
"""What the networks of `replay` have in common."""
_LAYERS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh
}  # fmt: skip

Rows = tuple[Tensor, Tensor]
"""Inputs and classes."""


def _replayed() -> Iterator[dict[str, float]]:
    draw = random.Random(0)
    for _ in range(16):
        yield {
            name: low * (high / low) ** draw.random() if log else draw.uniform(low, high)
            for name, (low, high, log) in RANGES.items()
        }


REPLAYED: Sequence[Mapping[str, float]] = tuple(_replayed())
"""lr, dropout and weight decay of 16 networks of one shape."""


def main() -> None:
    """Create the study and run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("search", "replay"))
    parser.add_argument("--until", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    storage = optuna.storages.RDBStorage(STORAGE)
    optuna.create_study(study_name="race", storage=storage, direction="maximize")
    storage.remove_session()
    storage.engine.dispose()  # a connection of SQLite must not be carried through a fork
    body = _search if given.what == "search" else _replay
    context = multiprocessing.get_context("fork")  # PyTorch is loaded once
    processes = [context.Process(target=body, args=(given, i)) for i in range(given.processes)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    raise SystemExit(any(process.exitcode for process in processes))


def default(widths: Sequence[int]) -> dict[str, Any]:
    """The configuration that both sides try first."""
    return {
        "depth": 2, "width": widths[len(widths) // 3], "activation": "relu", "batch_norm": False,
        "lr": 1e-3, "batch_size": 128, "dropout": 0.0, "weight_decay": 1e-6, "optimizer": "adamw",
    }  # fmt: skip


def _search(given: argparse.Namespace, number: int) -> None:
    torch.set_num_threads(1)
    train, validation = data()

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("worker", number)
        config = suggest(trial, given.widths)
        best = 0.0
        for epoch, accuracy in enumerate(_accuracies(train, validation, SEARCHED, config), 1):
            best = max(best, accuracy)
            trial.report(accuracy, epoch)
            if trial.should_prune() or time.time() >= given.until:
                raise optuna.TrialPruned
        return best

    sampler = optuna.samplers.TPESampler(seed=given.seed * given.processes + number)
    study = optuna.load_study(
        study_name="race", storage=STORAGE, sampler=sampler,
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    )  # fmt: skip
    if number == 0:
        study.sampler = _fixed(default(given.widths))
        study.optimize(objective, n_trials=1)
        study.sampler = sampler
    study.optimize(objective, timeout=given.until - time.time())


def _fixed(config: Mapping[str, Any]) -> optuna.samplers.BaseSampler:
    """What proposes this one. An enqueued trial could be taken by two processes on SQLite."""
    return optuna.samplers.PartialFixedSampler(dict(config), optuna.samplers.RandomSampler())


def suggest(trial: optuna.Trial, widths: Sequence[int]) -> dict[str, Any]:
    """The configuration of a trial of the search."""
    return {
        "depth": trial.suggest_int("depth", 1, 4),
        "width": trial.suggest_categorical("width", widths),
        "activation": trial.suggest_categorical("activation", list(_LAYERS)),
        "batch_norm": trial.suggest_categorical("batch_norm", [True, False]),
        "batch_size": trial.suggest_categorical("batch_size", [64, 128, 256]),
        "optimizer": trial.suggest_categorical("optimizer", ["sgd", "adamw"]),
        **_rates(trial),
    }


def _rates(trial: optuna.Trial) -> dict[str, float]:
    return {
        name: trial.suggest_float(name, low, high, log=log)
        for name, (low, high, log) in RANGES.items()
    }


def _replay(given: argparse.Namespace, number: int) -> None:
    torch.set_num_threads(1)
    train, validation = data()
    study = optuna.load_study(study_name="race", storage=STORAGE)
    for rates in REPLAYED[number :: given.processes]:
        study.sampler = _fixed(rates)
        trial = study.ask()
        trial.set_user_attr("worker", number)
        config = {**SHAPE, **_rates(trial)}
        accuracy = 0.0
        epochs = _accuracies(train, validation, REPLAY_EPOCHS, config)
        for epoch, accuracy in enumerate(epochs, 1):
            trial.report(accuracy, epoch)
        study.tell(trial, accuracy)


def data() -> tuple[Rows, Rows]:
    """Training and validation part of `race.csv` in the current folder, on the device."""
    table = np.loadtxt("race.csv", delimiter=",", skiprows=1)
    train, validation = parts(table[:, :-1], table[:, -1], 0)
    device = "cuda" if torch.cuda.is_available() else "cpu"  # asked after the fork
    return _resident(train, device), _resident(validation, device)


def _resident(part: Any, device: str) -> Rows:
    inputs, classes = part.tensors
    return inputs.to(device), classes.to(device)


def network(columns: int, config: Mapping[str, Any]) -> nn.Sequential:
    """(N, columns) -> (N, CLASSES)."""
    sizes = (columns, *(config["width"],) * config["depth"])
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in pairwise(sizes):
        norm = [nn.BatchNorm1d(outputs)] if config["batch_norm"] else []
        layers += [nn.Linear(inputs, outputs), *norm, _LAYERS[config["activation"]](),
                   nn.Dropout(config["dropout"])]  # fmt: skip
    return nn.Sequential(*layers, nn.Linear(sizes[-1], CLASSES))


def _optimizer(net: nn.Module, config: Mapping[str, Any]) -> torch.optim.Optimizer:
    rate, decay = config["lr"], config["weight_decay"]
    if config["optimizer"] == "sgd":
        return torch.optim.SGD(
            net.parameters(), lr=rate, momentum=0.9, weight_decay=decay, fused=True
        )
    return torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay, fused=True)


def _accuracies(
    train: Rows, validation: Rows, epochs: int, config: Mapping[str, Any]
) -> Iterator[float]:
    """The validation accuracy after each epoch."""
    (rows, columns), device = train[0].shape, train[0].device
    net = network(columns, config).to(device)
    optimizer = _optimizer(net, config)
    for _ in range(epochs):
        net.train()
        order = torch.randperm(rows, device=device)
        shuffled = (torch.split(part[order], config["batch_size"]) for part in train)
        for some, targets in zip(*shuffled, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(net(some), targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        net.eval()
        with torch.inference_mode():
            right = net(validation[0]).argmax(dim=1) == validation[1]
            yield float(right.float().mean())


if __name__ == "__main__":
    main()
