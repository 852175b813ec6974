"""The books of a fleet: a slot for each seat, its worker, its crashes, and when it is due again.

A worker that crashes is started again after a pause that doubles with each crash in a row; a slot
that has crashed `MOST_CRASHES` times in a row is given up. A worker that lived `STEADY_S` was no
crash in a row. A crash is a signal, a lost node, or an exit code without a meaning of its own; a
worker that says by its exit code what stands in its way would say the same again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch import passwords
from hpsearch.errors import EXIT_CODES, LostError, StorageError, UnreachableError
from hpsearch.fleet.worker_config import DevicePlace, Launcher, Process
from hpsearch.processes.process import End

if TYPE_CHECKING:
    from hpsearch.store.ledger import Ledger  # nodes of a cluster import this module without SQL

__all__ = ["MOST_CRASHES", "STEADY_S", "Fleet", "News", "is_crash", "pause_s"]

MOST_CRASHES = 5
STEADY_S = 60.0
_LONGEST_S = 60.0

_MARGIN_S = 2.0
"""Beyond the workers' own grace, after which they are killed: time to write their last words."""

_AGAIN_S = 5.0
"""Until a database that was away is tried again; each try may last as long as a connection."""


_log = logging.getLogger(__name__)


def pause_s(crashes: int) -> float:
    """Seconds before the next start, after so many crashes in a row: 1, 2, 4 ... 60."""
    return min(2.0 ** (crashes - 1), _LONGEST_S)


def is_crash(end: End) -> bool:
    """Whether the worker may do better when it is started again."""
    return end.code is None or end.code < 0 or end.code == 1 or end.code not in EXIT_CODES


@dataclass(frozen=True)
class News:
    """Something that happened to a worker."""

    text: str
    bad: bool = True
    final: bool = False
    """Whether a worker has said by its exit code what stands in its way, and is not started again.
    """


@dataclass
class _Slot:
    seat: DevicePlace
    process: Process | None = None
    began: float = 0.0
    crashes: int = 0
    """In a row."""
    due: float | None = 0.0
    """When to start; None: it runs, or is over."""
    given_up: bool = False


class Fleet:
    """Workers on the seats of a launcher."""

    def __init__(
        self,
        launcher: Launcher,
        ledger: Ledger,
        *,
        limit: int | None = None,
        standing: bool = False,
    ) -> None:
        """Starts nothing yet: `tend` does.

        Args:
            launcher: Where workers belong, and how they start.
            ledger: Where lost workers are signed off.
            limit: The most workers; None: one on each seat.
            standing: Start workers again, forever, that left because the database was away.
        """
        self._launcher, self._ledger = launcher, ledger
        self._limit, self._standing = limit, standing
        self._slots: dict[str, _Slot] = {}
        self._mourned: dict[str, str | None] = {}
        """Workers that are to be signed off, and how they were lost."""
        self._try_at = 0.0
        self.failure: End | None = None
        """How the last worker to end did, where that was no success."""

    @property
    def running(self) -> int:
        """Number of workers that run."""
        return sum(slot.process is not None for slot in self._slots.values())

    @property
    def over(self) -> bool:
        """Whether no worker runs and none will: not while it waits for a seat to appear."""
        left = any(slot.process or slot.due is not None for slot in self._slots.values())
        return bool(self._slots) and not left

    def tend(self) -> list[News]:
        """Start what is due, bury what has ended; what has happened.

        Raises LostError where the database is not the one any more that was opened: a worker would
        begin anew in whatever is in its place.
        """
        self._ledger.database.check()
        return [*self._follow_seats(), *self._reap(), *self._start()]

    def _follow_seats(self) -> Iterator[News]:
        seats = {seat.key: seat for seat in self._launcher.seats()}
        for key in [key for key in self._slots if key not in seats]:
            slot = self._slots.pop(key)
            if slot.process is not None:
                slot.process.kill()
                gone = f"its place is gone: it was {slot.seat.where}"
                self._sign_off_lost(slot.process.name, gone)
                yield News(f"worker {slot.process.name} is gone: its place was {slot.seat.where}")
        for key, seat in seats.items():
            used = sum(not slot.given_up for slot in self._slots.values())
            if key not in self._slots and (self._limit is None or used < self._limit):
                self._slots[key] = _Slot(seat)

    def _reap(self) -> Iterator[News]:
        for slot in self._slots.values():
            process = slot.process
            if process is None or (end := process.poll()) is None:
                continue
            slot.process = None
            self._sign_off_lost(process.name, end.how if is_crash(end) else None)
            self.failure = None if end.code == 0 else end
            if self.failure is not None:
                what_next = self._what_next(slot, end)
                final = slot.due is None and not slot.given_up
                yield News(f"worker {process.name} {end.how}; {what_next}", final=final)
        self._settle()

    def _what_next(self, slot: _Slot, end: End) -> str:
        """Decide whether and when the slot's next worker starts; say so."""
        waits = self._standing and end.code == StorageError.exit_code
        if not is_crash(end) and not waits:
            return "it is not started again"
        steady = time.monotonic() - slot.began >= STEADY_S
        slot.crashes = 1 if steady else slot.crashes + 1
        if slot.crashes >= MOST_CRASHES and not waits:
            slot.given_up = True
            return f"given up after {slot.crashes} crashes in a row"
        pause = pause_s(slot.crashes)
        slot.due = time.monotonic() + pause
        return f"a new one starts in {pause:g} s"

    def _start(self) -> Iterator[News]:
        for slot in self._slots.values():
            if slot.due is not None and slot.due <= time.monotonic():
                slot.process, slot.due = self._launcher.launch(slot.seat), None
                slot.began = time.monotonic()
                yield News(f"worker {slot.process.name} starts {slot.seat.where}", bad=False)

    def _sign_off_lost(self, name: str, lost: str | None) -> None:
        self._mourned[name] = lost
        self._try_at = 0.0

    def _settle(self) -> None:
        """A worker that was killed has given nothing back: do so in its name.

        Where the database is away it is done later. By then its leases may have run out. Where it
        refuses a worker, it would refuse it again, and the others behind it would wait forever.
        """
        if time.monotonic() < self._try_at:
            return
        for name, lost in list(self._mourned.items()):
            try:
                self._ledger.sign_off(name, lost=lost)
            except LostError:  # nobody is signed on in what is left of it
                self._mourned.clear()
                return
            except UnreachableError:
                self._try_at = time.monotonic() + _AGAIN_S
                return
            except StorageError as error:
                _log.error("worker %s is not signed off: %s", name, passwords.hide(error))
            del self._mourned[name]

    def stop(self, grace_s: float) -> None:
        """Ask all workers to give back what they hold and leave; kill those that do not.

        A KeyboardInterrupt meanwhile kills them at once. After this the fleet is over.
        """
        left = [slot.process for slot in self._slots.values() if slot.process is not None]
        for process in left:
            process.terminate()
        deadline = time.monotonic() + grace_s + _MARGIN_S
        with suppress(KeyboardInterrupt):
            while time.monotonic() < deadline and any(p.poll() is None for p in left):
                self.wait(0.05)
        for process in left:
            if process.poll() is None:
                process.kill()
                # It was told to leave: that speaks against no trial.
                self._sign_off_lost(process.name, None)
        for slot in self._slots.values():
            slot.process = slot.due = None
        self._settle()

    def wait(self, timeout_s: float) -> None:
        """Until there may be something to `tend` to, or so long; not at all where it is over."""
        if not self.over:
            self._launcher.wait(timeout_s)
