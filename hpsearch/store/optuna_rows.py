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
from hpsearch.store import picture_rows, tables, trials
from hpsearch.store.engine import upsert
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

__all__ = [
    "Head", "Origin", "add_trial", "check_not_ours", "head", "locked", "origin", "put_attr",
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
    found = sa.select(c.study_id, c.direction).where(c.study_id.in_(ids)).order_by(c.objective)
    for study_id, direction in connection.execute(found):
        directions[study_id].append(direction)
    user, system = (_attrs_of(connection, table, ids) for table in (STUDY_USER, STUDY_SYSTEM))
    return [
        FrozenStudy(
            name, None, user[study_id], system[study_id], study_id, directions=directions[study_id]
        )
        for study_id, name in names
    ]


def read_attrs(connection: sa.Connection, table: Any, study_id: int) -> dict[str, Any]:
    """A study's attributes; KeyError if there is none of that id."""
    found = _attrs_of(connection, table, [study_id])[study_id]
    if not found:
        origin(connection, study_id)
    return found


def _attrs_of(
    connection: sa.Connection, table: Any, ids: sa.Select[tuple[int]] | Sequence[int]
) -> dict[int, dict[str, Any]]:
    attrs: dict[int, dict[str, Any]] = defaultdict(dict)
    query = sa.select(table.c.study_id, table.c.key, table.c.value_json)
    for study_id, key, text in connection.execute(query.where(table.c.study_id.in_(ids))):
        attrs[study_id][key] = json.loads(text)
    return attrs


Origin = tuple[str, str | None, datetime | None, str | None]


def origin(connection: sa.Connection, study_id: int) -> Origin:
    """What tells a study from an earlier one that had its id: SQLite gives ids again.

    Its name, hpsearch's uid, and when its first trial began; and its note of pictures, by which the
    trials are known that have got some. KeyError if there is none of that id.
    """
    row = connection.execute(_ORIGIN, {"study": study_id}).one_or_none()
    return _origin(row, study_id)


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
    values = {"study": study_id, "last": last, "ids": [*ids] or [-1]}
    row = connection.execute(_WAITING, values).one_or_none()
    return _origin(row, study_id), bool(row and row[4])


def _origin(row: Any, study_id: int) -> Origin:
    if row is None:
        raise KeyError(f"there is no study with the id {study_id}")
    return row[0], row[1], row[2], row[3]


def _origin_query() -> sa.Select[Any]:
    mine: sa.BindParameter[int] = sa.bindparam("study")
    uid = sa.select(STUDY_USER.c.value_json).where(
        STUDY_USER.c.study_id == mine, STUDY_USER.c.key == "hpsearch"
    )
    first = sa.select(sa.func.min(TRIALS.c.trial_id)).where(TRIALS.c.study_id == mine)
    began = sa.select(TRIALS.c.datetime_start).where(TRIALS.c.trial_id == first.scalar_subquery())
    note = sa.select(STUDY_SYSTEM.c.value_json).where(
        STUDY_SYSTEM.c.study_id == mine, STUDY_SYSTEM.c.key == picture_rows.NOTE
    )
    parts = (part.scalar_subquery() for part in (uid, began, note))
    return sa.select(STUDIES.c.study_name, *parts).where(STUDIES.c.study_id == mine)


def _waiting_query() -> sa.Select[Any]:
    c = TRIALS.c
    of_study = c.study_id == sa.bindparam("study"), c.state == TrialState.WAITING
    new = sa.exists().where(*of_study, c.trial_id > sa.bindparam("last"))
    ids = c.trial_id.in_(sa.bindparam("ids", expanding=True, type_=sa.Integer))
    return _ORIGIN.add_columns(new | sa.exists().where(*of_study, ids))


# Made once: to put them together takes longer than to answer them, and they are asked all the time.
_ORIGIN = _origin_query()
_WAITING = _waiting_query()
_LOCK = sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == sa.bindparam("study"))
_LOCK = _LOCK.with_for_update()  # as Optuna does, to number a new trial
_HEADS = sa.select(TRIALS.c.study_id, TRIALS.c.number, TRIALS.c.state, TRIALS.c.trial_id).where(
    TRIALS.c.trial_id.in_(sa.bindparam("ids", expanding=True, type_=sa.Integer))
)
_LOCKED = _HEADS.order_by(TRIALS.c.trial_id).with_for_update()


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
    row = connection.execute(_HEADS, {"ids": [trial_id]}).one_or_none()
    if row is None:
        raise KeyError(f"there is no trial with the id {trial_id}")
    return row[0], row[1], row[2]


def locked(connection: sa.Connection, trial_ids: Collection[int]) -> dict[int, Head]:
    """What these trials are, {trial_id: head}; they stay so until the transaction ends."""
    if not trial_ids:
        return {}
    rows = connection.execute(_LOCKED, {"ids": list(trial_ids)})
    return {row[3]: (row[0], row[1], row[2]) for row in rows}


def add_trial(connection: sa.Connection, study_id: int, trial: FrozenTrial) -> tuple[int, int]:
    """Insert a trial with all that it has; its (trial_id, number). KeyError without the study."""
    if connection.execute(_LOCK, {"study": study_id}).one_or_none() is None:
        raise KeyError(f"there is no study with the id {study_id}")
    trial_id, number = _insert_trial(
        connection,
        study_id=study_id,
        state=trial.state,
        datetime_start=_utc(trial.datetime_start),
        datetime_complete=_utc(trial.datetime_complete),
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


def _insert_trial(connection: sa.Connection, *, study_id: int, **columns: Any) -> tuple[int, int]:
    number = trials.next_number(study_id)
    values = {"study_id": study_id, **columns}
    if connection.dialect.insert_returning and connection.dialect.name != "mysql":
        added = sa.insert(TRIALS).values(number=number, **values)
        row = connection.execute(added.returning(TRIALS.c.trial_id, TRIALS.c.number)).one()
        return row[0], row[1]
    values["number"] = connection.execute(sa.select(number)).scalar_one()
    done = connection.execute(sa.insert(TRIALS).values(values))
    return int(done.inserted_primary_key[0]), values["number"]  # type: ignore[index]


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
    changes: dict[str, Any] = {"state": state}
    if state is not TrialState.WAITING:
        changes["datetime_complete" if state.is_finished() else "datetime_start"] = _utc(at)
    connection.execute(sa.update(TRIALS).where(TRIALS.c.trial_id == trial_id).values(changes))


def _put_values(connection: sa.Connection, trial_id: int, values: Sequence[float]) -> None:
    rows = trials.rows_of_values({trial_id: values})
    upsert(connection, VALUES, ("trial_id", "objective"), rows)


def _utc(local: datetime | None) -> datetime | None:
    """Optuna shows naive local times and stores naive ones in UTC."""
    return local and local.astimezone(UTC).replace(tzinfo=None)
