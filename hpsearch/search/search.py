"""Parameters for tickets, and whether a trial should go on."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from optuna import Study
from optuna.pruners import _filter_study
from optuna.trial import FrozenTrial, TrialState

from hpsearch import plan
from hpsearch.catalog import Value
from hpsearch.search.distributions import from_optuna, to_optuna
from hpsearch.search.drawing import PURE, Drawing, Samplers, UnforeseenError
from hpsearch.search.pace import Pace
from hpsearch.search.pruners import make_pruner
from hpsearch.search.samplers import DRAWN_BY
from hpsearch.space import Parameter
from hpsearch.spec import StudySpec
from hpsearch.store import trials
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Hold

__all__ = ["Search"]

_NEEDED = {"gp": 10, "tpe": 10, "cmaes": 1}
"""Ended trials before a sampler learns: Optuna's own defaults."""

_PASSING = (DRAWN_BY, "tpe:", "gp:")
"""How the notes begin that are of no use once a trial has its parameters. Optuna's workers show
each other by them what has been drawn and not been asked for yet."""


class Search:
    """The search of one study in one worker process."""

    def __init__(self, spec: StudySpec, mirror: Mirror) -> None:
        self._spec, self._mirror = spec, mirror
        self._pruner = make_pruner(spec.search.pruner, spec.budget.epochs)
        self._study = Study(spec.name, mirror, pruner=self._pruner)
        self._pace = Pace()
        self._samplers = Samplers(spec)

    def propose(self, holds: Sequence[Hold]) -> list[FrozenTrial]:
        """Parameters for tickets: trials in the mirror that have no row yet.

        The samplers learn from the trials in the mirror: refresh it before. Each proposal counts
        as a trial under way for those after it.

        Args:
            holds: The tickets. One that runs a failed ticket again gets that one's parameters.
        """
        started = time.monotonic()
        # A study object caches trials for the length of an Optuna loop, of which there is none.
        study = Study(self._spec.name, self._mirror, pruner=self._pruner)
        learns = self._samplers.parts.keys() - PURE
        states = Counter(t.state for t in self._mirror.trials() if learns)
        chosen = {name: self._resolve(name, states, len(holds)) for name in self._samplers.parts}
        proposals = [self._propose(hold, study, chosen) for hold in holds]
        taken_s = time.monotonic() - started
        self._pace.proposed(taken_s)
        if by_gp := sum("gp" in t.user_attrs["sampler"] for t in proposals):
            self._pace.measured(taken_s, by_gp, states[TrialState.COMPLETE])
        return proposals

    @property
    def learns(self) -> bool:
        """Whether any parameter is drawn by what other trials gave."""
        return bool(self._samplers.parts.keys() - PURE)

    def foreseen(self, origin: int, names: Collection[str]) -> dict[str, Value] | None:
        """The values that a ticket will get, as far as they do not depend on other trials.

        Not for a ticket that runs a failed one again.

        Args:
            origin: The number to sample by.
            names: The parameters that matter: None where one of them cannot be foreseen.
        """
        trial = trials.empty(origin, -1, {})
        drawing = Drawing(self._samplers, self._study, trial, self._samplers.foreseen)
        point = plan.start_point(self._spec, origin) or {}
        values: dict[str, Value] = {}
        unknown: set[str] = set()
        for parameter in self._spec.space:
            if any(condition.parameter in unknown for condition in parameter.when):
                unknown.add(parameter.name)
            elif self._exists(parameter, values):
                try:
                    values[parameter.name] = _value(parameter, point, drawing)
                except UnforeseenError:
                    unknown.add(parameter.name)
        return None if unknown & set(names) else values

    def trained(self, seconds: float) -> None:
        """Training took so long since the last call: a tenth of it may be spent proposing."""
        self._pace.trained(seconds)

    def values(self, trial: FrozenTrial) -> dict[str, Value]:
        """A trial's parameters as the study file has them, lists of sizes included."""
        return {
            p.name: from_optuna(p, self._samplers.distributions[p.name], trial.params[p.name])
            for p in self._spec.space
            if p.name in trial.params
        }

    def should_prune(self, trial: FrozenTrial) -> bool:
        """Whether the study's pruner would stop the trial after its last report."""
        self._mirror.apply()
        return self._pruner.prune(self._study, trial)

    def _resolve(self, name: str, states: Counter[TrialState], proposals: int) -> str:
        """The sampler that draws for `name` now; `random` until enough trials have ended.

        A Gaussian process learns from trials that went to the end only, and wants a fixed space.
        Where most trials are pruned, or parameters are conditional, or it would take too long,
        TPE stands in for it, which learns from pruned trials too.
        """
        complete, pruned = states[TrialState.COMPLETE], states[TrialState.PRUNED]
        if name == "bayesian":
            suits = complete >= pruned and not plan.conditional(self._spec, name)
            known = proposals, complete, states[TrialState.RUNNING], len(self._samplers.parts[name])
            name = "gp" if suits and self._pace.allows_gp(*known) else "tpe"
        ended = complete + pruned if name == "tpe" else complete
        return name if ended >= _NEEDED.get(name, 0) else "random"

    def _propose(self, hold: Hold, study: Study, chosen: Mapping[str, str]) -> FrozenTrial:
        trial = self._mirror.open(hold.number)
        trial.system_attrs[DRAWN_BY] = hold.origin
        earlier = self._params_of(hold.retry_of) if hold.retry_of is not None else None
        point = earlier or plan.start_point(self._spec, hold.origin) or {}
        # Under Hyperband a sampler learns from the trials of its own bracket only.
        drawing = Drawing(self._samplers, _filter_study(study, trial), trial, chosen)
        values = self._assign(point, drawing)
        trial.distributions = {name: self._samplers.distributions[name] for name in values}
        trial.params = to_optuna(values)
        said = "retry" if earlier else "start" if point else " + ".join(drawing.by) or "none"
        trial.user_attrs.update(ticket=hold.number, stage=self._spec.search.strategy, sampler=said)
        if hold.retry_of is not None:
            trial.user_attrs["retry_of"] = hold.retry_of
        self._mirror.take_notes(trial._trial_id)  # they are on the trial, which has no row yet
        for key in [k for k in trial.system_attrs if k.startswith(_PASSING)]:
            del trial.system_attrs[key]
        return trial

    def _params_of(self, ticket: int) -> Mapping[str, Value] | None:
        """The parameters of the trial that a ticket became, if it became one."""
        for trial in self._mirror.trials():
            if trial.user_attrs.get("ticket") == ticket and trial.params:
                return self.values(trial)
        return None

    def _assign(self, point: Mapping[str, Value], drawing: Drawing) -> dict[str, Value]:
        """A value for each parameter that exists: the point's, its default beside one, or drawn."""
        values: dict[str, Value] = {}
        for parameter in self._spec.space:
            if self._exists(parameter, values):
                values[parameter.name] = _value(parameter, point, drawing)
        return values

    def _exists(self, parameter: Parameter, values: Mapping[str, Value]) -> bool:
        return parameter.active({**self._spec.space.constants, **values})


def _value(parameter: Parameter, point: Mapping[str, Value], drawing: Drawing) -> Value:
    if parameter.name in point:
        return point[parameter.name]
    if point and parameter.default is not None:
        return parameter.default
    return drawing.value(parameter)
