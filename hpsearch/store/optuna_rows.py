"""Rows as Optuna's own storage writes them: steps of the transactions of `storage`.

`trials` has those that the ledger shares.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hpsearch.store import picture_rows, trials
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
    "add_trial", "head", "origin", "put_attr", "put_param", "put_state", "read_attrs",
    "read_studies",
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


def origin(
    connection: sa.Connection, study_id: int
) -> tuple[str, str | None, datetime | None, str | None]:
    """What tells a study from an earlier one that had its id: SQLite gives ids again.

    Its name, hpsearch's uid, and when its first trial began; and its note of pictures, by which the
    trials are known that have got some. KeyError if there is none of that id.
    """
    uid = sa.select(STUDY_USER.c.value_json).where(
        STUDY_USER.c.study_id == study_id, STUDY_USER.c.key == "hpsearch"
    )
    mine = sa.select(sa.func.min(TRIALS.c.trial_id)).where(TRIALS.c.study_id == study_id)
    began = sa.select(TRIALS.c.datetime_start).where(TRIALS.c.trial_id == mine.scalar_subquery())
    note = sa.select(STUDY_SYSTEM.c.value_json).where(
        STUDY_SYSTEM.c.study_id == study_id, STUDY_SYSTEM.c.key == picture_rows.NOTE
    )
    query = sa.select(
        STUDIES.c.study_name, *(part.scalar_subquery() for part in (uid, began, note))
    )
    row = connection.execute(query.where(STUDIES.c.study_id == study_id)).one_or_none()
    if row is None:
        raise KeyError(f"there is no study with the id {study_id}")
    return row[0], row[1], row[2], row[3]


def put_attr(connection: sa.Connection, table: Any, study_id: int, key: str, value: Any) -> None:
    """Set an attribute of a study."""
    trials.lock_study(connection, study_id)
    mine = (table.c.study_id == study_id) & (table.c.key == key)
    connection.execute(sa.delete(table).where(mine))
    row = {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
    connection.execute(sa.insert(table).values(row))


def head(
    connection: sa.Connection, trial_id: int, *, lock: bool = True
) -> tuple[int, int, TrialState]:
    """(study_id, number, state) of a trial; KeyError if there is none of that id.

    With `lock` it stays so until the transaction ends.
    """
    c = TRIALS.c
    query = sa.select(c.study_id, c.number, c.state).where(c.trial_id == trial_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise KeyError(f"there is no trial with the id {trial_id}")
    return row[0], row[1], row[2]


def add_trial(connection: sa.Connection, study_id: int, trial: FrozenTrial) -> tuple[int, int]:
    """Insert a trial with all that it has; its (trial_id, number)."""
    trials.lock_study(connection, study_id)
    number = connection.execute(sa.select(trials.next_number(study_id))).scalar_one()
    row = connection.execute(
        sa.insert(TRIALS).values(
            study_id=study_id,
            number=number,
            state=trial.state,
            datetime_start=_utc(trial.datetime_start),
            datetime_complete=_utc(trial.datetime_complete),
        )
    )
    trial_id = int(row.inserted_primary_key[0])  # type: ignore[index]
    for name, distribution in trial.distributions.items():
        value = distribution.to_internal_repr(trial.params[name])
        put_param(connection, trial_id, name, value, distribution)
    _put_values(connection, trial_id, trial.values or ())
    trials.put_user_attrs(connection, {trial_id: trial.user_attrs})
    trials.put_system_attrs(connection, {trial_id: trial.system_attrs})
    trials.put_reports(connection, {trial_id: trial.intermediate_values})
    return trial_id, number


def put_param(
    connection: sa.Connection, trial_id: int, name: str, value: float, of: BaseDistribution
) -> None:
    """Insert a parameter of a trial; `value` is its internal one."""
    text = distribution_to_json(of)
    connection.execute(
        sa.insert(PARAMS).values(
            trial_id=trial_id, param_name=name, param_value=value, distribution_json=text
        )
    )


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
    if not values:
        return
    connection.execute(sa.delete(VALUES).where(VALUES.c.trial_id == trial_id))
    trials.put_values(connection, {trial_id: values})


def _utc(local: datetime | None) -> datetime | None:
    """Optuna shows naive local times and stores naive ones in UTC."""
    return local and local.astimezone(UTC).replace(tzinfo=None)
