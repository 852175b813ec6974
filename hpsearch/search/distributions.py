"""Parameters of a study file <-> Optuna's distributions and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from hpsearch.spec.settings import Value
from hpsearch.spec.space import Assignment, Choices, Parameter, Range, label
from hpsearch.store.frozen import empty

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec
    from hpsearch.store.values import Known

__all__ = ["at", "distribution", "known_trials", "spanning", "to_optuna"]

_ELSEWHERE = 1 << 40
"""Ids of trials from elsewhere begin below this, negative: those of proposals are negative too."""


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


def at(scale: BaseDistribution, u: float) -> Any:
    """The value at `u` in [0, 1), as Optuna keeps it; each as likely as the others."""
    if isinstance(scale, CategoricalDistribution):
        return Choices(tuple(scale.choices)).at(u)
    assert isinstance(scale, (IntDistribution, FloatDistribution))
    integer = isinstance(scale, IntDistribution)
    return Range(scale.low, scale.high, scale.step, scale.log, integer).at(u)


def known_trials(spec: StudySpec, known: Sequence[Known]) -> list[FrozenTrial]:
    """Trials from elsewhere as samplers see them: complete, and older than all of the study."""
    frozen = []
    for at_, one in enumerate(known, 1):
        whole = {n: tuple(v) if isinstance(v, list) else v for n, v in one.params.items()}
        values = {p.name: whole[p.name] for p in spec.space if p.name in whole}
        kinds = {p.name: distribution(p) for p in spec.space if p.name in values}
        trial = empty(at_ - len(known) - 1, -_ELSEWHERE - at_, {"origin": one.origin})
        trial.params, trial.distributions = to_optuna(values), kinds
        trial.state, trial.values = TrialState.COMPLETE, [one.value]
        frozen.append(trial)
    return frozen


def to_optuna(values: Assignment) -> dict[str, Any]:
    """An assignment as Optuna keeps it."""
    return {name: label(value) for name, value in values.items()}
