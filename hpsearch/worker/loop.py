"""The worker's process: which study it works on, and how it leaves."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from hpsearch.children.here import Here
from hpsearch.children.process import FORKS, Nursery
from hpsearch.code import Code, use
from hpsearch.errors import HpsearchError, StorageError, UnreachableError, WorkerError, line
from hpsearch.spec import StudySpec
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.patience import RETRY_S, first_contact
from hpsearch.store.values import Serves, Study, needed
from hpsearch.training import devices
from hpsearch.weights import missing
from hpsearch.worker import signals
from hpsearch.worker.context import Context, Options, Patience, known_by
from hpsearch.worker.couriers import Couriers
from hpsearch.worker.keeper import Keeper
from hpsearch.worker.runners import installed
from hpsearch.worker.study_session import StudySession

__all__ = ["serve", "serve_here"]

T = TypeVar("T")

_IDLE_S = 0.05
"""Between looks at a database that has no ticket to give; doubled with each, as the others may be
about to be done."""

_IDLE_MOST_S = 1.2
"""With the keeper's own, an idle worker makes less than one transaction a second: a hundred of them
are no load. New work is noticed about as soon."""

_FLUSH_S = 60.0
"""For ends to be delivered to a database that answers, before more is taken from it."""

_LAST_S = 60.0
"""For MLflow to get what it lacks once all work is done, the network among it."""

_AGAIN_S = 60.0
"""Until a study is tried again whose data could not be loaded, or whose row made no sense."""

_SESSIONS = 4
"""Studies whose data stays on the device at the same time."""

_log = logging.getLogger(__name__)


def serve(options: Options) -> None:
    """Work until there is nothing left to do, or until a signal says stop.

    Raises what stands in the way of working at all: StorageError, where the database is away for
    longer than `patience_s` or cannot be used; DataError.
    """
    # Before anything else: it is a copy of this process.
    nursery = Nursery(options.device) if options.code is not None and FORKS else None
    with contextlib.ExitStack() as stack:
        if nursery is not None:
            stack.callback(nursery.close)
        database = stack.enter_context(contextlib.closing(Database(options.url)))
        ledger = first_contact(partial(Ledger, database, options.lease_s), options.patience_s)
        _serve(options, ledger, nursery)


def serve_here(options: Options, here: Here) -> None:
    """The same in a thread of a process that is somebody else's, and of which nothing is changed:
    one study whose own training code is a function of that process.

    It leaves when `here.interrupted` is set. Raises what `serve` does.
    """
    with contextlib.closing(here), contextlib.closing(Database(options.url)) as database:
        ledger = first_contact(partial(Ledger, database, options.lease_s), options.patience_s)
        device = devices.device(options.device)
        _attend(options, ledger, device, here.interrupted, None, here)


def _serve(options: Options, ledger: Ledger, nursery: Nursery | None) -> None:
    # What is loaded stays to the end. A look for garbage among it would stop a worker for 0.1 s.
    gc.freeze()
    stop = threading.Event()
    signals.stop_on_signals(stop, options.grace_s, lambda: _sign_off(ledger, options.name))
    device = devices.device(options.device)
    devices.prepare(device, options.threads)
    code = Code.at(Path(options.code)) if options.code is not None else None
    use(code)
    _attend(options, ledger, device, stop, code, nursery)


def _attend(
    options: Options, ledger: Ledger, device: torch.device, stop: threading.Event,
    code: Code | None, nursery: Nursery | Here | None,
) -> None:  # fmt: skip
    """Sign on, work, sign off."""
    host, name = socket.gethostname(), options.name
    keeper, patience = Keeper(ledger, name), Patience(options.patience_s)
    couriers = Couriers(ledger, options)
    manifest = known_by(code, nursery)
    own = {f"code {manifest.digest}"} if manifest is not None else set[str]()
    own |= {f"command {options.commands}"} if options.commands else set()
    serves = Serves(options.studies, installed() | own)
    context = Context(ledger, name, device, options, keeper, patience, stop, serves, code, nursery)
    described = devices.describe(device)
    context.patiently(lambda: ledger.sign_on(name, host, os.getpid(), described, serves))
    keeper.start()
    worker = _Worker(context, couriers)
    try:
        worker.work()
        if not stop.is_set():
            worker.send_couriers()
    finally:
        worker.close()
        if not keeper.flush(options.grace_s / 2):
            _log.warning("the last reports could not be delivered; the checkpoints have them")
        couriers.leave(options.grace_s / 3)
        keeper.stop()
        _sign_off(ledger, name)


def _sign_off(ledger: Ledger, name: str) -> None:
    """Give back what is held; where the database is away, the leases run out by themselves."""
    with contextlib.suppress(StorageError):
        ledger.sign_off(name)


def _missing(study: Study) -> str:
    """Why the weights of a study are missing here; "" where all are."""
    try:
        return missing(StudySpec.from_document(study.document), Path(study.base))
    except Exception as error:  # a library of models that cannot be loaded, or a damaged document
        return line(error)


class _Worker:
    """Chooses a study, works on it, chooses again."""

    def __init__(self, context: Context, couriers: Couriers) -> None:
        self._context, self._couriers = context, couriers
        self._sessions: dict[
            str, StudySession
        ] = {}  # by uid: a deleted study's id may be used again
        self._unusable: dict[str, float] = {}
        """Studies that could not be worked on, and when that is tried again."""
        self._looked: dict[str, float] = {}
        """Studies whose weights were not here, and when they are looked for again."""
        self._without: dict[str, str] = {}
        """The same studies, and why."""
        self._others: set[str] = set()
        """Studies that need what is not here; that has been said."""
        self._idle_s = _IDLE_S

    def send_couriers(self) -> None:
        """Have MLflow get what it lacks of the studies that were served last, and of those that
        this worker is for, pictures that were drawn after their end among it."""
        with contextlib.suppress(StorageError):
            for study in self._context.ledger.studies():
                if study.uid in self._sessions or study.name in self._context.options.studies:
                    self._couriers.serve(study)
        self._couriers.finish(_LAST_S, self._context.stop)

    def work(self) -> None:
        """Until the stop event, or until no study of mine is open any more."""
        stop = self._context.stop
        while not stop.is_set():
            try:
                pause_s = self._once()
            except UnreachableError as error:
                self._context.patience.bear(error)
                pause_s = RETRY_S
            else:
                self._context.patience.relax()
            if pause_s is None:
                return
            stop.wait(pause_s)

    def _once(self) -> float | None:
        """Work on a study that has work; seconds to wait before the next, None: all is done."""
        if left_s := self._context.keeper.unsettled_s:
            return left_s
        # Ends that are on their way come first: a study is chosen by the tickets under way, and a
        # lease may have run out meanwhile, so that its ticket would be offered to us again.
        keeper = self._context.keeper
        if not keeper.flush(_FLUSH_S):
            keeper.check()
            if keeper.away is not None:
                raise keeper.away
            return RETRY_S
        options = self._context.options
        outlook = self._context.ledger.outlook(self._context.serves)
        if self._finds(outlook.others):
            return 0.0
        self._leave_to_others(outlook.others)
        for study in outlook.waiting:
            due = self._unusable.get(study.uid, 0.0) <= time.monotonic()
            if due and self._work_on(study):
                self._idle_s = _IDLE_S
                return 0.0
        for bench in self._sessions.values():
            self._idle(partial(bench.rest, outlook.open))
        if any(self._idle(bench.draw) for bench in self._sessions.values()):
            return 0.0  # there may be work by now
        usable = [study for study in outlook.open if study.uid not in self._unusable]
        in_vain = bool(outlook.others) and len(outlook.others) == len(set(options.studies))
        if not usable and (options.until_done or in_vain):
            self._say_left(outlook.others)
            return None
        if outlook.abandoned:
            self._context.ledger.sweep()
        self._context.ledger.database.rest()
        pause_s, self._idle_s = self._idle_s, min(2 * self._idle_s, _IDLE_MOST_S)
        return pause_s

    def close(self) -> None:
        """Let go of all that is held for studies."""
        for bench in self._sessions.values():
            bench.close()

    def _idle(self, call: Callable[[], T]) -> T | None:
        """Do something for a study without work; None where its rows make no sense."""
        try:
            return call()
        except StorageError:
            raise
        except Exception as error:
            self._context.keeper.check()
            # A row that makes no sense: who serves the study says so.
            _log.error("cannot look after a study without work: %s", line(error))
            return None

    def _finds(self, studies: Sequence[Study]) -> bool:
        """Look for files of weights and of own code, where studies lack nothing else; whether there
        is one that has all of its files here."""
        context, before = self._context, self._context.serves
        for study in studies:
            lacks, due = context.serves.lacks(study), self._looked.get(study.uid, 0.0)
            files = all(need.startswith(("weights ", "code ")) for need in lacks)
            if due > time.monotonic() or not files:
                continue
            self._looked[study.uid] = time.monotonic() + _AGAIN_S
            code = self._code_of(study) if f"code {study.code}" in lacks else None
            weights = {need for need in lacks if need.startswith("weights ")}
            if code is None and len(weights) < len(lacks):
                continue
            if weights and (why := _missing(study)):
                self._without[study.uid] = why
                continue
            context.weights.update(weights)
            if code is not None:
                context.codes[code.manifest.digest] = code
        if context.serves == before:
            return False
        context.ledger.serve(context.name, context.serves)
        return True

    def _code_of(self, study: Study) -> Code | None:
        """Its code, where the folder has that and more; None where it has not."""
        code = self._context.code
        if code is None:
            return None
        manifest = self._context.ledger.code(study)
        is_its = manifest.digest == study.code
        if not is_its or manifest.differences(code.manifest, more=False):
            return None
        return Code(code.folder, manifest)

    def _leave_to_others(self, studies: Sequence[Study]) -> None:
        """Say once of each what it needs that is not here."""
        for study in studies:
            if study.uid not in self._others:
                self._others.add(study.uid)
                _log.warning("study %s is left to other workers: %s", study.name,
                             self._lacking(study))  # fmt: skip

    def _lacking(self, study: Study) -> str:
        """Why this worker cannot serve a study."""
        code, lacks = self._context.code, self._context.serves.lacks(study)
        if code is not None and lacks == (f"code {study.code}",):
            wanted = self._context.ledger.code(study)
            changes = wanted.differences(code.manifest, more=False)
            changes = changes or wanted.differences(code.manifest)
            return (
                f"the code in {code.folder} is not the study's: {changes} (hpsearch submit FILE "
                "--accept-code continues the study with it)"
            )
        if why := self._without.get(study.uid):
            return why
        return f"it needs {needed(lacks)}, which this one does not have"

    def _say_left(self, others: Sequence[Study]) -> None:
        """Raise WorkerError where a study is still open that could not be worked on here."""
        left = [f"{s.name} (see above)" for s in self._context.ledger.studies()
                if s.uid in self._unusable and s.state == "open"]  # fmt: skip
        # Of a worker of `run` nobody sees what it has said before, so the reason comes again.
        left += [f"{study.name}: {self._lacking(study)}" for study in others]
        if left:
            raise WorkerError(f"could not be worked on here: {'; '.join(left)}")

    def _work_on(self, study: Study) -> bool:
        """Claim and train to the end; whether there was anything to do."""
        try:
            context = self._context.of(study)
            context.check_code(study)
            if context.code is not None:
                use(context.code)
            return self._bench(context, study).run()
        except StorageError:
            raise
        except Exception as error:
            self._context.keeper.check()  # its end is not the study's fault, nor bearable
            if bench := self._sessions.pop(study.uid, None):
                bench.give_back(lost=f"worker {self._context.name} failed: {line(error)}")
                bench.close()
            if self._context.options.studies == (study.name,):
                raise  # it was started for nothing but that study
            # A study that this machine has no data for, or whose row makes no sense, must not stop
            # it from serving others.
            is_ours = isinstance(error, HpsearchError)
            _log.error("study %s cannot run here, the next try is in %g s: %s", study.name,
                       _AGAIN_S, error, exc_info=not is_ours)  # fmt: skip
            self._unusable[study.uid] = time.monotonic() + _AGAIN_S
            return False

    def _bench(self, context: Context, study: Study) -> StudySession:
        """The study's bench, made where there is none of its code; the one used longest ago makes
        room."""
        bench = self._sessions.pop(study.uid, None)
        if bench is not None and bench.code != study.code:
            bench.give_back()  # what it has where the database went away
            bench.close()
            bench = None
        bench = bench or StudySession(context, study)
        self._couriers.serve(study)
        self._sessions[study.uid] = bench
        if len(self._sessions) > _SESSIONS:
            self._sessions.pop(next(iter(self._sessions))).close()
        return bench
