"""The steps of PyTorch's optimizers, for many candidates at once and for one.

Shapes: `K` slots, `P` parameters of one network. Weights, gradients and moments are (K, P), what
differs from slot to slot is (K, 1). The formulas are those of `torch.optim` of the same name, with
its defaults (eps 1e-8, RMSprop's alpha 0.99); the tests hold every rule against it.

`torch.optim` itself takes a second and more to load. The kernels behind its fused forms, which go
over a network's memory once, are called here: their names are private to PyTorch, so that where
one is missing the same step is made by plain functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["MOMENTS", "Fused", "Settings", "Step", "clip", "plan", "step"]

MOMENTS: Mapping[str, tuple[str, ...]] = {
    "sgd": ("momentum_buffer",),
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
    "rmsprop": ("square_avg", "momentum_buffer"),
}
"""What each optimizer remembers of every parameter, under PyTorch's names."""

_EPS = 1e-8
_ALPHA = 0.99


@dataclass(frozen=True)
class Settings:
    """What does not change from step to step, (K, 1) each."""

    weight_decay: Tensor
    momentum: Tensor
    beta1: Tensor
    beta2: Tensor
    clip: Tensor | None
    """Infinite where a slot has none; None where no slot has any."""
    nesterov: bool

    @classmethod
    def of(cls, settings: Sequence[Mapping[str, Any]], device: torch.device) -> Settings:
        """Of the slots' candidates, in their order."""

        def column(name: str) -> Tensor:
            return torch.tensor([float(s[name]) for s in settings], device=device).unsqueeze(1)

        clips = [float("inf") if s["clip"] is None else float(s["clip"]) for s in settings]
        some = any(s["clip"] is not None for s in settings)
        return cls(
            column("weight_decay"), column("momentum"), column("beta1"), column("beta2"),
            torch.tensor(clips, device=device).unsqueeze(1) if some else None,
            bool(settings[0]["nesterov"]),
        )  # fmt: skip


@dataclass(frozen=True)
class Step:
    """What one step has of its own, (K, 1) each."""

    rate: Tensor
    """The learning rate; for Adam divided by the bias of the mean."""
    shrink: Tensor
    """AdamW's factor on the weights."""
    bias2_root: Tensor
    """For Adam the square root of the bias of the mean of squares."""
    rates: tuple[float, ...] = ()
    """(K,): the learning rate itself."""


def plan(
    rates_KS: Sequence[Sequence[float]], done_K: Sequence[int], settings: Settings, adam: bool
) -> list[Step]:
    """The steps of an epoch: their learning rates, and after how many steps the slots begin it."""
    rate_KS = torch.tensor(rates_KS, dtype=torch.float64)
    shrink_KS = 1 - rate_KS * settings.weight_decay.cpu()
    bias2_KS = torch.ones_like(rate_KS)
    if adam:
        count_KS = torch.tensor(done_K).unsqueeze(1) + torch.arange(1, rate_KS.shape[1] + 1)
        rate_KS = rate_KS / (1 - settings.beta1.cpu().double() ** count_KS)
        bias2_KS = (1 - settings.beta2.cpu().double() ** count_KS).sqrt()
    columns = torch.stack([rate_KS, shrink_KS, bias2_KS]).permute(2, 0, 1)
    like = settings.weight_decay
    three_SK1 = columns.contiguous().to(like).unsqueeze(3)
    return [
        Step(rate, shrink, root, rates)
        for (rate, shrink, root), rates in zip(three_SK1, zip(*rates_KS, strict=True), strict=True)
    ]


def clip(gradient_KP: Tensor, largest_K1: Tensor) -> None:
    """Shorten each slot's gradient to a norm, as `torch.nn.utils.clip_grad_norm_`."""
    norm_K1 = torch.linalg.vector_norm(gradient_KP, dim=1, keepdim=True)
    share_K1 = (largest_K1 / (norm_K1 + 1e-6)).clamp_(max=1.0)
    # A slot without a largest norm keeps its gradient, however long: infinity by infinity is no 1.
    gradient_KP.mul_(share_K1.masked_fill_(largest_K1.isinf(), 1.0))


_Moments = Mapping[str, "Tensor"]
_Rule = Callable[["Tensor", "Tensor", _Moments, Settings, Step], None]


def step(
    optimizer: str, weights_KP: Tensor, gradient_KP: Tensor, moments: _Moments,
    settings: Settings, now: Step,
) -> None:  # fmt: skip
    """Change weights and moments by one step. The gradient is used up."""
    _RULES[optimizer](weights_KP, gradient_KP, moments, settings, now)


def _sgd(w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Step) -> None:
    buffer = moments["momentum_buffer"]
    g.addcmul_(w, settings.weight_decay)
    buffer.mul_(settings.momentum).add_(g)
    if settings.nesterov:
        w.addcmul_(g.addcmul_(buffer, settings.momentum), now.rate, value=-1)
    else:
        w.addcmul_(buffer, now.rate, value=-1)


def _adam(w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Step) -> None:
    g.addcmul_(w, settings.weight_decay)
    _adam_step(w, g, moments, settings, now)


def _adamw(w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Step) -> None:
    w.mul_(now.shrink)
    _adam_step(w, g, moments, settings, now)


def _adam_step(w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Step) -> None:
    mean, square = moments["exp_avg"], moments["exp_avg_sq"]
    mean.lerp_(g, 1 - settings.beta1)
    square.lerp_(g.square_(), 1 - settings.beta2)
    root = torch.sqrt(square, out=g).div_(now.bias2_root).add_(_EPS)
    w.addcmul_(torch.div(mean, root, out=g), now.rate, value=-1)


def _rmsprop(w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Step) -> None:
    square, buffer = moments["square_avg"], moments["momentum_buffer"]
    g.addcmul_(w, settings.weight_decay)
    square.mul_(_ALPHA).addcmul_(g, g, value=1 - _ALPHA)
    buffer.mul_(settings.momentum).add_(g.div_(square.sqrt().add_(_EPS)))
    w.addcmul_(buffer, now.rate, value=-1)


_RULES: Mapping[str, _Rule] = {
    "sgd": _sgd, "adam": _adam, "adamw": _adamw, "rmsprop": _rmsprop,
}  # fmt: skip


# --- one network at a time --------------------------------------------------------------------

_KERNELS = {"sgd": "_fused_sgd_", "adam": "_fused_adam_", "adamw": "_fused_adamw_"}

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
        self,
        settings: Mapping[str, Any],
        weights: Sequence[Tensor],
        moments: Mapping[str, Sequence[Tensor]],
        count: Tensor,
    ) -> None:
        self._settings, self._weights, self._moments = settings, list(weights), moments
        self._count = count
        self._rule = settings["optimizer"]
        device = weights[0].device
        self._kernel = getattr(torch, _KERNELS.get(self._rule, ""), None)
        if device.type not in ("cpu", "cuda"):
            self._kernel = None
        self._fixed = Settings.of([settings], device)
        momentum = settings["momentum"] > 0
        self._options: Mapping[str, Any] = {"weight_decay": settings["weight_decay"]} | (
            {"momentum": settings["momentum"], "dampening": 0.0, "maximize": False,
             "nesterov": settings["nesterov"] and momentum, "is_first_step": False}
            if self._rule == "sgd" else
            {"beta1": settings["beta1"], "beta2": settings["beta2"], "eps": _EPS,
             "amsgrad": False, "maximize": False}
        )  # fmt: skip

    @staticmethod
    def pays(settings: Mapping[str, Any], parameters: int, device: torch.device) -> bool:
        """Whether the slots of a stack should each make their own steps."""
        kernel = _KERNELS.get(settings["optimizer"], "")
        return device.type == "cpu" and parameters > _FEW and hasattr(torch, kernel)

    def step(self, gradients: Sequence[Tensor | None], rate: float) -> None:
        """Make one step at a learning rate. Parameters without a gradient stay; the others'
        gradients are used up."""
        weights, moments = self._weights, self._moments
        parts = [gradient for gradient in gradients if gradient is not None]
        if len(parts) < len(gradients):
            used = [i for i, gradient in enumerate(gradients) if gradient is not None]
            weights = [weights[i] for i in used]
            moments = {name: [each[i] for i in used] for name, each in moments.items()}
        parts = list(map(_laid_out, parts, weights))
        if self._kernel is None:
            self._plain(weights, parts, moments, rate)
        elif self._rule == "sgd":
            buffers = moments["momentum_buffer"] if self._settings["momentum"] else []
            self._kernel(weights, parts, buffers, lr=rate, **self._options)
        else:
            counts = [self._count] * len(weights)
            means, squares = moments["exp_avg"], moments["exp_avg_sq"]
            self._kernel(weights, parts, means, squares, [], counts, lr=rate, **self._options)

    def _plain(
        self,
        weights: Sequence[Tensor],
        gradients: Sequence[Tensor],
        moments: Mapping[str, Sequence[Tensor]],
        rate: float,
    ) -> None:
        adam = self._rule.startswith("adam")
        now = plan([[rate]], [int(self._count) - 1], self._fixed, adam=adam)[0]
        for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            own = {name: each[i].unsqueeze(0) for name, each in moments.items()}
            step(self._rule, weight.unsqueeze(0), gradient.unsqueeze(0), own, self._fixed, now)


def _laid_out(gradient: Tensor, weight: Tensor) -> Tensor:
    """A gradient in its weight's layout: the kernels walk through both as they lie in memory."""
    if gradient.stride() == weight.stride():
        return gradient
    return torch.empty_like(weight).copy_(gradient)
