"""hpsearch's rows of studies, read and written inside the ledger's transactions.

The functions here are the ledger's steps: none begins or ends a transaction, and those that change
a study's counts are called with its row lock held.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from hpsearch.store import trials
from hpsearch.store.engine import now
from hpsearch.store.tables import epochs, leases, studies, tickets
from hpsearch.store.values import Study

__all__ = ["close", "count_time", "find", "forget", "is_out_of_time", "put", "read", "select"]


def select(*where: Any) -> sa.Select[Any]:
    """A query for the studies that hpsearch and Optuna both know; `read` runs it."""
    names = trials.STUDIES
    return (
        sa.select(studies, names.c.study_name.label("name"))
        .join(names, names.c.study_id == studies.c.study_id)
        .where(trials.is_study(studies.c.study_id, studies.c.uid), *where)
    )


def find(connection: sa.Connection, *where: Any) -> list[Study]:
    """The studies that hpsearch and Optuna both know, the most important first."""
    by_importance = studies.c.priority.desc(), studies.c.study_id
    return read(connection, select(*where).order_by(*by_importance))


def read(connection: sa.Connection, query: sa.Select[Any]) -> list[Study]:
    """The studies that a query of `select` finds."""
    return [_study(row._mapping) for row in connection.execute(query)]


def _study(row: Any) -> Study:
    fields = {key: row[key] for key in Study.__dataclass_fields__}
    fields["document"] = json.loads(row["document"])
    fields["data"] = json.loads(row["data"]) if row["data"] else None
    return Study(**fields)


def put(connection: sa.Connection, study_id: int, **values: Any) -> None:
    """Change columns of a study."""
    connection.execute(sa.update(studies).where(studies.c.study_id == study_id).values(**values))


def forget(connection: sa.Connection, study_id: int) -> None:
    """Delete hpsearch's rows of a study."""
    of_study = sa.select(tickets.c.trial_id).where(tickets.c.study_id == study_id)
    # Where Optuna's tools deleted the study, SQLite may have given its trials' ids away.
    others = sa.select(trials.TRIALS.c.trial_id).where(trials.TRIALS.c.study_id != study_id)
    connection.execute(
        sa.delete(epochs).where(epochs.c.trial_id.in_(of_study), epochs.c.trial_id.not_in(others))
    )
    for table in (leases, tickets, studies):
        connection.execute(sa.delete(table).where(table.c.study_id == study_id))


def count_time(connection: sa.Connection, study_ids: Collection[int], lease_s: float) -> None:
    """Add the time since the last count to `active_s`, unless it is longer than a lease.

    So a study's hours run while any worker is at it, once however many there are, and stand still
    while there is none.
    """
    for study_id in sorted(study_ids):
        trials.lock_study(connection, study_id)
    since = now() - sa.func.coalesce(studies.c.active_at, now())
    passed = sa.case((since < 0, 0.0), (since > lease_s, 0.0), else_=since)
    connection.execute(
        sa.update(studies)
        .where(studies.c.study_id.in_(list(study_ids)))
        .values(active_s=studies.c.active_s + passed, active_at=now())
    )


def close(connection: sa.Connection, study_id: int) -> None:
    """Mark a study done where nothing is left to issue and nothing is under way."""
    for study in find(connection, studies.c.study_id == study_id):
        spent = study.issued >= study.tickets or is_out_of_time(study)
        if study.state == "open" and spent and study.ended == study.issued:
            put(connection, study_id, state="done")


def is_out_of_time(study: Study) -> bool:
    """Whether its hours of work are spent."""
    return study.hours is not None and study.active_s >= study.hours * 3600
