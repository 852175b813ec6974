"""The best outputs that are the same for each row, where no formula gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.tasks.learning import LossFunction

__all__ = ["NoGradientError", "least_constant_loss"]

_STEPS, _RATE = 200, 0.1
"""Of Adam."""


class NoGradientError(RuntimeError):
    """A loss that does not depend on a network's outputs in a way that PyTorch can follow."""


@torch.enable_grad()
def least_constant_loss(loss: LossFunction, targets: Tensor, outputs: int) -> float:
    """The least loss of a slot whose `outputs` are the same for each row of `targets`, about.

    Raises NoGradientError where the loss has none.
    """
    constant_C = torch.zeros(outputs, device=targets.device, requires_grad=True)
    first, second = torch.zeros_like(constant_C), torch.zeros_like(constant_C)
    least = float("inf")
    for step in range(1, _STEPS + 1):
        value = loss(constant_C.expand(1, len(targets), outputs), targets).sum()
        least = min(least, float(value.detach()))
        try:
            (gradient,) = torch.autograd.grad(value, constant_C)
        except RuntimeError as error:
            raise NoGradientError(str(error)) from error
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient.square()
        rate = _RATE / (1 - 0.9**step)
        with torch.no_grad():
            constant_C -= rate * first / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    return least
