"""Optuna's tables, under the names that the store has for them.

Declared here and not taken from Optuna, which takes longer to load than they take to be read. They
are never made from these declarations, which lack its keys and constraints; a test compares the
columns with those of the Optuna that is installed.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import sqlalchemy as sa

from hpsearch.store.states import ReportKind, StudyDirection, TrialState, ValueKind

__all__ = [
    "DIRECTIONS", "HEARTBEATS", "PARAMS", "REPORTS", "STUDIES", "STUDY_SYSTEM", "STUDY_USER",
    "TRIALS", "TRIAL_SYSTEM", "TRIAL_USER", "VALUES",
]  # fmt: skip

_METADATA = sa.MetaData()


def _table(name: str, key: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(name, _METADATA, sa.Column(key, sa.Integer, primary_key=True), *columns)


def _number(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _name(name: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.String(512), nullable=nullable)


def _value(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Float(precision=53))


def _one_of(name: str, kind: type[Enum], optunas_name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Enum(kind, name=optunas_name), nullable=False)


def _attributes(name: str, key: str, of: str) -> sa.Table:
    return _table(name, key, _number(of), _name("key"), sa.Column("value_json", sa.Text))


STUDIES = _table("studies", "study_id", _name("study_name", nullable=False))
DIRECTIONS = _table(
    "study_directions",
    "study_direction_id",
    _one_of("direction", StudyDirection, "studydirection"),
    _number("study_id", nullable=False),
    _number("objective", nullable=False),
)
STUDY_USER = _attributes("study_user_attributes", "study_user_attribute_id", "study_id")
STUDY_SYSTEM = _attributes("study_system_attributes", "study_system_attribute_id", "study_id")
TRIALS = _table(
    "trials",
    "trial_id",
    _number("number"),
    _number("study_id"),
    _one_of("state", TrialState, "trialstate"),
    sa.Column("datetime_start", sa.DateTime),
    sa.Column("datetime_complete", sa.DateTime),
)
PARAMS = _table(
    "trial_params",
    "param_id",
    _number("trial_id"),
    _name("param_name"),
    _value("param_value"),
    sa.Column("distribution_json", sa.Text),
)
VALUES = _table(
    "trial_values",
    "trial_value_id",
    _number("trial_id", nullable=False),
    _number("objective", nullable=False),
    _value("value"),
    _one_of("value_type", ValueKind, "trialvaluetype"),
)
REPORTS = _table(
    "trial_intermediate_values",
    "trial_intermediate_value_id",
    _number("trial_id", nullable=False),
    _number("step", nullable=False),
    _value("intermediate_value"),
    _one_of("intermediate_value_type", ReportKind, "trialintermediatevaluetype"),
)
TRIAL_USER = _attributes("trial_user_attributes", "trial_user_attribute_id", "trial_id")
TRIAL_SYSTEM = _attributes("trial_system_attributes", "trial_system_attribute_id", "trial_id")
HEARTBEATS = _table(
    "trial_heartbeats",
    "trial_heartbeat_id",
    _number("trial_id", nullable=False),
    sa.Column("heartbeat", sa.DateTime, nullable=False),
)
