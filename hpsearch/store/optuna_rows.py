"""Rows as Optuna's own storage writes them: steps of the transactions of `storage`.

`trials` has those that the ledger shares.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import ConflictError
from hpsearch.store import origin as origins
from hpsearch.store import tables, trials
from hpsearch.store.optuna_private import FrozenStudy
from hpsearch.store.optuna_tables import (
    DIRECTIONS,
    PARAMS,
    STUDIES,
    STUDY_SYSTEM,
    STUDY_USER,
    TRIALS,
    VALUES,
)
from hpsearch.store.origin import STUDY, Origin, origin
from hpsearch.store.prepared import BATCH, Among, Prepared, upsert

__all__ = [
    "Head", "add_trial", "check_not_ours", "head", "locked", "put_attr",
    "put_params",
    "put_state", "read_attrs", "read_studies", "waiting",
]  # fmt: skip


def read_studies(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[FrozenStudy]:
    """Studies by id; all of them unless a condition on Optuna's `studies` is given."""
    query = sa.select(STUDIES.c.study_id, STUDIES.c.study_name).where(*which)
    names = connection.execute(query.order_by(STUDIES.c.study_id)).all()
    ids = sa.select(STUDIES.c.study_id).where(*which)
    directions: dict[int, list[StudyDirection]] = defaultdict(list)
    c = DIRECTIONS.c
    selected = sa.select(c.study_id, c.direction).where(c.study_id.in_(ids)).order_by(c.objective)
    for study_id, direction in connection.execute(selected):
        directions[study_id].append(StudyDirection(direction))
    user, system = (_attrs_of(connection, table, ids) for table in (STUDY_USER, STUDY_SYSTEM))
    return [
        FrozenStudy(
            name, None, user[study_id], system[study_id], study_id, directions=directions[study_id]
        )
        for study_id, name in names
    ]


def read_attrs(connection: sa.Connection, table: Any, study_id: int) -> dict[str, Any]:
    """A study's attributes; KeyError if there is none of that id."""
    attrs = _attrs_of(connection, table, [study_id])[study_id]
    if not attrs:
        origin(connection, study_id)
    return attrs


def _attrs_of(
    connection: sa.Connection, table: Any, ids: sa.Select[tuple[int]] | Sequence[int]
) -> dict[int, dict[str, Any]]:
    attrs: dict[int, dict[str, Any]] = defaultdict(dict)
    query = sa.select(table.c.study_id, table.c.key, table.c.value_json)
    for study_id, key, text in connection.execute(query.where(table.c.study_id.in_(ids))):
        attrs[study_id][key] = json.loads(text)
    return attrs


def check_not_ours(connection: sa.Connection, study_id: int, why: str) -> None:
    """ConflictError where a study is hpsearch's own, and not to be changed as one of Optuna's; a
    copy of it may be. KeyError if there is none of that id."""
    name, uid, *_ = origin(connection, study_id)
    if uid is None or tables.versions(connection)[0] is None:
        return
    query = sa.select(tables.studies.c.uid).where(tables.studies.c.study_id == study_id)
    if uid == json.dumps(connection.execute(query).scalar()):
        raise ConflictError(f"study {name!r} is hpsearch's, and {why}")


def waiting(
    connection: sa.Connection, study_id: int, unknown: tuple[int, Sequence[int]]
) -> tuple[Origin, bool]:
    """A study's origin, and whether a trial waits to be run among those of which that is unknown:
    of a higher id, and these; one statement. KeyError if there is no study of that id."""
    last, ids = unknown
    row = _waiting.run(connection, {"study": study_id, "last": last}, ids).one_or_none()
    if row is None:
        raise KeyError(f"there is no study with the id {study_id}")
    return Origin(*row[:4]), bool(row[4])


@Prepared
def _waiting(among: Among) -> sa.Executable:
    c = TRIALS.c
    of_study = c.study_id == STUDY, c.state == TrialState.WAITING
    new = sa.exists().where(*of_study, c.trial_id > sa.bindparam("last", type_=sa.Integer))
    waits = new | sa.exists().where(*of_study, among(c.trial_id))
    return origins.select().add_columns(waits)


def put_attr(connection: sa.Connection, table: Any, study_id: int, key: str, value: Any) -> None:
    """Set an attribute of a study."""
    trials.lock_study(connection, study_id)
    mine = (table.c.study_id == study_id) & (table.c.key == key)
    connection.execute(sa.delete(table).where(mine))
    row = {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
    connection.execute(sa.insert(table).values(row))


Head = tuple[int, int, TrialState]
"""(study_id, number, state)"""


def head(connection: sa.Connection, trial_id: int) -> Head:
    """What a trial is; KeyError if there is none of that id."""
    for row in _heads.run(connection, {}, [trial_id]):
        return _head(row)
    raise KeyError(f"there is no trial with the id {trial_id}")


def locked(connection: sa.Connection, trial_ids: Collection[int]) -> dict[int, Head]:
    """What these trials are, {trial_id: head}; they stay so until the transaction ends."""
    ids = sorted(trial_ids)
    rows = [
        row for start in range(0, len(ids), BATCH)
        for row in _locked_heads.run(connection, {}, ids[start : start + BATCH])
    ]  # fmt: skip
    return {row[0]: _head(row) for row in rows}


def _head(row: Any) -> Head:
    return row[1], row[2], TrialState[row[3]]


def _select_heads(among: Among) -> sa.Select[Any]:
    c = TRIALS.c
    return sa.select(c.trial_id, c.study_id, c.number, c.state).where(among(c.trial_id))


_heads = Prepared(_select_heads)


@Prepared
def _locked_heads(among: Among) -> sa.Executable:
    return _select_heads(among).order_by(TRIALS.c.trial_id).with_for_update()


def add_trial(connection: sa.Connection, study_id: int, trial: FrozenTrial) -> tuple[int, int]:
    """Insert a trial with all that it has; its (trial_id, number). KeyError without the study."""
    if _lock.run(connection, {"study": study_id}).one_or_none() is None:
        raise KeyError(f"there is no study with the id {study_id}")
    trial_id, number = _insert_trial(
        connection,
        study=study_id,
        new_state=trial.state,
        new_start=_utc(trial.datetime_start),
        new_complete=_utc(trial.datetime_complete),
    )
    params = {
        name: (distribution.to_internal_repr(trial.params[name]), distribution)
        for name, distribution in trial.distributions.items()
    }
    put_params(connection, {trial_id: params})
    _put_values(connection, trial_id, trial.values or ())
    trials.put_user_attrs(connection, {trial_id: trial.user_attrs})
    trials.put_system_attrs(connection, {trial_id: trial.system_attrs})
    trials.put_reports(connection, {trial_id: trial.intermediate_values})
    return trial_id, number


def _insert_trial(connection: sa.Connection, **values: Any) -> tuple[int, int]:
    if connection.dialect.insert_returning and connection.dialect.name != "mysql":
        row = _insert_numbered.run(connection, values).one()
        return row[0], row[1]
    values["new_number"] = number = _next_number.run(connection, values).scalar_one()
    return _insert.run(connection, values).lastrowid, number


@Prepared
def _lock(_among: Among) -> sa.Executable:
    # As Optuna does, to number a new trial.
    return sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == STUDY).with_for_update()


@Prepared
def _next_number(_among: Among) -> sa.Executable:
    return sa.select(trials.next_number(STUDY))


@Prepared
def _insert_numbered(_among: Among) -> sa.Executable:
    return _new_trial(trials.next_number(STUDY)).returning(TRIALS.c.trial_id, TRIALS.c.number)


@Prepared
def _insert(_among: Among) -> sa.Executable:
    return _new_trial(sa.bindparam("new_number", type_=sa.Integer))


def _new_trial(number: Any) -> sa.Insert:
    return sa.insert(TRIALS).values(
        study_id=STUDY, number=number, state=_new("state", "state"),
        datetime_start=_new("start", "datetime_start"),
        datetime_complete=_new("complete", "datetime_complete"),
    )  # fmt: skip


def _new(name: str, column: str) -> sa.BindParameter[Any]:
    return sa.bindparam(f"new_{name}", type_=TRIALS.c[column].type)


def put_params(
    connection: sa.Connection, params: Mapping[int, Mapping[str, tuple[float, BaseDistribution]]]
) -> None:
    """Write parameters of trials, {trial_id: {name: (internal value, distribution)}}."""
    rows = [
        {"trial_id": trial_id, "param_name": name, "param_value": value,
         "distribution_json": distribution_to_json(of)}
        for trial_id, by_name in params.items()
        for name, (value, of) in by_name.items()
    ]  # fmt: skip
    upsert(connection, PARAMS, ("trial_id", "param_name"), rows)


def put_state(
    connection: sa.Connection,
    trial_id: int,
    state: TrialState,
    values: Sequence[float] | None,
    at: datetime,
) -> None:
    """Set a trial's state and values; `at` is when it began to run, or ended."""
    _put_values(connection, trial_id, values or ())
    began = _utc(at) if state is TrialState.RUNNING else None
    ended = _utc(at) if state.is_finished() else None
    new = {"trial": trial_id, "new_state": state, "new_start": began, "new_complete": ended}
    _set_state.run(connection, new)


@Prepared
def _set_state(_among: Among) -> sa.Executable:
    c = TRIALS.c
    return (
        sa.update(TRIALS)
        .where(c.trial_id == sa.bindparam("trial", type_=sa.Integer))
        .values(
            state=_new("state", "state"),
            datetime_start=sa.func.coalesce(_new("start", "datetime_start"), c.datetime_start),
            datetime_complete=sa.func.coalesce(
                _new("complete", "datetime_complete"), c.datetime_complete
            ),
        )
    )


def _put_values(connection: sa.Connection, trial_id: int, values: Sequence[float]) -> None:
    rows = trials.rows_of_values({trial_id: values})
    upsert(connection, VALUES, ("trial_id", "objective"), rows)


def _utc(local: datetime | None) -> datetime | None:
    """Optuna shows naive local times and stores naive ones in UTC."""
    return local and local.astimezone(UTC).replace(tzinfo=None)
