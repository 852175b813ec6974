"""What has come to running trials and has no row yet: kept for a second at most, written together.

As Optuna's own cache has it: attributes of studies and states of trials are in the database when
the call returns, and whatever came to a trial is there before its next state is.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState

from hpsearch.errors import StorageError
from hpsearch.store import optuna_rows, trials
from hpsearch.store.engine import Database

__all__ = ["Heads", "Parts", "Unwritten", "put"]

T = TypeVar("T")
Heads = Mapping[int, optuna_rows.Head]

_KEEP_S = 1.0
"""A process that is killed loses no more than what came in this time."""
_MOST_NAME, _MOST_TEXT = 200, 4096
"""Characters that fit into the columns of every database."""

_log = logging.getLogger(__name__)


@dataclass
class Parts:
    """What has come to one trial; of the same name or step the last."""

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    reports: dict[int, float] = field(default_factory=dict)

    def update(self, later: Parts) -> None:
        """Add what came later."""
        for part in fields(self):
            getattr(self, part.name).update(getattr(later, part.name))

    def can_wait(self) -> bool:
        """Whether every database takes it for sure: what one may refuse is written at once, so that
        the caller learns of that."""
        attrs = (*self.user_attrs.items(), *self.system_attrs.items())
        texts = [json.dumps(value) for _, value in attrs]
        texts += [distribution_to_json(distribution) for _, distribution in self.params.values()]
        names = (*self.params, *self.user_attrs, *self.system_attrs)
        return (
            all(name.isascii() and name.isprintable() and len(name) <= _MOST_NAME for name in names)
            and all(len(text) <= _MOST_TEXT for text in texts)
            and all(math.isfinite(value) for value, _ in self.params.values())
        )


class Unwritten:
    """The parts of each trial that have no row yet. For any thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Begin anew, in a copy of the process: what waits is the other one's to write."""
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._waiting: dict[int, Parts] = {}
        self._timer: threading.Timer | None = None

    def add(self, trial_id: int, parts: Parts) -> None:
        """Keep what came to a running trial; within a second it is written."""
        with self._lock:
            self._waiting.setdefault(trial_id, Parts()).update(parts)
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(_KEEP_S, self._ring)
            self._timer.daemon = True
            self._timer.start()

    def flush(self) -> None:
        """Write what waits, and wait for what another thread is writing."""
        with self._writing:
            if self._waiting:
                self._write(lambda *_: None, ())

    def before(self, then: Callable[[sa.Connection, Heads], T], trials: Iterable[int] = ()) -> T:
        """Write what waits and do what must not be seen without it, in one transaction; `then` gets
        the heads of those trials too, which are locked."""
        with self._writing:
            return self._write(then, trials)

    def _write(self, then: Callable[[sa.Connection, Heads], T], of: Iterable[int]) -> T:
        with self._lock:
            taken, self._waiting = self._waiting, {}

        def body(connection: sa.Connection) -> T:
            heads = optuna_rows.locked(connection, {*taken, *of})
            # One may have been ended elsewhere.
            running = [i for i in taken if i in heads and heads[i][2] is TrialState.RUNNING]
            put(connection, {trial_id: taken[trial_id] for trial_id in running})
            return then(connection, heads)

        try:
            return self._database.write(body)
        except BaseException:
            with self._lock:
                for trial_id, later in self._waiting.items():
                    taken.setdefault(trial_id, Parts()).update(later)
                self._waiting = taken
            raise

    def close(self) -> None:
        """Write what waits; what cannot be written is reported, and lost."""
        try:
            self.flush()
        except StorageError as error:
            _log.warning("what %d running trials have is not written: %s",
                         len(self._waiting), error)  # fmt: skip

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


def put(connection: sa.Connection, parts: Mapping[int, Parts]) -> None:
    """Write parts of trials, {trial_id: parts}: a statement a table."""

    def of(name: str) -> dict[int, Any]:
        return {trial_id: getattr(one, name) for trial_id, one in parts.items()}

    optuna_rows.put_params(connection, of("params"))
    trials.put_user_attrs(connection, of("user_attrs"))
    trials.put_system_attrs(connection, of("system_attrs"))
    trials.put_reports(connection, of("reports"))
