"""Optuna's rows, written inside the ledger's transactions. `history` reads them.

Optuna's own storage commits a dozen times a trial and shares no transaction with anybody. Here a
trial appears with all its parameters at once, and ends together with its ticket.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

__all__ = [
    "PRUNER_NOTES",
    "STUDIES",
    "TRIALS",
    "as_direction",
    "clear_reports",
    "create_study",
    "delete_study",
    "empty",
    "end",
    "insert",
    "is_study",
    "last_report",
    "last_step",
    "lock_study",
    "numbered",
    "put_reports",
    "put_system_attrs",
    "put_user_attrs",
]  # fmt: skip

STUDIES = models.StudyModel.__table__
_DIRECTIONS = models.StudyDirectionModel.__table__
_STUDY_USER = models.StudyUserAttributeModel.__table__
_STUDY_SYSTEM = models.StudySystemAttributeModel.__table__
TRIALS = models.TrialModel.__table__
_PARAMS = models.TrialParamModel.__table__
_VALUES = models.TrialValueModel.__table__
_REPORTS = models.TrialIntermediateValueModel.__table__
_USER = models.TrialUserAttributeModel.__table__
_SYSTEM = models.TrialSystemAttributeModel.__table__
_HEARTBEATS = models.TrialHeartbeatModel.__table__

PRUNER_NOTES = "completed_rung_"
"""How the system attributes begin that successive halving keeps on a trial."""


def _utc() -> datetime:
    """Optuna stores naive datetimes in UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def create_study(connection: sa.Connection, name: str, direction: str, uid: str) -> int:
    """Insert a study as Optuna does; its id. IntegrityError where the name is taken.

    Its user attribute `hpsearch` has the uid, by which a study that Optuna's tools deleted and
    another that got its id can be told apart.
    """
    row = connection.execute(sa.insert(STUDIES).values(study_name=name))
    study_id = int(row.inserted_primary_key[0])  # type: ignore[index]
    connection.execute(
        sa.insert(_DIRECTIONS).values(
            study_id=study_id, objective=0, direction=as_direction(direction)
        )
    )
    connection.execute(
        sa.insert(_STUDY_USER).values(study_id=study_id, key="hpsearch", value_json=json.dumps(uid))
    )
    return study_id


def is_study(study_id: sa.ColumnElement[int], uid: sa.ColumnElement[str]) -> sa.Exists:
    """Whether Optuna's study of that id is the one of that uid, for a WHERE clause."""
    return sa.exists().where(
        _STUDY_USER.c.study_id == study_id,
        _STUDY_USER.c.key == "hpsearch",
        _STUDY_USER.c.value_json == sa.literal('"') + uid + sa.literal('"'),
    )


def as_direction(direction: str) -> StudyDirection:
    """Optuna's name for `maximize` or `minimize`."""
    return StudyDirection[direction.upper()]


def lock_study(connection: sa.Connection, study_id: int) -> None:
    """Take the study's row lock, the one that Optuna itself takes to number a new trial.

    Every verb that needs it takes it before any other row, so that no two wait for each other.
    """
    query = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
    connection.execute(query.with_for_update())


def delete_study(connection: sa.Connection, study_id: int) -> None:
    """Delete a study and all its trials from Optuna's tables."""
    of_study = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    for table in (_PARAMS, _VALUES, _REPORTS, _USER, _SYSTEM, _HEARTBEATS):
        connection.execute(sa.delete(table).where(table.c.trial_id.in_(of_study)))
    for table in (TRIALS, _DIRECTIONS, _STUDY_USER, _STUDY_SYSTEM, STUDIES):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))


def empty(number: int, trial_id: int, user_attrs: Mapping[str, Any]) -> FrozenTrial:
    """A RUNNING trial without parameters that has no row yet."""
    return FrozenTrial(
        number=number, state=TrialState.RUNNING, value=None, datetime_start=None,
        datetime_complete=None, params={}, distributions={}, user_attrs=dict(user_attrs),
        system_attrs={}, intermediate_values={}, trial_id=trial_id,
    )  # fmt: skip


def insert(connection: sa.Connection, study_id: int, trial: FrozenTrial) -> tuple[int, int]:
    """Insert a RUNNING trial with its parameters and attributes; its (trial_id, number).

    The caller holds the study's lock: the number is the count of trials before it.
    """
    count = sa.select(sa.func.count()).select_from(TRIALS).where(TRIALS.c.study_id == study_id)
    number = int(connection.execute(count).scalar_one())
    row = connection.execute(
        sa.insert(TRIALS).values(
            study_id=study_id, number=number, state=TrialState.RUNNING, datetime_start=_utc()
        )
    )
    trial_id = int(row.inserted_primary_key[0])  # type: ignore[index]
    if trial.params:
        connection.execute(
            sa.insert(_PARAMS),
            [
                {
                    "trial_id": trial_id,
                    "param_name": name,
                    "param_value": trial.distributions[name].to_internal_repr(value),
                    "distribution_json": distribution_to_json(trial.distributions[name]),
                }
                for name, value in trial.params.items()
            ],
        )
    _insert_attrs(connection, _USER, trial_id, trial.user_attrs)
    _insert_attrs(connection, _SYSTEM, trial_id, trial.system_attrs)
    return trial_id, number


def numbered(connection: sa.Connection, trial_id: int) -> tuple[int, int]:
    """(trial_id, number) of a trial that has a row."""
    query = sa.select(TRIALS.c.number).where(TRIALS.c.trial_id == trial_id)
    return trial_id, int(connection.execute(query).scalar_one())


def last_step() -> sa.ScalarSelect[int]:
    """The last step that a trial of the enclosing query has reported; NULL: none."""
    query = sa.select(sa.func.max(_REPORTS.c.step))
    return query.where(_REPORTS.c.trial_id == TRIALS.c.trial_id).correlate(TRIALS).scalar_subquery()


def clear_reports(connection: sa.Connection, trial_id: int, after: int = 0) -> None:
    """Take back a trial's reports after that step; after 0 it begins again.

    What pruners noted is taken back only then: an epoch that is trained again gives the same
    value, and the pruner has judged that one already.
    """
    late = (_REPORTS.c.trial_id == trial_id) & (_REPORTS.c.step > after)
    connection.execute(sa.delete(_REPORTS).where(late))
    if after:
        return
    noted = _SYSTEM.c.key.startswith(PRUNER_NOTES, autoescape=True)
    connection.execute(sa.delete(_SYSTEM).where(_SYSTEM.c.trial_id == trial_id, noted))


def put_reports(connection: sa.Connection, rows: Mapping[int, Mapping[int, float]]) -> None:
    """Write intermediate values, {trial_id: {step: value}}; what stands at a step is replaced.

    A trial that begins again, because its checkpoint is gone, so has the curve of its last run
    and no step twice.
    """
    written = []
    for trial_id, steps in rows.items():
        if not steps:
            continue
        connection.execute(
            sa.delete(_REPORTS).where(_REPORTS.c.trial_id == trial_id, _REPORTS.c.step.in_(steps))
        )
        for step, value in steps.items():
            stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(
                value
            )
            written.append(
                {
                    "trial_id": trial_id,
                    "step": step,
                    "intermediate_value": stored,
                    "intermediate_value_type": kind,
                }
            )
    if written:
        connection.execute(sa.insert(_REPORTS), written)


def put_user_attrs(connection: sa.Connection, trial_id: int, attrs: Mapping[str, Any]) -> None:
    """Set user attributes of a trial."""
    _put_attrs(connection, _USER, trial_id, attrs)


def put_system_attrs(connection: sa.Connection, trial_id: int, attrs: Mapping[str, Any]) -> None:
    """Set system attributes of a trial: what samplers and pruners keep there."""
    _put_attrs(connection, _SYSTEM, trial_id, attrs)


def end(connection: sa.Connection, trial_id: int, state: TrialState, value: float | None) -> None:
    """End a running trial with its value."""
    if value is not None:
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        connection.execute(
            sa.insert(_VALUES).values(trial_id=trial_id, objective=0, value=stored, value_type=kind)
        )
    connection.execute(
        sa.update(TRIALS)
        .where(TRIALS.c.trial_id == trial_id)
        .values(state=state, datetime_complete=_utc())
    )


def last_report(connection: sa.Connection, trial_id: int) -> float | None:
    """The value at a trial's last step; None where it has no report or that is not a number."""
    query = sa.select(_REPORTS.c.intermediate_value).where(_REPORTS.c.trial_id == trial_id)
    return connection.execute(query.order_by(_REPORTS.c.step.desc()).limit(1)).scalar()


def _put_attrs(
    connection: sa.Connection, table: Any, trial_id: int, attrs: Mapping[str, Any]
) -> None:
    if attrs:
        connection.execute(
            sa.delete(table).where(table.c.trial_id == trial_id, table.c.key.in_(list(attrs)))
        )
        _insert_attrs(connection, table, trial_id, attrs)


def _insert_attrs(
    connection: sa.Connection, table: Any, trial_id: int, attrs: Mapping[str, Any]
) -> None:
    if attrs:
        connection.execute(
            sa.insert(table),
            [
                {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
                for key, value in attrs.items()
            ],
        )
