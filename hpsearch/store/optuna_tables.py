"""Optuna's tables, under the names that the store has for them."""

from __future__ import annotations

from hpsearch.store.optuna_private import models

__all__ = [
    "DIRECTIONS", "HEARTBEATS", "PARAMS", "REPORTS", "STUDIES", "STUDY_SYSTEM", "STUDY_USER",
    "TRIALS", "TRIAL_SYSTEM", "TRIAL_USER", "VALUES",
]  # fmt: skip

STUDIES = models.StudyModel.__table__
DIRECTIONS = models.StudyDirectionModel.__table__
STUDY_USER = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM = models.StudySystemAttributeModel.__table__
TRIALS = models.TrialModel.__table__
PARAMS = models.TrialParamModel.__table__
VALUES = models.TrialValueModel.__table__
REPORTS = models.TrialIntermediateValueModel.__table__
TRIAL_USER = models.TrialUserAttributeModel.__table__
TRIAL_SYSTEM = models.TrialSystemAttributeModel.__table__
HEARTBEATS = models.TrialHeartbeatModel.__table__
