"""hpsearch's rows of workers, and the leases that each has: steps of the ledger's transactions."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from hpsearch.store import trials
from hpsearch.store.engine import now
from hpsearch.store.optuna_tables import STUDIES, TRIALS
from hpsearch.store.tables import leases, tickets, workers
from hpsearch.store.values import CLOCK_S, EVERY, Key, Lease, Serves, Work, Worker

__all__ = [
    "enter", "find", "forgotten", "leased", "leave", "present", "renew", "see", "serve",
]  # fmt: skip

_log = logging.getLogger(__name__)


def enter(
    connection: sa.Connection, worker: str, host: str, pid: int, device: str, lease_s: float,
    serves: Serves,
) -> None:  # fmt: skip
    """Put a worker on the list, once however often that is done."""
    connection.execute(sa.delete(workers).where(workers.c.worker == worker))
    connection.execute(
        sa.insert(workers).values(
            worker=worker, host=host[:255], pid=pid, device=device[:64], lease_s=lease_s,
            started_at=now(), seen_at=now(), serves=_text(serves),
        )
    )  # fmt: skip


def serve(connection: sa.Connection, worker: str, serves: Serves) -> None:
    """Change what a worker serves."""
    mine = sa.update(workers).where(workers.c.worker == worker)
    connection.execute(mine.values(serves=_text(serves)))


def _text(serves: Serves) -> str:
    return "\n".join(("", *serves.lines, ""))


def present(
    needs: Collection[str], free_for: sa.ColumnElement[int] | None = None
) -> sa.ScalarSelect[int]:
    """How many workers are there that serve all of this, as `Study.needs` names it.

    With `free_for` a study only those that are not busy with another one.
    """
    query = sa.select(sa.func.count()).select_from(workers)
    query = query.where(workers.c.stopped_at.is_(None))
    query = query.where(workers.c.seen_at + workers.c.lease_s >= now())
    query = query.where(workers.c.seen_at <= now() + CLOCK_S)  # or the clock has gone back
    for need in needs:
        named = workers.c.serves.contains(f"\n{need}\n", autoescape=True)
        kind = need.partition(" ")[0]
        query = query.where(named | workers.c.serves.contains(f"\n{kind} *\n", autoescape=True))
    if free_for is not None:
        busy = leases.c.ended_at.is_(None) & (leases.c.study_id != free_for)
        query = query.where(~sa.exists().where(leases.c.worker == workers.c.worker, busy))
    return query.correlate_except(workers, leases).scalar_subquery()


def see(connection: sa.Connection, worker: str) -> bool:
    """The worker has been heard of; whether it is known at all."""
    mine = sa.update(workers).where(workers.c.worker == worker)
    return connection.execute(mine.values(seen_at=now())).rowcount > 0


def leave(connection: sa.Connection, worker: str) -> None:
    """The worker has left; when, unless that is known."""
    still = (workers.c.worker == worker) & workers.c.stopped_at.is_(None)
    connection.execute(sa.update(workers).where(still).values(stopped_at=now()))


def leased(connection: sa.Connection, worker: str, *where: sa.ColumnElement[bool]) -> list[Lease]:
    """What the worker has leased, of that for which all of `where` is true."""
    query = sa.select(leases.c.study_id, leases.c.number, leases.c.fence).where(_open(worker))
    return [Lease(*row, worker) for row in connection.execute(query.where(*where))]


def forgotten(
    connection: sa.Connection, worker: str, known: Collection[Key], lease_s: float
) -> list[Lease]:
    """What the worker has leased and does not know of.

    What it knows of it renews before half of the lease is over. Anything younger it may have taken
    since it looked at what it has.
    """
    old = leases.c.until < now() + lease_s / 2
    return [lease for lease in leased(connection, worker, old) if lease.key not in known]


def renew(
    connection: sa.Connection, worker: str, keys: Collection[Key], lease_s: float
) -> set[Key]:
    """Prolong those of the worker's leases that are named and still its own; these."""
    key = leases.c.study_id, leases.c.number, leases.c.fence
    mine = _open(worker) & sa.tuple_(*key).in_(list(keys))
    connection.execute(sa.update(leases).where(mine).values(until=now() + lease_s))
    return {tuple(row) for row in connection.execute(sa.select(*key).where(mine))}


def find(connection: sa.Connection) -> list[Worker]:
    """Every worker, the newest first, with what it holds."""
    query: sa.Select[Any] = sa.select(
        *workers.columns, (now() - workers.c.seen_at).label("silent_s")
    )
    rows = connection.execute(query.order_by(workers.c.started_at.desc())).all()
    work = _work(connection)
    return [
        Worker(**{**row._mapping, "serves": _lines(row.serves)}, work=work.get(row.worker, ()))
        for row in rows if _is_sound(row)
    ]  # fmt: skip


def _lines(serves: str | None) -> tuple[str, ...]:
    """What a worker serves; all, where its row is of a time when none said so."""
    return EVERY.lines if serves is None else tuple(filter(None, serves.split("\n")))


def _is_sound(row: sa.Row[Any]) -> bool:
    """Whether every column is of its kind: SQLite keeps text in a column of numbers."""
    for column in workers.columns:
        value, kind = row._mapping[column.name], column.type.python_type
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits and not (value is None and column.nullable):
            _log.warning("worker %s is left out: its %s is %r", row.worker, column.name, value)
            return False
    return isinstance(row.silent_s, (int, float))


def _open(worker: str) -> sa.ColumnElement[bool]:
    return (leases.c.worker == worker) & leases.c.ended_at.is_(None)


def _work(connection: sa.Connection) -> dict[str, tuple[Work, ...]]:
    """What each worker holds, by its name."""
    names, rows = STUDIES, TRIALS
    query = (
        sa.select(
            leases.c.worker, names.c.study_name, rows.c.number, trials.last_step().label("epoch")
        )
        .join(names, names.c.study_id == leases.c.study_id)
        .join(
            tickets,
            (tickets.c.study_id == leases.c.study_id) & (tickets.c.number == leases.c.number),
        )
        .outerjoin(rows, rows.c.trial_id == tickets.c.trial_id)
        .where(leases.c.ended_at.is_(None))
        .order_by(leases.c.taken_at)
    )
    work: dict[str, tuple[Work, ...]] = {}
    for worker, study, trial, epoch in connection.execute(query):
        work[worker] = (*work.get(worker, ()), Work(study, trial, epoch or 0))
    return work
