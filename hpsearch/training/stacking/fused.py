"""The steps of PyTorch's optimizers for one candidate.

Where PyTorch has a kernel for a whole step, which goes over a network's memory once, that is
called. The names of these are private to PyTorch, so that where one is missing the same step is
made by the rules for many candidates, parameter by parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from hpsearch.training.stacking.optimizers import EPS, Settings, Step, plan, step

__all__ = ["Fused", "apart"]

_Tensors = list[Tensor]
_Moments = Mapping[str, _Tensors]
_Gradient = TypeVar("_Gradient", Tensor, Tensor | None)

_FEW = 4096
"""Parameters of a network up to which one call for all slots is faster than one for each."""


class Fused:
    """Steps of one candidate, whose parameters may lie in any number of tensors.

    Args:
        settings: The candidate's.
        weights: Its parameters.
        moments: What the optimizer remembers of them, for each name a tensor for each parameter.
        count: Steps made, the one under way among them: a single float32 that its owner counts up.
    """

    def __init__(
        self, settings: Mapping[str, Any], weights: _Tensors, moments: _Moments, count: Tensor
    ) -> None:
        self._weights, self._moments, self._count = weights, moments, count
        self._rule = settings["optimizer"]
        device = weights[0].device
        self._fixed = Settings.of([settings], device)
        self._on_cpu = Settings.of([settings], torch.device("cpu"))
        self._kernel = None
        if device.type in ("cpu", "cuda") and _has_kernel(self._rule):
            self._kernel = _KERNELS[self._rule](settings)

    @staticmethod
    def pays(settings: Mapping[str, Any], parameters: int, device: torch.device) -> bool:
        """Whether the slots of a stack should each make their own steps."""
        return device.type == "cpu" and parameters > _FEW and _has_kernel(settings["optimizer"])

    def step(self, gradients: Sequence[Tensor | None], rate: float, number: int) -> None:
        """Make one step at a learning rate. Parameters without a gradient stay; the others'
        gradients may be used up.

        `number` is what `count` is: to read that would wait for a GPU.
        """
        weights, moments = self._weights, self._moments
        parts = [gradient for gradient in gradients if gradient is not None]
        if len(parts) < len(gradients):
            used = [i for i, gradient in enumerate(gradients) if gradient is not None]
            weights = [weights[i] for i in used]
            moments = {name: [each[i] for i in used] for name, each in moments.items()}
        parts = list(map(_laid_out, parts, weights))
        if self._kernel is None:
            self._plain(weights, parts, moments, rate, number)
        else:
            self._kernel(weights, parts, moments, [self._count] * len(weights), rate)

    def _plain(
        self, weights: _Tensors, gradients: _Tensors, moments: _Moments, rate: float, number: int
    ) -> None:
        (now,) = plan(self._rule, [[rate]], [number - 1], self._on_cpu)
        if not weights[0].is_cpu:  # filled in: a copy to a GPU would wait for it
            columns = now.columns.flatten().tolist()
            now = Step(torch.stack([torch.full_like(self._fixed.momentum, n) for n in columns]))
        for i, (weight, gradient) in enumerate(zip(weights, apart(gradients), strict=True)):
            own = {name: each[i].unsqueeze(0) for name, each in moments.items()}
            step(self._rule, weight.unsqueeze(0), gradient.unsqueeze(0), own, self._fixed, now)


def apart(gradients: Sequence[_Gradient]) -> Sequence[_Gradient]:
    """Gradients that can be changed in place: as they are, or copies where some share memory.

    Autograd gives both terms of a sum one tensor, what was concatenated parts of one, and all that
    was summed up one number, expanded.
    """
    parts = [gradient for gradient in gradients if gradient is not None]
    end = 0
    for start, size, strides in sorted([(g.data_ptr(), g.nbytes, g.stride()) for g in parts]):
        if start < end or 0 in strides:
            return [gradient if gradient is None else gradient.clone() for gradient in gradients]
        end = start + size
    return gradients


def _laid_out(gradient: Tensor, weight: Tensor) -> Tensor:
    """A gradient in its weight's layout: the kernels walk through both as they lie in memory."""
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)


# --- the kernels ------------------------------------------------------------------------------

_Kernel = Callable[[_Tensors, _Tensors, _Moments, _Tensors, float], None]
"""(weights, gradients, moments, counts of the steps, the learning rate): one step."""


def _sgd(settings: Mapping[str, Any]) -> _Kernel:
    momentum, weight_decay = settings["momentum"], settings["weight_decay"]
    nesterov = settings["nesterov"] and momentum > 0

    def call(w: _Tensors, g: _Tensors, moments: _Moments, _: _Tensors, rate: float) -> None:
        torch._fused_sgd_(
            w, g, moments["momentum_buffer"] if momentum else [], lr=rate, momentum=momentum,
            weight_decay=weight_decay, dampening=0.0, nesterov=nesterov, maximize=False,
            is_first_step=False,
        )  # fmt: skip

    return call


def _adam(settings: Mapping[str, Any]) -> _Kernel:
    kernel = getattr(torch, _NAMES[settings["optimizer"]])
    options = {name: settings[name] for name in ("beta1", "beta2", "weight_decay")}
    options |= {"eps": EPS[settings["optimizer"]], "amsgrad": False, "maximize": False}

    def call(w: _Tensors, g: _Tensors, moments: _Moments, counts: _Tensors, rate: float) -> None:
        kernel(w, g, moments["exp_avg"], moments["exp_avg_sq"], [], counts, lr=rate, **options)

    return call


def _adagrad(settings: Mapping[str, Any]) -> _Kernel:
    weight_decay = settings["weight_decay"]

    def call(w: _Tensors, g: _Tensors, moments: _Moments, counts: _Tensors, rate: float) -> None:
        torch._fused_adagrad_(
            w, g, moments["sum"], counts, lr=rate, lr_decay=0.0, weight_decay=weight_decay,
            eps=EPS["adagrad"], maximize=False,
        )  # fmt: skip

    return call


_NAMES: Mapping[str, str] = {
    "sgd": "_fused_sgd_", "adam": "_fused_adam_", "adamw": "_fused_adamw_",
    "adagrad": "_fused_adagrad_",
}  # fmt: skip
_KERNELS: Mapping[str, Callable[[Mapping[str, Any]], _Kernel]] = {
    "sgd": _sgd, "adam": _adam, "adamw": _adam, "adagrad": _adagrad,
}  # fmt: skip


def _has_kernel(optimizer: str) -> bool:
    return hasattr(torch, _NAMES.get(optimizer, "_none"))
