"""Networks that own-module.yaml searches: dense layers with a way past each of them."""

import math

import torch
from torch import nn

from hpsearch.families import Problem

__all__ = ["build"]


def build(
    problem: Problem,
    width: int = 64,
    blocks: int = 2,
    dropout: float = 0.1,
    activation: str = "relu",
) -> nn.Module:
    """(N, *problem.shape) -> (N, problem.outputs)."""
    function = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}[activation]
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(problem.shape), width),
        *(Block(width, dropout, function()) for _ in range(blocks)),
        nn.LayerNorm(width),
        nn.Linear(width, problem.outputs),
    )


class Block(nn.Module):
    """(N, width) -> (N, width)."""

    def __init__(self, width: int, dropout: float, function: nn.Module) -> None:
        super().__init__()
        self.norm, self.dense = nn.LayerNorm(width), nn.Linear(width, width)
        self.dropout, self.function = nn.Dropout(dropout), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the layer makes of x is added to it."""
        return x + self.dropout(self.function(self.dense(self.norm(x))))
