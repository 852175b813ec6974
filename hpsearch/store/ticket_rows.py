"""hpsearch's rows of tickets and leases, read and written inside the ledger's transactions.

The functions here are the ledger's steps: none begins or ends a transaction, and those that change
a ticket are called with the row lock of its study held, or of the ticket.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from hpsearch.store import study_rows, trials
from hpsearch.store.engine import now
from hpsearch.store.tables import epochs, leases, studies, tickets
from hpsearch.store.values import Ending, Hold, Key, Study, Write

__all__ = [
    "abandoned_studies", "begin", "clear_epochs", "end", "end_abandoned", "give_back", "held",
    "holder", "issue", "lose", "note_progress", "put_epochs", "room", "take_over", "waiting",
]  # fmt: skip


# --- who may have what ------------------------------------------------------------------------


def waiting(connection: sa.Connection, *where: Any) -> list[Study]:
    """The open studies that have a ticket to give now, in the order in which to serve them.

    A higher priority first. Within one, the study with the fewest tickets under way, so that
    workers are shared evenly; where that is the same, the one that has waited longest.
    """
    live = _live(studies.c.study_id)
    free = sa.exists(_free().where(tickets.c.study_id == studies.c.study_id))
    in_time = studies.c.hours.is_(None) | (studies.c.active_s < studies.c.hours * 3600)
    # One that is out of time with nothing under way is claimed from once more: that closes it.
    new = (studies.c.issued < studies.c.tickets) & (in_time | (studies.c.ended == studies.c.issued))
    below = studies.c.max_parallel.is_(None) | (live < studies.c.max_parallel)
    query = study_rows.select(studies.c.state == "open", free | new, below, *where)
    order = (
        studies.c.priority.desc(),
        live,
        sa.func.coalesce(studies.c.claimed_at, 0.0),
        studies.c.study_id,
    )
    return study_rows.read(connection, query.order_by(*order))


def room(connection: sa.Connection, study: Study, up_to: int) -> int:
    """How many of `up_to` tickets may be leased beside those that are under way."""
    if study.max_parallel is None:
        return up_to
    live = connection.execute(sa.select(_live(sa.literal(study.study_id)))).scalar_one()
    return max(min(up_to, study.max_parallel - live), 0)


def holder(connection: sa.Connection, hold: Hold) -> Any:
    """The ticket's row if `hold` was its last lease and its study is still there; locks it.

    The worker is part of it: a study that is deleted and made again may get the same study_id,
    and its fences begin at 1 again.
    """
    alive = sa.exists().where(
        studies.c.study_id == hold.study_id, trials.is_study(studies.c.study_id, studies.c.uid)
    )
    query = sa.select(tickets).where(
        tickets.c.study_id == hold.study_id, tickets.c.number == hold.number, alive
    )
    row = connection.execute(query.with_for_update()).one_or_none()
    return row if row and (row.fence, row.worker) == (hold.fence, hold.worker) else None


def held(connection: sa.Connection, hold: Hold) -> bool:
    """Whether the hold is still the ticket's; locks the ticket."""
    row = holder(connection, hold)
    return row is not None and row.state == "leased"


def take_over(
    connection: sa.Connection, worker: str, study: Study, up_to: int, lease_s: float
) -> list[Hold]:
    """Lease tickets that were given back, or whose lease has run out.

    One that has lost its worker too often ends instead: it would take one worker after another.
    """
    query = _free().where(_of(study.study_id)).limit(up_to)
    found = connection.execute(query).all()
    late = [row for row in found if row.state == "leased"]
    for row in late:
        lose(connection, _key(row), f"worker {row.worker} fell silent and its lease ran out")
    if late:
        # Those and no others: by now the leases of more may have run out.
        numbers = [row.number for row in found]
        found = connection.execute(query.where(tickets.c.number.in_(numbers))).all()
    poisonous = [row for row in found if row.crashes >= study.crash_limit]
    for row in poisonous:
        _end_poisonous(connection, study, row)
    if poisonous:
        return take_over(connection, worker, study, up_to, lease_s)
    return [_lease_again(connection, worker, row, lease_s) for row in found]


def _lease_again(connection: sa.Connection, worker: str, row: Any, lease_s: float) -> Hold:
    hold = Hold(
        row.study_id, row.number, row.fence + 1, worker, row.trial_id, row.origin, row.retry_of
    )
    _put(connection, hold.key, state="leased", fence=hold.fence, worker=worker)
    _lease(connection, [hold], lease_s)
    if hold.trial_id is not None:
        taken = {"attempts": hold.fence, "worker": worker}
        trials.put_user_attrs(connection, hold.trial_id, taken)
    return hold


def issue(
    connection: sa.Connection, worker: str, study: Study, up_to: int, lease_s: float
) -> list[Hold]:
    """Lease tickets that nobody has had, within the budget of trials and of hours."""
    count = min(up_to, study.tickets - study.issued)
    if count <= 0 or study_rows.is_out_of_time(study):
        return []
    holds = [
        Hold(study.study_id, study.issued + i, 1, worker, None, study.drawn + i)
        for i in range(count)
    ]
    new = [
        {"study_id": h.study_id, "number": h.number, "state": "leased", "fence": h.fence,
         "worker": worker, "origin": h.origin, "reached": 0, "crashes": 0}
        for h in holds
    ]  # fmt: skip
    connection.execute(sa.insert(tickets), new)
    _lease(connection, holds, lease_s)
    counts = {"issued": study.issued + count, "drawn": study.drawn + count}
    study_rows.put(connection, study.study_id, **counts)
    return holds


# --- what becomes of a ticket -----------------------------------------------------------------


def begin(connection: sa.Connection, hold: Hold, trial: FrozenTrial) -> tuple[int, int]:
    """Make a ticket a RUNNING trial; its (trial_id, number)."""
    trial_id, number = trials.insert(connection, hold.study_id, trial)
    clear_epochs(connection, trial_id)  # SQLite may have given the id before
    _put(connection, hold.key, trial_id=trial_id)
    return trial_id, number


def give_back(connection: sa.Connection, key: Key) -> None:
    """Give a ticket back: the next worker goes on where this one stopped."""
    _put(connection, key, state="open")
    _end_lease(connection, key, "returned")


def lose(connection: sa.Connection, key: Key, how: str) -> None:
    """A ticket has lost its worker, who gave nothing back."""
    # The last words of a process may be anything, and PostgreSQL takes neither NUL nor half a
    # character.
    words = how.encode("ascii", "backslashreplace").decode().replace("\0", "?")[:1000]
    _put(connection, key, state="open", crashes=tickets.c.crashes + 1, lost=words)
    _end_lease(connection, key, "lost")


def note_progress(connection: sa.Connection, key: Key, epoch: int) -> None:
    """A ticket has finished an epoch; a new one wipes out the losses before it."""
    study_id, number, _ = key
    connection.execute(
        sa.update(tickets)
        .where(_is(study_id, number), tickets.c.reached < epoch)
        .values(reached=epoch, crashes=0)
    )


def end(connection: sa.Connection, key: Key, trial_id: int, ending: Ending) -> None:
    """End a trial together with its ticket and its lease."""
    if ending.reason is not None:
        trials.put_user_attrs(connection, trial_id, {"reason": ending.reason})
    trials.end(connection, trial_id, ending.state, ending.value)
    _put(connection, key, state="ended")
    _end_lease(connection, key, "ended")
    study_rows.put(connection, key[0], ended=studies.c.ended + 1)


def end_abandoned(connection: sa.Connection, study_id: int) -> None:
    """End the trials that nobody holds: in a stopped study nobody will take them over."""
    for row in connection.execute(_free().where(_of(study_id))).all():
        if row.trial_id is None:
            give_back(connection, _key(row))
        else:
            value = trials.last_report(connection, row.trial_id)
            ending = Ending(TrialState.PRUNED, value, "stopped")
            end(connection, _key(row), row.trial_id, ending)


def abandoned_studies(connection: sa.Connection) -> list[int]:
    """Stopped studies with a trial that nobody holds."""
    trial = _free().where(tickets.c.study_id == studies.c.study_id, tickets.c.trial_id.is_not(None))
    stopped = study_rows.find(connection, studies.c.state == "stopped", sa.exists(trial))
    return [study.study_id for study in stopped]


def _end_poisonous(connection: sa.Connection, study: Study, row: Any) -> None:
    """FAIL a ticket that has lost its worker too often; one without a trial gets one to show it."""
    hold = Hold(row.study_id, row.number, row.fence, row.worker or "")
    trial_id = row.trial_id
    if trial_id is None:
        attrs = {"ticket": row.number, "stage": study.document["search"]["strategy"],
                 "sampler": "none", "attempts": row.fence, "worker": hold.worker}  # fmt: skip
        trial_id, _ = begin(connection, hold, trials.empty(row.number, -1, attrs))
    reason = f"lost its worker {row.crashes} times in a row without a new epoch; last: {row.lost}"
    end(connection, hold.key, trial_id, Ending(TrialState.FAIL, None, reason))


# --- what is known of its epochs --------------------------------------------------------------


def clear_epochs(connection: sa.Connection, trial_id: int, after: int = 0) -> None:
    """Delete what is known of a trial's epochs after that one."""
    late = (epochs.c.trial_id == trial_id) & (epochs.c.epoch > after)
    connection.execute(sa.delete(epochs).where(late))


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


# --- queries and rows -------------------------------------------------------------------------


def _live(study_id: sa.ColumnElement[int]) -> sa.ScalarSelect[int]:
    """How many leases of a study have not run out."""
    query = sa.select(sa.func.count()).select_from(leases)
    query = query.where(leases.c.study_id == study_id, leases.c.until >= now())
    return query.where(leases.c.ended_at.is_(None)).correlate(studies).scalar_subquery()


def _free() -> sa.Select[Any]:
    """Tickets given back, and those whose lease has run out on the database's clock."""
    late = (tickets.c.state == "leased") & (leases.c.until < now())
    return (
        sa.select(tickets)
        .outerjoin(
            leases,
            (leases.c.study_id == tickets.c.study_id)
            & (leases.c.number == tickets.c.number)
            & (leases.c.fence == tickets.c.fence),
        )
        .where((tickets.c.state == "open") | late)
        .order_by(tickets.c.number)
    )


def _of(study_id: int) -> sa.ColumnElement[bool]:
    return tickets.c.study_id == study_id


def _is(study_id: int, number: int) -> sa.ColumnElement[bool]:
    return (tickets.c.study_id == study_id) & (tickets.c.number == number)


def _key(row: Any) -> Key:
    return row.study_id, row.number, row.fence


def _put(connection: sa.Connection, key: Key, **values: Any) -> None:
    study_id, number, _ = key
    connection.execute(sa.update(tickets).where(_is(study_id, number)).values(**values))


def _lease(connection: sa.Connection, holds: Collection[Hold], lease_s: float) -> None:
    for hold in holds:
        connection.execute(
            sa.insert(leases).values(
                study_id=hold.study_id, number=hold.number, fence=hold.fence,
                worker=hold.worker, taken_at=now(), until=now() + lease_s,
            )
        )  # fmt: skip
    for study_id in {hold.study_id for hold in holds}:
        study_rows.put(connection, study_id, claimed_at=now())


def _end_lease(connection: sa.Connection, key: Key, ending: str) -> None:
    study_id, number, fence = key
    connection.execute(
        sa.update(leases)
        .where(leases.c.study_id == study_id, leases.c.number == number)
        .where(leases.c.fence == fence, leases.c.ended_at.is_(None))
        .values(ended_at=now(), ending=ending)
    )
