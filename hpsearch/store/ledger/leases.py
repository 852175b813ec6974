"""Who trains what: tickets and the leases on them, the workers that hold them, and duties."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hpsearch.errors import LostError, NotFoundError
from hpsearch.store import (
    dealing,
    duty_rows,
    epoch_rows,
    lease_rows,
    study_rows,
    ticket_rows,
    trials,
    worker_rows,
)
from hpsearch.store.engine import Database, now
from hpsearch.store.ledger.transactions import Verbs, verb
from hpsearch.store.optuna_tables import STUDIES
from hpsearch.store.tables import studies
from hpsearch.store.values import (
    EVERY,
    NOT_BEGUN,
    STOPPED,
    TESTING,
    Duty,
    Hold,
    Key,
    Lease,
    Outlook,
    Serves,
    Study,
    TimedEpoch,
    Worker,
    Write,
)

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["Leases"]

_BATCH = 500
"""Trials in one query: every database takes lists of that many."""


class Leases(Verbs):
    """The verbs of workers."""

    def __init__(self, database: Database, lease_s: float) -> None:
        super().__init__(database, lease_s)
        self._signed_on = set[str]()

    # --- tickets ------------------------------------------------------------------------------

    def waiting(self, serves: Serves = EVERY, but: str | None = None) -> list[Study]:
        """The studies that have a ticket to give now, the one to serve first at the head.

        By priority; within one priority the study with the fewest workers at it; of equals the one
        that has waited longest.

        Args:
            serves: Only those that a worker serves.
            but: A worker whose own tickets are left out, as if they were not under way: one that
                holds many asks so whether it would choose its study again.
        """
        with self.database.read() as connection:
            waiting = ticket_rows.waiting(connection, but, serves.studies)
        return [study for study in waiting if not serves.lacks(study)]

    def outlook(self, serves: Serves = EVERY) -> Outlook:
        """What there is to do, as one look of a worker that has nothing to do: see `Outlook`."""
        with self.database.read() as connection:
            waiting = ticket_rows.waiting(connection, None, serves.studies)
            open_studies = study_rows.find(connection, studies.c.state == "open", *_chosen(serves))
            abandoned = bool(ticket_rows.abandoned_studies(connection))
        return Outlook(
            waiting=[study for study in waiting if not serves.lacks(study)],
            open=[study for study in open_studies if not serves.lacks(study)],
            others=[study for study in open_studies if serves.lacks(study)],
            abandoned=abandoned,
        )

    def upcoming(self, study_id: int, count: int) -> list[tuple[int, int]]:
        """(number, draw index) of the next tickets that nobody has been issued, up to `count`.

        No more than are within reach (`dealing.REACH`): what `claim` can be asked for by number.
        """
        with self.database.read() as connection:
            study = study_rows.current(connection, study_id)
            return dealing.upcoming(connection, study, count) if study else []

    def draw_index(self, study_id: int, number: int) -> int:
        """The number by which an issued ticket is sampled and seeded.

        Raises NotFoundError where there is no such ticket: its study has been deleted.
        """
        with self.database.read() as connection:
            draw_index = ticket_rows.draw_index(connection, study_id, number)
        if draw_index is None:
            raise NotFoundError("the study has been deleted")
        return draw_index

    def suspects(self, study_id: int) -> dict[int, bool]:
        """Tickets that have lost their worker since their last new epoch; whether each is free."""
        with self.database.read() as connection:
            return ticket_rows.suspects(connection, study_id)

    @verb
    def claim(
        self,
        connection: sa.Connection,
        worker: str,
        study_id: int,
        up_to: int = 1,
        wanted: Sequence[int] = (),
        *,
        ahead: int = 0,
        own: Collection[Key] = (),
        beside: bool = False,
        needs: Collection[str] = (),
    ) -> list[Lease]:
        """Lease up to `up_to` tickets: those given back or abandoned first, then new ones.

        Never more than the budget, nor than may run in parallel; of new ones no more than this
        worker's share of what is left (`Offer.share`). A ticket that has lost its worker since
        its last new epoch is leased by itself; one that has lost it too often ends as FAIL. A study
        whose tickets have all ended becomes done.

        Args:
            worker: Who takes them.
            study_id: The study.
            up_to: The most that it has room for.
            wanted: Numbers, of `upcoming`, that come before other new ones.
            ahead: More that it may have at hand, to train one after another: none of a study that
                limits how many are under way, as each of those is for a worker that trains it; nor
                of one with hours, with which they would end before they began; nor where a trial
                may lose no worker.
            own: Its leases, as far as it knows of them. Their ends may be on their way here: where
                they have run out, as it was frozen, it does not take them over from itself.
            beside: Whether they are trained beside others: none that has lost its worker then.
            needs: `Study.needs` of it, as the worker has seen it: workers that lack any of that
                have no share. Where it needs more by now, as it has other code, it has none itself.
        """
        trials.lock_study(connection, study_id)
        offer = ticket_rows.offer(connection, worker, study_id, needs)
        if offer is None:
            return []
        study = offer.study
        if needs and not {*study.needs} <= {*needs}:  # other code has been accepted since
            return []
        values: dict[str, Any] = {"active_s": study.active_s, "active_at": offer.clock}
        if study.max_parallel is not None:
            up_to = max(min(up_to, study.max_parallel - offer.under_way), 0)
        elif study.hours is None and study.crash_limit > 1:
            up_to += ahead
        leases: list[Lease] = []
        if offer.has_free:
            given = connection, worker, study, up_to, self.lease_s
            leases = (
                ticket_rows.take_returned(*given) if beside else ticket_rows.take_over(*given, own)
            )
        count = min(up_to - len(leases), offer.share)
        if study.hours is not None and study.finish is not None:
            wanted = ()  # hours may end the search at any ticket: the finish follows without a gap
        if count > 0 and not any(lease.crashes for lease in leases):
            dealt = dealing.deal(connection, study, count, wanted)
            new = ticket_rows.issue(connection, worker, study, dealt, self.lease_s)
            leases += new
            values |= {
                "issued": study.issued + len(new), "drawn": study.drawn + len(new),
                "floor": dealt.floor, "floor_origin": dealt.floor_origin,
            }  # fmt: skip
        if leases:
            values["claimed_at"] = now()
        study_rows.put(connection, study_id, **values)
        if not leases:
            study_rows.close(connection, study_id)
        return [replace(lease, left_s=study.left_s, opened=study.opened) for lease in leases]

    @verb
    def begin(
        self, connection: sa.Connection, begun: Sequence[tuple[Lease, FrozenTrial]]
    ) -> list[tuple[int, int] | None]:
        """Turn held tickets of one study into RUNNING trials; (trial_id, number), None if refused.

        Where an earlier call did so and its answer was lost on the way, that trial.
        """
        if not begun:
            return []
        study_id = begun[0][0].study_id
        trials.lock_study(connection, study_id)
        begun_trials = ticket_rows.begin_held(connection, study_id, begun)
        return [begun_trials.get(lease.key) for lease, _ in begun]

    @verb
    def record(self, connection: sa.Connection, writes: Iterable[Write]) -> set[Key]:
        """Write reports and endings of many trials at once; the keys of those refused.

        A write is refused where its ticket has another holder by now, or has ended. An ending that
        is written already, by a call whose answer was lost on the way, is not.
        """
        merged: dict[Key, Write] = {}
        for write in writes:
            key = write.lease.key
            merged[key] = merged[key].then(write) if key in merged else write
        ending = {w.lease.study_id for w in merged.values() if w.ending}
        study_rows.count_time(connection, ending)
        refused: set[Key] = set()
        for study_id, keys in groupby(sorted(merged), key=itemgetter(0)):
            refused |= ticket_rows.record(connection, study_id, [merged[key] for key in keys])
        # A worker that saw its study stopped may say so after somebody has opened it again.
        for study_id in sorted({w.lease.study_id for w in merged.values() if _is_stopped(w)}):
            study = study_rows.current(connection, study_id)
            if study is not None and dealing.add_stopped(connection, study):
                # These ends may have been the last ones, with which it was done.
                study_rows.put(connection, study_id, state="open")
        return refused

    @verb
    def release(
        self, connection: sa.Connection, leases: Collection[Lease], lost: str | None = None
    ) -> None:
        """Give tickets back: the next worker continues where this one stopped.

        Args:
            leases: What to give back.
            lost: What went wrong, where that counts against the trials; None: nothing.
        """
        self._release(connection, leases, lost)

    def _release(
        self, connection: sa.Connection, leases: Collection[Lease], lost: str | None = None
    ) -> None:
        ids = sorted({lease.study_id for lease in leases})
        study_rows.count_time(connection, ids)
        for study_id in ids:
            of_study = [lease for lease in leases if lease.study_id == study_id]
            rows = ticket_rows.holders(connection, of_study).values()
            leased = [row.number for row in rows if row.state == "leased"]
            if leased and lost is None:
                ticket_rows.give_back(connection, study_id, leased)
            elif leased and lost is not None:
                ticket_rows.lose(connection, study_id, leased, lost)
        for study in study_rows.find(connection, studies.c.study_id.in_(ids)):
            if study.state == "stopped":
                ticket_rows.end_abandoned(connection, study.study_id)

    def sweep(self) -> None:
        """End trials of stopped studies whose workers died: nobody will take them over."""
        with self.database.read() as connection:
            abandoned = ticket_rows.abandoned_studies(connection)
        if abandoned:
            self._sweep(abandoned)

    @verb
    def _sweep(self, connection: sa.Connection, study_ids: Collection[int]) -> None:
        for study_id in sorted(study_ids):
            study = study_rows.locked(connection, study_id)
            if study is not None and study.state == "stopped":
                ticket_rows.end_abandoned(connection, study_id)

    def trained_s(self, study_id: int, until: int | None = None) -> dict[int, float]:
        """Seconds of training of each trial of a study, by Optuna's id; epochs that were lost with
        a worker are not among them, nor those after epoch `until`."""
        with self.database.read() as connection:
            return ticket_rows.trained_s(connection, study_id, until)

    def held_s(self, study_id: int) -> dict[int, float]:
        """For how long the tickets of a study have been held by who holds them now."""
        with self.database.read() as connection:
            return lease_rows.held_s(connection, study_id)

    def holds(self, study_id: int) -> list[Hold]:
        """When workers held tickets of a study."""
        with self.database.read() as connection:
            return lease_rows.holds(connection, study_id)

    def courses(self, study_id: int, after: Mapping[int, int]) -> dict[int, list[TimedEpoch]]:
        """What epochs gave, and when: of each trial, by Optuna's number, those beyond an epoch.

        Args:
            study_id: The study.
            after: {number of a trial: the last of its epochs that is left out}, 0 for none.
        """
        curves: dict[int, list[TimedEpoch]] = {}
        numbers = sorted(after)
        with self.database.read() as connection:
            for i in range(0, len(numbers), _BATCH):
                some = {number: after[number] for number in numbers[i : i + _BATCH]}
                curves |= epoch_rows.courses(connection, study_id, some)
        return curves

    # --- workers ------------------------------------------------------------------------------

    @verb
    def sign_on(
        self, connection: sa.Connection, worker: str, host: str, pid: int, device: str,
        serves: Serves = EVERY,
    ) -> None:  # fmt: skip
        """Enter a worker into the list, once however often that is asked."""
        worker_rows.enter(connection, worker, host, pid, device, self.lease_s, serves)
        self._signed_on.add(worker)

    @verb
    def serve(self, connection: sa.Connection, worker: str, serves: Serves) -> None:
        """Note what a worker serves from now on."""
        worker_rows.serve(connection, worker, serves)

    @verb
    def sign_off(self, connection: sa.Connection, worker: str, lost: str | None = None) -> None:
        """Take a worker off the list and give back what it holds: it has left, or is dead. So is
        the use of a test part that it was at; its courier to MLflow may still be at work.

        Args:
            worker: Its name.
            lost: How it died, said by one who saw it; None: it left of its own accord.

        If it has not died after all, the fence protects the tickets all the same.
        """
        self._release(connection, worker_rows.leased(connection, worker), lost)
        worker_rows.leave(connection, worker)
        duty_rows.drop_all(connection, worker, TESTING)

    @verb
    def renew(
        self,
        connection: sa.Connection,
        worker: str,
        keys: Collection[Key],
        worked_s: float = 0.0,
    ) -> tuple[set[Key], dict[int, Study]]:
        """Prolong these leases of a worker; those it still has, and their studies as they are now.

        One that ran out but that nobody has taken over is prolonged too: nothing is lost. One of
        which the worker does not know, as the answer to its claim was lost on the way, or which it
        could not give back, is given back, and no loss: the worker lives.

        Raises LostError where the worker has signed on here and is not known: rows of workers are
        not deleted, so it is another database.

        Args:
            worker: Its name.
            keys: The leases.
            worked_s: Seconds for which it has trained without the database, which count as work.
        """
        ids = {study_id for study_id, _, _ in keys}
        forgotten = worker_rows.forgotten(connection, worker, keys, self.lease_s)
        study_rows.count_time(connection, ids, worked_s)
        alive = worker_rows.renew(connection, worker, keys, self.lease_s) if keys else set()
        if forgotten:
            self._release(connection, forgotten)
        if not worker_rows.see(connection, worker) and worker in self._signed_on:
            raise LostError(
                f"the database {self.database.name} does not know worker {worker} any more: it "
                "was emptied, or another one was put in its place; end whatever still uses it, and "
                "run again"
            )
        rows = study_rows.find(connection, studies.c.study_id.in_(ids)) if ids else []
        return alive, {study.study_id: study for study in rows}

    def workers(self) -> list[Worker]:
        """Every worker that has ever signed on, the newest first, with what it holds."""
        with self.database.read() as connection:
            return worker_rows.find(connection)

    # --- duties: what one process at a time does for a study -----------------------------------

    @verb
    def take_duty(
        self, connection: sa.Connection, seen: Study, duty: str, worker: str,
        said: str | None = None,
    ) -> int | None:  # fmt: skip
        """Take a duty of a study that was seen before, or renew it, for `lease_s`.

        Its fence, which is another one whenever somebody else may have had the duty meanwhile;
        None: another worker has it, or the study has been deleted.

        Args:
            seen: The study.
            duty: Its name.
            worker: Who takes it.
            said: How it stands, in a line; None: as was said last.
        """
        if study_rows.locked_again(connection, seen) is None:
            return None
        return duty_rows.take(connection, seen.study_id, duty, worker, self.lease_s, said)

    @verb
    def drop_duty(
        self, connection: sa.Connection, seen: Study, duty: str, worker: str,
        said: str | None = None,
    ) -> None:  # fmt: skip
        """Give a duty back, if the worker has it: another one may take it at once."""
        if study_rows.locked_again(connection, seen) is not None:
            duty_rows.drop(connection, seen.study_id, duty, worker, said)

    def duties(self, study_id: int) -> list[Duty]:
        """A study's duties that anybody has had, by their names."""
        with self.database.read() as connection:
            return duty_rows.find(connection, study_id)


def _is_stopped(write: Write) -> bool:
    return write.ending is not None and write.ending.reason in (STOPPED, NOT_BEGUN)


def _chosen(serves: Serves) -> list[sa.ColumnElement[bool]]:
    """The studies that a worker was started for, for a WHERE clause."""
    return [STUDIES.c.study_name.in_(serves.studies)] if serves.studies else []
