"""Pruner names in a study file -> Optuna's pruners."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING

from optuna import pruners
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from hpsearch.spec import PrunerSpec

__all__ = ["make_pruner"]


class _BestSoFarHalving(pruners.SuccessiveHalvingPruner):
    """Halving by the best value of each trial up to the rung."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial stops at its last step."""
        return super().prune(study, _at_its_best(study, trial))


class _BestSoFarHyperband(pruners.HyperbandPruner):
    """The same in each of Hyperband's brackets."""

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether the trial stops at its last step."""
        return super().prune(study, _at_its_best(study, trial))


def _at_its_best(study: Study, trial: FrozenTrial) -> FrozenTrial:
    """The trial as if its last report had been its best one; its attributes are its own."""
    reports = trial.intermediate_values
    if not reports:
        return trial
    best = max if study.direction is StudyDirection.MAXIMIZE else min
    value, last = best(reports.values()), max(reports)
    if reports[last] == value:
        return trial
    seen = copy.copy(trial)
    seen.intermediate_values = {**reports, last: value}
    return seen


_BEST_SO_FAR: dict[str, type[pruners.BasePruner]] = {
    "asha": _BestSoFarHalving,
    "hyperband": _BestSoFarHyperband,
}
_CLASSES: dict[str, type[pruners.BasePruner]] = {
    "asha": pruners.SuccessiveHalvingPruner,
    "hyperband": pruners.HyperbandPruner,
    "median": pruners.MedianPruner,
    "percentile": pruners.PercentilePruner,
    "patient": pruners.PatientPruner,
    "threshold": pruners.ThresholdPruner,
    "none": pruners.NopPruner,
}


def make_pruner(
    spec: PrunerSpec, epochs: int, version: int, *, best: bool = False
) -> pruners.BasePruner:
    """The Optuna pruner of a study.

    Args:
        spec: Its name and options, under Optuna's own names.
        epochs: The most that a trial runs. Hyperband lays its brackets by it; Optuna would guess
            it in each process from the trials seen there.
        version: Of the study's document.
        best: Whether a trial's best epoch counts: then those that halve are shown the best value
            up to a rung. All others look at whole curves, or at their last value, as Optuna's do.
    """
    options = spec.steps(version)
    if spec.name == "hyperband":
        options["max_resource"] = epochs
    if spec.name == "patient":
        wrapped = options.pop("wrapped", None)
        options["wrapped_pruner"] = wrapped and make_pruner(wrapped, epochs, version, best=best)
    with warnings.catch_warnings():
        # Optuna has called its patient pruner experimental since 2021.
        warnings.simplefilter("ignore", ExperimentalWarning)
        kinds = {**_CLASSES, **_BEST_SO_FAR} if best else _CLASSES
        return kinds[spec.name](**options)
