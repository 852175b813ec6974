"""What hpsearch takes from the inside of Optuna: the only module that imports private names of it.

Optuna may change any of them without notice. Version 5.0.0 has them all, and all tests pass with
it. Where an other version lacks one, the import of this module is an HpsearchError of one line.
"""

from __future__ import annotations

from optuna.version import __version__ as optuna_version

from hpsearch.errors import HpsearchError

__all__ = [
    "DEFAULT_STUDY_NAME_PREFIX", "TESTED", "FrozenStudy", "LazyRandomState", "ParzenEstimator",
    "SearchSpaceTransform", "default_gamma", "filter_study", "models", "optuna_version",
    "split_trials",
]  # fmt: skip

TESTED = "5.0.0"
"""The version of Optuna that hpsearch is tested with."""

try:
    # `cmaes` makes its optimizer anew from the trials, in the coordinates that Optuna drew them in.
    from optuna._transform import _SearchSpaceTransform as SearchSpaceTransform

    # Under Hyperband a sampler learns from the trials of one bracket.
    from optuna.pruners import _filter_study as filter_study

    # Samplers draw their random numbers from this class: it is seeded anew for every ticket.
    from optuna.samplers._lazy_random_state import LazyRandomState

    # `tpe` learns from the ended trials once a batch, where Optuna would at each proposal.
    from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator as ParzenEstimator
    from optuna.samplers._tpe.sampler import _split_trials as split_trials
    from optuna.samplers._tpe.sampler import default_gamma

    # Our storages name a study without a name as Optuna's do.
    from optuna.storages._base import DEFAULT_STUDY_NAME_PREFIX

    # Optuna's tables, which the store reads and writes: their columns, the version of their schema,
    # how numbers that are not finite stand in them, and, beside this file, their migrations.
    from optuna.storages._rdb import models

    # What the storage interface gives of each study.
    from optuna.study._frozen import FrozenStudy
except ImportError as error:
    raise HpsearchError(
        f"hpsearch cannot work with Optuna {optuna_version} ({error}); "
        f"pip install 'optuna=={TESTED}'"
    ) from error
