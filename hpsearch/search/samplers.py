"""Sampler names in a study file -> Optuna samplers, seeded by ticket.

What a sampler draws depends on nothing but the study's seed, the number that the trial is drawn
by and, for the samplers that learn, the trials so far: it draws the same in every process.
"""

from __future__ import annotations

import logging
import zlib
from abc import abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler

from hpsearch.search.distributions import at, to_optuna
from hpsearch.spec.space import Grid

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from scipy.stats import qmc

    from hpsearch.store.optuna_private import LazyRandomState

__all__ = ["DRAWN_BY", "GridSampler", "QmcSampler", "RandomSampler", "number_of", "reseed"]

DRAWN_BY = "hpsearch:drawn_by"
"""System attribute: the number that a trial is drawn by, where that is not its own."""

logging.getLogger("optuna").setLevel(logging.WARNING)

_Space = dict[str, BaseDistribution]


def number_of(trial: FrozenTrial) -> int:
    """The number that a trial is drawn by: its ticket's, or its own in a study without tickets."""
    return int(trial.system_attrs.get(DRAWN_BY, trial.number))


def reseed(state: LazyRandomState, *words: int) -> None:
    """Seed with 32 bits that depend on all words and share nothing with their neighbours'."""
    state.rng.seed(int(np.random.SeedSequence(words).generate_state(1)[0]))


class _PureSampler(BaseSampler):
    """Draws without a look at other trials: what it gives can be foreseen.

    Anyone who asks says by the search space which parameters are drawn together. It is to be the
    same for each trial; of a conditional parameter that does not exist the value is left unused.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> _Space:
        """Nothing: the trials before do not tell what a define-by-run study will ask for."""
        return {}

    @abstractmethod
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: _Space
    ) -> dict[str, Any]:
        """A value for each parameter."""

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A value that depends on the seed, the trial's number and the parameter's name."""
        words = (self._seed, number_of(trial), zlib.crc32(param_name.encode()))
        return at(param_distribution, np.random.default_rng(words).random())


class RandomSampler(_PureSampler):
    """`random`: a uniform point for each trial, a pure function of (seed, number)."""

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: _Space
    ) -> dict[str, Any]:
        """The values at the point."""
        rng = np.random.default_rng((self._seed, number_of(trial)))
        return _values(search_space, rng.random(len(search_space)).tolist())


class QmcSampler(_PureSampler):
    """`qmc`: point `number` of a scrambled Sobol sequence, a pure function of (seed, number).

    Optuna's own counts points in a study attribute, which workers race for.
    """

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: _Space
    ) -> dict[str, Any]:
        """The values at the point."""
        if not search_space:
            return {}
        engine, number = _sobol(self._seed, len(search_space)), number_of(trial)
        if number < engine.num_generated:
            engine.reset()
        if number > engine.num_generated:  # scipy cannot go forward by nothing
            engine.fast_forward(number - engine.num_generated)
        return _values(search_space, np.minimum(engine.random(1)[0], 1 - 2**-53).tolist())


@lru_cache(maxsize=4)
def _sobol(seed: int, dimensions: int) -> qmc.Sobol:
    from scipy.stats import qmc  # slow to load

    return qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))


def _values(search_space: _Space, point: Sequence[float]) -> dict[str, Any]:
    """The values at a point of the unit cube."""
    return {
        name: at(distribution, u)
        for (name, distribution), u in zip(search_space.items(), point, strict=True)
    }


class GridSampler(_PureSampler):
    """`grid`: a cell for each trial, wrapping round after the last.

    Args:
        grid: The cells.
        first: The number that runs cell 0. So does each one below, of a starting point: the cell
            fills what the point leaves open.
        times: How many numbers in a row run the same cell.
    """

    def __init__(self, grid: Grid, first: int = 0, times: int = 1) -> None:
        super().__init__(0)
        self._grid, self._first, self._times = grid, first, max(times, 1)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: _Space
    ) -> dict[str, Any]:
        """The cell's values, of the parameters that exist under it."""
        step = max(number_of(trial) - self._first, 0) // self._times
        cell = self._grid.cell(step % self._grid.size)
        return {n: v for n, v in to_optuna(cell).items() if n in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The first value: of a parameter that the cell lacks and a starting point made exist."""
        return at(param_distribution, 0.0)
