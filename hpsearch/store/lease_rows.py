"""hpsearch's rows of leases: who holds which ticket until when, on the database's clock.

A ticket that is leased has one lease that has not ended, any other none. The queries here go by
that: they read the leases under way, however many have ended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from hpsearch.store.engine import now
from hpsearch.store.tables import leases, studies, workers
from hpsearch.store.values import CLOCK_S, Lease

__all__ = ["CLOCK_S", "end", "is_late", "live", "take", "under_way"]


def under_way(study_id: int | sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """A study's leases that have not ended; they may have run out."""
    return (leases.c.study_id == study_id) & leases.c.ended_at.is_(None)


def is_late() -> sa.ColumnElement[bool]:
    """Whether a lease has run out.

    One that ends later than it could if it were renewed now is one too: the clock has gone back,
    and its worker, if it lives, renews it soon.
    """
    length = sa.select(workers.c.lease_s).where(workers.c.worker == leases.c.worker)
    latest = now() + length.correlate(leases).scalar_subquery() + CLOCK_S
    return (leases.c.until < now()) | (leases.c.until > sa.func.coalesce(latest, leases.c.until))


def live(study_id: int | sa.ColumnElement[int], but: str | None = None) -> sa.ScalarSelect[int]:
    """How many leases of a study have not run out, those of the worker `but` left out."""
    query = sa.select(sa.func.count()).select_from(leases).where(under_way(study_id), ~is_late())
    if but is not None:
        query = query.where(leases.c.worker != but)
    return query.correlate(studies).scalar_subquery()


def take(connection: sa.Connection, granted: Sequence[Lease], lease_s: float) -> None:
    """Begin each of these leases."""
    if granted:
        # The database's clock, once for each row: an expression, which no parameter can be.
        begun = sa.insert(leases).values(taken_at=now(), until=now() + lease_s)
        rows = [
            {"study_id": h.study_id, "number": h.number, "fence": h.fence, "worker": h.worker}
            for h in granted
        ]
        connection.execute(begun, rows)


def end(connection: sa.Connection, study_id: int, numbers: Collection[int], ending: str) -> None:
    """End the leases of these tickets, if they have any."""
    connection.execute(
        sa.update(leases)
        .where(under_way(study_id), leases.c.number.in_(list(numbers)))
        .values(ended_at=now(), ending=ending)
    )
