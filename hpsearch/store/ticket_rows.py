"""hpsearch's rows of tickets, read and written inside the ledger's transactions.

The functions here are the ledger's steps: none begins or ends a transaction, and those that change
a ticket are called with the row lock of its study held, or of the ticket. Each takes many tickets
of one study and needs as many statements as for one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hpsearch.spec.settings import EARLY
from hpsearch.store import dealing, lease_rows, stage_rows, study_rows, trials, worker_rows
from hpsearch.store.engine import now
from hpsearch.store.optuna_tables import STUDIES, TRIALS
from hpsearch.store.prepared import upsert
from hpsearch.store.states import TrialState
from hpsearch.store.tables import epochs, leases, stages, studies, tickets
from hpsearch.store.values import STOPPED, Ending, Key, Lease, Study, Write

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = [
    "Offer", "abandoned_studies", "begin_held", "draw_index", "end_abandoned", "give_back",
    "holders", "holds_up", "issue", "lose", "offer", "record", "suspects", "take_over",
    "take_returned", "trained_s", "waiting",
]  # fmt: skip

_QUERIES = 64
"""Statements of one kind that are kept. To put these together takes SQLAlchemy as long as all else
in a claim, much of it while the study is locked; one is asked for again with each claim."""

_OPEN = tickets.c.state == sa.literal_column("'open'")
"""Given back. Written out: an index of no more than those serves only who says so."""


# --- who may have what ------------------------------------------------------------------------


def waiting(connection: sa.Connection, but: str | None, names: tuple[str, ...]) -> list[Study]:
    """The open studies that have a ticket to give now, in the order in which to serve them.

    A higher priority first. Within one, the study with the fewest workers at its tickets, so that
    workers are shared evenly; where that is the same, the one that has waited longest. What the
    worker `but` has under way is left out. Only those of `names`, where there are any.
    """
    return study_rows.read(connection, _waiting(but, names))


@lru_cache(maxsize=_QUERIES)
def _waiting(but: str | None, names: tuple[str, ...]) -> sa.Select[Any]:
    live = lease_rows.live(studies.c.study_id, but)
    # One that is out of time with nothing under way is claimed from once more: that closes it.
    in_time = study_rows.has_time() | (studies.c.ended == studies.c.issued)
    opened = studies.c.opened.is_(None) | (studies.c.drawn < studies.c.opened)
    opens = studies.c.early | ~holds_up(studies.c.study_id)
    due = sa.func.coalesce(studies.c.finish, "").in_(("due", "open"))
    finishes = due & (studies.c.ended == studies.c.issued)
    new = (studies.c.issued < studies.c.tickets) & in_time & (opened | opens) | finishes
    below = studies.c.max_parallel.is_(None) | (live < studies.c.max_parallel)
    chosen = [STUDIES.c.study_name.in_(names)] if names else []
    query = study_rows.select(studies.c.state == "open", _has_free() | new, below, *chosen)
    order = (
        studies.c.priority.desc(),
        lease_rows.at_work(studies.c.study_id, but),
        sa.func.coalesce(studies.c.claimed_at, 0.0),
        studies.c.study_id,
    )
    return query.order_by(*order)


@dataclass(frozen=True)
class Offer:
    """What a claim goes by."""

    study: Study
    clock: float
    """The database's, to which the study's time is counted."""
    has_free: bool
    """Whether a ticket was given back or abandoned."""
    workers: int
    """Signed on, seen within their lease, and able to serve it."""
    free_workers: int
    """Those of them that are not busy with another study."""
    under_way: int
    """Leases of the study that have not run out."""
    own: int
    """Those of them that the worker has who claims."""

    @property
    def share(self) -> int:
        """The most new tickets that the worker may take."""
        study = self.study
        if study.opened is None:
            return dealing.share(study.left, self.workers)
        return dealing.share_of_stage(study.left, self.under_way, self.own, self.free_workers)


def offer(
    connection: sa.Connection, worker: str, study_id: int, needs: Collection[str]
) -> Offer | None:
    """What there is for a worker to claim from an open study; None where it is not open, or gone.

    Workers that lack any of its `needs` are not counted.
    """
    row = connection.execute(_offer(worker, study_id, tuple(needs))).one_or_none()
    if row is None:
        return None
    study = replace(study_rows.made(row), active_s=row.active_now)
    own = row.under_way - row.others
    has_free = bool(row.has_free)
    return Offer(study, row.clock, has_free, row.workers, row.free_workers, row.under_way, own)


@lru_cache(maxsize=_QUERIES)
def _offer(worker: str, study_id: int, needs: tuple[str, ...]) -> sa.Select[Any]:
    query = study_rows.select(studies.c.study_id == study_id, studies.c.state == "open")
    return query.add_columns(
        study_rows.active().label("active_now"),
        now().label("clock"),
        _has_free().label("has_free"),
        worker_rows.present(needs).label("workers"),
        worker_rows.present(needs, studies.c.study_id).label("free_workers"),
        lease_rows.live(studies.c.study_id).label("under_way"),
        lease_rows.live(studies.c.study_id, worker).label("others"),
    )


def holds_up(study_id: int | sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    """Whether a study's next stage has to wait: a ticket that is not an early one of the polish is
    under way, or was given back."""
    early = sa.exists().where(
        stages.c.study_id == tickets.c.study_id, stages.c.name == EARLY,
        stages.c.first == tickets.c.origin,
    )  # fmt: skip
    leased = sa.exists().where(lease_rows.under_way(study_id), _has_ticket(), ~early)
    return leased | sa.exists().where(tickets.c.study_id == study_id, _OPEN, ~early)


def holders(
    connection: sa.Connection, granted: Collection[Lease], *more: sa.ColumnElement[Any]
) -> dict[Key, Any]:
    """Rows of tickets, by lease, of which that is the last one; locks the tickets, in order.

    With `more` columns. All of one study, which must still be there. The worker is part of it: a
    study that is deleted and made again may get the same study_id, and its fences begin at 1 again.
    """
    ids = {lease.study_id for lease in granted}
    alive = sa.exists().where(
        studies.c.study_id.in_(ids), trials.is_study(studies.c.study_id, studies.c.uid)
    )
    query = sa.select(tickets, *more).where(
        tickets.c.study_id.in_(ids), tickets.c.number.in_([h.number for h in granted]), alive
    )
    rows = connection.execute(query.order_by(tickets.c.number).with_for_update())
    rows_by_key = {(row.number, row.fence, row.worker): row for row in rows}
    held_by = {
        lease.key: rows_by_key.get((lease.number, lease.fence, lease.worker)) for lease in granted
    }
    return {key: row for key, row in held_by.items() if row is not None}


def take_over(
    connection: sa.Connection, worker: str, study: Study, up_to: int, lease_s: float,
    own: Collection[Key],
) -> list[Lease]:  # fmt: skip
    """Lease tickets that were given back, or whose lease has run out, to a worker that trains none.

    Those of its `own` leases stay: what has become of them is on its way here.

    One that has lost its worker is leased by itself, before others: were it to take all that are
    trained beside it along each time, nobody would know which of them it was. One that has lost its
    worker too often ends instead: it would take one worker after another.
    """
    _lose_late(connection, study.study_id, own)
    given = _given(study.study_id)
    poisonous = connection.execute(given.where(tickets.c.crashes >= study.crash_limit)).all()
    if poisonous:
        _end_poisonous(connection, study, poisonous)
    rows = connection.execute(given.limit(up_to)).all()
    suspect = [row for row in rows if row.crashes][:1]
    return _lease_again(connection, worker, study.study_id, suspect or rows, lease_s)


def _lose_late(connection: sa.Connection, study_id: int, but: Collection[Key]) -> None:
    """Tickets whose lease has run out have lost their worker, those of the leases `but` not."""
    late = sa.select(leases).where(_late_of(study_id)).order_by(leases.c.worker)
    lost = [
        row for row in connection.execute(late).all()
        if (row.study_id, row.number, row.fence) not in but
    ]  # fmt: skip
    for worker, rows in groupby(lost, key=lambda row: row.worker):
        how = f"worker {worker} fell silent and its lease ran out"
        lose(connection, study_id, [row.number for row in rows], how)


def take_returned(
    connection: sa.Connection, worker: str, study: Study, up_to: int, lease_s: float
) -> list[Lease]:
    """Lease tickets that were given back and have lost no worker: they may join others."""
    given = _given(study.study_id).where(tickets.c.crashes == 0).limit(up_to)
    rows = connection.execute(given).all()
    return _lease_again(connection, worker, study.study_id, rows, lease_s)


def draw_index(connection: sa.Connection, study_id: int, number: int) -> int | None:
    """That of an issued ticket; None where there is no such ticket."""
    chosen = (tickets.c.study_id == study_id) & (tickets.c.number == number)
    return connection.execute(sa.select(tickets.c.origin).where(chosen)).scalar_one_or_none()


def suspects(connection: sa.Connection, study_id: int) -> dict[int, bool]:
    """Tickets under way or given back that have lost their worker; whether they are free."""
    ours = tickets.c.study_id == study_id
    leased = sa.select(tickets).join(leases, _has_ticket()).where(lease_rows.under_way(study_id))
    rows = [
        *connection.execute(leased.where(tickets.c.crashes > 0)),
        *connection.execute(sa.select(tickets).where(ours, _OPEN, tickets.c.crashes > 0)),
    ]
    return {row.number: row.state == "open" for row in rows}


def _lease_again(
    connection: sa.Connection, worker: str, study_id: int, rows: Iterable[Any], lease_s: float
) -> list[Lease]:
    granted = [
        Lease(study_id, r.number, r.fence + 1, worker, r.trial_id, r.origin, r.retry_of, r.crashes)
        for r in rows
    ]
    leased = [{"number": h.number, "fence": h.fence} for h in granted]
    _put_each(connection, study_id, leased, state="leased", worker=worker)
    lease_rows.take(connection, granted, lease_s)
    begun = {h.trial_id: h for h in granted if h.trial_id is not None}
    taken = {t: {"attempts": h.fence, "worker": worker} for t, h in begun.items()}
    trials.put_user_attrs(connection, taken)
    return granted


def issue(
    connection: sa.Connection, worker: str, study: Study, dealt: dealing.Deal, lease_s: float
) -> list[Lease]:
    """Lease tickets that nobody has had."""
    granted = [
        Lease(study.study_id, number, 1, worker, None, draw_index)
        for number, draw_index in dealt.numbers
    ]
    new = [
        {"study_id": h.study_id, "number": h.number, "state": "leased", "fence": h.fence,
         "worker": worker, "origin": h.draw_index, "reached": 0, "crashes": 0}
        for h in granted
    ]  # fmt: skip
    connection.execute(sa.insert(tickets), new)
    lease_rows.take(connection, granted, lease_s)
    return granted


# --- what becomes of a ticket -----------------------------------------------------------------


def begin_held(
    connection: sa.Connection, study_id: int, begun: Sequence[tuple[Lease, FrozenTrial]]
) -> dict[Key, tuple[int, int]]:
    """Make held tickets RUNNING trials, where they are none yet; (trial_id, number) by lease."""
    next_number = trials.next_number(study_id).label("next_number")
    rows = holders(connection, [lease for lease, _ in begun], next_number)
    mine = {key: row for key, row in rows.items() if row.state == "leased"}
    ids = {key: row.trial_id for key, row in mine.items() if row.trial_id is not None}
    numbered = trials.numbered(connection, ids.values())
    begun_trials = {key: numbered[trial_id] for key, trial_id in ids.items()}
    new = [(h, trial) for h, trial in begun if h.key in mine and h.key not in ids]
    if new:
        first = mine[new[0][0].key].next_number
        made = _begin(connection, study_id, first, [(h.number, trial) for h, trial in new])
        begun_trials |= {lease.key: at for (lease, _), at in zip(new, made, strict=True)}
    return begun_trials


def _begin(
    connection: sa.Connection, study_id: int, number: int, begun: Sequence[tuple[int, FrozenTrial]]
) -> list[tuple[int, int]]:
    """Make each of these tickets a RUNNING trial, from that number on; their (trial_id, number)."""
    made = trials.insert(connection, study_id, number, [trial for _, trial in begun])
    if connection.dialect.name == "sqlite":  # which may have given the ids before
        _clear_epochs(connection, {trial_id: 0 for trial_id, _ in made})
    rows = zip(begun, made, strict=True)
    parameters = [{"number": ticket, "trial_id": trial_id} for (ticket, _), (trial_id, _) in rows]
    _put_each(connection, study_id, parameters)
    return made


def give_back(connection: sa.Connection, study_id: int, numbers: Collection[int]) -> None:
    """Give tickets back: the next worker continues where this one stopped."""
    _put(connection, study_id, numbers, state="open")
    lease_rows.end(connection, study_id, numbers, "returned")


def lose(connection: sa.Connection, study_id: int, numbers: Collection[int], how: str) -> None:
    """Tickets have lost their worker, who gave nothing back."""
    # The last words of a process may be anything, and PostgreSQL takes neither NUL nor half a
    # character.
    words = how.encode("ascii", "backslashreplace").decode().replace("\0", "?")[:1000]
    _put(connection, study_id, numbers, state="open", crashes=tickets.c.crashes + 1, lost=words)
    lease_rows.end(connection, study_id, numbers, "lost")


def record(connection: sa.Connection, study_id: int, writes: Sequence[Write]) -> set[Key]:
    """Write reports and endings of a study's trials, one write a lease; the keys of those refused.

    Where any of them ends its trial, the caller holds the study's lock.
    """
    rows = holders(connection, [w.lease for w in writes])
    mine = [w for w in writes if w.lease.key in rows and rows[w.lease.key].state == "leased"]
    kept_epochs = {w.trial_id: w.kept for w in mine if w.kept is not None}
    trials.clear_reports(connection, kept_epochs)
    _clear_epochs(connection, kept_epochs)
    reports = {w.trial_id: {r.epoch: r.value for r in w.reports} for w in mine}
    trials.put_reports(connection, reports)
    _put_epochs(connection, mine)
    attrs = {w.trial_id: {**w.user_attrs, **_reason(w.ending)} for w in mine}
    trials.put_user_attrs(connection, attrs)
    trials.put_system_attrs(connection, {w.trial_id: w.system_attrs for w in mine})
    _put_each(connection, study_id, _progress(mine, rows))
    endings = {w.lease.number: (w.trial_id, w.ending) for w in mine if w.ending is not None}
    _end(connection, study_id, endings)
    ended = {key for key, row in rows.items() if row.state == "ended"}
    done = {w.lease.key for w in writes if w.ending} & ended
    return {w.lease.key for w in writes} - {w.lease.key for w in mine} - done


def _progress(writes: Iterable[Write], rows: Mapping[Key, Any]) -> list[dict[str, Any]]:
    """What changes of the tickets: a new epoch wipes out the losses before it."""
    changed = []
    for write in writes:
        row, epoch = rows[write.lease.key], write.reports[-1].epoch if write.reports else 0
        new = epoch > row.reached
        if new or write.ending:
            changed.append({
                "number": row.number,
                "reached": epoch if new else row.reached,
                "crashes": 0 if new else row.crashes,
                "state": "ended" if write.ending else row.state,
            })  # fmt: skip
    return changed


def _reason(ending: Ending | None) -> dict[str, str]:
    return {} if ending is None or ending.reason is None else {"reason": ending.reason}


def _end(
    connection: sa.Connection, study_id: int, endings: Mapping[int, tuple[int, Ending]]
) -> None:
    """End trials and leases together with their tickets, {ticket: (trial_id, ending)}."""
    if not endings:
        return
    trials.end(connection, {trial_id: (e.state, e.value) for trial_id, e in endings.values()})
    lease_rows.end(connection, study_id, endings, "ended")
    study_rows.close(connection, study_id, len(endings))


def _end_free(
    connection: sa.Connection, study_id: int, endings: Mapping[int, tuple[int, Ending]]
) -> None:
    """End tickets that nobody holds."""
    reasons = {trial_id: _reason(ending) for trial_id, ending in endings.values()}
    trials.put_user_attrs(connection, reasons)
    _put(connection, study_id, endings, state="ended")
    _end(connection, study_id, endings)


def end_abandoned(connection: sa.Connection, study_id: int) -> None:
    """End the trials that nobody holds: in a stopped study nobody will take them over."""
    free = _free(connection, study_id)
    unbegun = [row.number for row in free if row.trial_id is None]
    if unbegun:
        give_back(connection, study_id, unbegun)
    begun = {row.number: row.trial_id for row in free if row.trial_id is not None}
    last = trials.last_reports(connection, begun.values())
    endings = {
        number: (trial_id, Ending(TrialState.PRUNED, last.get(trial_id), STOPPED))
        for number, trial_id in begun.items()
    }
    if endings:
        _end_free(connection, study_id, endings)


def abandoned_studies(connection: sa.Connection) -> list[int]:
    """Stopped studies with a trial that nobody holds."""
    begun = tickets.c.trial_id.is_not(None)
    free = sa.exists().where(tickets.c.study_id == studies.c.study_id, _OPEN, begun)
    late = sa.exists().where(_has_ticket(), begun, _late_of(studies.c.study_id))
    return [
        s.study_id for s in study_rows.find(connection, studies.c.state == "stopped", free | late)
    ]


def _end_poisonous(connection: sa.Connection, study: Study, rows: Sequence[Any]) -> None:
    """FAIL tickets that lost their worker too often; those without a trial get one to show it."""
    from hpsearch.store.frozen import empty

    unbegun = [row for row in rows if row.trial_id is None]
    shown = [
        {"ticket": row.number, "sampler": "none", "attempts": row.fence,
         "stage": stage_rows.name_at(connection, study.study_id, row.origin),
         "worker": row.worker or ""}
        for row in unbegun
    ]  # fmt: skip
    new = [(attrs["ticket"], empty(attrs["ticket"], -1, attrs)) for attrs in shown]
    number = connection.execute(sa.select(trials.next_number(study.study_id))).scalar_one()
    made = _begin(connection, study.study_id, number, new)
    ids = {row.number: row.trial_id for row in rows}
    ids.update((row.number, trial_id) for row, (trial_id, _) in zip(unbegun, made, strict=True))
    endings = {row.number: (ids[row.number], Ending(TrialState.FAIL, None, _lost(row)))
               for row in rows}  # fmt: skip
    _end_free(connection, study.study_id, endings)


def _lost(row: Any) -> str:
    return f"lost its worker {row.crashes} times in a row without a new epoch; last: {row.lost}"


# --- what is known of its epochs --------------------------------------------------------------


def _clear_epochs(connection: sa.Connection, kept: Mapping[int, int]) -> None:
    """Delete what is known of trials' epochs after these, {trial_id: epoch}."""
    if kept:
        late = (epochs.c.trial_id == sa.bindparam("of")) & (epochs.c.epoch > sa.bindparam("after"))
        rows = [{"of": trial_id, "after": epoch} for trial_id, epoch in kept.items()]
        connection.execute(sa.delete(epochs).where(late), rows)


def _put_epochs(connection: sa.Connection, writes: Iterable[Write]) -> None:
    """Write what Optuna's one value a step leaves out; what stands at an epoch is replaced."""
    rows = [
        {"trial_id": w.trial_id, "epoch": r.epoch, "seconds": r.seconds,
         "metrics": json.dumps(dict(r.metrics))}
        for w in writes for r in w.reports
    ]  # fmt: skip
    upsert(connection, epochs, ("trial_id", "epoch"), rows)


def trained_s(
    connection: sa.Connection, study_id: int, until: int | None = None
) -> dict[int, float]:
    """Seconds of training of each trial of a study, by its id, up to an epoch or of all."""
    of_study = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    query = sa.select(epochs.c.trial_id, sa.func.sum(epochs.c.seconds))
    query = query.where(epochs.c.trial_id.in_(of_study))
    query = query if until is None else query.where(epochs.c.epoch <= until)
    rows = connection.execute(query.group_by(epochs.c.trial_id))
    return {int(trial_id): float(seconds) for trial_id, seconds in rows}


# --- queries and rows -------------------------------------------------------------------------


def _has_free() -> sa.ColumnElement[bool]:
    """Whether a study has tickets given back, or leases that have run out."""
    late = sa.exists().where(_late_of(studies.c.study_id))
    return sa.exists().where(tickets.c.study_id == studies.c.study_id, _OPEN) | late


def _free(connection: sa.Connection, study_id: int) -> Sequence[Any]:
    """Tickets given back, and those whose lease has run out.

    Two queries in one, each with an index of its own, so that none looks at what has ended.
    """
    late = sa.select(tickets).join(leases, _has_ticket()).where(_late_of(study_id))
    parts = sa.select(tickets).where(tickets.c.study_id == study_id, _OPEN), late
    return connection.execute(sa.union_all(*parts)).all()


def _given(study_id: int) -> sa.Select[Any]:
    """Tickets given back: those that have lost their worker first, then by number."""
    given = sa.select(tickets).where(tickets.c.study_id == study_id, _OPEN)
    return given.order_by(sa.case((tickets.c.crashes > 0, 0), else_=1), tickets.c.number)


def _late_of(study_id: int | sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return lease_rows.under_way(study_id) & lease_rows.is_late()


def _has_ticket() -> sa.ColumnElement[bool]:
    return (tickets.c.study_id == leases.c.study_id) & (tickets.c.number == leases.c.number)


def _among(study_id: int, numbers: Collection[int]) -> sa.ColumnElement[bool]:
    return (tickets.c.study_id == study_id) & tickets.c.number.in_(list(numbers))


def _put(connection: sa.Connection, study_id: int, numbers: Collection[int], **values: Any) -> None:
    """Set the same values for all of these tickets."""
    connection.execute(sa.update(tickets).where(_among(study_id, numbers)).values(**values))


def _put_each(
    connection: sa.Connection, study_id: int, rows: Sequence[Mapping[str, Any]], **values: Any
) -> None:
    """Set values for each ticket, rows of its number and them, and the same `values` for all."""
    if not rows:
        return
    each: dict[str, Any] = {c: sa.bindparam(f"new_{c}") for c in rows[0] if c != "number"}
    this = (tickets.c.study_id == study_id) & (tickets.c.number == sa.bindparam("new_number"))
    connection.execute(
        sa.update(tickets).where(this).values(**each, **values),
        [{f"new_{column}": value for column, value in row.items()} for row in rows],
    )
