"""Tickets, leases, fences, workers and study states: each verb is one transaction.

A ticket is the numbered right to run one trial. A worker holds it by a lease, which ends on the
database's clock unless the worker renews it, and whose fence grows with every hold. Whoever comes
back late finds a higher fence and is refused. Rows are locked in one order, the study before its
tickets before its leases, so that no two verbs wait for each other.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import ConflictError, NotFoundError
from hpsearch.store import trials as rows
from hpsearch.store.engine import Database, now
from hpsearch.store.tables import epochs, leases, prepare, studies, tickets, workers

__all__ = ["Ending", "EpochReport", "Hold", "Ledger", "State", "Study", "Worker", "Write"]

State = Literal["open", "paused", "stopped", "done"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Study:
    """A study as the ledger keeps it."""

    study_id: int
    name: str
    uid: str
    """Never used again, even where the database gives a deleted study's id to a new one."""
    direction: str
    """maximize or minimize."""
    digest: str
    document: Mapping[str, Any]
    base: str
    """The study file's folder: relative paths in the document start there."""
    state: State
    priority: int
    tickets: int
    """The budget."""
    issued: int
    drawn: int
    """Tickets issued that are not retries."""
    ended: int
    hours: float | None
    active_s: float
    """Seconds in which any worker held a lease."""
    data: Mapping[str, Any] | None
    """What the first worker found: fingerprint of the data, split, sizes."""


@dataclass(frozen=True)
class Worker:
    """A worker process that has signed on."""

    worker: str
    host: str
    pid: int
    device: str
    started_at: float
    seen_at: float
    stopped_at: float | None
    silent_s: float
    """Seconds since it was last seen, on the database's clock."""


@dataclass(frozen=True)
class Hold:
    """A worker's hold on a ticket. Its writes carry the fence."""

    study_id: int
    number: int
    fence: int
    trial_id: int | None
    """The trial that the ticket became under an earlier hold; None: it has no parameters yet."""
    origin: int
    """The number to sample by: tickets that are not retries, counted from 0."""
    retry_of: int | None = None
    """The failed ticket that this one runs again."""

    @property
    def key(self) -> tuple[int, int]:
        """(study_id, number)."""
        return self.study_id, self.number


@dataclass(frozen=True)
class EpochReport:
    """What one epoch of one trial gave."""

    epoch: int
    value: float
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class Ending:
    """How a trial ends: COMPLETE, PRUNED or FAIL, its value if it has one, the reason if not."""

    state: TrialState
    value: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Write:
    """All that is to be written for one held trial at once."""

    hold: Hold
    trial_id: int
    reports: Sequence[EpochReport] = ()
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    ending: Ending | None = None


def _verb(
    body: Callable[Concatenate[Ledger, sa.Connection, P], T],
) -> Callable[Concatenate[Ledger, P], T]:
    """Run a method in one transaction: all of it or nothing."""

    @functools.wraps(body)
    def verb(self: Ledger, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.database.write(lambda connection: body(self, connection, *args, **kwargs))

    return verb


class Ledger:
    """The verbs. Every method is one transaction; values that come back are frozen."""

    def __init__(self, database: Database, lease_s: float = 30.0) -> None:
        """Creates the tables where they are missing."""
        prepare(database)
        self.database = database
        self.lease_s = lease_s

    # --- studies ------------------------------------------------------------------------------

    @_verb
    def create(
        self,
        connection: sa.Connection,
        *,
        name: str,
        direction: str,
        digest: str,
        document: Mapping[str, Any],
        base: str,
        tickets_: int,
        hours: float | None,
        priority: int = 0,
    ) -> tuple[Study, bool]:
        """The study of this name, and whether it is new; if not, its digest tells whose it is.

        Raises ConflictError where the name belongs to an Optuna study that hpsearch did not make.
        """
        try:
            with connection.begin_nested():
                study_id = rows.create_study(
                    connection, name, direction, {"hpsearch": dict(document)}
                )
        except sa.exc.IntegrityError:
            return self._existing(connection, name), False
        # SQLite gives the id of a deleted study to the next one; whoever deleted it with Optuna's
        # tools left our rows behind.
        self._forget(connection, study_id)
        connection.execute(
            sa.insert(studies).values(
                study_id=study_id, uid=uuid.uuid4().hex, direction=direction, digest=digest,
                document=json.dumps(document), base=base, state="open", priority=priority,
                tickets=tickets_, issued=0, drawn=0, ended=0, hours=hours, active_s=0.0,
                created_at=now(),
            )
        )  # fmt: skip
        return self._study(connection, name), True

    def _existing(self, connection: sa.Connection, name: str) -> Study:
        try:
            return self._study(connection, name)
        except NotFoundError:
            raise ConflictError(
                f"the name {name!r} is taken in {self.database.name} by a study that hpsearch "
                "did not make; choose another one: --set name=..."
            ) from None

    def study(self, name: str) -> Study:
        """The study of this name. Raises NotFoundError, which lists the names there are."""
        with self.database.read() as connection:
            return self._study(connection, name)

    def studies(self) -> list[Study]:
        """All studies, the most important first."""
        with self.database.read() as connection:
            return self._studies(connection)

    def _studies(self, connection: sa.Connection, *where: Any) -> list[Study]:
        names = rows.STUDIES
        query = (
            sa.select(studies, names.c.study_name)
            .join(names, names.c.study_id == studies.c.study_id)
            .where(*where)
            .order_by(studies.c.priority.desc(), studies.c.study_id)
        )
        return [_study(row) for row in connection.execute(query)]

    def _study(self, connection: sa.Connection, name: str) -> Study:
        found = self._studies(connection, rows.STUDIES.c.study_name == name)
        if found:
            return found[0]
        others = ", ".join(s.name for s in self._studies(connection)) or "it has none yet"
        raise NotFoundError(f"no study {name!r} in {self.database.name}; studies: {others}")

    @_verb
    def record_data(
        self, connection: sa.Connection, study_id: int, found: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Keep what the first worker found out about the data; what was kept, now or before."""
        rows.lock_study(connection, study_id)
        mine = studies.c.study_id == study_id
        kept = connection.execute(sa.select(studies.c.data).where(mine)).scalar()
        if kept is not None:
            return dict(json.loads(kept))
        connection.execute(sa.update(studies).where(mine).values(data=json.dumps(found)))
        return found

    @_verb
    def set_state(self, connection: sa.Connection, name: str, state: State) -> Study:
        """Pause, stop or open a study. Raises ConflictError where it is done already."""
        study = self._locked(connection, name)
        if study.state == "done":
            raise ConflictError(
                f"study {name!r} is done: {study.ended} of {study.tickets} trials have ended; "
                f"hpsearch extend {name} --trials N adds to its budget"
            )
        self._put(connection, study.study_id, state=state)
        if state == "stopped":
            self._end_abandoned(connection, study.study_id)
        return self._study(connection, name)

    @_verb
    def extend(
        self,
        connection: sa.Connection,
        name: str,
        trials: int,
        hours: float | None = None,
        limit: int | None = None,
    ) -> Study:
        """Add tickets, and hours of work where the study counts them; a done study opens again.

        Args:
            name: The study.
            trials: Tickets to add.
            hours: Hours to add.
            limit: The most tickets that the search has a use for, retries not counted.

        Raises ConflictError where that adds nothing.
        """
        study = self._locked(connection, name)
        retries = study.issued - study.drawn
        total = study.tickets + trials
        if limit is not None and total - retries > limit:
            raise ConflictError(
                f"study {name!r} is a grid of {limit} trials, and {study.tickets - retries} are in "
                "its budget already"
            )
        values: dict[str, Any] = {"tickets": total}
        if hours is not None:
            if study.hours is None:
                raise ConflictError(f"study {name!r} has no limit in hours to add to")
            values["hours"] = study.hours + hours
        if study.state == "done":
            values["state"] = "open"
        self._put(connection, study.study_id, **values)
        return self._study(connection, name)

    @_verb
    def retry_failed(self, connection: sa.Connection, name: str) -> int:
        """Issue a new ticket for each trial that failed and was not retried; how many.

        A trial that has ended stays as it is, for Optuna's readers keep it for ever; its
        successor has the same parameters and a place of its own in the budget.
        """
        study = self._locked(connection, name)
        again = tickets.alias()
        retried = sa.exists().where(
            again.c.study_id == tickets.c.study_id, again.c.retry_of == tickets.c.number
        )
        failed = connection.execute(
            sa.select(tickets.c.number, tickets.c.origin)
            .join(rows.TRIALS, rows.TRIALS.c.trial_id == tickets.c.trial_id)
            .where(tickets.c.study_id == study.study_id, rows.TRIALS.c.state == TrialState.FAIL)
            .where(~retried)
            .order_by(tickets.c.number)
        ).all()
        if not failed:
            return 0
        connection.execute(
            sa.insert(tickets),
            [
                {"study_id": study.study_id, "number": study.issued + i, "state": "open",
                 "fence": 0, "origin": row.origin, "retry_of": row.number}
                for i, row in enumerate(failed)
            ],
        )  # fmt: skip
        self._put(
            connection,
            study.study_id,
            tickets=study.tickets + len(failed),
            issued=study.issued + len(failed),
            state="open" if study.state == "done" else study.state,
        )
        return len(failed)

    @_verb
    def delete(self, connection: sa.Connection, name: str) -> None:
        """Delete a study with all its trials. A worker on it finds out at its next write."""
        study = self._locked(connection, name)
        self._forget(connection, study.study_id)
        rows.delete_study(connection, study.study_id)

    def _forget(self, connection: sa.Connection, study_id: int) -> None:
        trials = sa.select(tickets.c.trial_id).where(tickets.c.study_id == study_id)
        connection.execute(sa.delete(epochs).where(epochs.c.trial_id.in_(trials)))
        for table in (leases, tickets, studies):
            connection.execute(sa.delete(table).where(table.c.study_id == study_id))

    def _locked(self, connection: sa.Connection, name: str) -> Study:
        """The study as it is once its row lock is ours."""
        rows.lock_study(connection, self._study(connection, name).study_id)
        return self._study(connection, name)

    def _put(self, connection: sa.Connection, study_id: int, **values: Any) -> None:
        connection.execute(
            sa.update(studies).where(studies.c.study_id == study_id).values(**values)
        )

    # --- tickets ------------------------------------------------------------------------------

    @_verb
    def claim(
        self, connection: sa.Connection, worker: str, study_id: int, up_to: int = 1
    ) -> list[Hold]:
        """Lease up to `up_to` tickets: those given back or abandoned first, then new ones.

        Never more than the budget. A study whose tickets have all ended becomes done.
        """
        rows.lock_study(connection, study_id)
        found = self._studies(connection, studies.c.study_id == study_id)
        if not found or found[0].state != "open":
            return []
        self._count_time(connection, [study_id])
        study = self._studies(connection, studies.c.study_id == study_id)[0]
        holds = self._take_over(connection, worker, study_id, up_to)
        holds += self._issue(connection, worker, study, up_to - len(holds))
        if not holds:
            self._close(connection, study_id)
        return holds

    def _take_over(
        self, connection: sa.Connection, worker: str, study_id: int, up_to: int
    ) -> list[Hold]:
        holds = []
        for row in self._free_tickets(connection, study_id, up_to):
            self._end_leases(connection, study_id, row.number, "lost")
            fence = row.fence + 1
            self._lease(connection, worker, study_id, row.number, fence)
            connection.execute(
                sa.update(tickets)
                .where(tickets.c.study_id == study_id, tickets.c.number == row.number)
                .values(state="leased", fence=fence)
            )
            if row.trial_id is not None:
                attempts = {"attempts": fence, "worker": worker}
                rows.put_user_attrs(connection, row.trial_id, attempts)
            holds.append(
                Hold(study_id, row.number, fence, row.trial_id, row.origin, row.retry_of)
            )
        return holds

    def _free_tickets(
        self, connection: sa.Connection, study_id: int, limit: int | None = None
    ) -> list[Any]:
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

    def _issue(
        self, connection: sa.Connection, worker: str, study: Study, up_to: int
    ) -> list[Hold]:
        if _out_of_time(study):
            return []
        count = min(up_to, study.tickets - study.issued)
        if count <= 0:
            return []
        holds = [
            Hold(study.study_id, study.issued + i, 1, None, study.drawn + i) for i in range(count)
        ]
        connection.execute(
            sa.insert(tickets),
            [
                {"study_id": h.study_id, "number": h.number, "state": "leased", "fence": h.fence,
                 "origin": h.origin}
                for h in holds
            ],
        )  # fmt: skip
        for hold in holds:
            self._lease(connection, worker, hold.study_id, hold.number, hold.fence)
        self._put(
            connection,
            study.study_id,
            issued=study.issued + count,
            drawn=study.drawn + count,
        )
        return holds

    def _lease(
        self, connection: sa.Connection, worker: str, study_id: int, number: int, fence: int
    ) -> None:
        connection.execute(
            sa.insert(leases).values(
                study_id=study_id, number=number, fence=fence, worker=worker,
                taken_at=now(), until=now() + self.lease_s,
            )
        )  # fmt: skip

    def _end_leases(
        self, connection: sa.Connection, study_id: int, number: int, ending: str
    ) -> None:
        connection.execute(
            sa.update(leases)
            .where(leases.c.study_id == study_id, leases.c.number == number)
            .where(leases.c.ended_at.is_(None))
            .values(ended_at=now(), ending=ending)
        )

    @_verb
    def begin(
        self, connection: sa.Connection, hold: Hold, trial: FrozenTrial
    ) -> tuple[int, int] | None:
        """Turn a held ticket into a RUNNING trial; its (trial_id, number), or None if refused."""
        rows.lock_study(connection, hold.study_id)
        if not self._is_mine(connection, hold):
            return None
        trial_id, number = rows.insert(connection, hold.study_id, trial)
        connection.execute(
            sa.update(tickets)
            .where(tickets.c.study_id == hold.study_id, tickets.c.number == hold.number)
            .values(trial_id=trial_id)
        )
        return trial_id, number

    @_verb
    def record(self, connection: sa.Connection, writes: Iterable[Write]) -> set[tuple[int, int]]:
        """Write reports and endings of many trials at once; the keys of those refused.

        A write is refused where its ticket has another holder by now, or has ended.
        """
        ordered = sorted(writes, key=lambda w: w.hold.key)
        for study_id in sorted({w.hold.study_id for w in ordered if w.ending}):
            rows.lock_study(connection, study_id)
        mine = [w for w in ordered if self._is_mine(connection, w.hold)]
        rows.put_reports(
            connection, {w.trial_id: {r.epoch: r.value for r in w.reports} for w in mine}
        )
        self._put_epochs(connection, mine)
        for write in mine:
            rows.put_user_attrs(connection, write.trial_id, write.user_attrs)
            rows.put_system_attrs(connection, write.trial_id, write.system_attrs)
            if write.ending is not None:
                self._end(connection, write.hold.key, write.trial_id, write.ending)
        for study_id in sorted({w.hold.study_id for w in mine if w.ending}):
            self._close(connection, study_id)
        return {w.hold.key for w in ordered} - {w.hold.key for w in mine}

    def _is_mine(self, connection: sa.Connection, hold: Hold) -> bool:
        """Whether the hold is still the ticket's; locks the ticket."""
        query = sa.select(tickets.c.fence, tickets.c.state).where(
            tickets.c.study_id == hold.study_id, tickets.c.number == hold.number
        )
        row = connection.execute(query.with_for_update()).one_or_none()
        return row is not None and row.state == "leased" and row.fence == hold.fence

    def _put_epochs(self, connection: sa.Connection, writes: Iterable[Write]) -> None:
        written = []
        for write in writes:
            if write.reports:
                steps = [r.epoch for r in write.reports]
                connection.execute(
                    sa.delete(epochs).where(
                        epochs.c.trial_id == write.trial_id, epochs.c.epoch.in_(steps)
                    )
                )
            written += [
                {"trial_id": write.trial_id, "epoch": r.epoch,
                 "metrics": json.dumps(dict(r.metrics)), "seconds": r.seconds}
                for r in write.reports
            ]  # fmt: skip
        if written:
            connection.execute(sa.insert(epochs), written)

    def _end(
        self, connection: sa.Connection, key: tuple[int, int], trial_id: int, ending: Ending
    ) -> None:
        study_id, number = key
        if ending.reason is not None:
            rows.put_user_attrs(connection, trial_id, {"reason": ending.reason})
        rows.end(connection, trial_id, ending.state, ending.value)
        self._end_leases(connection, study_id, number, "ended")
        connection.execute(
            sa.update(tickets)
            .where(tickets.c.study_id == study_id, tickets.c.number == number)
            .values(state="ended")
        )
        self._put(connection, study_id, ended=studies.c.ended + 1)

    def _close(self, connection: sa.Connection, study_id: int) -> None:
        """Mark the study done where nothing is left to issue and nothing is under way."""
        for study in self._studies(connection, studies.c.study_id == study_id):
            spent = study.issued >= study.tickets or _out_of_time(study)
            if study.state == "open" and spent and study.ended == study.issued:
                self._put(connection, study_id, state="done")

    def _end_abandoned(self, connection: sa.Connection, study_id: int) -> None:
        """In a stopped study nobody takes an abandoned trial over: it ends here."""
        for row in self._free_tickets(connection, study_id):
            self._end_leases(connection, study_id, row.number, "lost")
            if row.trial_id is None:
                connection.execute(
                    sa.update(tickets)
                    .where(tickets.c.study_id == study_id, tickets.c.number == row.number)
                    .values(state="open")
                )
            else:
                ending = Ending(
                    TrialState.PRUNED, rows.last_report(connection, row.trial_id), "stopped"
                )
                self._end(connection, (study_id, row.number), row.trial_id, ending)

    @_verb
    def release(self, connection: sa.Connection, holds: Collection[Hold]) -> None:
        """Give tickets back: the next worker goes on where this one stopped."""
        for hold in sorted(holds, key=lambda h: h.key):
            if self._is_mine(connection, hold):
                self._return(connection, hold.study_id, hold.number)

    def _return(self, connection: sa.Connection, study_id: int, number: int) -> None:
        connection.execute(
            sa.update(tickets)
            .where(tickets.c.study_id == study_id, tickets.c.number == number)
            .values(state="open")
        )
        self._end_leases(connection, study_id, number, "returned")

    # --- workers ------------------------------------------------------------------------------

    @_verb
    def sign_on(
        self, connection: sa.Connection, worker: str, host: str, pid: int, device: str
    ) -> None:
        """Enter a worker into the list."""
        connection.execute(
            sa.insert(workers).values(
                worker=worker, host=host, pid=pid, device=device, started_at=now(), seen_at=now()
            )
        )

    @_verb
    def sign_off(self, connection: sa.Connection, worker: str) -> None:
        """Take a worker off the list and give back what it holds: it has left, or is dead.

        Whoever calls this for another process has seen it die; if it has not, the fence protects
        the tickets all the same.
        """
        held = connection.execute(
            sa.select(leases.c.study_id, leases.c.number, leases.c.fence)
            .where(leases.c.worker == worker, leases.c.ended_at.is_(None))
            .order_by(leases.c.study_id, leases.c.number)
        ).all()
        for row in held:
            if self._is_mine(connection, Hold(row.study_id, row.number, row.fence, None, 0)):
                self._return(connection, row.study_id, row.number)
        connection.execute(
            sa.update(workers)
            .where(workers.c.worker == worker, workers.c.stopped_at.is_(None))
            .values(stopped_at=now())
        )

    @_verb
    def renew(
        self, connection: sa.Connection, worker: str, study_ids: Collection[int]
    ) -> tuple[set[tuple[int, int]], dict[int, State]]:
        """Prolong a worker's leases; the keys it still holds, and the states of `study_ids`.

        A lease that ran out but that nobody has taken over is prolonged too: nothing is lost.
        """
        self._count_time(connection, study_ids)
        mine = (leases.c.worker == worker) & leases.c.ended_at.is_(None)
        connection.execute(sa.update(leases).where(mine).values(until=now() + self.lease_s))
        held = connection.execute(sa.select(leases.c.study_id, leases.c.number).where(mine))
        keys = {(row.study_id, row.number) for row in held}
        connection.execute(
            sa.update(workers).where(workers.c.worker == worker).values(seen_at=now())
        )
        known = self._studies(connection, studies.c.study_id.in_(list(study_ids)))
        for study in known:
            if study.state == "stopped":
                self._end_abandoned(connection, study.study_id)
        return keys, {s.study_id: s.state for s in known}

    def workers(self) -> list[Worker]:
        """Every worker that has ever signed on, the newest first."""
        query = sa.select(workers, (now() - workers.c.seen_at).label("silent_s"))
        with self.database.read() as connection:
            found = connection.execute(query.order_by(workers.c.started_at.desc()))
            return [Worker(**row._mapping) for row in found]

    def _count_time(self, connection: sa.Connection, study_ids: Collection[int]) -> None:
        """Add the time since the last count to `active_s`, but no more than a lease of it.

        So a study's hours run while any worker is at it, once however many there are, and stand
        still while there is none.
        """
        for study_id in sorted(study_ids):
            rows.lock_study(connection, study_id)
        since = now() - sa.func.coalesce(studies.c.active_at, now())
        passed = sa.case((since < 0, 0.0), (since > self.lease_s, 0.0), else_=since)
        connection.execute(
            sa.update(studies)
            .where(studies.c.study_id.in_(list(study_ids)))
            .values(active_s=studies.c.active_s + passed, active_at=now())
        )


def _out_of_time(study: Study) -> bool:
    return study.hours is not None and study.active_s >= study.hours * 3600


def _study(row: Any) -> Study:
    return Study(
        study_id=row.study_id,
        name=row.study_name,
        uid=row.uid,
        direction=row.direction,
        digest=row.digest,
        document=json.loads(row.document),
        base=row.base,
        state=row.state,
        priority=row.priority,
        tickets=row.tickets,
        issued=row.issued,
        drawn=row.drawn,
        ended=row.ended,
        hours=row.hours,
        active_s=row.active_s,
        data=json.loads(row.data) if row.data else None,
    )
