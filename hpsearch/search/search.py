"""Parameters for tickets, and whether a trial should continue."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from hpsearch.search.distributions import distribution, known_trials, spanning, to_optuna
from hpsearch.search.drawing import Drawing, Samplers, UnforeseenError
from hpsearch.search.pace import Pace
from hpsearch.search.pruners import make_pruner
from hpsearch.search.samplers import DRAWN_BY
from hpsearch.search.views import View, train_loss, values_of
from hpsearch.spec import StudySpec
from hpsearch.spec.settings import FINAL, HEART, LEARNS_AFTER, PURE, RECIPE, Value
from hpsearch.spec.space import Assignment, Parameter
from hpsearch.stages import outline, recipe
from hpsearch.stages.results import Done
from hpsearch.stages.stage import Stage
from hpsearch.store import trials
from hpsearch.store.frozen import empty
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import OFF, Known, Lease

__all__ = ["Search"]

_PASSING = (DRAWN_BY, "tpe:", "gp:")
"""How the notes begin that are of no use once a trial has its parameters. Optuna's workers show
each other by them what has been drawn and not been asked for yet."""


@dataclass(frozen=True)
class _Source:
    """Where a ticket is drawn: its stage, what that holds for it, and who draws from what."""

    stage: Stage
    base: Assignment
    samplers: Samplers
    view: View
    """What the samplers may learn from."""

    @property
    def seen(self) -> Counter[TrialState]:
        """How many trials of each state that is."""
        return Counter(trial.state for trial in self.view.get_trials(deepcopy=False))


class Search:
    """The search of one study in one worker process."""

    def __init__(self, spec: StudySpec, mirror: Mirror) -> None:
        self._spec, self._mirror = spec, mirror
        self._pruner = make_pruner(
            spec.search.pruner, spec.budget.epochs, spec.version, best=spec.keep == "best"
        )
        self._study = Study(spec.name, mirror, pruner=self._pruner)
        self._pace = Pace()
        self._stages: tuple[Stage, ...] = ()
        self._sources: dict[tuple[int, int], _Source] = {}
        self._known: tuple[FrozenTrial, ...] = ()
        self._distributions = {p.name: distribution(p) for p in spec.space}
        self._off = recipe.off(spec) if spec.search.strategy == RECIPE else {}
        """Settings that a trial may have at a value that is none of its parameter's."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that have been opened."""
        return self._stages

    def enter(self, stages: Sequence[Stage]) -> None:
        """Tickets are drawn by these stages from now on; there is at least one."""
        self._stages = tuple(stages)

    def learn(self, known: Sequence[Known]) -> None:
        """Let the samplers know of trials that were made elsewhere, in place of those before."""
        if len(known) != len(self._known):  # none is taken away or changed
            self._known = tuple(known_trials(self._spec, known))
            self._sources.clear()

    def next_stage(
        self, first: int, left: int, *, held: int | None = None, spec: StudySpec | None = None
    ) -> Stage:
        """The stage after those entered, by what the trials in the mirror gave.

        Args:
            first: The draw index of its first ticket.
            left: Tickets that are left for it and those after it, but those of a finish.
            held: As many of them as the study's hours are expected to hold; None: all.
            spec: The study with the finish that it has by now; None: that of its file.
        """
        return outline.opening(
            spec or self._spec, self._stages, self._done(), first, left, held=held
        )

    def early_stage(self, first: int) -> Stage:
        """A stage of one ticket of the polish's share, by what the trials in the mirror gave."""
        return outline.early(self._spec, self._stages, self._done(), first)

    def _done(self) -> list[Done]:
        """The trials of the search that have ended."""
        ended = self._mirror.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        return [
            Done(
                t.user_attrs["ticket"], self.values(t),
                t.value if t.state is TrialState.COMPLETE else None,
                train_loss(t) if t.user_attrs["stage"] == HEART else None,
            )
            for t in ended if t.user_attrs["stage"] != FINAL
        ]  # fmt: skip

    def propose(self, leases: Sequence[Lease]) -> list[FrozenTrial]:
        """Parameters for tickets: trials in the mirror that have no row yet.

        The samplers learn from the trials in the mirror: refresh it before. Each proposal counts
        as a trial under way for those after it.

        Args:
            leases: The tickets. One that runs a failed ticket again gets that one's parameters.
        """
        started = time.monotonic()
        proposals = [self._propose(lease, len(leases)) for lease in leases]
        taken_s = time.monotonic() - started
        self._pace.proposed(taken_s)
        if by_gp := sum("gp" in t.user_attrs["sampler"] for t in proposals):
            learned_from = max(self._source(h.draw_index).seen[TrialState.COMPLETE] for h in leases)
            self._pace.measured(taken_s, by_gp, learned_from)
        return proposals

    @property
    def learns(self) -> bool:
        """Whether any parameter is drawn by what other trials gave, in the newest stage."""
        return bool(set(self._stages[-1].samplers.values()) - PURE)

    def foreseen(self, draw_index: int, names: Collection[str]) -> dict[str, Value] | None:
        """The values that a ticket will get, as far as they do not depend on other trials.

        Not for a ticket that runs a failed one again.

        Args:
            draw_index: The number to sample by.
            names: The parameters that matter: None where one of them cannot be foreseen.
        """
        trial = empty(draw_index, -1, {})
        source = self._source(draw_index)
        drawing = Drawing(source.samplers, self._study, trial, source.samplers.pure)
        point = source.stage.point(draw_index) or {}
        values: dict[str, Value] = {}
        unknown: set[str] = set()
        for parameter in self._spec.space:
            if any(condition.parameter in unknown for condition in parameter.when):
                unknown.add(parameter.name)
            elif self._exists(parameter, values):
                try:
                    values[parameter.name] = _value(parameter, source, point, drawing)
                except UnforeseenError:
                    unknown.add(parameter.name)
        return None if unknown & set(names) else {**values, **self._held_off(source, point, values)}

    def trained(self, seconds: float) -> None:
        """Training took so long since the last call: a tenth of it may be spent proposing."""
        self._pace.trained(seconds)

    def values(self, trial: FrozenTrial) -> dict[str, Value]:
        """What a trial has: its parameters as the study file has them, lists of sizes included,
        and what regularisation it is trained without."""
        return values_of(self._spec, trial)

    def should_prune(self, trial: FrozenTrial) -> bool:
        """Whether the pruner would stop the trial after its last report; none of a finish, and none
        that learns by heart, which the metric on other rows says nothing of."""
        if trial.user_attrs["stage"] in (FINAL, HEART):
            return False
        self._mirror.apply()
        return self._pruner.prune(self._study, trial)

    def _source(self, draw_index: int) -> _Source:
        at = bisect_right(self._stages, draw_index, key=attrgetter("first")) - 1
        stage = self._stages[at]
        _, base_index = stage.place(draw_index)
        if (at, base_index) not in self._sources:
            base = stage.base(draw_index)
            samplers = Samplers(self._spec.space, stage, base, self._spec.search.seed)
            view = View(self._study, self._spec, stage, base, self._known)
            self._sources[at, base_index] = _Source(stage, base, samplers, view)
        return self._sources[at, base_index]

    def _resolve(self, part: str, source: _Source, proposals: int) -> str:
        """The sampler that draws for a stage's `part` now; `random` until enough trials have ended.

        A Gaussian process learns from trials that completed only, and wants a fixed space.
        Where most trials are pruned, or parameters are conditional, or it would take too long,
        TPE stands in for it, which learns from pruned trials too.
        """
        if part in PURE:
            return part
        states = source.seen
        complete, pruned = states[TrialState.COMPLETE], states[TrialState.PRUNED]
        name = part
        if part == "bayesian":
            suits = complete >= pruned and not source.samplers.is_conditional(part)
            state = (
                proposals,
                complete,
                states[TrialState.RUNNING],
                len(source.samplers.parts[part]),
            )
            name = "bayesian" if suits and self._pace.allows_gp(*state) else "tpe"
        ended = complete + pruned if name == "tpe" else complete
        if ended < LEARNS_AFTER[name]:
            return "random"
        return "gp" if name == "bayesian" else name

    def _propose(self, lease: Lease, proposals: int) -> FrozenTrial:
        source = self._source(lease.draw_index)
        chosen = {part: self._resolve(part, source, proposals) for part in source.samplers.parts}
        trial = self._mirror.open(lease.number)
        trial.system_attrs[DRAWN_BY] = lease.draw_index
        earlier = self._params_of(lease.retry_of) if lease.retry_of is not None else None
        point = earlier or source.stage.point(lease.draw_index) or {}
        view = source.view.of_bracket(trial)
        drawing = Drawing(source.samplers, view, trial, {"random": "random", **chosen})
        values = self._assign(point, source, drawing)
        if off := self._held_off(source, point, values):
            trial.user_attrs[OFF] = off
        values = {name: value for name, value in values.items() if name not in off}
        trial.distributions = {
            name: spanning(self._distributions[name], source.samplers.distributions[name], value)
            for name, value in values.items()
        }
        trial.params = to_optuna(values)
        sampler = "retry" if earlier else "start" if point else " + ".join(drawing.by) or "none"
        trial.user_attrs.update(ticket=lease.number, stage=source.stage.name, sampler=sampler)
        if source.stage.name == FINAL:
            trial.user_attrs["final"] = [source.stage.first, *source.stage.place(lease.draw_index)]
            trial.system_attrs[trials.CONSTRAINTS] = list(trials.INFEASIBLE)
        if lease.retry_of is not None:
            trial.user_attrs["retry_of"] = lease.retry_of
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

    def _assign(
        self, point: Mapping[str, Value], source: _Source, drawing: Drawing
    ) -> dict[str, Value]:
        """A value for each parameter that exists: the point's, its default beside one, or drawn."""
        values: dict[str, Value] = {}
        for parameter in self._spec.space:
            if self._exists(parameter, values):
                values[parameter.name] = _value(parameter, source, point, drawing)
        if source.stage.rescaled and "lr" in source.stage.free and "lr" not in point:
            rate = values["lr"] * source.view.rate_scale(values)  # type: ignore[operator]
            values["lr"] = source.samplers.clipped("lr", rate)
        return values

    def _held_off(
        self, source: _Source, point: Mapping[str, Value], values: Assignment
    ) -> dict[str, Value]:
        """The settings that the point, or else the stage, switches off and that neither a parameter
        of the trial nor a constant can say so of: a logarithmic range has no 0."""
        if not self._off:
            return {}
        given = point if self._off.keys() & point.keys() else source.base
        off = {n: value for n, value in self._off.items() if n in given and given[n] == value}
        domains = {p.name: p.domain for p in self._spec.space if p.name in values}
        beyond = {n for n, value in off.items() if n in domains and not domains[n].contains(value)}
        settings = self._spec.settings({n: v for n, v in values.items() if n not in beyond})
        return {
            name: value for name, value in off.items() if settings[name] != value or name in beyond
        }

    def _exists(self, parameter: Parameter, values: Mapping[str, Value]) -> bool:
        return parameter.active({**self._spec.space.constants, **values})


def _value(
    parameter: Parameter, source: _Source, point: Mapping[str, Value], drawing: Drawing
) -> Value:
    """The point's value, or its default beside one; what the stage holds; or what is drawn."""
    name = parameter.name
    if name in point:
        return point[name]
    if point and parameter.default is not None:
        return parameter.default
    if name not in source.stage.free:
        if name in source.base:
            return source.base[name]
        if parameter.default is not None:
            return parameter.default
    return drawing.value(source.stage.free.get(name, parameter))
