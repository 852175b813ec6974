"""The steps of PyTorch's optimizers for many candidates at once.

Shapes: `K` slots, `P` parameters of one network. Weights, gradients and moments are (K, P), what
differs from slot to slot is (K, 1). The formulas are those of `torch.optim` of the same name, with
its defaults (eps 1e-8, RMSprop's alpha 0.99); the tests hold every rule against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

__all__ = ["MOMENTS", "Settings", "Step", "clip", "plan", "step"]

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
    return [Step(*three.unsqueeze(2)) for three in columns.contiguous().to(like)]


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
