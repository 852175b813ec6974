"""What a lesson is: a claim, the runs that look at it, and what they have to show."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean
from typing import Any, Protocol

from hpsearch.stages.finish import Estimate, estimate

__all__ = [
    "Figures", "Goal", "Hpsearch", "Lesson", "Run", "Told", "gain", "least", "most", "percent",
    "points", "run", "share",
]  # fmt: skip

Figures = Mapping[str, Any]
"""Plain values by name: what `measure` found, as it stands in the JSON file."""


class Hpsearch(Protocol):
    """The command, in a folder and with a database of its own, so that no lesson sees another's."""

    def run(self, *words: object) -> str:
        """Run it to its end; what it printed."""

    def file(self, name: str) -> str:
        """The path of a shipped study."""


@dataclass(frozen=True)
class Run:
    """A study that has ended: `status --json` and `trials --json`."""

    status: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]

    @property
    def best(self) -> Mapping[str, Any]:
        """The best trial of the search."""
        best: Mapping[str, Any] = self.status["best"]
        return best

    @cached_property
    def search(self) -> list[Mapping[str, Any]]:
        """The trials of the search, without a finish's trainings."""
        return [trial for trial in self.trials if trial["stage"] != "final"]

    def trial(self, **params: Any) -> Mapping[str, Any]:
        """The first trial of the search that has these values."""
        return next(trial for trial in self.search if _has(trial, params))

    def values(self, **params: Any) -> list[float]:
        """The metric of each training that has these values, those of a finish among them."""
        return [t["value"] for t in self.trials if _has(t, params) and t["state"] == "COMPLETE"]

    def again(self, **params: Any) -> list[float]:
        """The metric on validation data of each training of the finish that has these values, by
        their seeds: the same place in two such lists is the same seed."""
        found = [t for t in self.trials if t["stage"] == "final" and _has(t, params)]
        return [t["value"] for t in sorted(found, key=lambda t: t["ticket"])]

    @property
    def test(self) -> dict[str, Any]:
        """The verdict of a finish, in a few figures."""
        verdict = self.status["final"]
        names = ("winner", "test", "default", "difference", "rows", "metrics", "network")
        return {name: verdict[name] for name in names}


def _has(trial: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    own = trial["params"]
    return all(name in own and own[name] == value for name, value in params.items())


def run(hpsearch: Hpsearch, name: str, *options: object, study: str | None = None) -> Run:
    """Run a shipped study, with options of `hpsearch run`, and read what came of it.

    Args:
        hpsearch: The command.
        name: The file in `studies/`, without its ending.
        options: Of `hpsearch run`, such as `--set`.
        study: The study's name, where the options change it or it is not that of the file.
    """
    hpsearch.run("run", hpsearch.file(f"{name}.yaml"), *options)
    status, trials = (
        json.loads(hpsearch.run(verb, study or name, "--json")) for verb in ("status", "trials")
    )
    return Run(status, trials)


@dataclass(frozen=True)
class Told:
    """A lesson's row of the page, beside its claim."""

    result: str
    meaning: str
    """What to make of it."""


@dataclass(frozen=True)
class Goal:
    """What the figures have to show."""

    text: str
    holds: Callable[[Figures], bool]


@dataclass(frozen=True)
class Lesson:
    """One lesson of a guide, by the name of its study."""

    name: str
    guide: str
    """The guide it is from, by its subject."""
    claim: str
    measure: Callable[[Hpsearch], dict[str, Any]]
    tell: Callable[[Figures], Told]
    goals: tuple[Goal, ...]
    command: str = ""
    """What a reader runs; by default the study of its name."""
    images: bool = False
    """Whether it needs the files of Fashion-MNIST."""

    @property
    def shown(self) -> str:
        """The command."""
        return self.command or f"hpsearch run studies/{self.name}.yaml"

    def failed(self, figures: Figures) -> list[str]:
        """The goals that the figures do not reach."""
        return [goal.text for goal in self.goals if not goal.holds(figures)]


def gain(better: Sequence[float], worse: Sequence[float]) -> dict[str, Any]:
    """The mean of the differences seed by seed, with its 95 % interval."""
    return vars(estimate([a - b for a, b in zip(better, worse, strict=True)]))


def share(of: Mapping[str, Any] | Estimate) -> str:
    """A mean share and its interval: 88.3 % (88.0 to 88.6)."""
    of = of if isinstance(of, Mapping) else vars(of)
    if of["low"] is None:
        return percent(of["mean"])
    return f"{percent(of['mean'])} ({100 * of['low']:.1f} to {100 * of['high']:.1f})"


def points(of: Mapping[str, Any]) -> str:
    """A mean difference of shares: +1.5 points (+0.8 to +2.1)."""
    if of["low"] is None:
        return f"{100 * of['mean']:+.1f} points"
    return f"{100 * of['mean']:+.1f} points ({100 * of['low']:+.1f} to {100 * of['high']:+.1f})"


def percent(value: float | Sequence[float]) -> str:
    """A share, or the mean of some: 43.7 %."""
    return f"{100 * (value if isinstance(value, (int, float)) else mean(value)):.1f} %"


def least(name: str, value: float, what: str) -> Goal:
    """A figure of at least so much."""
    return Goal(f"{what} of at least {value:g}", lambda figures: figures[name] >= value)


def most(name: str, value: float, what: str) -> Goal:
    """A figure of at most so much."""
    return Goal(f"{what} of at most {value:g}", lambda figures: figures[name] <= value)
