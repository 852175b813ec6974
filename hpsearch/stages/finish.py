"""The honest finish: what the winner of a search is worth, on rows that the search has not seen.

The best value of a search is the luckiest of many draws. So the best few are trained again, each
several times, and the winner is chosen by the mean on validation data; only then is the test part
used, once, for the winner and for the default configuration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from types import MappingProxyType
from typing import Any

from hpsearch.runner import TEST
from hpsearch.spec.settings import Direction
from hpsearch.spec.space import Assignment
from hpsearch.spec.task import Metric

__all__ = [
    "Entry", "Estimate", "Repeat", "Verdict", "ends", "estimate", "finalists", "uses", "verdict",
]  # fmt: skip

CONFIDENCE = 0.95
_SHARES = {"acc", "accuracy", "auc", "auroc", "dice", "f1", "iou", "precision", "recall"}
"""Words in the name of a metric that is a share of 1."""


@dataclass(frozen=True)
class Repeat:
    """One training of a configuration of the finish."""

    trial: int
    """Optuna's number."""
    ticket: int
    repeat: int
    """Which of the seeds it had: the same repeat is the same seed for all configurations."""
    value: float | None
    """The metric on validation data after the epoch that counts; None where it did not end so."""
    loss: float = math.inf
    """The loss there: of equal values the network with the lesser one is the better. Own training
    code may report none."""


@dataclass(frozen=True)
class Entry:
    """A configuration of the finish and its trainings."""

    values: Assignment
    repeats: tuple[Repeat, ...]

    @property
    def whole(self) -> tuple[Repeat, ...]:
        """The trainings that completed."""
        return tuple(repeat for repeat in self.repeats if repeat.value is not None)


@dataclass(frozen=True)
class Estimate:
    """A mean and where it may lie."""

    mean: float
    low: float | None
    """Ends of the 95 % interval by Student's t; None where there is one value only."""
    high: float | None
    values: tuple[float, ...]


@dataclass(frozen=True)
class Verdict:
    """What the finish found."""

    metric: str
    winner: Mapping[str, Any]
    """The winner's parameters."""
    trials: tuple[int, ...]
    """Its trainings' trial numbers."""
    last_trial: int
    """The highest number of a trial of the finish."""
    best_ticket: int
    """Of its trainings the one with the best validation value, and where those are equal with the
    least loss: the network to hand over."""
    validation: Estimate
    """Of the winner, over its seeds."""
    test: Estimate | None
    """Of the winner on the test part, over its seeds; None where none was used."""
    metrics: Mapping[str, float]
    """All metrics on the test part, the mean over the winner's seeds."""
    default: Estimate | None
    """Of the default configuration on the test part, or where none was used by its reports; None
    where it could not be trained."""
    difference: Estimate | None
    """Winner less default by the same figures, seed by seed; None where the default has won."""
    optimism: float | None
    """How much better the best value of the search was than the mean of the winner trained again;
    None where no trial of the search completed."""
    rows: int | None
    """Of the test part; None where own training code knows it, or none was used."""
    use: int
    """How often the test part has been used, this time included; 0: never."""
    network: Mapping[str, float]
    """What the network to hand over gives on the test part."""
    asked: int
    """Trainings that the finish was to have, of all its configurations."""
    completed: int
    """Those of them that completed."""
    baselines: Mapping[str, float]
    """By name, what simple answers give on the test part by the metric."""
    part: str | None = TEST
    """The part that the winner was measured on; None: on no other than that it was chosen by."""
    why: str = ""
    """Why that is so."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def estimate(values: Sequence[float], least: float = -math.inf, most: float = math.inf) -> Estimate:
    """The mean of a few independent values, with its 95 % interval by Student's t, as far as that
    lies between what the mean can be at least and at most."""
    middle = mean(values)
    if len(values) < 2:
        return Estimate(middle, None, None, tuple(values))
    from scipy.special import stdtrit  # Student's t; scipy.stats is slow to load

    reach = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * stdev(values)
    reach /= math.sqrt(len(values))
    low, high = max(middle - reach, least), min(middle + reach, most)
    return Estimate(middle, low, high, tuple(values))


def uses(verdicts: Sequence[Mapping[str, Any]]) -> int:
    """How often a study's finishes have used its test part, by their verdicts as plain values: one
    that had none to use has used none."""
    return sum(verdict.get("part", TEST) is not None for verdict in verdicts)


def finalists(entries: Sequence[Entry], direction: Direction) -> tuple[Entry, Entry]:
    """The winner by validation and the default configuration, the last of the entries: the test
    part is used for their networks. They may be one and the same."""
    sign = 1 if direction == "maximize" else -1
    winner = max(
        (entry for entry in entries if entry.whole),
        # One that does not always get to its end is worth less than any that does.
        key=lambda e: (len(e.whole), sign * mean(r.value or 0.0 for r in e.whole)),
    )
    return winner, entries[-1]


def verdict(
    entries: Sequence[Entry],
    best_seen: float | None,
    metric: Metric,
    score: Callable[[Repeat, Assignment], Mapping[str, float]],
    rows: int | None,
    use: int,
    asked: int,
    baselines: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
    untested: str | None = None,
) -> Verdict:
    """Choose the winner by validation, and then use the test part.

    Args:
        entries: The configurations, the default one last; at least one training completed.
        best_seen: The best validation value of the search, if it has one.
        metric: The one that steered the search.
        score: All metrics of a training on the test part; where there is none, what it reported.
        rows: Of the test part; None: not known.
        use: How often the test part has been used, this time included.
        asked: Trainings that there were to be.
        baselines: By name, the metrics of simple answers on the test part.
        untested: Why there is no test part to use; None: there is one.
    """
    sign = 1 if metric.direction == "maximize" else -1
    winner, default = finalists(entries, metric.direction)
    scores = {r.repeat: score(r, winner.values) for r in winner.whole}
    own = {repeat: metrics[metric.name] for repeat, metrics in scores.items()}
    plain = own if default is winner else {
        r.repeat: score(r, default.values)[metric.name] for r in default.whole
    }  # fmt: skip
    reported = [r.value or 0.0 for r in winner.whole]
    limits = ends(metric, [*reported, *own.values(), *plain.values()])
    validation = estimate(reported, *limits)
    both = [own[repeat] - plain[repeat] for repeat in own if repeat in plain]
    chosen = max(winner.whole, key=lambda r: (sign * (r.value or 0.0), -r.loss, -r.trial))
    return Verdict(
        metric=metric.name,
        winner=winner.values,
        trials=tuple(r.trial for r in winner.repeats),
        last_trial=max(r.trial for entry in entries for r in entry.repeats),
        best_ticket=chosen.ticket,
        validation=validation,
        test=estimate(list(own.values()), *limits) if untested is None else None,
        metrics=_means(list(scores.values())) if untested is None else {},
        default=estimate(list(plain.values()), *limits) if plain else None,
        difference=estimate(both) if both and default is not winner else None,
        optimism=None if best_seen is None else sign * (best_seen - validation.mean),
        rows=rows,
        use=use,
        network=scores[chosen.repeat] if untested is None else {},
        asked=asked,
        completed=sum(len(entry.whole) for entry in entries),
        baselines={name: values[metric.name] for name, values in baselines.items()
                   if metric.name in values},
        part=TEST if untested is None else None,
        why=untested or "",
    )  # fmt: skip


def ends(metric: Metric, values: Sequence[float]) -> tuple[float, float]:
    """The least and the most that a metric can be. That of own training code is not known: one that
    is called a share, and whose values all are shares, is taken for one."""
    words = re.split("[^a-z0-9]+", metric.name.lower())
    unknown = metric.direction == "maximize" and metric.high - metric.low == math.inf
    if unknown and not _SHARES.isdisjoint(words) and all(0 <= value <= 1 for value in values):
        return 0.0, 1.0
    return metric.low, metric.high


def _means(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric that all of them have: own code may give more for one than for
    another."""
    names = [name for name in scores[0] if all(name in metrics for metrics in scores)]
    return {name: mean(metrics[name] for metrics in scores) for name in names}
