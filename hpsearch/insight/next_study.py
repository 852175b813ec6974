"""The study to run after one that has ended: a pure function of its file and of its trials.

Ranges close in on the best trials and continue beyond an edge that the winner is at, which the
first new trial repeats. The learning curves decide about the number of epochs, and about which ends
of the ranges are not given up. Each change has its reason in the file.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from hpsearch import urls
from hpsearch.insight.diagnosis import ADVICE, FEW, Word
from hpsearch.spec import StudySpec, versions
from hpsearch.spec.ranges import Edge, Side, bounds, edges, narrowed, rounded, spanned, widened
from hpsearch.spec.settings import Setting, Value
from hpsearch.spec.source import SOURCES
from hpsearch.spec.space import Assignment, Choices, Parameter, Range, Space
from hpsearch.spec.weights import NONE, PRETRAINED, Weights

__all__ = ["ENOUGH", "Findings", "named", "rebased", "successor"]

ENOUGH = 10
"""Complete trials below which no range is narrowed: Optuna's samplers learn from as many."""
_TOP_SHARE, _TOP_LEAST = 0.1, 3
"""The best trials that a range closes in on: a tenth, as those that TPE and PED-ANOVA call good."""
_MARGIN, _WIDEN = 0.1, 0.3
"""Shares of a range: what is left on each side of the best, and what is added beyond an edge."""
_MOST_EPOCHS = 100_000
_GRID_POINTS = 3
"""Learning rates that a grid takes around one that worked: itself, a tenth and ten times of it."""

Notes = dict[tuple[str | int, ...], str]


@dataclass(frozen=True)
class Findings:
    """What the trials of a study that has ended have shown."""

    best: Sequence[Assignment]
    """Parameters of the complete trials of the search, the best first."""
    word: Word | None = None
    """What the winner's learning curve and most of the best look like; without a complete trial,
    those of all."""
    diverged: Sequence[Assignment] = ()
    """Parameters of the trials that diverged."""
    trained: Sequence[Assignment] = ()
    """Parameters of the complete and pruned trials that did not diverge."""
    rate: float | None = None
    """The learning rate at which the default configuration began to learn before the first trial,
    where it did not at its own."""
    is_perfect: bool = False
    """Whether the best value is the best that there can be: nothing is beyond an edge."""

    @property
    def winner(self) -> Assignment:
        """The best parameters; empty without a complete trial."""
        return self.best[0] if self.best else {}

    @property
    def top(self) -> Sequence[Assignment]:
        """The trials that ranges close in on; empty where there are too few to judge."""
        count = max(math.ceil(_TOP_SHARE * len(self.best)), _TOP_LEAST)
        return self.best[:count] if len(self.best) >= ENOUGH else ()


def successor(spec: StudySpec, findings: Findings, name: str) -> tuple[StudySpec, Notes]:
    """The next study, and the reason for each change by the path of its key in the file."""
    notes: Notes = {("search", "seed"): "other draws than before"}
    budget = spec.budget.model_copy(update={"epochs": _epochs(spec, findings.word, notes)})
    space = _space(replace(spec, budget=budget), findings, notes)
    if not findings.top:
        notes["parameters",] = (
            f"no range is narrowed: that takes {ENOUGH} complete trials, and there are "
            f"{len(findings.best)}"
        )
    sampler = {p.group: _sampler(spec, p.group) for p in space}
    search = {"sampler": sampler, "seed": (spec.search.seed + 1) % (1 << 32)}
    if spec.search.priority:
        search["priority"] = tuple(dict.fromkeys((*spec.search.priority, *sampler)))
    start = {} if set(sampler.values()) == {"grid"} else _start(spec, space, findings.winner)
    if start:
        notes["start",] = f"the winner of {spec.name}"
    return replace(
        spec, version=versions.CURRENT, name=name, space=space, start=(start,) if start else (),
        search=spec.search.model_copy(update=search), budget=budget,
    ), notes  # fmt: skip


def named(name: str, taken: Collection[str]) -> str:
    """A name like that one with the next number that is free: digits, digits-2, digits-3."""
    stem, number = re.sub(r"-\d+$", "", name)[:95], 2
    while f"{stem}-{number}" in taken:
        number += 1
    return f"{stem}-{number}"


def rebased(spec: StudySpec, old: FilePath, new: FilePath) -> StudySpec:
    """The study with relative paths as they are from another folder."""

    def moved(path: str | None, *, home: bool = True) -> str | None:
        folder = urls.folder(path) if path else None
        if folder is None or FilePath(folder).is_absolute() or (home and folder.startswith("~")):
            return path
        return os.path.relpath(old / folder, new)

    data, places = spec.data, {}
    if data is not None:
        files = SOURCES[data.source].files
        places = {key: moved(getattr(data, key), home=False) for key in files}
        if root := getattr(data, "root", None):  # of the sources that have files somewhere
            places["root"] = moved(root)
        data = data.model_copy(update=places)
    named = spec.weights.named
    weights = named if named in (NONE, PRETRAINED) else moved(named, home=False)
    return replace(
        spec, data=data, checkpoints=moved(spec.checkpoints), weights=Weights(str(weights))
    )  # fmt: skip


# --- what changes -----------------------------------------------------------------------------


def _epochs(spec: StudySpec, word: Word | None, notes: Notes) -> int:
    """The most epochs of a trial: twice as many where the best still improve or have hardly
    learnt, half where they saturated early, but no fewer than the pruner needs."""
    before = epochs = spec.budget.epochs
    if word in (Word.STILL, Word.HARDLY):
        epochs = min(2 * before, _MOST_EPOCHS)
    elif word is Word.SATURATED and "epochs" not in {*spec.space.names, *spec.space.constants}:
        pruner = spec.search.pruner.model_dump()
        pruner |= pruner.get("wrapped") or {}
        first = max(FEW, pruner.get("min_resource", 1), pruner.get("n_warmup_steps", 0) + 1)
        epochs = min(max(math.ceil(before / 2), first), before)
    if epochs != before:
        notes["budget", "epochs"] = f"{before} before; the best trials: {word}"
    return epochs


def _space(spec: StudySpec, findings: Findings, notes: Notes) -> Space:
    """What is searched, and what is constant."""
    parameters = {p.name: _changed(spec, p, findings, notes) for p in spec.space}
    constants = dict(spec.space.constants)
    if "epochs" in constants and findings.word in (Word.STILL, Word.HARDLY):
        constants["epochs"] = spec.budget.epochs
    rate, old = findings.rate, next((p for p in spec.space if p.name == "lr"), None)
    # Enough trials at that rate and at others know more than a look at a handful of rows.
    if rate and not (findings.top and old and old.domain.contains(rate)):
        group = spec.vocabulary.settings["lr"].group
        parameters["lr"] = _reaching(parameters.get("lr"), group, rate)
        if _sampler(spec, group) == "grid":
            parameters["lr"] = _countable(parameters["lr"])
        constants.pop("lr", None)
        key = "parameters", "lr"
        why = (
            f"the default configuration did not begin to learn at its own rate, at {rate:g} it did"
        )
        notes[key] = "; ".join(filter(None, (notes.get(key), why)))
    return Space(tuple(parameters.values()), constants)


def _changed(spec: StudySpec, parameter: Parameter, findings: Findings, notes: Notes) -> Parameter:
    """A parameter without values that only diverged, in a range around the best few, and beyond an
    edge that the winner is at."""
    name, domain, reasons = parameter.name, parameter.domain, list[str]()
    # A condition may ask for any of these values, so they stay.
    asked = {v for p in spec.space for c in p.when if c.parameter == name for v in c.values}
    if isinstance(domain, Choices) and (useless := _useless(domain, name, findings, asked)):
        domain = Choices(tuple(v for v in domain.values if v not in useless))
        reasons.append(f"without {', '.join(map(str, useless))}: every trial with it diverged")
    if not asked:
        at = () if findings.is_perfect else edges(spec, findings.winner)
        edge = next((e for e in at if e.name == name), None)
        domain, moved = _moved(domain, edge, findings, bounds(spec, parameter))
        reasons += moved
    if reasons:
        notes["parameters", name] = ", ".join(reasons)
    default = parameter.default if domain.contains(parameter.default) else None
    return replace(parameter, domain=domain, default=default)


def _useless(
    domain: Choices, name: str, findings: Findings, asked: Collection[Value]
) -> list[Value]:  # fmt: skip
    """Values of a list with which some trial diverged and none did not; neither all of them nor
    the winner's."""
    diverged = {v[name] for v in findings.diverged if name in v}
    diverged -= {v.get(name) for v in (findings.winner, *findings.trained)}
    useless = [v for v in domain.values if v in diverged and v not in asked]
    return useless if len(useless) < len(domain.values) else []


def _moved(
    domain: Range | Choices, edge: Edge | None, findings: Findings, setting: Setting
) -> tuple[Range | Choices, list[str]]:
    """Where a domain goes, and why."""
    word, top, wide = findings.word, findings.top, domain
    if word is Word.HARDLY:  # the best are those that chance made so
        return domain, []
    end = _asked(word, setting)
    side, share = (edge.side, _WIDEN) if edge and end in (None, edge.side) else (None, 0.0)
    values: list[Any] = [v[setting.name] for v in top if setting.name in v]
    margin = _MARGIN
    if end == "lower" and not findings.best:  # all of it was too high
        side, share, values, margin = end, 1.0, [domain.ends[0]], 0.0
    if isinstance(domain, Range) and edge:  # a polish may have gone beyond the file's range
        ends = domain.low, domain.high, edge.value
        wide = replace(domain, low=min(ends), high=max(ends))
    wide = widened(wide, side, share, setting) if side else wide
    if values and (side or end):
        values.append(wide.ends[(side or end) == "upper"])
    moved = spanned(wide, [narrowed(wide, v, margin) for v in values]) if values else wide
    if moved == domain:
        return domain, []
    reasons = [f"{word}: {ADVICE[word]}"] if word and end else []
    reasons += [f"{edge}: searched beyond it"] if edge and side else []
    if top and values:
        reasons.append(f"around the best {len(top)} of {len(findings.best)} trials")
    return rounded(moved, setting), reasons


def _asked(word: Word | None, setting: Setting) -> Side | None:
    """The end of a range that the learning curves ask to keep."""
    if setting.name == "lr" and word in (Word.NOISY, Word.DIVERGED):
        return "lower"
    more = {Word.UNDER: "capacity", Word.OVER: "regularization"}.get(word) if word else None
    return "upper" if more and setting.more == more else None


def _reaching(parameter: Parameter | None, group: str, rate: float) -> Parameter:
    """The learning rate with one that works in its range, and as its default."""
    if parameter is None:
        around = Range(float(f"{rate / 10:.1g}"), float(f"{rate * 10:.1g}"), log=True)
        return Parameter("lr", group, around, rate)
    domain = parameter.domain
    if isinstance(domain, Choices):
        rates = {float(v) for v in domain.values if isinstance(v, (int, float))}
        domain = Choices(tuple(sorted(rates | {rate})))
    elif not domain.contains(rate):
        ends = min(domain.low, rate), max(domain.high, rate)
        domain = replace(domain, low=ends[0], high=ends[1], log=True, integer=False, step=None)
    return replace(parameter, domain=domain, default=rate)


def _sampler(spec: StudySpec, group: str) -> str:
    """What draws the parameters of a group: the study's usual sampler where it searches none."""
    samplers = list(spec.search.sampler.values()) or ["bayesian"]
    return spec.search.sampler.get(group, max(samplers, key=samplers.count))


def _countable(parameter: Parameter) -> Parameter:
    """A real range with the points that a grid takes from it."""
    domain = parameter.domain
    if isinstance(domain, Choices) or domain.integer or domain.step or domain.count:
        return parameter
    return replace(parameter, domain=replace(domain, count=_GRID_POINTS))


def _start(spec: StudySpec, space: Space, winner: Assignment) -> dict[str, Value]:
    """The winner, with what it had of all that is searched now."""
    values = {**spec.vocabulary.defaults, **spec.space.constants, **winner}
    fresh = set(space.names) - set(spec.space.names)
    return {
        p.name: values[p.name]
        for p in space
        if winner and (p.name in winner or p.name in fresh) and p.domain.contains(values[p.name])
    }
