"""Optuna's rows, written inside the ledger's transactions. `history` reads them.

Optuna's own storage commits a dozen times a trial and shares no transaction with anybody. Here a
trial appears with all its parameters at once, and ends together with its ticket.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from hpsearch.store.optuna_tables import (
    DIRECTIONS,
    HEARTBEATS,
    PARAMS,
    REPORTS,
    STUDIES,
    STUDY_SYSTEM,
    STUDY_USER,
    TRIAL_SYSTEM,
    TRIAL_USER,
    TRIALS,
    VALUES,
)
from hpsearch.store.prepared import upsert
from hpsearch.store.states import ReportKind, StudyDirection, TrialState, ValueKind

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = [
    "CONSTRAINTS",
    "INFEASIBLE",
    "METRIC_NAMES",
    "PRUNER_NOTES",
    "add_study",
    "any_report",
    "as_direction",
    "clear_reports",
    "create_study",
    "delete_study",
    "end",
    "insert",
    "is_feasible",
    "is_study",
    "last_reports",
    "last_step",
    "lock_study",
    "name_metrics",
    "nameless",
    "next_number",
    "numbered",
    "put_reports",
    "put_system_attrs",
    "put_user_attrs",
    "put_values",
    "rows_of_values",
    "study_of",
]  # fmt: skip

K = TypeVar("K", bound=Enum)

CONSTRAINTS = "constraints"
"""Optuna's system attribute of a trial's constraints, in the form that its dashboard reads too."""

INFEASIBLE = (1.0,)
"""The constraint of what Optuna is not to take for its best trial: one above 0 is violated."""

PRUNER_NOTES = "completed_rung_"
"""How the system attributes begin that successive halving keeps on a trial."""


METRIC_NAMES = "study:metric_names"
"""Optuna's system attribute of a study."""


def _utc() -> datetime:
    """Optuna stores naive datetimes in UTC."""
    return datetime.now(UTC).replace(tzinfo=None)


def add_study(connection: sa.Connection, name: str, directions: Sequence[IntEnum]) -> int:
    """Insert a study; its id. IntegrityError where the name is taken."""
    row = connection.execute(sa.insert(STUDIES).values(study_name=name))
    study_id = int(row.inserted_primary_key[0])  # type: ignore[index]
    rows = [
        {"study_id": study_id, "objective": i, "direction": direction}
        for i, direction in enumerate(directions)
    ]
    connection.execute(sa.insert(DIRECTIONS), rows)
    return study_id


def create_study(connection: sa.Connection, name: str, direction: str, uid: str) -> int:
    """Insert a study of hpsearch's; its id. IntegrityError where the name is taken.

    Its user attribute `hpsearch` has the uid, by which a study that Optuna's tools deleted and
    another that got its id can be told apart.
    """
    study_id = add_study(connection, name, [as_direction(direction)])
    connection.execute(
        sa.insert(STUDY_USER).values(study_id=study_id, key="hpsearch", value_json=json.dumps(uid))
    )
    return study_id


def name_metrics(connection: sa.Connection, names: Mapping[int, str]) -> None:
    """Give the value of these studies' trials a name, as `Study.set_metric_names` does, {study_id:
    name}: Optuna's plots and its dashboard would call it "Objective 0"."""
    rows = [
        {"study_id": study_id, "key": METRIC_NAMES, "value_json": json.dumps([name])}
        for study_id, name in names.items()
    ]
    upsert(connection, STUDY_SYSTEM, ("study_id", "key"), rows)


def nameless() -> sa.ColumnElement[bool]:
    """Whether a study of hpsearch's has no name for its metric, for a WHERE clause on STUDIES."""
    named = STUDY_SYSTEM.c.study_id == STUDIES.c.study_id, STUDY_SYSTEM.c.key == METRIC_NAMES
    return ~sa.exists().where(*named)


def is_study(study_id: sa.ColumnElement[int], uid: sa.ColumnElement[str]) -> sa.Exists:
    """Whether Optuna's study of that id is the one of that uid, for a WHERE clause."""
    return sa.exists().where(
        STUDY_USER.c.study_id == study_id,
        STUDY_USER.c.key == "hpsearch",
        STUDY_USER.c.value_json == sa.literal('"') + uid + sa.literal('"'),
    )


def as_direction(direction: str) -> StudyDirection:
    """Optuna's name for `maximize` or `minimize`."""
    return StudyDirection[direction.upper()]


def lock_study(connection: sa.Connection, study_id: int) -> None:
    """Take the study's row lock, the one that Optuna itself takes to number a new trial.

    Every verb that needs it takes it before any other row, so that no two wait for each other.
    """
    if connection.dialect.name == "sqlite":
        return  # anyone who writes there has the whole database to itself
    query = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
    connection.execute(query.with_for_update())


def delete_study(connection: sa.Connection, study_id: int) -> None:
    """Delete a study and all its trials from Optuna's tables."""
    of_study = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    for table in (PARAMS, VALUES, REPORTS, TRIAL_USER, TRIAL_SYSTEM, HEARTBEATS):
        connection.execute(sa.delete(table).where(table.c.trial_id.in_(of_study)))
    for table in (TRIALS, DIRECTIONS, STUDY_USER, STUDY_SYSTEM, STUDIES):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))


def is_feasible(trial: FrozenTrial) -> bool:
    """Whether it violates no constraint, in either of the forms in which Optuna keeps these."""
    return all(value <= 0.0 for value in trial.constraints.values())


def next_number(study_id: int | sa.ColumnElement[int]) -> sa.ScalarSelect[int]:
    """The number of a study's next trial, true while the caller holds the study's lock.

    Optuna numbers its own trials under that lock too: without gaps, in the order of their ids. So
    the newest one tells, however many there are.
    """
    newest = _newest(study_id, 1).subquery()
    return sa.select(sa.func.coalesce(sa.func.max(newest.c.number) + 1, 0)).scalar_subquery()


def _newest(study_id: int | sa.ColumnElement[int], count: int) -> sa.Select[Any]:
    query = sa.select(TRIALS.c.trial_id, TRIALS.c.number).where(TRIALS.c.study_id == study_id)
    return query.order_by(TRIALS.c.trial_id.desc()).limit(count)


def insert(
    connection: sa.Connection, study_id: int, number: int, new: Sequence[FrozenTrial]
) -> list[tuple[int, int]]:
    """Insert RUNNING trials with parameters and attributes; the (trial_id, number) of each.

    The first one gets that number, the study's `next_number`.
    """
    if not new:
        return []
    rows = [
        {"study_id": study_id, "number": number + i, "state": TrialState.RUNNING,
         "datetime_start": _utc()}
        for i in range(len(new))
    ]  # fmt: skip
    added = sa.insert(TRIALS)
    if connection.dialect.insert_executemany_returning:
        inserted = connection.execute(added.returning(TRIALS.c.trial_id, TRIALS.c.number), rows)
    else:  # MySQL
        connection.execute(added, rows)
        inserted = connection.execute(_newest(study_id, len(rows)))
    made = sorted(((row.trial_id, row.number) for row in inserted), key=lambda row: row[1])
    trials = {trial_id: trial for (trial_id, _), trial in zip(made, new, strict=True)}
    _insert(connection, PARAMS, [row for item in trials.items() for row in _params(*item)])
    user = {trial_id: trial.user_attrs for trial_id, trial in trials.items()}
    _insert(connection, TRIAL_USER, _attrs(user))
    system = {trial_id: trial.system_attrs for trial_id, trial in trials.items()}
    _insert(connection, TRIAL_SYSTEM, _attrs(system))
    return made


def _params(trial_id: int, trial: FrozenTrial) -> list[dict[str, Any]]:
    from optuna.distributions import distribution_to_json

    return [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": trial.distributions[name].to_internal_repr(value),
            "distribution_json": distribution_to_json(trial.distributions[name]),
        }
        for name, value in trial.params.items()
    ]


def _attrs(attrs: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        for trial_id, values in attrs.items()
        for key, value in values.items()
    ]


def _insert(connection: sa.Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def numbered(connection: sa.Connection, trial_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """(trial_id, number) of trials that have a row, by id."""
    if not trial_ids:
        return {}
    query = sa.select(TRIALS.c.trial_id, TRIALS.c.number)
    rows = connection.execute(query.where(TRIALS.c.trial_id.in_(list(trial_ids))))
    return {row.trial_id: (row.trial_id, row.number) for row in rows}


def study_of(connection: sa.Connection, trial_id: int) -> int | None:
    """The id of the study that a trial belongs to; None: there is no such trial."""
    query = sa.select(TRIALS.c.study_id).where(TRIALS.c.trial_id == trial_id)
    study_id: int | None = connection.execute(query).scalar()
    return study_id


def last_step() -> sa.ScalarSelect[int]:
    """The last step that a trial of the enclosing query has reported; NULL: none."""
    query = sa.select(sa.func.max(REPORTS.c.step))
    return query.where(REPORTS.c.trial_id == TRIALS.c.trial_id).correlate(TRIALS).scalar_subquery()


def clear_reports(connection: sa.Connection, kept: Mapping[int, int]) -> None:
    """Take back trials' reports after that step, {trial_id: step}; after 0 a trial begins again.

    What pruners noted is taken back only then: an epoch that is trained again gives the same
    value, and the pruner has judged that one already.
    """
    if not kept:
        return
    late = (REPORTS.c.trial_id == sa.bindparam("of")) & (REPORTS.c.step > sa.bindparam("after"))
    rows = [{"of": trial_id, "after": step} for trial_id, step in kept.items()]
    connection.execute(sa.delete(REPORTS).where(late), rows)
    again = [trial_id for trial_id, step in kept.items() if step == 0]
    if again:
        noted = TRIAL_SYSTEM.c.key.startswith(PRUNER_NOTES, autoescape=True)
        connection.execute(sa.delete(TRIAL_SYSTEM).where(TRIAL_SYSTEM.c.trial_id.in_(again), noted))


def put_reports(connection: sa.Connection, reports: Mapping[int, Mapping[int, float]]) -> None:
    """Write intermediate values, {trial_id: {step: value}}; what stands at a step is replaced.

    A trial that begins again, because its checkpoint is gone, so has the curve of its last run
    and no step twice.
    """
    rows = []
    for trial_id, steps in reports.items():
        for step, value in steps.items():
            stored, kind = _stored(value, ReportKind)
            rows.append(
                {"trial_id": trial_id, "step": step, "intermediate_value": stored,
                 "intermediate_value_type": kind}
            )  # fmt: skip
    upsert(connection, REPORTS, ("trial_id", "step"), rows)


def put_user_attrs(connection: sa.Connection, attrs: Mapping[int, Mapping[str, Any]]) -> None:
    """Set user attributes of trials, {trial_id: {key: value}}."""
    upsert(connection, TRIAL_USER, ("trial_id", "key"), _attrs(attrs))


def put_system_attrs(connection: sa.Connection, attrs: Mapping[int, Mapping[str, Any]]) -> None:
    """Set system attributes of trials: what samplers and pruners keep there."""
    upsert(connection, TRIAL_SYSTEM, ("trial_id", "key"), _attrs(attrs))


def put_values(connection: sa.Connection, values: Mapping[int, Sequence[float]]) -> None:
    """Write the values of trials that have none yet, {trial_id: one for each direction}."""
    _insert(connection, VALUES, rows_of_values(values))


def rows_of_values(values: Mapping[int, Sequence[float]]) -> list[dict[str, Any]]:
    """The rows of trials' values, {trial_id: one for each direction}."""
    rows = []
    for trial_id, of_trial in values.items():
        for objective, value in enumerate(of_trial):
            stored, kind = _stored(value, ValueKind)
            rows.append(
                {"trial_id": trial_id, "objective": objective, "value": stored,
                 "value_type": kind}
            )  # fmt: skip
    return rows


def _stored(value: float, kinds: type[K]) -> tuple[float | None, K]:
    """A number as it stands in a row, and what it is: one that is not finite has NULL there."""
    if math.isfinite(value):
        return value, kinds["FINITE"]
    name = "NAN" if math.isnan(value) else "INF_POS" if value > 0 else "INF_NEG"
    # A trial has no value that is no number; the database may refuse one.
    return (None, kinds[name]) if name in kinds.__members__ else (value, kinds["FINITE"])


def end(connection: sa.Connection, endings: Mapping[int, tuple[IntEnum, float | None]]) -> None:
    """End running trials, {trial_id: (state, value)}."""
    put_values(connection, {i: [value] for i, (_, value) in endings.items() if value is not None})
    for state in sorted({state for state, _ in endings.values()}):
        alike = [trial_id for trial_id, (its, _) in endings.items() if its == state]
        connection.execute(
            sa.update(TRIALS)
            .where(TRIALS.c.trial_id.in_(alike))
            .values(state=state, datetime_complete=_utc())
        )


def any_report(connection: sa.Connection, study_id: int) -> bool:
    """Whether a trial of the study has reported an epoch."""
    reported = sa.exists().where(
        REPORTS.c.trial_id == TRIALS.c.trial_id, TRIALS.c.study_id == study_id
    )
    return bool(connection.execute(sa.select(reported)).scalar())


def last_reports(connection: sa.Connection, trial_ids: Collection[int]) -> dict[int, float | None]:
    """The value at each trial's last step, if it has any; None where that is not a number."""
    query = sa.select(REPORTS.c.trial_id, REPORTS.c.intermediate_value)
    of_these = query.where(REPORTS.c.trial_id.in_(list(trial_ids))).order_by(REPORTS.c.step)
    return {row.trial_id: row.intermediate_value for row in connection.execute(of_these)}
