"""CMA-ES without unpickling: who can write a row of the database must not run code here."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from optuna.samplers import CmaEsSampler
from optuna.study import StudyDirection

from hpsearch.errors import HpsearchError
from hpsearch.search.samplers import RandomSampler, number_of, reseed
from hpsearch.store.optuna_private import TESTED, SearchSpaceTransform

if TYPE_CHECKING:
    from cmaes import CMA
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

__all__ = ["ReplayedCmaEsSampler"]


class ReplayedCmaEsSampler(CmaEsSampler):
    """Optuna's CMA-ES, whose optimizer is made anew from the trials for each proposal.

    Optuna keeps the optimizer as a pickle in attributes of the trials, and would execute whatever
    stands there. But the optimizer is a function of what it was told, generation by generation,
    and each trial has its parameters, its value and the number of its generation. A trial that
    ends late may so join a generation of which others have drawn: it counts as if in time.
    """

    def __init__(self, seed: int, n_startup_trials: int = 1) -> None:
        """Raises HpsearchError where Optuna has changed, and might unpickle after all."""
        super().__init__(
            seed=seed,
            n_startup_trials=n_startup_trials,
            independent_sampler=RandomSampler(seed),
            warn_independent_sampling=False,
        )
        self._base_seed = seed
        if "_restore_optimizer" not in vars(CmaEsSampler):
            raise HpsearchError(
                "the sampler cmaes cannot be used with this version of Optuna; "
                f"pip install 'optuna=={TESTED}', or choose another sampler"
            )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seed by the number that the trial is drawn by."""
        reseed(self._cma_rng, self._base_seed, number_of(trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """A point of the generation under way."""
        self._raise_error_if_multi_objective(study)
        self._direction, self._space = study.direction, search_space
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> CMA:
        """The optimizer after every complete generation: Optuna's code finds none left to tell."""
        transform = SearchSpaceTransform(self._space, transform_step=True, transform_0_1=True)
        optimizer: CMA = self._init_optimizer(transform, self._direction)
        sign = 1.0 if self._direction is StudyDirection.MINIMIZE else -1.0
        generations = self._generations(completed_trials)
        while len(told := generations[optimizer.generation]) >= optimizer.population_size:
            optimizer.tell(
                [
                    (transform.transform(trial.params), sign * (trial.value or 0.0))
                    for trial in told[: optimizer.population_size]
                ]
            )
        return optimizer

    def _generations(self, trials: list[FrozenTrial]) -> defaultdict[int, list[FrozenTrial]]:
        generations: defaultdict[int, list[FrozenTrial]] = defaultdict(list)
        for trial in trials:
            generation = trial.system_attrs.get(self._attr_key_generation)
            if isinstance(generation, int):
                generations[generation].append(trial)
        return generations
