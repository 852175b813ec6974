"""Parameters for a ticket, and whether a trial should go on."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping

from optuna import Study, samplers
from optuna.trial import FrozenTrial, TrialState

from hpsearch import plan
from hpsearch.catalog import Value
from hpsearch.search.cmaes import ReplayedCmaEsSampler
from hpsearch.search.pruners import make_pruner
from hpsearch.search.samplers import (
    Drawer,
    GridDrawer,
    LearningDrawer,
    PointDrawer,
    distribution,
    from_optuna,
    random_point,
    seed_of,
    sobol_point,
    to_optuna,
)
from hpsearch.space import Grid, Parameter
from hpsearch.spec import StudySpec
from hpsearch.store.mirror import Mirror

__all__ = ["Search"]

_NEEDED = {"gp": 10, "tpe": 10, "cmaes": 1}
"""Ended trials before a sampler learns: Optuna's own defaults."""

SLOW_S = 1.0
"""A Gaussian process that took longer than this for two proposals gives way to TPE."""

_log = logging.getLogger(__name__)


class Search:
    """The search of one study in one worker process."""

    def __init__(self, spec: StudySpec, mirror: Mirror) -> None:
        self._spec = spec
        self._mirror = mirror
        self._grid = Grid(plan.grid_space(spec))
        pruner = make_pruner(spec.search.pruner, spec.budget.epochs)
        self._study = Study(spec.name, mirror, pruner=pruner)
        self._slow_draws = 0

    def propose(self, ticket: int, origin: int, retry_of: int | None = None) -> FrozenTrial:
        """Parameters for a ticket: a trial in the mirror that has no row yet.

        The samplers learn from the trials in the mirror: refresh it before.

        Args:
            ticket: The ticket's number.
            origin: The number to sample by.
            retry_of: The failed ticket whose parameters this one runs again.
        """
        trial = self._mirror.open(ticket)
        earlier = self._params_of(retry_of) if retry_of is not None else None
        point = dict(earlier or plan.start_point(self._spec, origin) or {})
        drawers: dict[str, Drawer] = {}
        values: dict[str, Value] = {}
        for parameter in self._spec.space:
            if not parameter.active({**self._spec.space.constants, **values}):
                continue
            if parameter.name in point:
                values[parameter.name] = point[parameter.name]
            elif point and parameter.default is not None:
                values[parameter.name] = parameter.default
            else:
                values[parameter.name] = self._draw(parameter, drawers, trial, origin)
            trial.distributions[parameter.name] = distribution(parameter)
        trial.params.update(to_optuna(values))
        said = "retry" if earlier else "start" if point else _summary(drawers)
        trial.user_attrs.update(ticket=ticket, stage=self._spec.search.strategy, sampler=said)
        if retry_of is not None:
            trial.user_attrs["retry_of"] = retry_of
        return trial

    def values(self, trial: FrozenTrial) -> dict[str, Value]:
        """A trial's parameters as the study file has them, lists of sizes included."""
        return {
            p.name: from_optuna(p, trial.params[p.name])
            for p in self._spec.space
            if p.name in trial.params
        }

    def should_prune(self, trial: FrozenTrial) -> bool:
        """Whether the study's pruner would stop the trial after its last report."""
        self._mirror.apply()
        return self._study.pruner.prune(self._study, trial)

    def _params_of(self, ticket: int) -> Mapping[str, Value] | None:
        """The parameters of the trial that a ticket became, if it became one."""
        for trial in self._mirror.trials():
            if trial.user_attrs.get("ticket") == ticket and trial.params:
                return self.values(trial)
        return None

    def _draw(
        self, parameter: Parameter, drawers: dict[str, Drawer], trial: FrozenTrial, origin: int
    ) -> Value:
        name = self._spec.search.sampler[parameter.group]
        if name not in drawers:
            drawers[name] = self._drawer(name, trial, origin)
        return drawers[name].draw(parameter)

    def _drawer(self, name: str, trial: FrozenTrial, origin: int) -> Drawer:
        space, seed = self._spec.space, self._spec.search.seed
        if name == "grid":
            return GridDrawer(self._grid, plan.cell(self._spec, origin))
        if name == "qmc":
            return PointDrawer("qmc", space, sobol_point(seed, origin, len(space)))
        parameters = [p for p in space if self._spec.search.sampler[p.group] == name]
        name = self._resolve(name)
        if name == "random":
            return PointDrawer("random", space, random_point(seed, origin, len(space)))
        return self._learning(name, trial, parameters, seed_of(seed, origin))

    def _resolve(self, name: str) -> str:
        """The sampler that draws for `name` now; `random` until enough trials have ended.

        A Gaussian process learns from trials that went to the end only, and wants a fixed space.
        Where most trials are pruned, or parameters are conditional, or it has become slow, TPE
        stands in for it, which learns from pruned trials too.
        """
        ended = Counter(t.state for t in self._mirror.trials())
        complete, pruned = ended[TrialState.COMPLETE], ended[TrialState.PRUNED]
        if name == "bayesian":
            suits = complete >= pruned and not plan.conditional(self._spec, name)
            name = "gp" if suits and self._slow_draws < 2 else "tpe"
        known = complete + pruned if name == "tpe" else complete
        return name if known >= _NEEDED.get(name, 0) else "random"

    def _learning(
        self, name: str, trial: FrozenTrial, parameters: list[Parameter], seed: int
    ) -> Drawer:
        started = time.monotonic()
        # A study object caches trials for the length of an Optuna loop, of which there is none.
        study = Study(self._spec.name, self._mirror, pruner=self._study.pruner)
        drawer = LearningDrawer(name, _sampler(name, seed), study, trial, parameters)
        taken_s = time.monotonic() - started
        if name == "gp" and taken_s > SLOW_S:
            # Twice, as the first one of a process also loads what it needs.
            self._slow_draws += 1
            _log.info("the Gaussian process took %.1f s for a proposal", taken_s)
        return drawer


def _sampler(name: str, seed: int) -> samplers.BaseSampler:
    """One of Optuna's samplers with its defaults, past its start-up phase."""
    independent = samplers.RandomSampler(seed=seed)
    if name == "gp":
        return samplers.GPSampler(
            seed=seed,
            n_startup_trials=1,
            independent_sampler=independent,
            warn_independent_sampling=False,
        )
    if name == "cmaes":
        return ReplayedCmaEsSampler(
            seed=seed, independent_sampler=independent, warn_independent_sampling=False
        )
    return samplers.TPESampler(seed=seed, n_startup_trials=1)


def _summary(drawers: Mapping[str, Drawer]) -> str:
    """One name where one sampler drew it all, else each one's."""
    names = dict.fromkeys(drawer.name for drawer in drawers.values())
    return " + ".join(names) or "none"
