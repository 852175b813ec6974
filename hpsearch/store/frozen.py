"""Trials as Optuna has them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from hpsearch.store.history import StoredTrial

__all__ = ["empty", "frozen"]


def empty(number: int, trial_id: int, user_attrs: Mapping[str, Any]) -> FrozenTrial:
    """A RUNNING trial without parameters that has no row yet."""
    return FrozenTrial(
        number=number, state=TrialState.RUNNING, value=None, datetime_start=None,
        datetime_complete=None, params={}, distributions={}, user_attrs=dict(user_attrs),
        system_attrs={}, intermediate_values={}, trial_id=trial_id,
    )  # fmt: skip


def frozen(trial: StoredTrial) -> FrozenTrial:
    """A trial as it stands in the database; it shares the attributes and reports of that one.

    Raises one of `history.DAMAGE` where a parameter makes no sense.
    """
    drawn = trial.drawn
    distributions = {name: _distribution(text) for name, (_, text) in drawn.items()}
    params = {name: distributions[name].to_external_repr(drawn[name][0]) for name in drawn}
    return FrozenTrial(
        number=trial.number, state=TrialState(trial.state), value=None,
        datetime_start=trial.started, datetime_complete=trial.ended, params=params,
        distributions=distributions, user_attrs=trial.user_attrs, system_attrs=trial.system_attrs,
        intermediate_values=trial.reports, trial_id=trial.trial_id, values=trial.values,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    """One object for all trials that say the same: nobody changes it."""
    return json_to_distribution(text)
