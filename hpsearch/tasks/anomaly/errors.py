"""What is trained: a network, and how far each row is from what it gives.

Shapes: `N` rows, `D` numbers in an input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- its usual name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["LOSSES", "Errors"]

LOSSES: Mapping[str, Callable[..., Tensor]] = {
    "mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss,
}  # fmt: skip
"""The loss of each number, by name; they take `reduction`."""


class Errors(nn.Module):
    """(N, *shape) -> (N, 1 or 2): the mean squared error of each row and, where that is not the
    loss itself, its loss.

    So few numbers a row, and not the D that a network gives, are kept of a whole part of the data.
    """

    def __init__(self, network: nn.Module, loss: str) -> None:
        super().__init__()
        self.network = network
        self._loss = loss

    def forward(self, x: Tensor) -> Tensor:
        """The errors of inputs."""
        given, wanted = self.network(x), x.flatten(1)
        score_N: Tensor = (given - wanted).square().mean(1)
        if self._loss == "mse":
            return score_N.unsqueeze(1)
        loss_N = LOSSES[self._loss](given, wanted, reduction="none").mean(1)
        return torch.stack([score_N, loss_N], dim=1)
