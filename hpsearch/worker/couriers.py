"""Couriers: processes beside the training that bring this worker's studies to MLflow.

Of all workers of a study one has the duty to deliver it, by a lease in the database, and starts a
courier (`tracking.courier`); the others look now and then whether the duty is free, as it is soon
after its worker has died. At the end of a study each of its workers waits until all is there, so
that one of them is left to deliver it if others die.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpsearch.errors import StorageError, StudyFileError, TrackingError
from hpsearch.processes.interpreter import python
from hpsearch.tracking.courier import AWAY_S, FINISH, TAKEN, Orders, pictures_of, whole
from hpsearch.tracking.target import MISSING, Target, installed, probe, target_of

if TYPE_CHECKING:
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study
    from hpsearch.worker.context import Options

__all__ = ["Couriers"]

_LOOK_S = 2.0
"""Between two looks at what has become of couriers, and whether a duty is free."""

_CRASHED_S = 60.0
"""Until another courier is started after one that crashed."""

_STOPPED_S = 0.2
"""Between two looks whether a worker that waits for couriers is to leave at once."""

_OVER = ("done", "stopped")

_log = logging.getLogger(__name__)


@dataclass
class _Delivered:
    """A study that this worker serves and that is delivered, and its courier, if it is ours."""

    study: Study
    target: Target
    process: subprocess.Popen[bytes] | None = None
    hears: threading.Thread | None = field(default=None, repr=False)
    not_before: float = 0.0
    """When a courier may be started again."""
    finishes: bool = False
    """Whether its courier knows that it is waited for."""


class Couriers(threading.Thread):
    """Sees to it that each study is delivered that this worker serves and whose file, or the
    environment, names an MLflow."""

    def __init__(self, ledger: Ledger, options: Options) -> None:
        super().__init__(name="couriers", daemon=True)
        self._ledger, self._options = ledger, options
        self._changed = threading.Condition()
        self._studies: dict[str, _Delivered] = {}
        """By uid."""
        self._said: set[str] = set()
        """Studies of which it has been said why they are not delivered."""
        self._stopped = False
        self._finishing_since: float | None = None
        """Since when the worker has been waiting for all to be there; None: it still works."""

    # --- for the thread that trains -------------------------------------------------------------

    def serve(self, study: Study) -> None:
        """Have a study delivered from now on, until it has ended and all is there."""
        if study.uid in self._studies:
            return
        try:
            target = target_of(study.document, study.base)
            if target is None:
                return
            if not installed():
                raise TrackingError(MISSING)
        except (StudyFileError, TrackingError) as error:
            if study.uid not in self._said:
                self._said.add(study.uid)
                _log.warning("study %s is not delivered to MLflow from here: %s", study.name, error)
            return
        with self._changed:
            self._studies[study.uid] = _Delivered(study, target)
            self._changed.notify_all()
        if not self.is_alive():
            self.start()

    def finish(self, timeout_s: float, stop: threading.Event) -> None:
        """Wait until MLflow has all of the studies that are over.

        Args:
            timeout_s: For so long at most, and for `AWAY_S` where MLflow is away.
            stop: Ends it at once when it is set.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._finishing_since = time.monotonic()
            self._changed.notify_all()
            while self._studies and not stop.is_set() and time.monotonic() < deadline:
                self._changed.wait(_STOPPED_S)

    def leave(self, timeout_s: float) -> None:
        """End the couriers, each after it has delivered what there is, or when the time is over."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self.is_alive():
            self.join()
        deadline = time.monotonic() + timeout_s
        for one in self._studies.values():
            _hang_up(one)
        for one in self._studies.values():
            self._end(one, deadline)

    # --- the thread itself ----------------------------------------------------------------------

    def run(self) -> None:
        """Until stopped."""
        while not self._stopped:
            for one in list(self._studies.values()):
                with suppress(StorageError):  # a database that is away is tried again
                    if not self._tend(one):
                        self._forget(one)
            with self._changed:
                if not self._stopped:
                    self._changed.wait(min(_LOOK_S, self._ledger.lease_s / 3))

    def _forget(self, one: _Delivered) -> None:
        with self._changed:
            del self._studies[one.study.uid]
            self._changed.notify_all()

    def _tend(self, one: _Delivered) -> bool:
        """Look after a study's courier; whether it is to be looked after again."""
        if one.process is not None:
            code = one.process.poll()
            if code is None:  # it renews its duty itself, once it has loaded, which takes seconds
                self._ledger.take_duty(one.study, one.target.duty, self._options.name)
                if self._finishing_since is not None:
                    self._wait_for(one)
                return True
            _bury(one)
            # It has given the duty back, which may have been renewed here after that.
            self._ledger.drop_duty(one.study, one.target.duty, self._options.name)
            if code == 0 or (code == TAKEN and self._ledger.current(one.study) is None):
                return False
            if code != TAKEN:
                if self._finishing_since is not None:
                    if code != TrackingError.exit_code:  # it has said nothing itself
                        _tell_of_the_rest(one)
                    return False
                one.not_before = time.monotonic() + _CRASHED_S
        if self._finishing_since is not None:
            return self._finish(one, time.monotonic() - self._finishing_since)
        if time.monotonic() >= one.not_before and self._is_free(one):
            self._start(one)
        return True

    def _wait_for(self, one: _Delivered) -> None:
        """Tell a courier that it is waited for; one of a study that others work on has to leave."""
        if one.finishes or one.process is None or one.process.stdin is None:
            return
        one.finishes = True
        if not self._is_over(one):
            _hang_up(one)
            return
        with suppress(OSError):  # it has ended, which is seen later
            one.process.stdin.write(FINISH)
            one.process.stdin.flush()

    def _finish(self, one: _Delivered, waited_s: float) -> bool:
        """Start a courier of a study that is over, where something is missing; whether to look
        again: somebody else may be delivering, or MLflow may come back."""
        if not self._is_over(one):
            return False
        if not self._is_free(one):
            return True
        if not self._lacks(one):
            self._ledger.drop_duty(one.study, one.target.duty, self._options.name)
            return False
        try:
            probe(one.target)
        except TrackingError:
            self._ledger.drop_duty(one.study, one.target.duty, self._options.name)
            return waited_s < AWAY_S
        self._start(one)
        return True

    def _is_over(self, one: _Delivered) -> bool:
        study = self._ledger.current(one.study)
        return study is not None and study.state in _OVER

    def _lacks(self, one: _Delivered) -> bool:
        """Whether a study has not been delivered with all it has by now."""
        study = self._ledger.current(one.study)
        states = {duty.name: duty.said for duty in self._ledger.duties(one.study.study_id)}
        if study is None:
            return False
        pictures = len(pictures_of(self._ledger, study, self._options.checkpoints))
        return states.get(one.target.duty) != whole(one.target, study.ended, pictures)

    def _is_free(self, one: _Delivered) -> bool:
        """Whether nobody else has the duty; it is ours then. Nobody has that of a study that is
        gone."""
        duties = {duty.name: duty for duty in self._ledger.duties(one.study.study_id)}
        duty = duties.get(one.target.duty)
        if duty is not None and duty.worker not in (None, self._options.name):
            return False
        return self._ledger.take_duty(one.study, one.target.duty, self._options.name) is not None

    def _start(self, one: _Delivered) -> None:
        options = self._options
        orders = Orders(
            options.url, one.study.name, one.target.uri, one.target.experiment, options.name,
            options.lease_s, options.checkpoints, options.code,
        )  # fmt: skip
        env = {name: v for name, v in os.environ.items() if name != "HPSEARCH_PARENT_PIPE"}
        try:
            one.process = subprocess.Popen(
                python("hpsearch.tracking.courier"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, env=env, start_new_session=True,
            )  # fmt: skip
        except OSError as error:  # such as too many processes
            _log.warning("no courier to MLflow can be started: %s", error.strerror)
            one.not_before = time.monotonic() + _CRASHED_S
            return
        assert one.process.stdin is not None
        with suppress(BrokenPipeError):  # it has died at once, which is seen later
            one.process.stdin.write(orders.as_line())
            one.process.stdin.flush()
        one.hears = threading.Thread(target=_hear, args=(one.process,), daemon=True)
        one.hears.start()
        one.finishes = False

    def _end(self, one: _Delivered, deadline: float) -> None:
        if one.process is None:
            return
        try:
            one.process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
            _tell_of_the_rest(one)
            with suppress(StorageError):
                self._ledger.drop_duty(one.study, one.target.duty, self._options.name)
        _bury(one)


def _hear(process: subprocess.Popen[bytes]) -> None:
    """Log what a courier reports."""
    assert process.stdout is not None
    for raw in process.stdout:
        _log.warning("%s", raw.decode(errors="replace").rstrip())


def _tell_of_the_rest(one: _Delivered) -> None:
    name = one.study.name
    _log.warning(
        "MLflow has not all of study %s; hpsearch export %s --to mlflow brings the rest", name, name
    )


def _hang_up(one: _Delivered) -> None:
    """Tell a courier that it has to leave."""
    if one.process is not None and one.process.stdin is not None:
        with suppress(OSError):
            one.process.stdin.close()


def _bury(one: _Delivered) -> None:
    _hang_up(one)
    if one.hears is not None:
        one.hears.join(1.0)
    if one.process is not None and one.process.stdout is not None:
        one.process.stdout.close()
    one.process = one.hears = None
