"""Trials of hpsearch's studies as people read them: results first, bookkeeping in one entry.

What the database has is not changed by it: hpsearch, Optuna and MLflow read the attributes as they
are, of old studies too. Only what optuna-dashboard shows is arranged.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Container, Mapping
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpsearch.store.engine import Database
from hpsearch.store.storage import BatchedStorage

__all__ = ["ReadableStorage", "arranged"]

BOOKKEEPING = "hpsearch"
"""The entry for what only hpsearch needs."""

_FIRST = ("reason", "best_epoch")
_THEN = ("stage", "sampler", "parameters", "off", "checkpoint", "log")
"""What people want to know of a trial before its metrics, and after them, in this order."""


def arranged(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's attributes: each metric, what else is a result, and the rest as one entry; those
    that hpsearch has not written as they are."""
    if "ticket" not in attrs or "stage" not in attrs:
        return dict(attrs)
    shown = {key: attrs[key] for key in _FIRST if key in attrs}
    metrics = attrs.get("metrics")
    for name, value in metrics.items() if isinstance(metrics, dict) else ():
        shown.setdefault(name, _rounded(value))
    for key in _THEN:
        if key in attrs:
            shown.setdefault(key, attrs[key])
    rest = {k: v for k, v in attrs.items() if k not in ("metrics", *_FIRST, *_THEN)}
    return {**shown, BOOKKEEPING: rest}


def _rounded(value: Any) -> Any:
    """A metric with the digits that single precision has."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


class ReadableStorage(BatchedStorage):
    """Optuna's storage for optuna-dashboard."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._arranging = threading.Lock()
        self._arranged: dict[int, tuple[FrozenTrial, FrozenTrial]] = {}
        """Trials that have ended, as they were read and as they are shown, by id."""

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """The study's trials by number; KeyError if there is no study of that id."""
        trials = super().get_all_trials(study_id, deepcopy=False, states=states)
        with self._arranging:
            shown = [self._shown(trial) for trial in trials]
        return copy.deepcopy(shown) if deepcopy else shown

    def _shown(self, trial: FrozenTrial) -> FrozenTrial:
        earlier = self._arranged.get(trial._trial_id)
        if earlier is not None and earlier[0] is trial:
            return earlier[1]
        shown = copy.copy(trial)
        shown._user_attrs = arranged(trial.user_attrs)
        if trial.state.is_finished():
            self._arranged[trial._trial_id] = trial, shown
        return shown
