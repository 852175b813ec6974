"""The steps of PyTorch's optimizers, for many candidates at once.

Shapes: `K` slots, `P` parameters of one network, `S` steps. Weights, gradients and moments are
(K, P), what differs from slot to slot is (K, 1). The formulas are those of `torch.optim` of the
same name, with its defaults; the tests hold every rule against it. `torch.optim` itself takes a
second and more to load.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COUNTERS", "EPS", "MOMENTS", "Settings", "Step", "clip", "counters", "plan", "step"]

EPS: Mapping[str, float] = {
    "adam": 1e-8, "adamw": 1e-8, "nadam": 1e-8, "radam": 1e-8, "rmsprop": 1e-8, "adagrad": 1e-10,
}  # fmt: skip
"""What each optimizer adds to a root before it divides by it."""

_ALPHA = 0.99
"""RMSprop's decay of the mean of squares."""
_MOMENTUM_DECAY = 0.004
"""How fast NAdam's momentum comes to `beta1`: Dozat, "Incorporating Nesterov momentum into Adam"
(2016), where it is 0.96 to the power of the step by this."""
_RECTIFIED = 5.0
"""The length of the average above which RAdam divides by the root of the mean of squares: Liu et
al., "On the variance of the adaptive learning rate and beyond" (2020), have 4, PyTorch 5."""


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
    """What one step has of its own."""

    columns: Tensor
    """(C, K, 1): the numbers that the optimizer's rule asks for, such as the learning rate."""
    rates: tuple[float, ...] = ()
    """(K,): the learning rates."""
    numbers: tuple[int, ...] = ()
    """(K,): the number of the step of each slot, from 1 on."""


_Moments = Mapping[str, Tensor]


@dataclass(frozen=True)
class _Rule:
    """One optimizer."""

    moments: tuple[str, ...]
    """What it remembers of every parameter, under PyTorch's names."""
    columns: Callable[[Tensor, Tensor, Settings], tuple[Tensor, ...]]
    """(learning rates (K, S), numbers of the steps from 1 (K, S), settings) -> (K, S) each, float64
    on the CPU."""
    step: Callable[[Tensor, Tensor, _Moments, Settings, Sequence[Tensor]], None]
    """Changes weights and moments (K, P) by gradients, which are used up, and columns (K, 1)."""
    counters: tuple[str, ...] = ("step",)
    """What it remembers of its steps, under PyTorch's names."""


def plan(
    optimizer: str, rates_KS: Sequence[Sequence[float]], done_K: Sequence[int], settings: Settings
) -> list[Step]:
    """The steps of an epoch, by their learning rates, and by how many steps the slots have made
    when it begins."""
    rate_KS = torch.tensor(rates_KS, dtype=torch.float64)
    count_KS = torch.tensor(done_K).unsqueeze(1) + torch.arange(1, rate_KS.shape[1] + 1)
    columns_CKS = torch.stack(_RULES[optimizer].columns(rate_KS, count_KS, settings))
    columns_SCK1 = columns_CKS.permute(2, 0, 1).contiguous().to(settings.weight_decay).unsqueeze(3)
    rates_SK, numbers_SK = zip(*rates_KS, strict=True), zip(*count_KS.tolist(), strict=True)
    steps = zip(columns_SCK1.unbind(), rates_SK, numbers_SK, strict=True)
    return [Step(*own) for own in steps]


def step(
    optimizer: str, weights_KP: Tensor, gradient_KP: Tensor, moments: _Moments,
    settings: Settings, now: Step,
) -> None:  # fmt: skip
    """Change weights and moments by one step. The gradient is used up."""
    columns = now.columns.unbind()
    _RULES[optimizer].step(weights_KP, gradient_KP, moments, settings, columns)


def counters(settings: Mapping[str, Any], steps: int) -> dict[str, Tensor]:
    """What PyTorch's optimizer remembers of a candidate's steps, beside the moments."""
    numbers = {"step": float(steps)}
    if "mu_product" in _RULES[settings["optimizer"]].counters:
        beta1 = torch.tensor(settings["beta1"], dtype=torch.float64)
        numbers["mu_product"] = float(_mu_product(beta1, torch.tensor(steps)))
    return {name: torch.tensor(numbers[name]) for name in _RULES[settings["optimizer"]].counters}


def clip(gradient_KP: Tensor, largest_K1: Tensor) -> None:
    """Shorten each slot's gradient to a norm, as `torch.nn.utils.clip_grad_norm_`."""
    norm_K1 = torch.linalg.vector_norm(gradient_KP, dim=1, keepdim=True)
    share_K1 = (largest_K1 / (norm_K1 + 1e-6)).clamp_(max=1.0)
    # A slot without a largest norm keeps its gradient, however long: infinity by infinity is no 1.
    gradient_KP.mul_(share_K1.masked_fill_(largest_K1.isinf(), 1.0))


# --- what the steps of an epoch go by ---------------------------------------------------------


def _rate(rate: Tensor, count: Tensor, settings: Settings) -> tuple[Tensor, ...]:
    return (rate,)


def _biases(count: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """By how much Adam's means of gradients and of their squares are too small."""
    beta1, beta2 = settings.beta1.cpu().double(), settings.beta2.cpu().double()
    return 1 - beta1**count, 1 - beta2**count


def _adam_columns(rate: Tensor, count: Tensor, settings: Settings) -> tuple[Tensor, ...]:
    bias1, bias2 = _biases(count, settings)
    return rate / bias1, bias2.sqrt()


def _adamw_columns(rate: Tensor, count: Tensor, settings: Settings) -> tuple[Tensor, ...]:
    shrink = 1 - rate * settings.weight_decay.cpu()
    return *_adam_columns(rate, count, settings), shrink


def _nadam_columns(rate: Tensor, count: Tensor, settings: Settings) -> tuple[Tensor, ...]:
    """The rates of the gradient and of its mean, and the root of the bias of the squares."""
    beta1 = settings.beta1.cpu().double()
    now, next_ = (beta1 * _rising(number) for number in (count, count + 1))
    product = _mu_product(beta1, count)
    _, bias2 = _biases(count, settings)
    return (
        rate * (1 - now) / (1 - product), rate * next_ / (1 - product * next_), bias2.sqrt()
    )  # fmt: skip


def _rising(count: Tensor) -> Tensor:
    """NAdam's momentum in a step, as a share of `beta1`."""
    return 1 - 0.5 * 0.96 ** (count * _MOMENTUM_DECAY)


def _mu_product(beta1: Tensor, count: Tensor) -> Tensor:
    """The product of NAdam's momenta up to a step."""
    shares = _shares()
    return beta1**count * shares[count.clamp(max=len(shares) - 1)]


@cache
def _shares() -> Tensor:
    """The product of `_rising` up to each step, from step 0 on, until it is 0 to the last digit."""
    rising = _rising(torch.arange(2048, dtype=torch.float64))
    rising[0] = 1.0
    return rising.cumprod(0)


def _radam_columns(rate: Tensor, count: Tensor, settings: Settings) -> tuple[Tensor, ...]:
    """The rate, the root of the bias of the squares, and 1 for a step that divides by it, else 0.

    The rectification is part of the rate.
    """
    bias1, bias2 = _biases(count, settings)
    beta2 = settings.beta2.cpu().double()
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * count * beta2**count / bias2
    divides = length > _RECTIFIED
    ratio = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    rectified = torch.where(divides, ratio, torch.ones_like(ratio)).sqrt()
    return rate / bias1 * rectified, bias2.sqrt(), divides.double()


# --- the rules --------------------------------------------------------------------------------


def _sgd(
    w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Sequence[Tensor]
) -> None:
    buffer, (rate,) = moments["momentum_buffer"], now
    g.addcmul_(w, settings.weight_decay)
    buffer.mul_(settings.momentum).add_(g)
    if settings.nesterov:
        w.addcmul_(g.addcmul_(buffer, settings.momentum), rate, value=-1)
    else:
        w.addcmul_(buffer, rate, value=-1)


def _adam(
    w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Sequence[Tensor]
) -> None:
    g.addcmul_(w, settings.weight_decay)
    _adam_step(w, g, moments, settings, now)


def _adamw(
    w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Sequence[Tensor]
) -> None:
    w.mul_(now[2])
    _adam_step(w, g, moments, settings, now[:2])


def _adam_step(
    w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Sequence[Tensor]
) -> None:
    mean, square, (rate, bias2_root) = moments["exp_avg"], moments["exp_avg_sq"], now
    mean.lerp_(g, 1 - settings.beta1)
    square.lerp_(g.square_(), 1 - settings.beta2)
    root = torch.sqrt(square, out=g).div_(bias2_root).add_(EPS["adam"])
    w.addcmul_(torch.div(mean, root, out=g), rate, value=-1)


def _nadam(
    w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Sequence[Tensor]
) -> None:
    mean, square = moments["exp_avg"], moments["exp_avg_sq"]
    gradient_rate, mean_rate, bias2_root = now
    g.addcmul_(w, settings.weight_decay)
    mean.lerp_(g, 1 - settings.beta1)
    square.lerp_(g.square(), 1 - settings.beta2)
    root = square.sqrt().div_(bias2_root).add_(EPS["nadam"])
    w.sub_(g.mul_(gradient_rate).addcmul_(mean, mean_rate).div_(root))


def _radam(
    w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Sequence[Tensor]
) -> None:
    mean, square, (rate, bias2_root, divides) = moments["exp_avg"], moments["exp_avg_sq"], now
    g.addcmul_(w, settings.weight_decay)
    mean.lerp_(g, 1 - settings.beta1)
    square.lerp_(g.square_(), 1 - settings.beta2)
    root = torch.sqrt(square, out=g).add_(EPS["radam"]).div_(bias2_root)
    root.masked_fill_(divides == 0, 1.0)
    w.addcmul_(torch.div(mean, root, out=g), rate, value=-1)


def _adagrad(
    w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Sequence[Tensor]
) -> None:
    total, (rate,) = moments["sum"], now
    g.addcmul_(w, settings.weight_decay)
    total.addcmul_(g, g)
    w.addcmul_(g.div_(total.sqrt().add_(EPS["adagrad"])), rate, value=-1)


def _rmsprop(
    w: Tensor, g: Tensor, moments: _Moments, settings: Settings, now: Sequence[Tensor]
) -> None:
    square, buffer, (rate,) = moments["square_avg"], moments["momentum_buffer"], now
    g.addcmul_(w, settings.weight_decay)
    square.mul_(_ALPHA).addcmul_(g, g, value=1 - _ALPHA)
    buffer.mul_(settings.momentum).add_(g.div_(square.sqrt().add_(EPS["rmsprop"])))
    w.addcmul_(buffer, rate, value=-1)


_MEANS = ("exp_avg", "exp_avg_sq")
_RULES: Mapping[str, _Rule] = {
    "sgd": _Rule(("momentum_buffer",), _rate, _sgd, counters=()),
    "adam": _Rule(_MEANS, _adam_columns, _adam),
    "adamw": _Rule(_MEANS, _adamw_columns, _adamw),
    "nadam": _Rule(_MEANS, _nadam_columns, _nadam, counters=("step", "mu_product")),
    "radam": _Rule(_MEANS, _radam_columns, _radam),
    "adagrad": _Rule(("sum",), _rate, _adagrad),
    "rmsprop": _Rule(("square_avg", "momentum_buffer"), _rate, _rmsprop),
}

MOMENTS: Mapping[str, tuple[str, ...]] = {name: rule.moments for name, rule in _RULES.items()}
"""What each optimizer remembers of every parameter, under PyTorch's names."""

COUNTERS = frozenset(name for rule in _RULES.values() for name in rule.counters)
"""What optimizers remember of their steps: a number, whatever the parameter's shape."""
