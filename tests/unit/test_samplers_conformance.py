"""Optuna's own suite for samplers, on those that a study file can name.

`bayesian` names `gp` or `tpe`, as there is time. Left out is what Optuna leaves out for its own
samplers of the kind: several objectives for `cmaes`. A grid is made of a space that is known, so
to what it does not know (all that the suite asks of a sampler by itself) it gives the first value,
and no relative values; `tests/unit/test_samplers.py` has its cells.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from hpsearch.search.cmaes import ReplayedCmaEsSampler
from hpsearch.search.learners import SeededGPSampler, SeededTPESampler
from hpsearch.search.samplers import GridSampler, QmcSampler, RandomSampler
from hpsearch.spec.space import Grid, Space


def small_gp() -> SeededGPSampler:
    """As it is, but for a coarser search of the next point: the suite asks for a thousand."""
    sampler = SeededGPSampler(0, n_startup_trials=0)
    sampler._n_preliminary_samples, sampler._n_local_search, sampler._n_qmc_samples_qei = 16, 2, 8
    return sampler


MAKERS: dict[str, Callable[[], BaseSampler]] = {
    "grid": lambda: GridSampler(Grid(Space(()))),
    "random": lambda: RandomSampler(0),
    "qmc": lambda: QmcSampler(0),
    "tpe": lambda: SeededTPESampler(0, n_startup_trials=0),
    "gp": small_gp,
    "full_gp": lambda: SeededGPSampler(0, n_startup_trials=0),
    "cmaes": lambda: ReplayedCmaEsSampler(0, n_startup_trials=0),
}


class _Made:
    @pytest.fixture
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], BaseSampler]:
        return MAKERS[request.param]


def _of(*names: str) -> pytest.MarkDecorator:
    """A Gaussian process takes a second a test, and is held against Optuna's in test_samplers."""
    nightly = ["gp", "full_gp"] if "gp" in names else []
    quick = [name for name in names if name not in nightly]
    at_night = [pytest.param(name, marks=pytest.mark.nightly) for name in nightly]
    return pytest.mark.parametrize("sampler", [*quick, *at_night], indirect=True)


@_of("grid", "random", "qmc", "tpe", "gp", "cmaes")
class TestBasic(_Made, BasicSamplerTestCase):
    pass


@_of("random", "qmc", "tpe", "gp", "cmaes")
class TestRelative(_Made, RelativeSamplerTestCase):
    pass


@_of("grid", "random", "qmc", "tpe", "gp")
class TestMultiObjective(_Made, MultiObjectiveSamplerTestCase):
    pass


@_of("cmaes")
class TestSingleOnly(_Made, SingleOnlySamplerTestCase):
    pass
