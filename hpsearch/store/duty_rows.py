"""hpsearch's rows of duties: what one process at a time does for a study beside its tickets.

A duty has a lease like a ticket's, on the database's clock, and a fence that grows whenever
somebody else may have had it: anyone who comes back late sees by that what not to rely on any more.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hpsearch.store import lease_rows
from hpsearch.store.engine import now
from hpsearch.store.tables import duties
from hpsearch.store.values import Duty

__all__ = ["drop", "drop_all", "find", "take"]

_IS_HELD = (duties.c.until.is_not(None) & ~lease_rows.is_late(duties)).label("held")


def _row(study_id: int, duty: str) -> sa.ColumnElement[bool]:
    return (duties.c.study_id == study_id) & (duties.c.duty == duty)


def take(
    connection: sa.Connection, study_id: int, duty: str, worker: str, lease_s: float,
    state: str | None = None,
) -> int | None:  # fmt: skip
    """Take or renew a duty, with the study's row lock held; its fence, None: another worker has it.

    The fence stays as long as the lease has neither run out nor been given back.
    """
    columns = duties.c.worker, duties.c.fence, _IS_HELD
    row = connection.execute(sa.select(*columns).where(_row(study_id, duty))).one_or_none()
    values: dict[str, Any] = {"worker": worker, "until": now() + lease_s}
    if state is not None:
        values["said"] = state
    if row is None:
        new = sa.insert(duties).values(study_id=study_id, duty=duty, fence=1, **values)
        connection.execute(new)
        return 1
    if row.held and row.worker != worker:
        return None
    fence = int(row.fence) + (not row.held)
    connection.execute(sa.update(duties).where(_row(study_id, duty)).values(fence=fence, **values))
    return fence


def drop(
    connection: sa.Connection, study_id: int, duty: str, worker: str, state: str | None
) -> None:
    """Give a duty back, if the worker has it."""
    values: dict[str, Any] = {"until": None}
    if state is not None:
        values["said"] = state
    mine = _row(study_id, duty) & (duties.c.worker == worker)
    connection.execute(sa.update(duties).where(mine).values(**values))


def drop_all(connection: sa.Connection, worker: str, prefix: str) -> None:
    """Give back the duties of a worker whose names begin so."""
    mine = (duties.c.worker == worker) & duties.c.duty.startswith(prefix, autoescape=True)
    connection.execute(sa.update(duties).where(mine).values(until=None))


def find(connection: sa.Connection, study_id: int) -> list[Duty]:
    """A study's duties, by their names."""
    columns = duties.c.duty, duties.c.worker, _IS_HELD, duties.c.said
    query = sa.select(*columns).where(duties.c.study_id == study_id).order_by(duties.c.duty)
    rows = connection.execute(query)
    return [Duty(str(r.duty), str(r.worker) if r.held else None, r.said) for r in rows]
