"""A guide on neural networks from tensors to tuning."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.lessons.lesson import (
    Figures,
    Goal,
    Hpsearch,
    Lesson,
    Told,
    gain,
    percent,
    points,
    run,
    share,
)  # fmt: skip

__all__ = ["LESSONS"]

_GUIDE = "neural networks from tensors to tuning"


def _capacity(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "capacity")
    rows = []
    for trial in found.search:
        last = trial["last_metrics"] or trial["metrics"]
        rows.append({
            "parameters": trial["parameters"], "width": trial["params"]["width"],
            "accuracy": trial["value"], "train_loss": last["train_loss"], "loss": last["loss"],
        })  # fmt: skip
    return {"rows": rows}


def _tell_capacity(f: Figures) -> Told:
    each = "; ".join(
        f"{row['parameters']:,}: {row['train_loss']:.2g}, {row['loss']:.2g}, "
        f"{percent(row['accuracy'])}"
        for row in f["rows"]
    )
    return Told(
        "By the number of parameters, training and validation loss after 100 epochs and accuracy "
        f"at the best epoch: {each}",
        "It holds, and is no reason for small networks: beyond what the problem needs more "
        "capacity costs loss at the end, but hardly accuracy at the best epoch.",
    )


def _animals(hpsearch: Hpsearch) -> dict[str, Any]:
    return run(hpsearch, "animals").test


def _tell_animals(f: Figures) -> Told:
    return Told(
        f"{share(f['test'])} of the five animals of the guide in five trainings",
        "It holds. Softmax and one-hot targets need no line of the study file: cross-entropy "
        "follows from a target of three classes.",
    )


def _salaries(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "salaries")
    train, test = (_column(hpsearch.file(name)) for name in ("salaries.csv", "salaries-test.csv"))
    guess = mean((value - mean(train)) ** 2 for value in test) ** 0.5
    return {**found.test, "guess": guess}


def _column(path: str) -> list[float]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return [float(row["salary_in_usd"]) for row in csv.DictReader(file)]


def _tell_salaries(f: Figures) -> Told:
    test = f["test"]
    return Told(
        f"Root mean squared error {test['mean']:.3f} ({test['low']:.3f} to {test['high']:.3f}) on "
        f"five jobs; always the mean of the training rows: {f['guess']:.3f}",
        "It holds. The root has the unit of the salary, which the mean squared error has not.",
    )


_FUNCTIONS = ("sigmoid", "tanh", "relu", "leaky_relu")


def _activations(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "activations", "--set", "final={top: 12, seeds: 3}")
    values = {
        f"{depth}, {name}": found.again(depth=depth, activation=name)
        for depth in (2, 4, 8) for name in _FUNCTIONS
    }  # fmt: skip
    return {**values, "gain": gain(values["8, relu"], values["8, sigmoid"])}


def _tell_activations(f: Figures) -> Told:
    two, eight = (
        ", ".join(f"{name} {percent(f[f'{depth}, {name}'])}" for name in _FUNCTIONS)
        for depth in (2, 8)
    )
    return Told(
        f"Two hidden layers: {two}. Eight: {eight}; ReLU over sigmoid {points(f['gain'])}",
        "It holds in depth; with two layers sigmoid is only slower. Tanh saturates too and does "
        "well.",
    )


_INITS = ("default", "xavier_uniform", "kaiming_uniform", "orthogonal", "uniform")


def _initialisation(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "initialisation", "--set", "final={top: 10, seeds: 3}")
    values = {
        f"{depth}, {name}": found.again(depth=depth, init=name)
        for depth in (2, 8) for name in _INITS
    }  # fmt: skip
    return {**values, "gain": gain(values["8, kaiming_uniform"], values["8, uniform"])}


def _tell_initialisation(f: Figures) -> Told:
    two, eight = (
        ", ".join(f"{name} {percent(f[f'{depth}, {name}'])}" for name in _INITS) for depth in (2, 8)
    )
    return Told(
        f"Two hidden layers: {two}. Eight: {eight}; He's over a fixed range {points(f['gain'])}",
        "It matters in depth alone. PyTorch's default is made for shallow networks; for deep "
        "ones without normalisation search `init`, or set `batch_norm` or `skip`.",
    )


_MOMENTA = (0.0, 0.85, 0.9, 0.95, 0.99)


def _momentum(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "momentum", "--set", "final={top: 10, seeds: 3}")
    return {
        f"{lr}, {momentum}": found.again(lr=lr, momentum=momentum)
        for lr in (1e-3, 1e-2) for momentum in _MOMENTA
    }  # fmt: skip


def _by_momentum(f: Figures) -> dict[str, Any]:
    """What 0.9 gains at a rate of 0.01."""
    return gain(f["0.01, 0.9"], f["0.01, 0.0"])


def _tell_momentum(f: Figures) -> Told:
    low, high = (
        ", ".join(
            f"{momentum or 'none'} {percent(f[f'{lr}, {momentum}'])}" for momentum in _MOMENTA
        )
        for lr in (0.001, 0.01)
    )
    same = gain(f["0.001, 0.9"], f["0.01, 0.0"])
    return Told(
        f"SGD after 15 epochs at a rate of 0.01: {high}; at 0.001: {low}. 0.9 against none at "
        f"0.01: {points(_by_momentum(f))}; 0.9 at 0.001 against none at 0.01: {points(same)}",
        "It holds, and most of it is the longer step: 0.9 of every step kept adds up to ten "
        "times the rate. So search both together.",
    )


def _recipe(hpsearch: Hpsearch) -> dict[str, Any]:
    found = run(hpsearch, "recipe")
    return {**found.test, "steps": found.status["recipe"]}


def _tell_recipe(f: Figures) -> Told:
    heart, *others = f["steps"]
    steps = "; ".join(
        f"{step['name']}, {step['trials']} trials: from {percent(step['before'])} to "
        f"{percent(step['value'])}"
        for step in others
    )
    gained = (
        f", the default settings {share(f['default'])}"
        if f["difference"]
        else ", which are the default settings"
    )
    return Told(
        f"By heart, {heart['trials']} trials: a training loss of {heart['train_loss']:.1g}, where "
        f"guessing has {heart['guess']:.2g}; on the validation part {steps}. On the test part "
        f"{share(f['test'])}{gained}",
        "It shows where the gain comes from. The first step proves that the problem can be "
        "solved and costs a third of the trials; [The recipe](recipe.md) says when that is worth "
        "it.",
    )


def _falls(f: Figures) -> bool:
    losses = [row["train_loss"] for row in f["rows"]]
    return all(later < earlier * 1.1 for earlier, later in pairwise(losses))


LESSONS = (
    Lesson(
        "capacity",
        _GUIDE,
        "A model's capacity is its number of parameters: 8-4-2 dense has 46. Too few under-fit, "
        "too many over-fit.",
        _capacity,
        _tell_capacity,
        (
            Goal(
                "46 parameters with 4 units",
                lambda f: [r["parameters"] for r in f["rows"] if r["width"] == 4] == [46],
            ),
            Goal("a training loss that falls with the parameters", _falls),
            Goal(
                "a validation loss that is larger for the largest network than for the middle one",
                lambda f: f["rows"][-1]["loss"] > f["rows"][2]["loss"],
            ),
        ),
    ),
    Lesson(
        "animals",
        _GUIDE,
        "A small dense network classifies birds, mammals and reptiles by seven columns.",
        _animals,
        _tell_animals,
        (
            Goal(
                "all five right in at least four of five trainings",
                lambda f: f["test"]["mean"] >= 0.95,
            ),
        ),
    ),
    Lesson(
        "salaries",
        _GUIDE,
        "The same for a number, with the mean squared error.",
        _salaries,
        _tell_salaries,
        (
            Goal(
                "half the error of always answering the mean",
                lambda f: f["test"]["mean"] < f["guess"] / 2,
            ),
        ),
    ),
    Lesson(
        "activations",
        _GUIDE,
        "Sigmoid saturates and its gradients vanish; ReLU and leaky ReLU do not.",
        _activations,
        _tell_activations,
        (
            Goal(
                "ReLU 20 points ahead of sigmoid in eight layers", lambda f: f["gain"]["low"] > 0.2
            ),
        ),
    ),
    Lesson(
        "initialisation",
        _GUIDE,
        "Layers learn better from well drawn first weights.",
        _initialisation,
        _tell_initialisation,
        (Goal("He's ahead of a fixed range in eight layers", lambda f: f["gain"]["low"] > 0.1),),
    ),
    Lesson(
        "momentum",
        _GUIDE,
        "Momentum of 0.85 to 0.99 gets SGD past what stops it without.",
        _momentum,
        _tell_momentum,
        (Goal("0.9 ahead of none at a rate of 0.01", lambda f: _by_momentum(f)["mean"] > 0.1),),
    ),
    Lesson(
        "recipe",
        _GUIDE,
        "First over-fit the training set, then reduce over-fitting, then fine-tune the "
        "hyperparameters.",
        _recipe,
        _tell_recipe,
        (
            Goal("the training rows learnt by heart", lambda f: f["steps"][0]["learnt"]),
            Goal("94 % of the test images", lambda f: f["test"]["mean"] >= 0.94),
        ),
    ),
)
