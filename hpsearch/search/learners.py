"""Optuna's TPE and Gaussian process, seeded by ticket, and quicker over a batch of proposals.

What they draw is what Optuna's own draw from the same seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from hpsearch.search.samplers import RandomSampler, number_of, reseed
from hpsearch.store.optuna_private import ParzenEstimator, default_gamma, split_trials

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["SeededGPSampler", "SeededTPESampler"]

_SEEN = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)

_Space = tuple[tuple[str, BaseDistribution], ...]
_Columns = dict[str, np.ndarray]


class SeededTPESampler(TPESampler):
    """`tpe`: proposals and trials under way count among the bad ones, so a batch stays diverse.

    That is the constant liar of Ginsbourger, Le Riche and Carraro, "Kriging is well-suited to
    parallelize optimization" (2010), as TPE can have it: the lie is the worst value.
    """

    def __init__(self, seed: int, n_startup_trials: int = 1) -> None:
        super().__init__(seed=seed, n_startup_trials=n_startup_trials, constant_liar=True)
        self._base_seed = seed
        self._learned_from: list[int] = []
        self._split: tuple[list[FrozenTrial], list[FrozenTrial]] = ([], [])
        self._learned: dict[_Space, tuple[ParzenEstimator, _Columns]] = {}

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed by the number that the trial is drawn by."""
        reseed(self._rng, self._base_seed, number_of(trial))

    def _sample(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Optuna's, but that it looks at ended trials once a batch and not at each proposal."""
        if study._is_multi_objective():
            return super()._sample(study, trial, search_space)
        trials = study._get_trials(deepcopy=False, states=_SEEN)
        pending = [t for t in trials if t.state is _SEEN[-1] and t.number != trial.number]
        self._learn(study, [t for t in trials if t.state is not _SEEN[-1]])
        below, ended = self._observed(study, search_space)
        above = self._estimator(search_space, ended, self._columns(study, pending, search_space))
        samples = below.sample(self._rng.rng, self._n_ei_candidates)
        scores = self._compute_acquisition_func(samples, below, above)
        best = self._compare(samples, scores)
        return {
            name: distribution.to_external_repr(best[name])
            for name, distribution in search_space.items()
        }

    def _learn(self, study: Study, ended: list[FrozenTrial]) -> None:
        """Divide the ended trials into good ones and others, if they are not those of last time."""
        trial_ids = [trial._trial_id for trial in ended]
        if trial_ids != self._learned_from or not self._learned:
            self._learned_from, self._learned = trial_ids, {}
            self._split = split_trials(study, ended, default_gamma(len(ended)))

    def _observed(
        self, study: Study, search_space: dict[str, BaseDistribution]
    ) -> tuple[ParzenEstimator, _Columns]:
        """The density of the good trials, and the values of the others."""
        key = tuple(search_space.items())
        if key not in self._learned:
            good, others = (self._columns(study, part, search_space) for part in self._split)
            self._learned[key] = self._estimator(search_space, good), others
        return self._learned[key]

    def _columns(
        self, study: Study, trials: list[FrozenTrial], search_space: dict[str, BaseDistribution]
    ) -> _Columns:
        """The trials' values of each parameter, and under "" their numbers."""
        params = {trial.number: self._get_params(trial, study) for trial in trials}
        numbers = [n for n, values in params.items() if search_space.keys() <= values.keys()]
        columns = {
            name: np.array([values.to_internal_repr(params[n][name]) for n in numbers], dtype=float)
            for name, values in search_space.items()
        }
        return {**columns, "": np.array(numbers, dtype=int)}

    def _estimator(
        self, search_space: dict[str, BaseDistribution], *parts: _Columns
    ) -> ParzenEstimator:
        """The density of trials, in the order of their numbers: older ones weigh less."""
        order = np.argsort(np.concatenate([part[""] for part in parts]))
        values = {n: np.concatenate([part[n] for part in parts])[order] for n in search_space}
        return self._parzen_estimator_cls(values, search_space, self._parzen_estimator_parameters)


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
        trial_ids = [trial._trial_id for trial in completed_trials]
        if trial_ids != self._learned_from:
            self._gprs_cache_list, self._learned_from = None, trial_ids
        return super()._sample_relative_impl(study, completed_trials, *rest)
