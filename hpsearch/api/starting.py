"""What trains a study from Python: workers on this machine, or a thread of this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.api import running
from hpsearch.api.sessions import InProcess, Session
from hpsearch.api.submit import accepted
from hpsearch.errors import CodeError
from hpsearch.fleet import (
    Fleet,
    Local,
    WorkerConfig,
    check_devices,
    local_devices,
    new_name,
    spread,
)
from hpsearch.insight.reader import Reader
from hpsearch.preflight.data_check import check_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from hpsearch.api.definition import Definition
    from hpsearch.api.functions import OfSession
    from hpsearch.store.ledger import Ledger

__all__ = ["Start"]


@dataclass(frozen=True)
class Start:
    """One study and how it is to be trained."""

    name: str
    definition: Definition | None
    """None: the database has it."""
    code: Path | None
    """The folder of its own code."""
    ledger: Callable[[], Ledger]
    runs_code: Callable[[], AbstractContextManager[None]]
    """Inside what it gives, own code may run in this process."""
    url: str
    checkpoints: str | None
    workers: int | None
    devices: Sequence[str]
    command: str | None
    """The hash of the command that trains it (`values.command_hash`), which alone may be run; None:
    no command does."""
    pictures: bool
    accept_code: bool
    """Whether a study that has begun continues with code that is another."""
    grace_s: float
    patience_s: float
    lease_s: float

    def session(self, note: Callable[[str], None]) -> Session:
        """Make the study, or open it again, and give what will train it.

        Raises what `running.begin` does, and CodeError for more workers than can be.
        """
        function = self.definition.function if self.definition is not None else None
        return self._of_workers(note) if function is None else self._in_process(function, note)

    def _of_workers(self, note: Callable[[str], None]) -> Session:
        check_devices(self.devices)
        config = WorkerConfig(
            self.url, (self.name,), until_done=True, checkpoints=self.checkpoints,
            lease_s=self.lease_s, grace_s=self.grace_s, patience_s=self.patience_s,
            code=None if self.code is None else str(self.code), pictures=self.pictures,
            commands=self.command,
        )  # fmt: skip
        launcher = Local(config, spread(self.devices or local_devices(), self.workers))
        try:
            launcher.warm_up()  # PyTorch is loaded there, while the study is made here
            self._make(note)
            fleet = Fleet(launcher, self.ledger(), limit=self.workers)
            return Session(fleet, self._reader(), self.grace_s, launcher.close)
        except BaseException:
            launcher.close()
            raise

    def _in_process(self, function: OfSession, note: Callable[[str], None]) -> Session:
        called = function.reference.partition(":")[2]
        if self.workers not in (None, 1) or len(self.devices) > 1:
            raise CodeError(
                f"{called} is a function of this session, and runs in this process, one trial at a "
                "time; for more workers put it in a file, and import it from there"
            )
        note(
            f"{called} is a function of this session: it runs in this process, one trial at a "
            "time, and a crash of it ends the session (import it from a file to have workers)"
        )
        # Here: they load PyTorch.
        from hpsearch.children.here import Here
        from hpsearch.worker import Options

        self._make(note)
        device = (self.devices or local_devices())[0]
        options = Options(
            url=self.url, name=new_name(), device=device,
            studies=(self.name,), until_done=True, lease_s=self.lease_s,
            checkpoints=self.checkpoints, grace_s=self.grace_s, patience_s=self.patience_s,
            pictures=self.pictures,
        )  # fmt: skip
        here = Here(function.function, function.manifest, device, function.evaluate)
        worker = InProcess(options, here)
        return Session(worker, self._reader(), self.grace_s, lambda: None, worker.here)

    def _make(self, note: Callable[[str], None]) -> None:
        """Have the study in the database, open."""
        defined = self.definition
        if defined is None:
            ledger = self.ledger()
            study = ledger.study(self.name)
            if self.accept_code:
                study = accepted(ledger, study, self.code)
            note(running.reopen(ledger, study))
            return
        with self.runs_code():  # a batch size of `auto` builds networks
            check_table(defined.spec, defined.base)
            begun = running.begin(
                self.ledger(), defined.spec, defined.base,
                device=self.devices[0] if self.devices else None, code=defined.hashed,
                accept_code=self.accept_code,
            )  # fmt: skip
        for text in begun.notes:
            note(text)

    def _reader(self) -> Reader:
        return Reader(self.ledger(), self.name, self.checkpoints)
