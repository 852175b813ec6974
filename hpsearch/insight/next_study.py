"""The study to run after one that has ended: a pure function of its file and of what it found.

It is told by rules, each with its reason in the file: ranges close in on the best trials and go on
beyond an edge that the winner is at; what else changes is what the learning curves ask for.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from hpsearch import urls
from hpsearch.insight.diagnosis import ADVICE, FEW, Word
from hpsearch.spec import StudySpec, versions
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.ranges import Edge, Side, bounds, edges, within
from hpsearch.spec.settings import Setting, Value
from hpsearch.spec.space import Assignment, Choices, Parameter, Range, Space

__all__ = ["ENOUGH", "Findings", "named", "rebased", "successor"]

ENOUGH = 10
"""Trials that went to their end below which ranges stay: Optuna's samplers learn from as many."""
_TOP_SHARE, _TOP_LEAST = 0.1, 3
"""The best trials that a range closes in on: a tenth, as those that TPE and PED-ANOVA call good."""
_MARGIN = 0.1
"""Of the range, that is left to each side of them."""
_WIDEN = 0.3
"""Of the range, that is searched beyond a winner at its edge."""
_LONGER = 2
"""Times as many epochs where the best trials still improve; as many fewer where they saturate."""

_PUSHED: Mapping[Word, Mapping[str, Side]] = {
    Word.UNDER: {"depth": "upper", "width": "upper", "widths": "upper", "blocks": "upper",
                 "channels": "upper", "dense": "upper"},
    Word.OVER: {"dropout": "upper", "weight_decay": "upper", "label_smoothing": "upper"},
    Word.NOISY: {"lr": "lower", "batch_size": "upper"},
    Word.DIVERGED: {"lr": "lower"},
}  # fmt: skip
"""Which way a word asks the ranges of parameters to go."""


@dataclass(frozen=True)
class Findings:
    """What is known of a study that has ended."""

    best: Sequence[Assignment]
    """Parameters of its trials that went to their end, the best first."""
    word: Word | None
    """What the winner's learning curve looks like, and those of most of the best; where nothing
    went to its end, those of all."""

    @property
    def winner(self) -> Assignment:
        """The best parameters; none where nothing went to its end."""
        return self.best[0] if self.best else {}

    @property
    def top(self) -> Sequence[Assignment]:
        """Those that ranges close in on; none where there are too few to tell."""
        count = max(math.ceil(_TOP_SHARE * len(self.best)), _TOP_LEAST)
        return self.best[:count] if len(self.best) >= ENOUGH else ()


Notes = dict[tuple[str | int, ...], str]


def successor(spec: StudySpec, found: Findings, name: str) -> tuple[StudySpec, Notes]:
    """The next study, and why each change was made by the path of its key in the file."""
    notes: Notes = {}
    budget = _budget(spec, found, notes)
    parameters, constants = _parameters(spec, found, budget, notes)
    space = Space(parameters, constants)
    sampler = _samplers(spec, space)
    start = () if set(sampler.values()) == {"grid"} else _start(spec, space, found, notes)
    notes["search", "seed"] = "other draws than before"
    search = {"sampler": sampler, "seed": (spec.search.seed + 1) % (1 << 32)}
    if spec.search.priority:
        search["priority"] = tuple(dict.fromkeys((*spec.search.priority, *sampler)))
    changed = {"epochs": budget}
    return replace(
        spec, version=versions.CURRENT, name=name, space=space, start=start,
        search=spec.search.model_copy(update=search),
        budget=spec.budget.model_copy(update=changed),
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

    data = {"path": moved(spec.data.path, home=False), "root": moved(spec.data.root)}
    return replace(
        spec, data=spec.data.model_copy(update=data), checkpoints=moved(spec.checkpoints)
    )


# --- what changes -----------------------------------------------------------------------------


def _budget(spec: StudySpec, found: Findings, notes: Notes) -> int:
    """The most epochs of a trial."""
    before = epochs = spec.budget.epochs
    if found.word is Word.STILL:
        epochs = min(before * _LONGER, 100_000)
        notes["budget", "epochs"] = f"{before} before, and the best trials were still improving"
    least = max(FEW, _first_look(spec.search.pruner.options))
    searched = "epochs" in {*spec.space.names, *spec.space.constants}
    if found.word is Word.SATURATED and before > least and not searched:
        epochs = max(math.ceil(before / _LONGER), least)
        notes["budget", "epochs"] = (
            f"{before} before, and the best trials had what they got after a third of them"
        )
    return epochs


def _first_look(options: Mapping[str, Any]) -> int:
    """The epoch at which a pruner, or the one that it wraps, may stop a trial first."""
    inner = options.get("wrapped")
    inner = inner if isinstance(inner, Mapping) else getattr(inner, "options", {})
    own = int(max(options.get("min_resource", 1), options.get("n_warmup_steps", 0) + 1))
    return max(own, _first_look(inner)) if inner else own


def _parameters(
    spec: StudySpec, found: Findings, epochs: int, notes: Notes
) -> tuple[tuple[Parameter, ...], dict[str, Value]]:
    """What is searched, and what is held constant."""
    pushed = _PUSHED.get(found.word, {}) if found.word else {}
    at = {edge.name: edge for edge in edges(spec, found.winner)}
    parameters = []
    asked = {c.parameter for p in spec.space for c in p.when}
    for parameter in spec.space:
        name, path = parameter.name, ("parameters", parameter.group, parameter.name)
        move = _Move(parameter, bounds(spec, parameter), found, at.get(name), pushed.get(name))
        domain, reason = move.domain, move.reason
        if name == "epochs" and epochs > spec.budget.epochs:
            domain, reason = _longer(parameter.domain, epochs), notes["budget", "epochs"]
        if name in asked:  # a condition may name any of its values
            domain = parameter.domain
        if domain != parameter.domain:
            notes[path] = reason
        default = parameter.default if domain.contains(parameter.default) else None
        parameters.append(replace(parameter, domain=domain, default=default))
    constants = dict(spec.space.constants)
    if constants.get("epochs") is not None:
        constants["epochs"] = epochs if epochs > spec.budget.epochs else constants["epochs"]
    if not pushed.keys() & {p.name for p in parameters}:
        parameters += _added(spec, found, constants, notes)
    if not found.top:
        notes["parameters",] = (
            f"no range is narrowed: that takes {ENOUGH} trials that went to their end, "
            f"and there are {len(found.best)}"
        )
    return tuple(parameters), constants


def _longer(domain: Range | Choices, epochs: int) -> Range | Choices:
    """Epochs that go on to what the budget now allows."""
    if isinstance(domain, Choices):
        return Choices((*domain.values, epochs))
    step = domain.step or 1
    return replace(domain, high=domain.low + (epochs - domain.low) // step * step)


@dataclass(frozen=True)
class _Move:
    """Where the range of one parameter goes."""

    parameter: Parameter
    setting: Setting
    found: Findings
    edge: Edge | None
    """The one that the winner is at."""
    pushed: Side | None
    """Where the learning curves ask it to go."""

    @property
    def side(self) -> Side | None:
        """Where it goes: curves say more than a value that happened to lie at an end."""
        return self.pushed or (self.edge.side if self.edge else None)

    @property
    def reason(self) -> str:
        """Why, for the file."""
        narrowed = f"around the best {len(self.found.top)} of {len(self.found.best)} trials"
        if self.pushed and self.found.word:
            return f"{self.found.word}: {ADVICE[self.found.word]}"
        if self.edge:
            return f"{self.edge}: searched beyond it" + (f", {narrowed}" if self.found.top else "")
        return f"{narrowed}, and a little to each side"

    @property
    def domain(self) -> Range | Choices:
        """The range as it becomes."""
        domain, name = self.parameter.domain, self.parameter.name
        places = [domain.share(v[name]) for v in self.found.top if name in v]
        known = [place for place in places if place is not None]
        low, high = (min(known) - _MARGIN, max(known) + _MARGIN) if known else (0.0, 1.0)
        low, high = max(low, 0.0), min(high, 1.0)
        winner = domain.share(self.found.winner.get(name))
        if isinstance(domain, Choices) and not domain.rises:
            return _larger(domain) if self.pushed == "upper" else domain
        if self.side and winner is None and self.found.best:
            return domain  # the winner does without it, and the curves are the winner's
        if self.side == "upper":
            high = max(1.0, (1.0 if winner is None else winner) + _WIDEN)
        elif self.side == "lower" and winner is None:  # nothing went well: all of it was too high
            low, high = -1.0, 0.0
        elif self.side == "lower" and winner is not None:
            low = min(0.0, winner - _WIDEN)
        if (low, high) == (0.0, 1.0):
            return domain
        if isinstance(domain, Choices):
            return self._listed(domain, low, high)
        return self._reached(domain, low, high)

    def _listed(self, domain: Choices, low: float, high: float) -> Choices:
        """Numbers in rising order between two shares, and one beyond the list where it goes on."""
        values, last = list(domain.values), len(domain.values) - 1
        first, end = math.floor(low * last), math.ceil(high * last)
        chosen = values[max(first, 0) : end + 1]
        beyond = [_beyond(values[::-1])] if first < 0 else []
        above = [_beyond(values)] if end > last else []
        return Choices(tuple(v for v in (*beyond, *chosen, *above) if self.setting.accepts(v)))

    def _reached(self, domain: Range, low: float, high: float) -> Range:
        """The range between two shares, as far as the setting allows; two steps at least."""
        if domain.size is not None and not domain.count:
            steps = max(domain.size - 1, 1)
            low, high = math.floor(low * steps) / steps, math.ceil(high * steps) / steps
        wanted = domain.stretched(low, high)
        if domain.integer or domain.step:
            return self._with_neighbours(within(wanted, domain, self.setting))
        bottom = domain.low if low == 0 else _rounded(wanted.low, math.floor)
        top = domain.high if high == 1 else _rounded(wanted.high, math.ceil)
        return within(replace(domain, low=bottom, high=top), domain, self.setting)

    def _with_neighbours(self, found: Range) -> Range:
        """With one step to each side of the winner at least."""
        domain, centre = self.parameter.domain, self.found.winner.get(self.parameter.name)
        if not isinstance(domain, Range) or not domain.contains(centre):
            return found
        beside = domain.steps_to(float(centre))  # type: ignore[arg-type]
        least = domain.between(beside - 1, beside + 1)
        return replace(found, low=min(found.low, least.low), high=max(found.high, least.high))


def _larger(domain: Choices) -> Choices:
    """Lists of layer sizes, and the largest of them with each layer twice as wide."""
    sizes = [value for value in domain.values if isinstance(value, tuple)]
    if not sizes:
        return domain
    doubled = tuple(2 * width for width in max(sizes, key=sum))
    return domain if doubled in domain.values else Choices((*domain.values, doubled))


def _beyond(values: Sequence[Any]) -> Any:
    """The number that goes on where a list ends: 128 after 32, 64; 0.3 after 0.1, 0.2."""
    before, last = values[-2], values[-1]
    if before and last and not 2 / 3 < last / before < 3 / 2:
        after = last * last / before
    else:
        after = last + (last - before)
    return round(after) if isinstance(last, int) else float(f"{after:.6g}")


def _rounded(value: float, toward: Any) -> float:
    """Two significant digits, away from the middle of the range."""
    if value == 0:
        return 0.0
    scale = 10.0 ** (1 - math.floor(math.log10(abs(value))))
    return float(f"{toward(round(value * scale, 6)) / scale:.2g}")


def _added(
    spec: StudySpec, found: Findings, constants: dict[str, Value], notes: Notes
) -> list[Parameter]:
    """What the curves ask for and the study has not searched: from its value on, in a few steps."""
    if found.word is None or found.word not in _ADDED:
        return []
    name, factors = _ADDED[found.word]
    if name == "width":
        name = "channels" if spec.family == "cnn" else "widths" if constants.get("widths") else name
    setting = FAMILIES[spec.family].all_settings[name]
    now: Any = constants.pop(name, setting.default)
    if isinstance(now, tuple):
        others: list[Any] = [tuple(round(n * factor) for n in now) for factor in factors]
    else:
        others = [now + f if name == "dropout" else type(now)(now * f) for f in factors]
    accepted = sorted({now, *(value for value in others if setting.accepts(value))})
    group = setting.group
    notes["parameters", group, name] = f"{found.word}: {ADVICE[found.word]}"
    return [Parameter(name, group, Choices(tuple(accepted)))]


_ADDED: Mapping[Word, tuple[str, tuple[float, ...]]] = {
    Word.UNDER: ("width", (2, 4)),
    Word.OVER: ("dropout", (0.15, 0.3)),
    Word.NOISY: ("lr", (0.1, 0.3)),
    Word.DIVERGED: ("lr", (0.01, 0.03, 0.1, 0.3)),
}
"""What is searched from now on where a word asks for it and nothing of the kind was: a setting and
times its value; for dropout what is added to it."""


def _samplers(spec: StudySpec, space: Space) -> dict[str, str]:
    """As before; a group that is new has the sampler of most others."""
    before = spec.search.sampler
    names = list(before.values()) or ["bayesian"]
    usual = max(names, key=names.count)
    return {p.group: before.get(p.group, usual) for p in space}


def _start(
    spec: StudySpec, space: Space, found: Findings, notes: Notes
) -> tuple[dict[str, Value], ...]:
    """The winner, which the first trial repeats."""
    if not found.best:
        return ()
    held = {**spec.space.constants, **found.winner}
    known = {**FAMILIES[spec.family].defaults, **held}
    point = {
        p.name: known[p.name]
        for p in space
        if (p.name in found.winner or p.name not in spec.space.names)
        and p.domain.contains(known[p.name])
    }
    notes["start",] = f"the winner of {spec.name}"
    return (point,) if point else ()
