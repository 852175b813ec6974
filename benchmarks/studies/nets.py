"""The network of digits.yaml as a user of PyTorch writes it."""

from __future__ import annotations

from math import prod

from torch import nn

from hpsearch.families import Problem

__all__ = ["dense"]


def dense(problem: Problem, dropout: float = 0.0) -> nn.Sequential:
    """(N, *problem.shape) -> (N, problem.outputs): two hidden layers of 64."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(prod(problem.shape), 64), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(64, 64), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(64, problem.outputs),
    )  # fmt: skip
