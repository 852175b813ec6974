"""hpsearch's rows of studies, read and written inside the ledger's transactions.

The functions here are the ledger's steps: none begins or ends a transaction, and those that change
a study's counts are called with its row lock held.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from hpsearch.errors import DamagedError
from hpsearch.store import lease_rows, trials
from hpsearch.store.engine import now
from hpsearch.store.optuna_tables import STUDIES, TRIALS
from hpsearch.store.tables import duties, epochs, finishes, leases, stages, studies, tickets
from hpsearch.store.values import Study

__all__ = [
    "active", "again", "close", "code_files", "count_time", "current", "find", "forget",
    "has_time", "is_there", "locked", "locked_again", "made", "named", "numbered", "put", "read",
    "select",
]  # fmt: skip

_COLUMNS = [column for column in studies.columns if column.name != "code_files"]
"""Those of a `Study`: the files of its code can be many, and are read where they are needed."""

_log = logging.getLogger(__name__)


def select(*where: Any) -> sa.Select[Any]:
    """A query for the studies that hpsearch and Optuna both know; `read` runs it."""
    names = STUDIES
    # As a number, which any row has: SQLAlchemy takes no other for a truth, and then none of them.
    columns = [sa.type_coerce(c, sa.Integer).label(c.key) if isinstance(c.type, sa.Boolean) else c
               for c in _COLUMNS]  # fmt: skip
    return (
        sa.select(*columns, names.c.study_name.label("name"))
        .join(names, names.c.study_id == studies.c.study_id)
        .where(trials.is_study(studies.c.study_id, studies.c.uid), *where)
    )


def find(connection: sa.Connection, *where: Any) -> list[Study]:
    """The studies that hpsearch and Optuna both know, the most important first."""
    by_importance = studies.c.priority.desc(), studies.c.study_id
    return read(connection, select(*where).order_by(*by_importance))


def named(connection: sa.Connection, name: str) -> Study | None:
    """The study of that name; None: there is none. DamagedError where its row makes no sense."""
    row = connection.execute(select(STUDIES.c.study_name == name)).first()
    return None if row is None else made(row)


def numbered(connection: sa.Connection, study_id: int) -> Study | None:
    """The same of the study that has Optuna's id."""
    row = connection.execute(select(studies.c.study_id == study_id)).first()
    return None if row is None else made(row)


def current(connection: sa.Connection, study_id: int) -> Study | None:
    """The study as it is now; None: it has been deleted, or its row makes no sense."""
    return next(iter(find(connection, studies.c.study_id == study_id)), None)


def locked(connection: sa.Connection, study_id: int) -> Study | None:
    """The same once its row lock is ours."""
    trials.lock_study(connection, study_id)
    return current(connection, study_id)


def again(connection: sa.Connection, seen: Study) -> Study | None:
    """A study that was seen before as it is now; None: it has been deleted. SQLite gives the id of
    a deleted one again."""
    study = current(connection, seen.study_id)
    return study if study is not None and study.uid == seen.uid else None


def locked_again(connection: sa.Connection, seen: Study) -> Study | None:
    """The same once its row lock is ours."""
    trials.lock_study(connection, seen.study_id)
    return again(connection, seen)


def is_there(connection: sa.Connection, uid: str) -> bool:
    """Whether the study of that uid has not been deleted; one whose row makes no sense is there."""
    query = select(studies.c.uid == uid).with_only_columns(studies.c.study_id)
    return connection.execute(query).first() is not None


def read(connection: sa.Connection, query: sa.Select[Any]) -> list[Study]:
    """The studies that a query of `select` finds. One whose row makes no sense is left out, which
    is logged once: it must not stop the others."""
    decoded = []
    for row in connection.execute(query):
        try:
            decoded.append(made(row))
        except DamagedError as error:
            _warn(f"{error}; it is left out")
    return decoded


@lru_cache(maxsize=1024)
def _warn(text: str) -> None:
    _log.warning("%s", text)


_STATES = ("open", "paused", "stopped", "done")
_FINISHES = (None, "due", "open", "done")
_DIRECTIONS = ("maximize", "minimize")

_ALSO: Mapping[type, tuple[type, ...]] = {float: (int, float), bool: (int, bool)}
_KINDS = [
    (
        column.key,
        column.name,
        column.nullable,
        _ALSO.get(column.type.python_type, (column.type.python_type,)),
    )
    for column in _COLUMNS
]
"""Key and name of each column, whether it may be NULL, and the types of its values."""


def _fault(row: sa.Row[Any]) -> str | None:
    """What is wrong with a row: SQLite keeps values of any type in any column."""
    if not isinstance(row.name, str):
        return "its name is no text"
    for key, name, nullable, kinds in _KINDS:
        value = row._mapping[key]
        if value is None and nullable:
            continue
        if not isinstance(value, kinds) or (isinstance(value, float) and not math.isfinite(value)):
            return f"its {name} is {value!r}"
    chosen = {"state": _STATES, "finish": _FINISHES, "direction": _DIRECTIONS}
    wrong = [key for key, allowed in chosen.items() if row._mapping[key] not in allowed]
    return f"its {wrong[0]} is {row._mapping[wrong[0]]!r}" if wrong else None


def made(row: sa.Row[Any]) -> Study:
    """The study that a row of such a query is. DamagedError where the row makes no sense."""
    if fault := _fault(row):
        raise DamagedError(
            f"study {row.name!r} cannot be read: {fault}. Something other than hpsearch wrote it; "
            "restore the database from a copy, or delete the study with Optuna's tools"
        )
    fields = {key: row._mapping[key] for key in Study.__dataclass_fields__}
    fields["early"] = bool(row.early)
    fields["document"] = _mapping(row.document) or {}
    fields["data"] = _mapping(row.data)
    fields["sanity"] = _mapping(row.sanity)
    fields["final"] = _mapping(row.final)
    return Study(**fields)


def code_files(connection: sa.Connection, study_id: int) -> dict[str, Any]:
    """Path and hash of each file of a study's own code; none where it has none, or the row makes
    no sense."""
    query = sa.select(studies.c.code_files).where(studies.c.study_id == study_id)
    return _mapping(connection.execute(query).scalar()) or {}


def _mapping(text: str | None) -> dict[str, Any] | None:
    """None for a damaged one too: it is for the study's own readers to complain, not for others."""
    try:
        content = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def put(connection: sa.Connection, study_id: int, **values: Any) -> None:
    """Change columns of a study."""
    connection.execute(sa.update(studies).where(studies.c.study_id == study_id).values(**values))


def forget(connection: sa.Connection, study_id: int) -> None:
    """Delete hpsearch's rows of a study."""
    of_study = sa.select(tickets.c.trial_id).where(tickets.c.study_id == study_id)
    # Where Optuna's tools deleted the study, SQLite may have given its trials' ids away.
    others = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id != study_id)
    connection.execute(
        sa.delete(epochs).where(epochs.c.trial_id.in_(of_study), epochs.c.trial_id.not_in(others))
    )
    for table in (duties, leases, tickets, stages, finishes, studies):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))


def active(worked_s: float = 0.0) -> sa.ColumnElement[float]:
    """`active_s` up to now: with the time since the last count in which any ticket was leased.

    So a study's hours run while any worker is at it, once however many there are, and stand still
    while there is none. Anyone who ends a lease counts before that. Of a worker that says nothing
    more its lease counts, to its end; one that was cut off from the database and comes back has
    worked for `worked_s`. Where the clock has gone back nothing counts.
    """
    last = sa.func.coalesce(studies.c.active_at, now())
    ends = sa.select(sa.func.max(leases.c.until)).where(lease_rows.under_way(studies.c.study_id))
    end = ends.correlate(studies).scalar_subquery()
    leased = sa.case((end.is_(None), 0.0), (end < now(), end - last), else_=now() - last)
    worked = sa.case((now() - last < worked_s, now() - last), else_=worked_s)
    since = sa.case((leased < worked, worked), else_=leased)
    return studies.c.active_s + sa.case((since > 0, since), else_=0.0)


def count_time(
    connection: sa.Connection, study_ids: Collection[int], worked_s: float = 0.0
) -> None:
    """Bring `active_s` up to date, with the studies' row locks held from then on.

    A worker that was cut off from the database has worked on them for `worked_s`.
    """
    for study_id in sorted(study_ids):
        trials.lock_study(connection, study_id)
    if not study_ids:
        return
    connection.execute(
        sa.update(studies)
        .where(studies.c.study_id.in_(list(study_ids)))
        # In this order: MySQL computes the second with the first one's new value.
        .ordered_values((studies.c.active_s, active(worked_s)), (studies.c.active_at, now()))
    )


def close(connection: sa.Connection, study_id: int, ended: int = 0) -> None:
    """Count tickets that have ended, and mark the study done where nothing is left.

    That is: nothing to issue, nothing under way, and no finish to come.
    """
    total = studies.c.ended + ended
    spent = (studies.c.issued >= studies.c.tickets) | ~has_time()
    finished = studies.c.finish.is_(None) | (studies.c.finish == "done")
    done = (studies.c.state == "open") & spent & finished & (total == studies.c.issued)
    connection.execute(
        sa.update(studies)
        .where(studies.c.study_id == study_id)
        # In this order: MySQL computes the second with the first one's new value.
        .ordered_values(
            (studies.c.state, sa.case((done, "done"), else_=studies.c.state)),
            (studies.c.ended, total),
        )
    )


def has_time() -> sa.ColumnElement[bool]:
    """Whether a study may continue for its hours of work, for a WHERE clause; a finish always
    may."""
    in_time = studies.c.active_s < studies.c.hours * 3600
    return studies.c.hours.is_(None) | in_time | (sa.func.coalesce(studies.c.finish, "") == "open")
