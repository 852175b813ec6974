"""hpsearch's rows of leases: who holds which ticket until when, on the database's clock.

A ticket that is leased has one lease that has not ended, any other none. The queries here go by
that: they read the leases under way, however many have ended.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from hpsearch.store.engine import now
from hpsearch.store.tables import leases, studies, workers
from hpsearch.store.values import CLOCK_S, Hold, Lease

__all__ = [
    "CLOCK_S", "at_work", "end", "held_s", "holds", "is_late", "live", "take", "under_way",
]  # fmt: skip


def under_way(study_id: int | sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """A study's leases that have not ended; they may have run out."""
    return (leases.c.study_id == study_id) & leases.c.ended_at.is_(None)


def is_late(held: sa.Table = leases) -> sa.ColumnElement[bool]:
    """Whether a lease has run out, that of a ticket or in another table.

    One that ends later than it could if it were renewed now is one too: the clock has gone back,
    and its worker, if it lives, renews it soon.
    """
    length = sa.select(workers.c.lease_s).where(workers.c.worker == held.c.worker)
    latest = now() + length.correlate(held).scalar_subquery() + CLOCK_S
    return (held.c.until < now()) | (held.c.until > sa.func.coalesce(latest, held.c.until))


def live(study_id: int | sa.ColumnElement[int], but: str | None = None) -> sa.ScalarSelect[int]:
    """How many leases of a study have not run out, those of the worker `but` left out."""
    return _over_live(sa.func.count(), study_id, but)


def at_work(study_id: int | sa.ColumnElement[int], but: str | None = None) -> sa.ScalarSelect[int]:
    """How many workers have such leases: one may have many, to train one after another."""
    return _over_live(sa.func.count(leases.c.worker.distinct()), study_id, but)


def _over_live(
    counted: sa.ColumnElement[int], study_id: int | sa.ColumnElement[int], but: str | None
) -> sa.ScalarSelect[int]:
    query = sa.select(counted).select_from(leases).where(under_way(study_id), ~is_late())
    if but is not None:
        query = query.where(leases.c.worker != but)
    return query.correlate(studies).scalar_subquery()


def holds(connection: sa.Connection, study_id: int) -> list[Hold]:
    """When tickets of a study were held: of a worker that says nothing more its lease counts."""
    ended = sa.func.coalesce(leases.c.ended_at, now())
    query = sa.select(
        leases.c.worker, leases.c.taken_at,
        sa.case((ended < leases.c.until, ended), else_=leases.c.until),
    ).where(leases.c.study_id == study_id)  # fmt: skip
    return [Hold(*row) for row in connection.execute(query)]


def held_s(connection: sa.Connection, study_id: int) -> dict[int, float]:
    """For how long the tickets of a study have been held by who holds them now."""
    query = sa.select(leases.c.number, now() - leases.c.taken_at)
    rows = connection.execute(query.where(under_way(study_id), ~is_late()))
    return {int(number): float(seconds) for number, seconds in rows}


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
