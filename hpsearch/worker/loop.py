"""The worker's process: its signals, and which study it works on."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from typing import Any

from hpsearch.errors import CheckpointError, HpsearchError, StorageError
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Study
from hpsearch.training import devices
from hpsearch.worker.bench import Bench
from hpsearch.worker.context import Context, Options
from hpsearch.worker.keeper import Keeper

__all__ = ["serve"]

_IDLE_S = 1.0
"""Between looks at a database that has no ticket to give."""

_log = logging.getLogger(__name__)


def serve(options: Options) -> None:
    """Work until there is nothing left to do, or until a signal says stop.

    Raises what stands in the way of working at all: StorageError, DataError, CheckpointError.
    """
    stop = threading.Event()
    _stop_on_signals(stop)
    device = devices.device(options.device)
    devices.prepare(device, options.threads)
    ledger = Ledger(Database(options.url), options.lease_s)
    name = options.name
    ledger.sign_on(name, socket.gethostname(), os.getpid(), devices.describe(device))
    keeper = Keeper(ledger, name)
    keeper.start()
    try:
        _Worker(Context(ledger, name, device, options, keeper, stop)).work()
    finally:
        keeper.stop()
        # Where the database is away, the leases run out by themselves.
        with contextlib.suppress(StorageError):
            ledger.sign_off(name)


def _stop_on_signals(stop: threading.Event) -> None:
    """SIGTERM or SIGINT once: end the epoch early and give back; twice: leave at once."""

    def handle(signum: int, _frame: Any) -> None:
        if stop.is_set():
            os._exit(128 + signum)
        stop.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, handle)
    if os.environ.get("HPSEARCH_PARENT_PIPE"):
        threading.Thread(target=_stop_with_parent, args=(stop,), daemon=True).start()


def _stop_with_parent(stop: threading.Event) -> None:
    # Standard input is a pipe that only the parent holds: it ends when the parent dies, however.
    # Not through sys.stdin: Python aborts at exit where a thread holds that object's lock.
    while os.read(0, 1024):
        pass
    stop.set()


class _Worker:
    """Chooses a study, works on it, chooses again."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._benches: dict[str, Bench] = {}  # by uid: a deleted study's id may be used again
        self._unusable: set[str] = set()

    def work(self) -> None:
        """Until the stop event, or until no study of mine is open any more."""
        while not self._context.stop.is_set():
            open_ = self._open_studies()
            if not open_ and self._context.options.until_done:
                return
            if not any(self._work_on(study) for study in open_):
                self._context.ledger.sweep()
                self._context.stop.wait(_IDLE_S)

    def _open_studies(self) -> list[Study]:
        """The studies that may have work, most important first."""
        found = self._context.ledger.studies()
        mine = self._context.options.studies
        open_ = [s for s in found if s.state == "open" and (not mine or s.name in mine)]
        open_ = [s for s in open_ if s.uid not in self._unusable]
        for gone in set(self._benches) - {s.uid for s in open_}:
            del self._benches[gone]  # frees the device's memory
        return open_

    def _asked_for(self, study: Study) -> bool:
        """Whether this worker was started for nothing but that study."""
        return self._context.options.studies == (study.name,)

    def _work_on(self, study: Study) -> bool:
        """Claim and train to the end; whether there was anything to do."""
        try:
            if study.uid not in self._benches:
                self._benches[study.uid] = Bench(self._context, study)
            return self._benches[study.uid].run()
        except HpsearchError as error:
            if isinstance(error, (StorageError, CheckpointError)) or self._asked_for(study):
                raise
            # A study that this machine has no data for must not stop it from serving others.
            _log.error("study %s cannot run here: %s", study.name, error)
            self._unusable.add(study.uid)
            return False
