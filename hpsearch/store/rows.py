"""hpsearch's rows, read and written inside the ledger's transactions.

The functions here are the ledger's steps: none begins or ends a transaction, and those that change
a study's counts are called with its row lock held.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.store import trials
from hpsearch.store.engine import now
from hpsearch.store.tables import epochs, leases, studies, tickets
from hpsearch.store.values import Ending, Hold, Study, Write

__all__ = [
    "abandoned_studies", "clear_epochs", "close_study", "count_time", "end_abandoned", "end_ticket",
    "find_studies", "forget",
    "is_mine", "issue", "put_epochs", "put_study", "return_ticket", "take_over",
]  # fmt: skip


# --- studies ----------------------------------------------------------------------------------


def find_studies(connection: sa.Connection, *where: Any) -> list[Study]:
    """The studies that hpsearch and Optuna both know, the most important first."""
    names = trials.STUDIES
    query = (
        sa.select(studies, names.c.study_name.label("name"))
        .join(names, names.c.study_id == studies.c.study_id)
        .where(trials.is_study(studies.c.study_id, studies.c.uid), *where)
        .order_by(studies.c.priority.desc(), studies.c.study_id)
    )
    return [_study(row._mapping) for row in connection.execute(query)]


def _study(row: Any) -> Study:
    fields = {key: row[key] for key in Study.__dataclass_fields__}
    fields["document"] = json.loads(row["document"])
    fields["data"] = json.loads(row["data"]) if row["data"] else None
    return Study(**fields)


def put_study(connection: sa.Connection, study_id: int, **values: Any) -> None:
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


def close_study(connection: sa.Connection, study_id: int) -> None:
    """Mark a study done where nothing is left to issue and nothing is under way."""
    for study in find_studies(connection, studies.c.study_id == study_id):
        spent = study.issued >= study.tickets or _out_of_time(study)
        if study.state == "open" and spent and study.ended == study.issued:
            put_study(connection, study_id, state="done")


def _out_of_time(study: Study) -> bool:
    return study.hours is not None and study.active_s >= study.hours * 3600


# --- tickets and leases -----------------------------------------------------------------------


def is_mine(connection: sa.Connection, hold: Hold) -> bool:
    """Whether the hold is still the ticket's and its study is still there; locks the ticket.

    The worker is part of it: a study that is deleted and made again may get the same study_id,
    and its fences begin at 1 again.
    """
    alive = sa.exists().where(
        studies.c.study_id == hold.study_id, trials.is_study(studies.c.study_id, studies.c.uid)
    )
    query = sa.select(tickets.c.state, tickets.c.fence, tickets.c.worker).where(
        tickets.c.study_id == hold.study_id, tickets.c.number == hold.number, alive
    )
    row = connection.execute(query.with_for_update()).one_or_none()
    return row is not None and tuple(row) == ("leased", hold.fence, hold.worker)


def take_over(
    connection: sa.Connection, worker: str, study_id: int, up_to: int, lease_s: float
) -> list[Hold]:
    """Lease tickets that were given back, or whose lease has run out."""
    holds = []
    for row in _free_tickets(connection, study_id, up_to):
        hold = Hold(
            study_id, row.number, row.fence + 1, worker, row.trial_id, row.origin, row.retry_of
        )
        _put_ticket(
            connection, study_id, row.number, state="leased", fence=hold.fence, worker=worker
        )
        _end_leases(connection, study_id, row.number, "lost")
        _lease(connection, hold, lease_s)
        if hold.trial_id is not None:
            taken = {"attempts": hold.fence, "worker": worker}
            trials.put_user_attrs(connection, hold.trial_id, taken)
        holds.append(hold)
    return holds


def issue(
    connection: sa.Connection, worker: str, study: Study, up_to: int, lease_s: float
) -> list[Hold]:
    """Lease tickets that nobody has had, within the budget of trials and of hours."""
    count = min(up_to, study.tickets - study.issued)
    if count <= 0 or _out_of_time(study):
        return []
    holds = [
        Hold(study.study_id, study.issued + i, 1, worker, None, study.drawn + i)
        for i in range(count)
    ]
    connection.execute(
        sa.insert(tickets),
        [
            {"study_id": h.study_id, "number": h.number, "state": "leased", "fence": h.fence,
             "worker": worker, "origin": h.origin}
            for h in holds
        ],
    )  # fmt: skip
    for hold in holds:
        _lease(connection, hold, lease_s)
    counts = {"issued": study.issued + count, "drawn": study.drawn + count}
    put_study(connection, study.study_id, **counts)
    return holds


def return_ticket(connection: sa.Connection, study_id: int, number: int) -> None:
    """Give a ticket back: the next worker goes on where this one stopped."""
    _put_ticket(connection, study_id, number, state="open")
    _end_leases(connection, study_id, number, "returned")


def end_ticket(
    connection: sa.Connection, study_id: int, number: int, trial_id: int, ending: Ending
) -> None:
    """End a trial together with its ticket and its lease."""
    if ending.reason is not None:
        trials.put_user_attrs(connection, trial_id, {"reason": ending.reason})
    trials.end(connection, trial_id, ending.state, ending.value)
    _put_ticket(connection, study_id, number, state="ended")
    _end_leases(connection, study_id, number, "ended")
    put_study(connection, study_id, ended=studies.c.ended + 1)


def end_abandoned(connection: sa.Connection, study_id: int) -> None:
    """End the trials that nobody holds: in a stopped study nobody will take them over."""
    for row in _free_tickets(connection, study_id):
        if row.trial_id is None:
            return_ticket(connection, study_id, row.number)
        else:
            value = trials.last_report(connection, row.trial_id)
            ending = Ending(TrialState.PRUNED, value, "stopped")
            end_ticket(connection, study_id, row.number, row.trial_id, ending)


def abandoned_studies(connection: sa.Connection) -> list[int]:
    """Stopped studies with a trial that nobody holds."""
    stopped = find_studies(connection, studies.c.state == "stopped")
    return [
        study.study_id
        for study in stopped
        if any(row.trial_id is not None for row in _free_tickets(connection, study.study_id))
    ]


def clear_epochs(connection: sa.Connection, trial_id: int) -> None:
    """Delete what is known of a trial's epochs."""
    connection.execute(sa.delete(epochs).where(epochs.c.trial_id == trial_id))


def put_epochs(connection: sa.Connection, writes: Iterable[Write]) -> None:
    """Write what Optuna's one value a step leaves out; what stands at an epoch is replaced."""
    written = []
    for write in writes:
        if not write.reports:
            continue
        connection.execute(
            sa.delete(epochs).where(
                epochs.c.trial_id == write.trial_id,
                epochs.c.epoch.in_([r.epoch for r in write.reports]),
            )
        )
        written += [
            {"trial_id": write.trial_id, "epoch": r.epoch, "seconds": r.seconds,
             "metrics": json.dumps(dict(r.metrics))}
            for r in write.reports
        ]  # fmt: skip
    if written:
        connection.execute(sa.insert(epochs), written)


def _free_tickets(connection: sa.Connection, study_id: int, limit: int | None = None) -> list[Any]:
    """Tickets given back, and those whose lease has run out on the database's clock."""
    late = (tickets.c.state == "leased") & (leases.c.until < now())
    query = (
        sa.select(tickets)
        .outerjoin(
            leases,
            (leases.c.study_id == tickets.c.study_id)
            & (leases.c.number == tickets.c.number)
            & (leases.c.fence == tickets.c.fence),
        )
        .where(tickets.c.study_id == study_id, (tickets.c.state == "open") | late)
        .order_by(tickets.c.number)
        .limit(limit)
    )
    return list(connection.execute(query))


def _put_ticket(connection: sa.Connection, study_id: int, number: int, **values: Any) -> None:
    connection.execute(
        sa.update(tickets)
        .where(tickets.c.study_id == study_id, tickets.c.number == number)
        .values(**values)
    )


def _lease(connection: sa.Connection, hold: Hold, lease_s: float) -> None:
    connection.execute(
        sa.insert(leases).values(
            study_id=hold.study_id, number=hold.number, fence=hold.fence,
            worker=hold.worker, taken_at=now(), until=now() + lease_s,
        )
    )  # fmt: skip


def _end_leases(connection: sa.Connection, study_id: int, number: int, ending: str) -> None:
    connection.execute(
        sa.update(leases)
        .where(leases.c.study_id == study_id, leases.c.number == number)
        .where(leases.c.ended_at.is_(None))
        .values(ended_at=now(), ending=ending)
    )
