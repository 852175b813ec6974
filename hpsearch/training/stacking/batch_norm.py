"""BatchNorm over rows of many networks: each unit of each slot by its own mean and variance.

Shapes: `K` slots, `N` rows, `D` units. The formulas are those of Ioffe and Szegedy (2015), which
`torch.nn.functional.batch_norm` computes too; that goes through rows unit by unit, which takes
several times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.function import once_differentiable

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["batch_norm"]


def batch_norm(
    x_KND: Tensor, running: tuple[Tensor, Tensor] | None, weight_KD: Tensor | None,
    bias_KD: Tensor | None, training: bool, momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    """The rows (K, N, D) normalised, by their own mean and variance while training or without
    running ones, which training moves by `momentum`."""
    if x_KND.dtype in (torch.bfloat16, torch.float16):  # sums of many rows need the digits
        y = batch_norm(x_KND.float(), running, weight_KD, bias_KD, training, momentum, eps)
        return y.to(x_KND.dtype)
    if not training and running is not None:
        mean_KD, var_KD = running
        scale_KD = torch.rsqrt(var_KD + eps)
        if weight_KD is not None:
            scale_KD = scale_KD * weight_KD
        shift_KD = -mean_KD * scale_KD
        if bias_KD is not None:
            shift_KD = shift_KD + bias_KD
        return torch.addcmul(shift_KD.unsqueeze(1), x_KND, scale_KD.unsqueeze(1))
    mean_K1D = x_KND.detach().mean(1, keepdim=True)
    centred_KND = x_KND.detach() - mean_K1D
    var_K1D = centred_KND.square().mean(1, keepdim=True)
    if running is not None:
        rows = x_KND.shape[1]
        running[0].lerp_(mean_K1D.squeeze(1), momentum)
        running[1].lerp_(var_K1D.squeeze(1) * (rows / (rows - 1)), momentum)
    scale_K1D = torch.rsqrt(var_K1D + eps)
    normal: Tensor = _Normal.apply(
        x_KND, centred_KND.mul_(scale_K1D), scale_K1D, weight_KD, bias_KD
    )
    return normal


class _Normal(torch.autograd.Function):
    """(x, x normalised, what it was multiplied by, weight, bias) -> weight * x normalised + bias"""

    @staticmethod
    def forward(
        ctx: Any, x_KND: Tensor, normal_KND: Tensor, scale_K1D: Tensor, weight_KD: Tensor | None,
        bias_KD: Tensor | None,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(normal_KND, scale_K1D, weight_KD)
        if weight_KD is None:
            return normal_KND.clone()
        if bias_KD is None:
            return normal_KND * weight_KD.unsqueeze(1)
        return torch.addcmul(bias_KD.unsqueeze(1), normal_KND, weight_KD.unsqueeze(1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_KND: Tensor) -> tuple[Tensor | None, ...]:
        normal_KND, scale_K1D, weight_KD = ctx.saved_tensors
        rows = gradient_KND.shape[1]
        bias_K1D = gradient_KND.sum(1, keepdim=True)
        weight_K1D = (gradient_KND * normal_KND).sum(1, keepdim=True)
        back = None
        if ctx.needs_input_grad[0]:
            back = torch.addcmul(gradient_KND, normal_KND, weight_K1D, value=-1 / rows)
            factor_K1D = scale_K1D if weight_KD is None else scale_K1D * weight_KD.unsqueeze(1)
            back.sub_(bias_K1D, alpha=1 / rows).mul_(factor_K1D)
        of_weight = weight_K1D.squeeze(1) if ctx.needs_input_grad[3] else None
        return back, None, None, of_weight, bias_K1D.squeeze(1) if ctx.needs_input_grad[4] else None
