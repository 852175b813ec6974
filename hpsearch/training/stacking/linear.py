"""The dense layer of many networks, and where its gradients go.

Shapes: `K` slots, `N` rows, `I` inputs, `O` outputs.

PyTorch would make a new tensor of every gradient of a weight and have it copied to where the
optimizer reads it. Here the product writes there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.training.stacking.stand_in import StandIn

__all__ = ["linear"]

_LARGE = 1 << 16
"""Numbers in the weights of all slots from which on a function of our own saves more than it
costs to call."""


def linear(x_KNI: Tensor, weight: StandIn, bias: StandIn | Tensor | None) -> Tensor:
    """(K, N, O): each slot's rows by its own weights (O, I) and biases (O,)."""
    weight_KOI, bias_KO = weight.stacked, getattr(bias, "stacked", bias)
    writes = weight.gradient is not None and weight_KOI.numel() >= _LARGE
    if writes and torch.is_grad_enabled() and not torch.is_autocast_enabled(x_KNI.device.type):
        result: Tensor = _Linear.apply(x_KNI, weight_KOI, bias_KO, weight)
        return result
    return _product(x_KNI, weight_KOI, bias_KO)


def _product(x_KNI: Tensor, weight_KOI: Tensor, bias_KO: Tensor | None) -> Tensor:
    if bias_KO is None:
        return torch.bmm(x_KNI, weight_KOI.transpose(1, 2))
    return torch.baddbmm(bias_KO.unsqueeze(-2), x_KNI, weight_KOI.transpose(1, 2))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x_KNI: Tensor, weight_KOI: Tensor, bias_KO: Tensor | None, weight: StandIn
    ) -> Tensor:
        ctx.save_for_backward(x_KNI, weight_KOI)
        ctx.weight = weight
        ctx.biased = bias_KO is not None
        return _product(x_KNI, weight_KOI, bias_KO)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_KNO: Tensor) -> tuple[Tensor | None, ...]:
        x_KNI, weight_KOI = ctx.saved_tensors
        weight = ctx.weight
        if ctx.needs_input_grad[1]:
            into, turned = weight.gradient, gradient_KNO.transpose(1, 2)
            if weight.written:  # the layer is used more than once
                into.baddbmm_(turned, x_KNI)
            else:
                torch.bmm(turned, x_KNI, out=into)
                weight.written = True
        back = torch.bmm(gradient_KNO, weight_KOI) if ctx.needs_input_grad[0] else None
        biases = gradient_KNO.sum(1) if ctx.biased and ctx.needs_input_grad[2] else None
        return back, None, biases, None
