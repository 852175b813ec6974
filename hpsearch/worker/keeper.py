"""A worker's line to the database beside its training: it keeps leases alive and delivers writes.

Training puts a write here and continues. Where the database is away the writes wait, in their
order, and are delivered when it is back. Each carries the fence of its lease: if the ticket was
taken over meanwhile, they are refused, and the worker learns that it has lost the ticket.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from hpsearch.errors import UnreachableError
from hpsearch.store.ledger import Ledger
from hpsearch.store.patience import RETRY_S
from hpsearch.store.values import Key, Lease, State, Study, Write

__all__ = ["Keeper"]

_RENEWALS = 3
"""Renewals in the length of a lease: two may fail before it is lost."""

_MOST_S = 5.0
"""A renewal also tells whether the study was paused or stopped: at least this often."""

_IDLE_MOST_S = 10.0

_FOLLOW_S = 1.0
"""Between two looks at what other workers report."""

_GATHER_S = 0.1
"""Between two deliveries that nobody waits for: trials that end in quick succession are written
together."""

_SETTLE_S = 3.0
"""After the database was away, the time for all its workers to renew the leases that ran out
meanwhile, before anybody takes tickets over."""

_NEVER = float("inf")

_log = logging.getLogger(__name__)


class Keeper(threading.Thread):
    """Renews the worker's leases and delivers its writes: no step of training waits for it."""

    def __init__(self, ledger: Ledger, worker: str) -> None:
        super().__init__(name="keeper", daemon=True)
        self._ledger, self._worker = ledger, worker
        self._changed = threading.Condition()
        self._stopped = False
        self._fault: Exception | None = None
        self._held: set[Key] = set()
        self._lost: set[Key] = set()
        self._ended: set[Key] = set()
        self._states: dict[int, State] = {}
        self._spent_at: dict[int, float] = {}
        """When the hours of a study are over that counts them, by this process's clock."""
        self._renewed_at = time.monotonic()
        self._duty: tuple[Study, str] | None = None
        """What is renewed beside the leases; None: nothing, or another worker has it by now."""
        self._renewing_duty = threading.Lock()
        self._writes: list[Write] = []
        self._delivered_at = -_NEVER
        self._awaited = 0
        """Threads that wait for the delivery."""
        self._follow: Callable[[], None] | None = None
        self._renew_at = self._follow_at = time.monotonic()
        self._away: UnreachableError | None = None
        self._retry_at = -_NEVER
        """When a database that is away is tried again."""
        self._returned_at = -_NEVER

    # --- for the thread that trains -----------------------------------------------------------

    def watch(self, lease: Lease) -> None:
        """A ticket is held from now on."""
        with self._changed:
            self._held.add(lease.key)
            self._renew_at = min(self._renew_at, time.monotonic() + self._interval_s(held=True))
            self._changed.notify_all()
            self._states.pop(lease.study_id, None)  # it was open when the ticket was claimed
            self._note_left(lease.study_id, lease.left_s)

    def forget(self, lease: Lease) -> None:
        """A ticket is not held any more."""
        with self._changed:
            self._held.discard(lease.key)
            self._lost.discard(lease.key)

    @property
    def keys(self) -> frozenset[Key]:
        """Those of the leases that are held, also of what has ended and is not delivered yet."""
        with self._changed:
            return frozenset(self._held)

    @contextmanager
    def duty(self, study: Study, name: str) -> Iterator[bool]:
        """Have a duty of a study inside, renewed as the leases are; False: another worker has it.

        One at a time. `has_duty` says whether it is still this worker's.
        """
        if self._ledger.take_duty(study, name, self._worker) is None:
            yield False
            return
        with self._changed:
            self._duty = study, name
            self._renew_at = min(self._renew_at, time.monotonic() + self._interval_s(held=True))
            self._changed.notify_all()
        try:
            yield True
        finally:
            with self._renewing_duty:  # it is not renewed after it was given back
                self._duty = None
            with suppress(UnreachableError):  # then it runs out
                self._ledger.drop_duty(study, name, self._worker)

    @property
    def has_duty(self) -> bool:
        """Whether this worker still has the duty that it took."""
        return self._duty is not None

    def put(self, writes: Sequence[Write]) -> None:
        """Take writes of held tickets, to be delivered in their order.

        One that ends its trial ends the lease too: it is kept alive until that is delivered.
        """
        if writes:
            with self._changed:
                first = not self._writes
                self._writes += writes
                if first:  # else it is about to deliver them
                    self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Deliver what waits; whether all of it was. False at once while the database is away."""
        with self._changed:
            if self._writes:
                self._awaited += 1
                self._changed.notify_all()
                self._changed.wait_for(
                    lambda: not self._writes or self._away or self._fault, timeout_s
                )
                self._awaited -= 1
            return not self._writes

    def take_outcomes(self, study_id: int) -> tuple[set[Key], set[Key]]:
        """Holds of a study that ended as was written, and those that somebody else has by now.

        Each is said once.
        """
        self.check()
        with self._changed:
            ended = {key for key in self._ended if key[0] == study_id}
            lost = {key for key in self._lost if key[0] == study_id}
            self._ended -= ended
            self._lost -= lost
            return ended, lost

    def check(self) -> None:
        """Raise what ended the thread, if anything did: without it every lease runs out."""
        if self._fault is not None:
            raise self._fault

    def state(self, study_id: int) -> State:
        """The study's state when leases were last renewed."""
        with self._changed:
            return self._states.get(study_id, "open")

    def is_spent(self, study_id: int) -> bool:
        """Whether the hours of a study are over: they run while this worker holds a ticket of it,
        so that what was left at the last renewal tells."""
        at = self._spent_at.get(study_id)
        return at is not None and time.monotonic() >= at

    def _note_left(self, study_id: int, left_s: float | None) -> None:
        if left_s is None:
            self._spent_at.pop(study_id, None)
        else:
            self._spent_at[study_id] = time.monotonic() + left_s

    def follow(self, fetch: Callable[[], None] | None) -> None:
        """What reads the reports of other workers now and then, for a pruner to judge by."""
        with self._changed:
            self._follow = fetch
            self._changed.notify_all()

    @property
    def away(self) -> UnreachableError | None:
        """Why the database did not answer when it was last asked; None: it did."""
        return self._away

    @property
    def unsettled_s(self) -> float:
        """Seconds for which no ticket should be taken, as the database has just come back."""
        return max(_SETTLE_S - (time.monotonic() - self._returned_at), 0.0)

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self.join()

    # --- the thread itself --------------------------------------------------------------------

    def run(self) -> None:
        """Until stopped. A database that is away is tried again and again: training continues."""
        try:
            while self._wait():
                self._beat()
        except Exception as error:
            with self._changed:
                self._fault = error
                self._changed.notify_all()

    def _wait(self) -> bool:
        """Until there is something to do; False: to stop."""
        with self._changed:
            while not self._stopped:
                due = min(
                    self._renew_at,
                    self._deliver_at,
                    self._follow_at if self._follow else _NEVER,
                )
                left = max(due, self._retry_at) - time.monotonic()
                if left <= 0:
                    return True
                self._changed.wait(left)
        return False

    @property
    def _deliver_at(self) -> float:
        if not self._writes:
            return _NEVER
        return -_NEVER if self._awaited else self._delivered_at + _GATHER_S

    def _beat(self) -> None:
        now = time.monotonic()
        try:
            # Renewed first: a lease that ran out while the database was away is still ours to keep.
            if self._away or self._renew_at <= now:
                self._renew()
            if self._writes:
                self._deliver()
            if self._follow_at <= now and (follow := self._follow) is not None:
                self._follow_at = now + _FOLLOW_S
                self._call(follow)
        except UnreachableError as error:
            self._note_away(error)
        else:
            self._note_back()

    def _call(self, follow: Callable[[], None]) -> None:
        try:
            follow()
        except UnreachableError:
            raise
        except Exception:
            # A row that cannot be read. The thread that trains meets it too, and knows whose it
            # is; the leases of other studies have nothing to do with it.
            self._follow = None

    def _renew(self) -> None:
        with self._changed:
            before = set(self._held)
        # A process that was frozen has not worked; one whose database was away has.
        worked_s = time.monotonic() - self._renewed_at if self._away else 0.0
        alive, studies = self._ledger.renew(self._worker, before, worked_s)
        self._renew_duty()
        with self._changed:
            self._renewed_at = time.monotonic()
            holds = bool(self._held) or self._duty is not None
            self._renew_at = self._renewed_at + self._interval_s(held=holds)
            # Only what was held before the query: a lease taken meanwhile is not in its answer.
            # Whether one is lost whose end is on its way, or has ended by it, is seen on delivery.
            ending = {write.lease.key for write in self._writes if write.ending}
            lost = (before & self._held) - alive - ending
            self._lost |= lost
            self._held -= lost
            self._states = {study_id: study.state for study_id, study in studies.items()}
            for study_id, study in studies.items():
                self._note_left(study_id, study.left_s)

    def _renew_duty(self) -> None:
        with self._renewing_duty:
            if self._duty is not None and self._ledger.take_duty(*self._duty, self._worker) is None:
                self._duty = None

    def _interval_s(self, *, held: bool) -> float:
        """Between two renewals. Who holds nothing only shows that it is there."""
        return min(self._ledger.lease_s / _RENEWALS, _MOST_S if held else _IDLE_MOST_S)

    def _deliver(self) -> None:
        with self._changed:
            writes = list(self._writes)
        refused = self._ledger.record(writes)
        with self._changed:
            self._delivered_at = time.monotonic()
            del self._writes[: len(writes)]
            ended = {write.lease.key for write in writes if write.ending} - refused
            self._ended |= ended
            self._lost |= refused & self._held
            self._held -= refused | ended
            self._changed.notify_all()

    def _note_away(self, error: UnreachableError) -> None:
        with self._changed:
            if not self._away:
                _log.warning("%s; training continues and reports are kept until it is back", error)
            self._away, self._retry_at = error, time.monotonic() + RETRY_S
            self._changed.notify_all()

    def _note_back(self) -> None:
        with self._changed:
            if self._away:
                _log.warning("the database is back")
                self._away, self._returned_at = None, time.monotonic()
