"""Ranges that close in on a value, or go beyond an end as far as setting and study allow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hpsearch.spec import StudySpec
from hpsearch.spec.impossible import never
from hpsearch.spec.settings import Setting, Value
from hpsearch.spec.space import Assignment, Choices, Parameter, Range

__all__ = [
    "EDGE", "Edge", "Side", "bounds", "edges", "narrowed", "rounded", "spanned", "widened",
    "within",
]  # fmt: skip

EDGE = 0.05
"""Share of a range, on its own scale, that counts as its edge."""

Side = Literal["lower", "upper"]


@dataclass(frozen=True)
class Edge:
    """A parameter whose value lies at an edge of what was searched."""

    name: str
    value: float
    side: Side
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = (f"{v:.3g}" if isinstance(v, float) else str(v)
                            for v in (self.value, self.low, self.high))  # fmt: skip
        if not self.low <= self.value <= self.high:
            return f"{self.name} {value} lies beyond the range that the file gives, {low} to {high}"
        return f"{self.name} {value} is at the {self.side} edge of {low} to {high}"


def bounds(spec: StudySpec, parameter: Parameter) -> Setting:
    """What a parameter's values may be in this study: its setting, with the study's own ends."""
    setting = _trainable(spec, parameter)
    if parameter.name == "epochs":
        return replace(setting, high=spec.budget.epochs)
    if parameter.cap is not None and isinstance(parameter.domain, Range):
        return replace(setting, high=parameter.domain.high)
    return setting


def _trainable(spec: StudySpec, parameter: Parameter) -> Setting:
    """A parameter's setting, without its least value where that can never be trained beside what
    the study has, such as a batch of one row beside BatchNorm."""
    setting = spec.vocabulary.settings[parameter.name]
    least = setting.least
    if not isinstance(least, int):
        return setting
    at_least = replace(parameter, domain=Choices((least,)))
    parameters = tuple(at_least if p is parameter else p for p in spec.space)
    space = replace(spec.space, parameters=parameters)
    rules = [rule for rule in spec.vocabulary.rules if parameter.name in rule.wanted]
    refusals = [never(space, spec.family, rule, spec.task, None) for rule in rules]
    refused = any(refusal and refusal.name == parameter.name for refusal in refusals)
    return replace(setting, low=least + 1) if refused else setting


def edges(spec: StudySpec, values: Assignment) -> tuple[Edge, ...]:
    """Where `values` lie at an edge of what was searched, and there is more beyond it.

    "A search space is suspicious if the best point sampled from it is close to its boundary"
    (Godbole et al., Deep Learning Tuning Playbook, 2023). A bound that the setting has by its
    nature, such as no dropout, is none, nor is one of the study, such as its epochs.
    """
    reached = []
    for parameter in spec.space:
        domain, value = parameter.domain, values.get(parameter.name)
        share = domain.share(value)
        # Of two values one is always at an end.
        if share is None or (domain.size is not None and domain.size < 3):
            continue
        allowed, (low, high) = bounds(spec, parameter), domain.ends
        if share <= EDGE and low != allowed.low:
            reached.append(Edge(parameter.name, value, "lower", low, high))  # type: ignore[arg-type]
        elif share >= 1 - EDGE and high != allowed.high:
            reached.append(Edge(parameter.name, value, "upper", low, high))  # type: ignore[arg-type]
    return tuple(reached)


def within(wanted: Range, domain: Range, allowed: Setting) -> Range:
    """A range that goes beyond `domain`, cut back towards it to what is allowed."""
    low, high = wanted.low, wanted.high
    if not (domain.integer or domain.step):
        low, high = allowed.nearest(low, domain.low), allowed.nearest(high, domain.high)
        return replace(domain, low=float(low), high=float(high))
    step = domain.step or 1
    while not allowed.accepts(low) or (domain.log and low <= 0):
        low = domain.low if domain.low - low <= step else low + step
    while not allowed.accepts(high):
        high = domain.high if high - domain.high <= step else high - step
    if high - low < step / 2:  # all that was wanted lies beyond what is allowed
        return domain.between(0, 1) if high <= domain.low + step / 2 else domain
    return replace(domain, low=low, high=high)


def widened(domain: Range | Choices, side: Side, share: float, allowed: Setting) -> Range | Choices:
    """A domain with a share of itself added beyond one end, as far as is allowed; numbers that a
    file lists in rising order get the one that continues them, other choices nothing."""
    if isinstance(domain, Range):
        shares = (-share, 1.0) if side == "lower" else (0.0, 1.0 + share)
        return within(domain.stretched(*shares), domain, allowed)
    if not domain.rises or len(domain.values) < 2:
        return domain
    values: Any = domain.values if side == "upper" else domain.values[::-1]
    before, last = values[-2:]
    by_factor = before and last and not 2 / 3 < last / before < 3 / 2
    number = last * last / before if by_factor else 2 * last - before
    beyond = round(number) if isinstance(last, int) else float(f"{number:.6g}")
    ends = (*domain.values, beyond) if side == "upper" else (beyond, *domain.values)
    return Choices(ends) if allowed.accepts(beyond) else domain


def rounded(domain: Range | Choices, allowed: Setting) -> Range | Choices:
    """A range of real numbers with ends of two significant digits that hold it, where allowed."""
    if isinstance(domain, Choices) or domain.integer or domain.step:
        return domain
    low, high = _digits(domain.low, math.floor), _digits(domain.high, math.ceil)
    return within(replace(domain, low=low, high=high), domain, allowed)


def _digits(value: float, toward: Callable[[float], int]) -> float:
    scale = 10.0 ** (1 - math.floor(math.log10(abs(value)))) if value else 1.0
    return float(f"{toward(round(value * scale, 6)) / scale:.2g}")


def narrowed(domain: Range | Choices, centre: Value, width: float) -> Range | Choices:
    """The part of a domain around a value: a share of it to each side, at least one step.

    Numbers that a file lists in rising order are a range of steps; other choices have no order,
    and all stay.
    """
    if isinstance(domain, Choices):
        values = domain.values
        if not domain.rises or centre not in values:
            return domain
        beside, at = max(round(width * len(values)), 1), values.index(centre)
        return Choices(values[max(at - beside, 0) : at + beside + 1])
    low, high, middle = (_scaled(domain, v) for v in (domain.low, domain.last, centre))
    reach = width * (high - low)
    ends = [_unscaled(domain, end) for end in (max(middle - reach, low), min(middle + reach, high))]
    if domain.integer or domain.step:
        return _stepped(domain, float(centre), *ends)  # type: ignore[arg-type]
    return replace(domain, low=max(ends[0], domain.low), high=min(ends[1], domain.high))


def spanned(domain: Range | Choices, parts: Sequence[Range | Choices]) -> Range | Choices:
    """The least part of a domain that holds all these parts of it."""
    if isinstance(domain, Choices):
        return Choices(tuple(v for v in domain.values if any(p.contains(v) for p in parts)))
    ranges = [p for p in parts if isinstance(p, Range)]
    return replace(domain, low=min(p.low for p in ranges), high=max(p.high for p in ranges))


def _stepped(domain: Range, centre: float, low: float, high: float) -> Range:
    """The values of a domain between two ends, and one to each side of the centre at least."""
    at, below, above = map(domain.steps_to, (centre, low, high))
    return domain.between(min(below, at - 1), max(above, at + 1))


def _scaled(domain: Range, value: Value) -> float:
    assert isinstance(value, (int, float))
    return math.log(value) if domain.log else float(value)


def _unscaled(domain: Range, value: float) -> float:
    return math.exp(value) if domain.log else value
