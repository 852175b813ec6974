"""Sampler names in a study file -> one value for each parameter, seeded by ticket.

A drawer is made for one ticket and one part of the space and asked for a parameter at a time, in
order, so that conditions can be looked at in between. What it draws depends on nothing but the
study's seed, the ticket's number and, for the samplers that learn, the trials so far.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from optuna import Study, samplers
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.pruners import _filter_study
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from hpsearch.catalog import Value
from hpsearch.space import Assignment, Grid, Parameter, Range, Space, label

__all__ = [
    "Drawer", "GridDrawer", "LearningDrawer", "PointDrawer", "distribution", "from_optuna",
    "random_point", "seed_of", "sobol_point", "to_optuna",
]  # fmt: skip

logging.getLogger("optuna").setLevel(logging.WARNING)


class Drawer(Protocol):
    """Gives one parameter of one ticket its value."""

    name: str
    """What the trial's `sampler` attribute says."""

    def draw(self, parameter: Parameter) -> Value:
        """The value of a parameter that is active."""
        ...


def seed_of(*words: int) -> int:
    """A seed of 32 bits that depends on all words and shares nothing with its neighbours'."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def random_point(seed: int, number: int, dimensions: int) -> Sequence[float]:
    """Uniform coordinates in [0, 1), a pure function of (seed, number)."""
    return [float(u) for u in np.random.default_rng((seed, number)).random(dimensions)]


def sobol_point(seed: int, number: int, dimensions: int) -> Sequence[float]:
    """Point `number` of a scrambled Sobol sequence, a pure function of (seed, number).

    Optuna's QMCSampler counts points in a study attribute, which workers race for.
    """
    engine = _sobol(seed, dimensions)
    engine.reset()
    if number:  # scipy cannot go forward by nothing
        engine.fast_forward(number)
    return [min(float(u), 1 - 2**-53) for u in engine.random(1)[0]]


@lru_cache(maxsize=4)
def _sobol(seed: int, dimensions: int) -> qmc.Sobol:
    return qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))


class PointDrawer:
    """Values at a point of the unit cube: `random` and `qmc`."""

    def __init__(self, name: str, space: Space, point: Sequence[float]) -> None:
        self.name = name
        self._coordinates = {p.name: u for p, u in zip(space, point, strict=True)}

    def draw(self, parameter: Parameter) -> Value:
        """The value at the parameter's own coordinate."""
        return parameter.domain.at(self._coordinates[parameter.name])


class GridDrawer:
    """Values of one cell: `grid`."""

    name = "grid"

    def __init__(self, grid: Grid, cell: int) -> None:
        self._values = grid.cell(cell % grid.size)

    def draw(self, parameter: Parameter) -> Value:
        """The cell's value; the first one where a starting point made the parameter active."""
        return self._values.get(parameter.name, parameter.domain.at(0.0))


class LearningDrawer:
    """Values from one of Optuna's samplers, which learn from the trials so far.

    The unconditional parameters are drawn together; a conditional one is drawn by itself once it
    is known to be active.
    """

    def __init__(
        self,
        name: str,
        sampler: samplers.BaseSampler,
        study: Study,
        trial: FrozenTrial,
        parameters: Sequence[Parameter],
    ) -> None:
        self.name = name
        self._sampler, self._trial = sampler, trial
        # Under Hyperband a sampler learns from the trials of its own bracket only.
        self._study = _filter_study(study, trial)
        numeric_only = isinstance(sampler, samplers.CmaEsSampler)
        together = {p.name: distribution(p) for p in parameters if not p.when}
        self._drawn: dict[str, Any] = sampler.sample_relative(
            self._study,
            trial,
            {
                name: found
                for name, found in sorted(together.items())
                if not found.single()
                and not (numeric_only and isinstance(found, CategoricalDistribution))
            },
        )

    def draw(self, parameter: Parameter) -> Value:
        """The value drawn together with the others, or one by itself."""
        found = distribution(parameter)
        if found.single():
            return parameter.domain.at(0.0)
        if parameter.name not in self._drawn:
            self._drawn[parameter.name] = self._sampler.sample_independent(
                self._study, self._trial, parameter.name, found
            )
        return from_optuna(parameter, self._drawn[parameter.name])


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


def from_optuna(parameter: Parameter, value: Any) -> Value:
    """A value as the study file has it, from the one that Optuna keeps."""
    if isinstance(parameter.domain, Range):
        return int(value) if parameter.domain.integer else float(value)
    return parameter.domain.values[int(distribution(parameter).to_internal_repr(value))]


def to_optuna(values: Assignment) -> dict[str, Any]:
    """An assignment as Optuna keeps it."""
    return {name: label(value) for name, value in values.items()}
