"""Reports on their way to the database: kept for a second at most, and written together."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.errors import StorageError
from hpsearch.store import trials
from hpsearch.store.engine import Database
from hpsearch.store.optuna_tables import TRIALS

__all__ = ["Reports"]

T = TypeVar("T")

_KEEP_S = 1.0
"""A process that is killed loses no more than the reports of this time."""

_log = logging.getLogger(__name__)


class Reports:
    """Intermediate values, {trial_id: {step: value}}, that have no row yet. For any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[int, dict[int, float]] = {}
        self._timer: threading.Timer | None = None

    def add(self, trial_id: int, step: int, value: float) -> None:
        """Keep a report of a running trial; within a second it is written."""
        with self._lock:
            self._waiting.setdefault(trial_id, {})[step] = value
            self._set_timer()

    def _set_timer(self) -> None:
        # A process that was forked off has the timer and not its thread.
        if self._timer is None or not self._timer.is_alive():
            self._timer = threading.Timer(_KEEP_S, self._ring)
            self._timer.daemon = True
            self._timer.start()

    def flush(self) -> None:
        """Write what waits, and wait for what another thread is writing."""
        with self._writing:
            if self._waiting:
                self._write(lambda _: None)

    def before(self, then: Callable[[sa.Connection], T]) -> T:
        """Write what waits and do what must not be seen without it, in one transaction."""
        with self._writing:
            return self._write(then)

    def _write(self, then: Callable[[sa.Connection], T]) -> T:
        with self._lock:
            taken, self._waiting = self._waiting, {}

        def body(connection: sa.Connection) -> T:
            _put(connection, taken)
            return then(connection)

        try:
            return self._database.write(body)
        except BaseException:
            with self._lock:
                for trial_id, later in self._waiting.items():
                    taken.setdefault(trial_id, {}).update(later)
                self._waiting = taken
            raise

    def close(self) -> None:
        """Write what waits; what cannot be written is said, and lost."""
        try:
            self.flush()
        except StorageError as error:
            count = sum(map(len, self._waiting.values()))
            _log.warning("%d reports are not written: %s", count, error)

    def _ring(self) -> None:
        """What the timer does; again after a second where the database is away."""
        with self._lock:
            self._timer = None
        try:
            self.flush()
        except StorageError as error:
            _log.warning("%s; reports are kept until it is back", error)
            with self._lock:
                self._set_timer()


def _put(connection: sa.Connection, waiting: dict[int, dict[int, float]]) -> None:
    """Write reports of trials that are still running: one may have been ended elsewhere."""
    if not waiting:
        return
    c = TRIALS.c
    query = sa.select(c.trial_id).where(c.trial_id.in_(waiting), c.state == TrialState.RUNNING)
    running = connection.execute(query.order_by(c.trial_id).with_for_update()).scalars()
    trials.put_reports(connection, {trial_id: waiting[trial_id] for trial_id in running})
