from __future__ import annotations

import torch
from torch import nn

from hpsearch.families import Problem


def toy(problem: Problem, *, depth: str, units: int, noise: float, around: bool) -> nn.Module:
    if depth == "deep" and units < 2:
        raise ValueError("a deep network needs 2 units or more")
    (inputs,) = problem.shape
    layers = [nn.Linear(inputs, units), nn.ReLU()]
    if depth == "deep":
        layers += [nn.Linear(units, units), nn.ReLU()]
    layers.append(nn.Dropout(noise))
    if around:
        return Around(nn.Sequential(*layers), nn.Linear(units + inputs, problem.outputs))
    return nn.Sequential(*layers, nn.Linear(units, problem.outputs))


class Around(nn.Module):
    """No chain of layers, so that hpsearch trains it alone."""

    def __init__(self, hidden: nn.Module, last: nn.Linear) -> None:
        super().__init__()
        self.hidden, self.last = hidden, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs) -> (N, outputs)."""
        return self.last(torch.cat([self.hidden(x), x], dim=1))
