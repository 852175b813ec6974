"""The samplers of one study, and the draw of one trial by several of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from hpsearch import plan
from hpsearch.search.cmaes import ReplayedCmaEsSampler
from hpsearch.search.distributions import distribution, from_optuna
from hpsearch.search.learners import SeededGPSampler, SeededTPESampler
from hpsearch.search.samplers import GridSampler, QmcSampler, RandomSampler
from hpsearch.space import Grid

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from hpsearch.catalog import Value
    from hpsearch.space import Parameter
    from hpsearch.spec import StudySpec

__all__ = ["PURE", "Drawing", "Samplers", "UnforeseenError"]

PURE = frozenset({"grid", "random", "qmc"})
"""Samplers that do not look at other trials."""


class UnforeseenError(LookupError):
    """A value depends on other trials."""


class Samplers:
    """The samplers of one study, made when first asked for, and what each draws."""

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._made: dict[str, BaseSampler] = {}
        self.distributions = {p.name: distribution(p) for p in spec.space}
        self.parts: dict[str, list[Parameter]] = {}
        """Sampler of the study file -> its parameters."""
        for parameter in spec.space:
            self.parts.setdefault(self.part_of(parameter), []).append(parameter)

    def part_of(self, parameter: Parameter) -> str:
        """The sampler that the study file names for a parameter."""
        return self._spec.search.sampler[parameter.group]

    @cached_property
    def foreseen(self) -> Mapping[str, str]:
        """Those that draw by themselves whatever other trials do."""
        return {name: name for name in self.parts if name in PURE}

    def named(self, name: str) -> BaseSampler:
        """The sampler `grid`, `random`, `qmc`, `tpe`, `gp` or `cmaes`."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> BaseSampler:
        if name == "grid":
            return GridSampler(Grid(plan.grid_space(self._spec)), first=len(self._spec.start))
        return _CLASSES[name](self._spec.search.seed)

    def together(self, part: str, name: str) -> dict[str, BaseDistribution]:
        """What sampler `name` draws at once, where it stands in for the study file's `part`.

        Samplers that learn do so for what each trial has: a conditional parameter is drawn by
        itself, once it is known to exist.
        """
        found = {p.name: self.distributions[p.name] for p in self.parts[part]}
        if name in PURE:
            return found
        conditional = {p.name for p in self.parts[part] if p.when}
        return {
            n: found[n]
            for n in sorted(found.keys() - conditional)
            if not found[n].single()
            and not (name == "cmaes" and isinstance(found[n], CategoricalDistribution))
        }


_CLASSES: Mapping[str, Callable[[int], BaseSampler]] = {
    "random": RandomSampler,
    "qmc": QmcSampler,
    "tpe": SeededTPESampler,
    "gp": SeededGPSampler,
    "cmaes": ReplayedCmaEsSampler,
}


class Drawing:
    """The draw of one trial: each sampler is asked once a value of its own is needed.

    Args:
        samplers: The study's.
        study: What those that learn may learn from.
        trial: The trial; its attributes are changed, its parameters are not.
        chosen: Sampler of the study file -> the one that draws for it now.
    """

    def __init__(
        self, samplers: Samplers, study: Study, trial: FrozenTrial, chosen: Mapping[str, str]
    ) -> None:
        self._samplers, self._study, self._trial = samplers, study, trial
        self._chosen = chosen
        self._drawn: dict[str, dict[str, Any]] = {}

    @property
    def by(self) -> list[str]:
        """Who has drawn."""
        return list(dict.fromkeys(self._chosen[part] for part in self._drawn))

    def value(self, parameter: Parameter) -> Value:
        """The value of a parameter that exists; UnforeseenError where nobody draws it."""
        part = self._samplers.part_of(parameter)
        if part not in self._chosen:
            raise UnforeseenError(part)
        sampler = self._samplers.named(self._chosen[part])
        if part not in self._drawn:
            sampler.before_trial(self._study, self._trial)
            space = self._samplers.together(part, self._chosen[part])
            self._drawn[part] = sampler.sample_relative(self._study, self._trial, space)
        values, name = self._drawn[part], parameter.name
        found = self._samplers.distributions[name]
        if found.single():
            return parameter.domain.at(0.0)
        if name not in values:
            values[name] = sampler.sample_independent(self._study, self._trial, name, found)
        return from_optuna(parameter, found, values[name])
