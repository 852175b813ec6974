"""Parameters of a study file <-> Optuna's distributions and values."""

from __future__ import annotations

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hpsearch.spec.settings import Value
from hpsearch.spec.space import Assignment, Choices, Parameter, Range, label

__all__ = ["at", "distribution", "spanning", "to_optuna"]


def distribution(parameter: Parameter) -> BaseDistribution:
    """Optuna's distribution for a parameter."""
    domain = parameter.domain
    if not isinstance(domain, Range):
        return CategoricalDistribution([label(v) for v in domain.values])
    high = domain.last  # Optuna warns where the step does not divide the range
    if domain.integer:
        step = int(domain.step or 1)
        return IntDistribution(int(domain.low), int(high), log=domain.log, step=step)
    return FloatDistribution(domain.low, float(high), log=domain.log, step=domain.step)


def spanning(whole: BaseDistribution, drawn: BaseDistribution, *values: Value) -> BaseDistribution:
    """A study's distribution, drawn out where a stage, or a value of one, is beyond its ends."""
    if isinstance(whole, CategoricalDistribution):
        return whole
    assert isinstance(whole, (IntDistribution, FloatDistribution))
    assert isinstance(drawn, (IntDistribution, FloatDistribution))
    low = min(whole.low, drawn.low, *values)  # type: ignore[type-var]
    high = max(whole.high, drawn.high, *values)  # type: ignore[type-var]
    if (low, high) == (whole.low, whole.high):
        return whole
    return type(whole)(low, high, log=whole.log, step=whole.step)  # type: ignore[arg-type]


def at(found: BaseDistribution, u: float) -> Any:
    """The value at `u` in [0, 1), as Optuna keeps it; each as likely as the others."""
    if isinstance(found, CategoricalDistribution):
        return Choices(tuple(found.choices)).at(u)
    assert isinstance(found, (IntDistribution, FloatDistribution))
    integer = isinstance(found, IntDistribution)
    return Range(found.low, found.high, found.step, found.log, integer).at(u)


def to_optuna(values: Assignment) -> dict[str, Any]:
    """An assignment as Optuna keeps it."""
    return {name: label(value) for name, value in values.items()}
