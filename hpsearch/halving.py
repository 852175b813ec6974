"""When pruners stop a trial, on plain numbers: what a forecast needs of them.

The rules are those of Optuna's pruners of the same names, where larger values are better.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["foreseeable", "rungs", "stopping"]

_HALVING = ("asha", "hyperband")
_RANKING = ("median", "percentile")


def foreseeable(name: str) -> bool:
    """Whether what a pruner does can be foreseen: others look at the values themselves."""
    return name in _HALVING or name in _RANKING or name == "none"


def rungs(name: str, options: Mapping[str, Any], epochs: int) -> tuple[int, ...]:
    """The epochs after which a pruner may stop a trial, below the last one."""
    if name in _RANKING:
        first, step = options["n_warmup_steps"], options["interval_steps"]
        return tuple(e for e in range(max(first, 1), epochs) if (e - first) % step == 0 or e == 1)
    if name not in _HALVING:
        return ()
    found, at = [], options["min_resource"]
    at *= options["reduction_factor"] ** options.get("min_early_stopping_rate", 0)
    while at < epochs:
        found.append(at)
        at *= options["reduction_factor"]
    return tuple(found)


def stopping(
    name: str, options: Mapping[str, Any], epochs: int, seed: int
) -> Callable[[int, float, int], bool]:
    """Whether a trial stops: its number, its value, the epoch it has finished, one of `rungs`.

    It is to be told of the last epoch too, and remembers what it was told: a trial is judged by
    those before it.
    """
    if name in _RANKING:
        return _Ranking(options, options.get("percentile", 50.0), epochs)
    if name not in _HALVING:
        return lambda _number, _value, _epoch: False
    brackets = _brackets(options, epochs) if name == "hyperband" else [1.0]
    return _Halving(options, brackets, epochs, seed)


def _brackets(options: Mapping[str, Any], epochs: int) -> list[float]:
    """How many trials each bracket of Hyperband gets, next to the others.

    Li et al., "Hyperband" (2018), as Optuna's HyperbandPruner has it.
    """
    factor = options["reduction_factor"]
    count = math.floor(math.log(epochs / options["min_resource"], factor)) + 1
    return [math.ceil(count * factor**s / (s + 1)) for s in reversed(range(count))]


class _Halving:
    """Successive halving without waiting: Li et al., "A system for massively parallel
    hyperparameter tuning" (2020), as Optuna's SuccessiveHalvingPruner has it."""

    def __init__(
        self, options: Mapping[str, Any], brackets: list[float], epochs: int, seed: int
    ) -> None:
        self._epochs = epochs
        self._factor, self._first = options["reduction_factor"], options["min_resource"]
        self._bootstrap, self._brackets, self._seed = options["bootstrap_count"], brackets, seed
        self._known: dict[tuple[int, int], list[float]] = {}

    def __call__(self, number: int, value: float, epoch: int) -> bool:
        bracket = self._bracket(number)
        if epoch == self._epochs or epoch < self._first * self._factor**bracket:
            return False
        known = self._known.setdefault((bracket, epoch), [])
        bisect.insort(known, value)
        if len(known) <= self._bootstrap:
            return True
        least: float = known[-max(len(known) // self._factor, 1)]
        return value < least

    def _bracket(self, number: int) -> int:
        if len(self._brackets) == 1:
            return 0
        rng = random.Random(f"{self._seed}/{number}")
        return rng.choices(range(len(self._brackets)), self._brackets)[0]


class _Ranking:
    """Optuna's PercentilePruner: stops a trial whose best value is below a percentile of those that
    the trials which went to their end had at the same epoch. The best of what it is told: values
    between the epochs of `rungs` are not played."""

    def __init__(self, options: Mapping[str, Any], percentile: float, epochs: int) -> None:
        self._below, self._epochs = (100 - percentile) / 100, epochs
        self._startup, self._least = options["n_startup_trials"], options["n_min_trials"]
        self._curves: dict[int, dict[int, float]] = {}
        self._complete: dict[int, list[float]] = {}
        self._completed = 0

    def __call__(self, number: int, value: float, epoch: int) -> bool:
        curve = self._curves.setdefault(number, {})
        curve[epoch] = value
        if epoch == self._epochs:
            self._completed += 1
            for at, seen in self._curves.pop(number).items():
                bisect.insort(self._complete.setdefault(at, []), seen)
            return False
        known = self._complete.get(epoch, [])
        if self._completed < max(self._startup, 1) or len(known) < self._least:
            return False
        return max(curve.values()) < _quantile(known, self._below)


def _quantile(rising: Sequence[float], share: float) -> float:
    """The value that so much of them lies below, as NumPy has it: between two of them on a line."""
    at = share * (len(rising) - 1)
    lower, upper = rising[math.floor(at)], rising[math.ceil(at)]
    return lower + (upper - lower) * (at - math.floor(at))
