"""Optuna's TPE and Gaussian process, seeded by ticket, and quicker over a batch of proposals.

What they draw is what Optuna's own draw from the same seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import GPSampler, TPESampler

from hpsearch.search.samplers import RandomSampler, number_of, reseed

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["SeededGPSampler", "SeededTPESampler"]


class SeededTPESampler(TPESampler):
    """`tpe`: proposals and trials under way count among the bad ones, so a batch stays diverse.

    That is the constant liar of Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to
    parallelize optimization" (2010), as TPE can have it: the lie is the worst value.
    """

    def __init__(self, seed: int, n_startup_trials: int = 1) -> None:
        super().__init__(seed=seed, n_startup_trials=n_startup_trials, constant_liar=True)
        self._base_seed = seed

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed by the number that the trial is drawn by."""
        reseed(self._rng, self._base_seed, number_of(trial))

    def _get_internal_repr(
        self, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution], study: Study
    ) -> dict[str, np.ndarray]:
        """Optuna's, a parameter at a time: of many trials it took half the time of a proposal."""
        names = search_space.keys()
        known = (t.params if t.state.is_finished() else self._get_params(t, study) for t in trials)
        rows = [params for params in known if names <= params.keys()]
        return {name: _column(rows, name, found) for name, found in search_space.items()}


def _column(rows: list[dict[str, Any]], name: str, found: BaseDistribution) -> np.ndarray:
    if isinstance(found, CategoricalDistribution):
        return np.array([found.to_internal_repr(row[name]) for row in rows])
    return np.array([row[name] for row in rows], dtype=float)


class SeededGPSampler(GPSampler):
    """`bayesian` while it is fast enough; proposals and trials under way count as observed.

    Their values are not known, so the expected improvement is a mean over what the process holds
    possible: qLogEI, with greedy choice of one proposal after the other (Ament et al., "Unexpected
    improvements to expected improvement for Bayesian optimization", 2023).
    """

    def __init__(self, seed: int, n_startup_trials: int = 1) -> None:
        super().__init__(
            seed=seed,
            n_startup_trials=n_startup_trials,
            independent_sampler=RandomSampler(seed),
            warn_independent_sampling=False,
        )
        self._base_seed = seed
        self._learned_from: list[int] = []

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed by the number that the trial is drawn by."""
        reseed(self._rng, self._base_seed, number_of(trial))

    def _sample_relative_impl(
        self, study: Study, completed_trials: list[FrozenTrial], *rest: Any
    ) -> dict[str, Any]:
        """Optuna's, which begins its fit at the last one: so within a batch it is there at once.

        From other trials it begins anew, so that what is drawn does not depend on the process.
        """
        known = [trial._trial_id for trial in completed_trials]
        if known != self._learned_from:
            self._gprs_cache_list, self._learned_from = None, known
        return super()._sample_relative_impl(study, completed_trials, *rest)
