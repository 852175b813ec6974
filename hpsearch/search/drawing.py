"""The samplers of one study, and the draw of one trial by several of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from hpsearch.search.cmaes import ReplayedCmaEsSampler
from hpsearch.search.distributions import distribution
from hpsearch.search.learners import SeededGPSampler, SeededTPESampler
from hpsearch.search.samplers import GridSampler, QmcSampler, RandomSampler
from hpsearch.spec.settings import PURE
from hpsearch.spec.space import Range

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

    from hpsearch.spec.settings import Value
    from hpsearch.spec.space import Assignment, Parameter, Space
    from hpsearch.stages.stage import Stage

__all__ = ["Drawing", "Samplers", "UnforeseenError"]


class UnforeseenError(LookupError):
    """A value depends on other trials."""


class Samplers:
    """The samplers of one stage beside one base, made when first asked for, and what each draws.

    Args:
        space: The whole space of the study.
        stage: What is drawn, from which ranges and by whom.
        base: What the stage holds. What it lacks and turns out to exist is drawn at random.
        seed: The study's.
    """

    def __init__(self, space: Space, stage: Stage, base: Assignment, seed: int) -> None:
        self._stage, self._seed = stage, seed
        self._made: dict[str, BaseSampler] = {}
        self._whole = {p.name: p for p in space}
        fixed = [p for p in space if p.name not in stage.free]
        self._held = {**space.constants, **{p.name: base.get(p.name) for p in fixed}}
        self.parameters = [stage.free.get(p.name, p) for p in space]
        """All of the study, in its order, with the stage's ranges."""
        self.distributions = {p.name: distribution(p) for p in self.parameters}
        self.parts: dict[str, list[Parameter]] = {}
        """Sampler of the stage -> its parameters."""
        for parameter in stage.parameters:
            self.parts.setdefault(stage.samplers[parameter.name], []).append(parameter)

    def part_of(self, parameter: Parameter) -> str:
        """The sampler that the stage names for a parameter."""
        return self._stage.samplers.get(parameter.name, "random")

    @cached_property
    def pure(self) -> Mapping[str, str]:
        """Those that draw by themselves whatever other trials do."""
        return {name: name for name in (*self.parts, "random") if name in PURE}

    def named(self, name: str) -> BaseSampler:
        """The sampler `grid`, `random`, `qmc`, `tpe`, `gp` or `cmaes`."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> BaseSampler:
        if name == "grid":
            stage = self._stage
            first = stage.first + len(stage.points) - stage.before
            return GridSampler(stage.grid(self._held), first, len(stage.bases))
        return _CLASSES[name](self._seed)

    def clipped(self, name: str, value: float) -> float:
        """That value, or the end of the study's range of that parameter beyond which it lies."""
        domain = self._whole[name].domain
        assert isinstance(domain, Range)
        return min(max(value, domain.low), domain.high)

    def is_conditional(self, part: str) -> bool:
        """Whether any parameter of that part depends on another one that is drawn."""
        return bool(self._conditional(part))

    def together(self, part: str, name: str) -> dict[str, BaseDistribution]:
        """What sampler `name` draws at once, where it stands in for the stage's `part`.

        Samplers that learn do so for what each trial has: a conditional parameter is drawn by
        itself, once it is known to exist.
        """
        distributions = {p.name: self.distributions[p.name] for p in self.parts.get(part, [])}
        if name in PURE:
            return distributions
        absent = {p.name for p in self.parts.get(part, []) if self._is_absent(p)}
        return {
            n: distributions[n]
            for n in sorted(distributions.keys() - self._conditional(part) - absent)
            if not distributions[n].single()
            and not (name == "cmaes" and isinstance(distributions[n], CategoricalDistribution))
        }

    def _conditional(self, part: str) -> set[str]:
        free, drawn = self._stage.free, self.parts.get(part, [])
        return {p.name for p in drawn if any(c.parameter in free for c in p.when)}

    def _is_absent(self, parameter: Parameter) -> bool:
        """Whether what is held rules a parameter out."""
        conditions = [c for c in parameter.when if c.parameter not in self._stage.free]
        return not replace(parameter, when=tuple(conditions)).active(self._held)


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
        scale = self._samplers.distributions[name]
        if scale.single():
            return parameter.domain.at(0.0)
        if name not in values:
            values[name] = sampler.sample_independent(self._study, self._trial, name, scale)
        return parameter.unlabelled(values[name])
