"""Keeps a worker's leases alive beside its training."""

from __future__ import annotations

import logging
import threading

from hpsearch.errors import StorageError
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Hold, State

__all__ = ["Keeper"]

_RENEWALS = 3
"""Renewals in the length of a lease: two may fail before it is lost."""

_MOST_S = 5.0
"""A renewal also tells whether the study was paused or stopped: at least this often."""

_log = logging.getLogger(__name__)


class Keeper(threading.Thread):
    """Renews the worker's leases, so that no step of training waits for the database."""

    def __init__(self, ledger: Ledger, worker: str) -> None:
        super().__init__(name="lease-keeper", daemon=True)
        self._ledger, self._worker = ledger, worker
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._held: set[Hold] = set()
        self._lost: set[Hold] = set()
        self._states: dict[int, State] = {}

    def run(self) -> None:
        """Renew until stopped. A database that is away is tried again: training goes on."""
        while not self._stopped.wait(min(self._ledger.lease_s / _RENEWALS, _MOST_S)):
            try:
                self._renew()
            except StorageError as error:
                _log.warning("%s", error)

    def _renew(self) -> None:
        with self._lock:
            before = set(self._held)
        if not before:
            return
        alive, states = self._ledger.renew(self._worker, {hold.study_id for hold in before})
        with self._lock:
            # Only what was held before the query: a lease taken meanwhile is not in its answer.
            still = before & self._held
            self._lost |= {hold for hold in still if hold.key not in alive}
            self._states = {h.study_id: states[h.study_id] for h in still if h.study_id in states}

    def watch(self, hold: Hold) -> None:
        """A ticket is held from now on."""
        with self._lock:
            self._held.add(hold)
            self._states.pop(hold.study_id, None)  # it was open when the ticket was claimed

    def forget(self, hold: Hold) -> None:
        """A ticket is not held any more."""
        with self._lock:
            self._held.discard(hold)
            self._lost.discard(hold)

    def lost(self, hold: Hold) -> bool:
        """Whether somebody else has the ticket by now."""
        with self._lock:
            return hold in self._lost

    def state(self, study_id: int) -> State:
        """The study's state when leases were last renewed."""
        with self._lock:
            return self._states.get(study_id, "open")

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self.join()
