"""How strategies compare on the tables: regret, wins, and trials that random search would need.

Regret is how much worse than the table's best configuration the best one found is. Divided by the
mean of random search after the whole budget it can be averaged over tables: 1 is what random search
comes to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median, stdev
from typing import Any

__all__ = ["SHARES", "Summary", "interval", "summaries"]

SHARES = (0.25, 0.5, 1.0)
"""Of the budget, after which regret is told."""

_BASE, _RIVAL = "joint random", "joint tpe"

Curve = Sequence[float]
"""The regret after each trial."""


@dataclass(frozen=True)
class Summary:
    """One strategy over all tables and seeds."""

    strategy: str
    regret: Sequence[tuple[float, float]]
    """After each of `SHARES`: the mean, and half of its 95 % interval over seeds."""
    wins: Sequence[float]
    """After each of them: the share of runs that beat joint TPE's of the same seed, ties half."""
    needed: float
    """Trials until random search's final regret is reached, the median over runs."""
    reached: float
    """Share of runs that reach it within the budget."""
    tables: Mapping[str, float]
    """Its regret on each after the whole budget."""
    runs: int


def summaries(found: Mapping[str, Any], trials: int, strategies: Sequence[str]) -> list[Summary]:
    """Of these strategies in what `benchmarks.strategy` has written; the best at the end first.

    Only tables that every one of them, random search and joint TPE have searched count, and only
    seeds with which they have searched each: one unlucky start can be most of a mean. Tables on
    which random search always finds the best configuration say nothing and are left out.
    """
    names = list(dict.fromkeys((*strategies, _BASE, _RIVAL)))
    tables = set[str].intersection(*(set(found["runs"][name]) for name in names))
    shared = set[str].intersection(
        *(set(found["runs"][name][table]) for name in names for table in tables)
    )
    curves = {
        strategy: {
            table: {seed: _curve(runs[seed], found["best"][table], trials)
                    for seed in sorted(shared, key=int)}
            for table, runs in found["runs"][strategy].items() if table in tables
        }
        for strategy in names
    }  # fmt: skip
    scale = {
        table: mean(curve[-1] for curve in runs.values()) for table, runs in curves[_BASE].items()
    }
    used = [table for table, value in scale.items() if value > 0]
    made = [_summary(name, curves[name], curves[_RIVAL], scale, used) for name in strategies]
    return sorted(made, key=lambda s: s.regret[-1][0])


Curves = Mapping[str, Mapping[str, Curve]]


def _summary(
    name: str, curves: Curves, rival: Curves, scale: Mapping[str, float], used: Sequence[str]
) -> Summary:
    trials = len(next(iter(next(iter(curves.values())).values())))
    places = [math.ceil(share * trials) - 1 for share in SHARES]
    seeds = list(curves[used[0]])
    over_tables = [
        [mean(curves[table][seed][at] / scale[table] for table in used) for at in places]
        for seed in seeds
    ]
    runs = [(table, seed) for table in used for seed in seeds]
    firsts = [_first(curves[table][seed], scale[table]) for table, seed in runs]
    return Summary(
        name,
        [interval([of_seed[i] for of_seed in over_tables]) for i in range(len(places))],
        [mean(_beats(curves[t][s][at], rival[t][s][at]) for t, s in runs) for at in places],
        median(first or trials + 1 for first in firsts),
        mean(first is not None for first in firsts),
        {table: mean(c[-1] for c in curves[table].values()) / scale[table] for table in used},
        len(seeds),
    )  # fmt: skip


def _curve(better: Sequence[tuple[int, float]], best: float, trials: int) -> Curve:
    """The regret after each trial, from the trials after which there was something better."""
    at = dict(better)
    found: list[float] = []
    for number in range(1, trials + 1):
        found.append(abs(at[number] - best) if number in at else found[-1])
    return found


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The mean and half of its 95 % interval (Student's t), which one value does not have."""
    from scipy.stats import t

    if len(values) < 2:
        return mean(values), math.inf
    half = t.ppf(0.975, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return mean(values), float(half)


def _beats(own: float, other: float) -> float:
    return 0.5 if own == other else float(own < other)


def _first(curve: Curve, target: float) -> int | None:
    return next((i + 1 for i, regret in enumerate(curve) if regret <= target), None)
