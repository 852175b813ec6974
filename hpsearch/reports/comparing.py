"""Several studies side by side: what can be compared of them, and what cannot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, variance
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.errors import StudyFileError
from hpsearch.insight import verdicts
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Snapshot
from hpsearch.insight.words import number, setting
from hpsearch.reports.answer import Answer, answer, measured_on
from hpsearch.reports.facts import facts, plain
from hpsearch.reports.spent import Spent, spent
from hpsearch.stages.finish import CONFIDENCE, Estimate, estimate

if TYPE_CHECKING:
    from hpsearch.store.ledger import Ledger

__all__ = ["Comparison", "Pair", "Side", "comparison"]


@dataclass(frozen=True)
class Side:
    """One study of a comparison."""

    snapshot: Snapshot
    spent: Spent

    @property
    def name(self) -> str:
        """The study's."""
        return self.snapshot.study.name

    @property
    def aim(self) -> tuple[str, str, str]:
        """What it improves: the metric, the direction, and the rows that it is measured on."""
        snapshot = self.snapshot
        return snapshot.metric, snapshot.direction, measured_on(snapshot)

    @property
    def data(self) -> tuple[str, str] | None:
        """The data and its split; None where nobody has read it, or own training code has its own:
        then nothing is known to be the same."""
        data = self.snapshot.study.data or {}
        if "fingerprint" not in data or "split" not in data:
            return None
        return str(data["fingerprint"]), str(data["split"])

    @property
    def test(self) -> Mapping[str, Any] | None:
        """What its finish found on the test part: an estimate's fields."""
        verdict = self.snapshot.verdict
        return None if verdict is None else verdict["test"]

    @property
    def answer(self) -> Answer:
        """What it has come to."""
        return answer(self.snapshot)

    @property
    def best_words(self) -> str:
        """The best value of the search; "-" where there is none."""
        best = self.snapshot.best
        return number(None if best is None else best.value)

    @property
    def test_words(self) -> str:
        """The figure of the test part with its interval; "-" where there is none."""
        return "-" if self.test is None else verdicts.interval(self.test)

    def value(self, name: str) -> str:
        """A parameter of its winner, in a few letters."""
        winner, space = self.snapshot.network, self.snapshot.spec.space
        if winner is not None and name in winner.params:
            return setting(winner.params[name])
        if name in space.constants:
            return f"[{setting(space.constants[name])}]"
        return "not set" if name in space.names and winner is not None else "-"


@dataclass(frozen=True)
class Pair:
    """How one study stands beside another one on the same data."""

    study: str
    beside: str
    how: Literal["seeds", "test", "search"]
    """By the same seeds on the test part, by different ones, or by the best values alone."""
    gain: float
    """Turned so that more is better."""
    low: float | None
    """Ends of the 95 % interval; None where there is none."""
    high: float | None

    def sentence(self, metric: str) -> str:
        """The same in words."""
        ends = "" if self.low is None or self.high is None else (
            f" ({self.low:.2g} to {self.high:.2g})")  # fmt: skip
        if self.how == "search":
            return (f"{self.study} beside {self.beside}: best {metric} of the search "
                    f"{_signed(self.gain)}, on the same rows; whether that is chance is not "
                    "known")  # fmt: skip
        seeds = "seed by seed" if self.how == "seeds" else "over different seeds"
        return (f"{self.study} beside {self.beside}: test {metric} {_signed(self.gain)}{ends}, "
                f"{seeds}: {self._judged}")  # fmt: skip

    @property
    def _judged(self) -> str:
        if self.low is None or self.high is None:
            return "too few seeds to know whether that is real"
        return "no evidence of a difference" if self.low <= 0 <= self.high else "more than chance"


@dataclass(frozen=True)
class Comparison:
    """Several studies, in the order in which they were named."""

    sides: tuple[Side, ...]
    pairs: tuple[Pair, ...]
    """Each beside the first one, where that can be compared."""
    notes: tuple[str, ...]
    """What cannot be compared, and why."""

    @property
    def parameters(self) -> list[tuple[str, ...]]:
        """Rows: a parameter, then its value in each study's winner; in brackets what a study did
        not search, "-" what it does not name."""
        names = dict.fromkeys(n for side in self.sides for n in side.snapshot.spec.space.names)
        return [(name, *(side.value(name) for side in self.sides)) for name in names]

    @property
    def sentences(self) -> list[str]:
        """What each study came to, how it stands beside the first one, and what cannot be said."""
        lines = []
        for side in self.sides:
            answer = side.answer
            words = [answer.headline.rstrip("."), *answer.sentences[:1]]
            lines.append(f"{side.name}: {'. '.join(words)}")
        metric = self.sides[0].snapshot.metric
        return [*lines, *(pair.sentence(metric) for pair in self.pairs), *self.notes]

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    @property
    def facts(self) -> dict[str, Any]:
        """For programs."""
        made: dict[str, Any] = plain({
            "studies": [facts(side.snapshot, side.spent) for side in self.sides],
            "pairs": [vars(pair) for pair in self.pairs],
            "notes": list(self.notes),
        })  # fmt: skip
        return made


def comparison(ledger: Ledger, names: Sequence[str]) -> Comparison:
    """These studies side by side. Raises StudyFileError for fewer than two, NotFoundError where one
    of them is not there."""
    if len(set(names)) < 2:
        raise StudyFileError("name two studies or more to compare; hpsearch status lists them")
    sides = []
    for name in dict.fromkeys(names):
        reader = Reader(ledger, name)
        snapshot = reader.snapshot()
        study = snapshot.study
        took = spent(snapshot, reader.trained_s(study), reader.holds(study))
        sides.append(Side(snapshot, took))
    first, *others = sides
    pairs = [pair for other in others if (pair := _pair(other, first)) is not None]
    return Comparison(tuple(sides), tuple(pairs), tuple(_notes(sides)))


def _pair(side: Side, first: Side) -> Pair | None:
    """A study beside the first one; None where that says nothing."""
    if side.aim != first.aim or side.data is None or side.data != first.data:
        return None
    sign = 1 if side.snapshot.direction == "maximize" else -1
    ours, theirs = side.test, first.test
    if ours is not None and theirs is not None:
        difference, how = _difference(side, first, ours["values"], theirs["values"])
        few = min(len(ours["values"]), len(theirs["values"])) < verdicts.FEW_PAIRS
        ends = [None if few or end is None else sign * end
                for end in (difference.low, difference.high)]  # fmt: skip
        low, high = ends if sign > 0 else reversed(ends)
        if verdicts.is_dust(difference.mean, theirs["mean"]):
            none = None if low is None else 0.0
            return Pair(side.name, first.name, how, 0.0, none, none)
        return Pair(side.name, first.name, how, sign * difference.mean, low, high)
    bests = side.snapshot.best, first.snapshot.best
    if any(best is None or best.value is None for best in bests):
        return None
    gain = sign * ((bests[0].value or 0.0) - (bests[1].value or 0.0))  # type: ignore[union-attr]
    return Pair(side.name, first.name, "search", gain, None, None)


def _difference(
    side: Side, first: Side, ours: Sequence[float], theirs: Sequence[float]
) -> tuple[Estimate, Literal["seeds", "test"]]:
    """The difference of two means on the test part: seed by seed where both finishes had the same
    seeds and all of their trainings completed."""
    seeds = {one.snapshot.spec.search.seed for one in (side, first)}
    whole = all(_is_whole(one.snapshot.verdict or {}) for one in (side, first))
    if len(seeds) == 1 and whole and len(ours) == len(theirs):
        return estimate([a - b for a, b in zip(ours, theirs, strict=True)]), "seeds"
    return _welch(ours, theirs), "test"


def _is_whole(verdict: Mapping[str, Any]) -> bool:
    return verdict.get("asked") == verdict.get("completed")


def _welch(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The difference of the means of two independent samples, with its 95 % interval by Welch, "The
    generalization of 'Student's' problem when several different population variances are involved"
    (Biometrika, 1947)."""
    middle = mean(ours) - mean(theirs)
    if min(len(ours), len(theirs)) < 2:
        return Estimate(middle, None, None, ())
    from scipy.special import stdtrit  # Student's t; scipy.stats is slow to load

    parts = [variance(values) / len(values) for values in (ours, theirs)]
    if sum(parts) == 0:
        return Estimate(middle, middle, middle, ())
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (ours, theirs), strict=True)
    )
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(sum(parts))
    return Estimate(middle, middle - reach, middle + reach, ())


def _notes(sides: Sequence[Side]) -> list[str]:
    """What a reader must not conclude."""
    notes = []
    metrics = _grouped({side.name: side.aim[0] for side in sides})
    directions = {side.aim[:2] for side in sides}
    if len(metrics) > 1:
        notes.append(f"The metrics differ ({_listed(metrics)}): their values cannot be compared.")
    elif len(directions) > 1:
        notes.append("The same metric is improved in different directions.")
    parts = _grouped({side.name: side.aim[2] for side in sides})
    if len(parts) > 1:
        notes.append(f"The rows that the search is measured on differ ({_listed(parts)}).")
    unknown = [side.name for side in sides if side.data is None]
    if unknown:
        whose = _and(unknown)
        notes.append(f"Which data {whose} used is not known here, so no value is set beside it.")
    data = _grouped({side.name: str(side.data) for side in sides if side.data is not None})
    if len(data) > 1:
        groups = "; ".join(_and(names) for names in data.values())
        notes.append(f"The data or its split differs ({groups}): so may the values.")
    if any(side.snapshot.study.state == "open" for side in sides):
        notes.append("Not all of them have ended.")
    if verdict := next((side.snapshot.verdict for side in sides if side.test is not None), None):
        record = next(side.snapshot.study.data for side in sides if side.test is not None)
        if small := verdicts.few(verdict, record):
            notes.append(f"{small[0].upper()}{small[1:]}: on other rows it may be the other way.")
    without = [side.name for side in sides if side.test is None]
    if without and len(without) < len(sides):
        notes.append(f"No finish has tested {_and(without)}: best values are slightly optimistic.")
    return notes


def _grouped(values: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    return groups


def _listed(groups: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{value}: {', '.join(names)}" for value, names in groups.items())


def _and(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"


def _signed(value: float) -> str:
    return f"{value:+.2g}"
