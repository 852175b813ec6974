"""Pruner names in a study file -> Optuna's pruners."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from optuna import pruners
from optuna.exceptions import ExperimentalWarning

if TYPE_CHECKING:
    from hpsearch.spec import PrunerSpec

__all__ = ["make_pruner"]

_CLASSES: dict[str, type[pruners.BasePruner]] = {
    "asha": pruners.SuccessiveHalvingPruner,
    "hyperband": pruners.HyperbandPruner,
    "median": pruners.MedianPruner,
    "percentile": pruners.PercentilePruner,
    "patient": pruners.PatientPruner,
    "threshold": pruners.ThresholdPruner,
    "none": pruners.NopPruner,
}


def make_pruner(spec: PrunerSpec, epochs: int, version: int) -> pruners.BasePruner:
    """The Optuna pruner of a study.

    Args:
        spec: Its name and options, under Optuna's own names.
        epochs: The most that a trial runs. Hyperband lays its brackets by it; Optuna would guess
            it in each process from the trials seen there.
        version: Of the study's document.
    """
    options = spec.steps(version)
    if spec.name == "hyperband":
        options["max_resource"] = epochs
    if spec.name == "patient":
        wrapped = options.pop("wrapped", None)
        options["wrapped_pruner"] = wrapped and make_pruner(wrapped, epochs, version)
    with warnings.catch_warnings():
        # Optuna has called its patient pruner experimental since 2021.
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _CLASSES[spec.name](**options)
