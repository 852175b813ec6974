"""What a sampler may learn from: the trials that belong to what it draws."""

from __future__ import annotations

import copy
import math
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from hpsearch.spec.settings import HEART
from hpsearch.store.optuna_private import filter_study
from hpsearch.store.values import OFF

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec
    from hpsearch.spec.settings import Value
    from hpsearch.spec.space import Assignment
    from hpsearch.stages.stage import Stage

__all__ = ["View", "rate_scale", "train_loss", "values_of"]


def values_of(spec: StudySpec, trial: FrozenTrial) -> dict[str, Value]:
    """A trial's parameters as the study file has them, and the settings that it has off."""
    return {**spec.space.assignment(trial.params), **trial.user_attrs.get(OFF, {})}


def train_loss(trial: FrozenTrial) -> float | None:
    """The training loss of a trial after its last epoch; None before its end."""
    attrs = trial.user_attrs
    loss: float | None = (attrs.get("last_metrics") or attrs.get("metrics", {})).get("train_loss")
    return loss


class View(Study):
    """A study with the trials that differ from a base in nothing but what a stage draws.

    What they have of that lies in the stage's ranges. Where the stage means learning rates for the
    base's batch size, those of other batch sizes are shown as they would be at that one. Where the
    training rows are to be learnt by heart, trials are shown with their training loss for a value.
    """

    def __init__(
        self, study: Study, spec: StudySpec, stage: Stage, base: Assignment,
        known: Sequence[FrozenTrial] = (),
    ) -> None:  # fmt: skip
        """`known` are trials that were made elsewhere: samplers learn from them, nobody else."""
        super().__init__(study.study_name, study._storage, pruner=study.pruner)
        self._over = study
        self._elsewhere = () if stage.name == HEART else tuple(known)
        self._spec, self._stage, self._base = spec, stage, base
        self._fixed = {**spec.space.constants, **base}
        self._held = self._fixed.keys() - stage.free.keys()
        self._by_heart = stage.name == HEART
        self._has_all = stage.parameters == tuple(spec.space) and not self._by_heart
        """All is drawn from the whole of its range: every trial belongs."""
        self._known: dict[int, FrozenTrial | None] = {}
        """By its id, of each trial that has ended, what is seen of it: that changes no more."""

    def of_bracket(self, trial: FrozenTrial) -> View:
        """What is seen for a trial under Hyperband: those of the same bracket only."""
        bracket = filter_study(self._over, trial)
        if bracket is self._over:
            return self
        view = View(bracket, self._spec, self._stage, self._base, self._elsewhere)
        view._known = self._known
        return view

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:  # fmt: skip
        """Those of the study that belong. None is kept for later: an Optuna study does so for the
        length of its loop, of which there is none."""
        trials = self._over.get_trials(deepcopy=False, states=states)
        if states is None or TrialState.COMPLETE in states:
            trials = [*self._elsewhere, *trials]
        if not self._has_all:
            trials = [seen for t in trials if (seen := self._seen(t)) is not None]
        return copy.deepcopy(trials) if deepcopy else trials

    def _seen(self, trial: FrozenTrial) -> FrozenTrial | None:
        if not trial.state.is_finished():
            return self._look(trial)
        key = trial._trial_id
        if key not in self._known:
            self._known[key] = self._look(trial)
        return self._known[key]

    def _look(self, trial: FrozenTrial) -> FrozenTrial | None:
        values = values_of(self._spec, trial)
        whole = {**self._spec.space.constants, **values}
        if any(name in whole and whole[name] != self._fixed[name] for name in self._held):
            return None
        if self._stage.rescaled and "lr" in values:
            rate = values["lr"] / self.rate_scale(values)  # type: ignore[operator]
            values["lr"] = rate
            trial = copy.copy(trial)
            trial.params = {**trial.params, "lr": rate}
        if self._by_heart and trial.state is TrialState.COMPLETE:
            trial = self._by_training(trial)
        free = self._stage.free
        inside = all(p.domain.contains(values[n]) for n, p in free.items() if n in values)
        return trial if inside else None

    def _by_training(self, trial: FrozenTrial) -> FrozenTrial:
        """A trial whose value is the better, in the study's direction, the lower its training
        loss."""
        seen, loss = copy.copy(trial), train_loss(trial)
        sign = -1 if self._spec.direction == "maximize" else 1
        seen.value = trial.value if loss is None else sign * loss
        return seen

    def rate_scale(self, values: Assignment) -> float:
        """What the learning rate of a configuration is, next to the base's at its batch size."""
        return rate_scale(self._spec.settings(values), self._spec.settings(self._base))


def rate_scale(settings: Mapping[str, Value], before: Mapping[str, Value]) -> float:
    """What a learning rate is multiplied by when the batch size is no more what it was before.

    Linear for SGD (Goyal et al., "Accurate, large minibatch SGD", 2017), by the square root for
    optimizers that divide by the gradient's size (Malladi et al., "On the SDEs and scaling rules
    for adaptive gradient algorithms", 2022).
    """
    size, base = settings["batch_size"], before["batch_size"]
    if not isinstance(size, (int, float)) or not isinstance(base, (int, float)):
        return 1.0  # how many rows the whole training part has is not known here
    ratio = size / base
    return ratio if settings["optimizer"] == "sgd" else math.sqrt(ratio)
