"""A worker's checkpoints of one study: a place that fails stops no trial."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

from hpsearch import passwords
from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError, UnreachableError
from hpsearch.runner import Saved
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Lease, Study

__all__ = ["StudyCheckpoints"]

_VAIN = 9.0
"""A place that is away is tried again after so many times as long as it took to say so. A full
disk says so at once, a bucket after half a minute: trying in vain takes a tenth of the time."""

_log = logging.getLogger(__name__)


class StudyCheckpoints:
    """Saves, loads and clears away by ticket."""

    def __init__(self, ledger: Ledger, study: Study, place: str) -> None:
        """`place` is a folder or a URL. Raises CheckpointError for one that nothing can reach."""
        self._ledger, self._study = ledger, study
        self._checkpoints = Checkpoints(place, lambda: not self.is_deleted())
        self._failure = ""
        self._try_at = 0.0

    def is_deleted(self) -> bool:
        """Whether the study has been deleted; no while the database cannot say so."""
        try:
            return not self._ledger.is_there(self._study)
        except UnreachableError:
            return False

    def try_out(self) -> None:
        """Before the first trial of the study: CheckpointError where nothing can be written.

        Later the trials are worth more than their networks, and the disk may have room again.
        """
        if not self._study.issued:
            self._checkpoints.try_out()

    def load(self, lease: Lease, *, reported: bool) -> Saved | None:
        """What the ticket's last holder saved; None where the trial is at its start.

        Raises CheckpointError where it is lost: it cannot be read, or something was `reported`
        and there is none.
        """
        if lease.trial_id is None:
            return None
        state = self._checkpoints.load(lease.number)
        if state is None and reported:
            raise CheckpointError(f"there is no checkpoint in {self._checkpoints.place}")
        return None if state is None else Saved(state)

    def save(self, lease: Lease, saved: Saved, *, last: bool) -> str | None:
        """Write the ticket's checkpoint; why that could not be done, if it could not.

        The `last` one of a trial, which has its network, is tried in any case.
        """
        started = time.monotonic()
        if started < self._try_at and not last:
            return f"not tried again yet: {self._failure}"
        try:
            self._checkpoints.save(lease.number, saved.state, lease.fence)
        except CheckpointError as error:
            return self._note(error, started)
        self._try_at = 0.0
        return None

    def save_log(self, lease: Lease, content: bytes) -> None:
        """Write what own code wrote under that lease. One that cannot be written is lost."""
        started = time.monotonic()
        if not content or started < self._try_at:
            return
        try:
            self._checkpoints.save_log(lease.number, content, lease.fence)
        except CheckpointError as error:
            _log.warning("%s", self._note(error, started))

    def _note(self, error: CheckpointError, started: float) -> str:
        now = time.monotonic()
        self._failure, self._try_at = passwords.hide(error), now + _VAIN * (now - started)
        return self._failure

    def keep_only(self, kept: Collection[int], ended: Collection[int]) -> bool:
        """Of tickets that have ended, only the last checkpoints of these are of use; whether the
        others are gone."""
        started = time.monotonic()
        if started < self._try_at:
            return False
        try:
            self._checkpoints.tidy(set(ended), set(kept))
        except CheckpointError as error:
            _log.warning("%s", self._note(error, started))  # they take up room: it is tried again
            return False
        return True

    def clear_if_deleted(self) -> bool:
        """Remove all of them where the study is gone: anyone who deleted it could not know what
        would be saved after that. Whether it is gone."""
        if not self.is_deleted():
            return False
        try:
            self._checkpoints.clear()
        except CheckpointError as error:
            _log.warning("%s", error)
        return True
