"""How the learning rate moves.

A schedule is a pure function: progress (epochs done, a float that may lie inside an epoch) ->
factor on the learning rate. There is no scheduler object with a hidden counter, so a resumed
candidate continues where it was and each of many stacked candidates can have a rate of its own. At
whole epochs the factors are those of PyTorch's schedulers. `plateau` needs a memory: `Plateau`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.settings import Direction

__all__ = ["Plateau", "Schedule", "schedule"]

Schedule = Callable[[float], float]
"""Progress in epochs -> factor on the learning rate."""

_START, _END = 1 / 25, 1 / 25e4
"""one_cycle's first and last factor: the defaults of `torch.optim.lr_scheduler.OneCycleLR`."""


def schedule(settings: Mapping[str, Any]) -> Schedule:
    """The schedule that `settings` name.

    Over the first `warmup` epochs the factor rises in a straight line from 0 to 1; the shape
    follows in the epochs that are left. For one_cycle the warm-up is its own rising part.
    """
    epochs, warmup = float(settings["epochs"]), float(settings["warmup"])
    if settings["schedule"] == "one_cycle":
        return _one_cycle(epochs, warmup or 0.3 * epochs)
    shape = _SHAPES[settings["schedule"]](settings, max(epochs - warmup, 0.0))

    def factor(progress: float) -> float:
        return progress / warmup if progress < warmup else shape(progress - warmup)

    return factor


def _constant(settings: Mapping[str, Any], span: float) -> Schedule:
    return lambda progress: 1.0


def _step(settings: Mapping[str, Any], span: float) -> Schedule:
    """StepLR, after the warm-up. Without `decay_every` it drops after each third of all epochs,
    rounded up: twice at most, as warm-up and rounding may leave no time for a second drop."""
    decay: float = settings["decay"] or 0.1
    every: int = settings["decay_every"] or math.ceil(settings["epochs"] / 3)
    return lambda progress: decay ** math.floor(progress / every)


def _exponential(settings: Mapping[str, Any], span: float) -> Schedule:
    """ExponentialLR, also between whole epochs."""
    decay: float = settings["decay"] or 0.95
    return lambda progress: decay**progress


def _cosine(settings: Mapping[str, Any], span: float) -> Schedule:
    """CosineAnnealingLR down to 0 (Loshchilov and Hutter 2017), once."""
    return lambda progress: _cosine_between(1.0, 0.0, progress / span if span else 1.0)


_SHAPES: Mapping[str, Callable[[Mapping[str, Any], float], Schedule]] = {
    "constant": _constant,
    "step": _step,
    "exponential": _exponential,
    "cosine": _cosine,
    "plateau": _constant,  # its factor comes from `Plateau`
}


def _one_cycle(epochs: float, rising: float) -> Schedule:
    """OneCycleLR (Smith and Topin 2018) with the peak at 1; the momentum stays as it is."""
    rising = min(rising, epochs)

    def factor(progress: float) -> float:
        if progress < rising:
            return _cosine_between(_START, 1.0, progress / rising)
        falling = epochs - rising
        return _cosine_between(1.0, _END, (progress - rising) / falling if falling else 1.0)

    return factor


def _cosine_between(start: float, end: float, share: float) -> float:
    """From `start` (share 0) to `end` (share 1) along half a cosine wave."""
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


@dataclass(frozen=True)
class Plateau:
    """The memory of the schedule `plateau`, as ReduceLROnPlateau with a threshold of 0."""

    best: float | None = None
    bad_epochs: int = 0
    factor: float = 1.0

    def after(self, value: float, direction: Direction, settings: Mapping[str, Any]) -> Plateau:
        """The memory after an epoch whose validation metric was `value`."""
        better = self.best is None or (
            value > self.best if direction == "maximize" else value < self.best
        )
        if better:
            return replace(self, best=value, bad_epochs=0)
        if self.bad_epochs < settings["patience"]:
            return replace(self, bad_epochs=self.bad_epochs + 1)
        return replace(self, bad_epochs=0, factor=self.factor * (settings["decay"] or 0.1))
