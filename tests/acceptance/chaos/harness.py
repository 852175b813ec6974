"""Workers to be harmed, the study they work on, and what the ledger remembers of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
import sqlalchemy as sa

from hpsearch.api.submit import submit
from hpsearch.spec import load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.zygote import Job, Process

T = TypeVar("T")
Hook = Callable[[], None]

TROUBLE = re.compile(r"Traceback|Error\b|^hpsearch: |deadlock", re.IGNORECASE | re.MULTILINE)
"""What a worker says when something goes wrong."""


def until(find: Callable[[], T], timeout_s: float = 60.0, what: str = "") -> T:
    """What `find` gives once that is true; looks every 20 ms."""
    deadline = time.monotonic() + timeout_s
    while not (found := find()):
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what or find}"
        time.sleep(0.02)
    return found


@dataclass
class Worker:
    """One worker process."""

    name: str
    process: Process
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def frozen(self) -> bool:
        return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    @property
    def said(self) -> str:
        return self.output.read_text()

    def send(self, signum: signal.Signals) -> None:
        os.kill(self.pid, signum)

    def ends(self, code: int = 0) -> None:
        """It leaves with that exit code; minus a signal, if one kills it."""
        found = self.wait()
        assert found == code, f"{self.name} ended with {found}, not {code}\n{self.said}"

    def wait(self, timeout_s: float = 60.0) -> int:
        """Its exit code once it has ended; minus the signal that killed it."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            still = f"{self.name} still runs after {timeout_s:.0f} s\n{self.said}"
            raise AssertionError(still) from None


class Crew:
    """Workers on one database, under one folder. What still runs at the end is killed."""

    def __init__(self, folder: Path, url: str, lease_s: float = 1.0) -> None:
        self.folder, self.url, self.lease_s = folder, url, lease_s
        self.prefix = "w"
        """Of its workers' names."""
        self.workers: list[Worker] = []
        self.epochs, self.reports = folder / "epochs", folder / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("HPSEARCH_")},
            "HPSEARCH_CHECKPOINTS": str(folder / "checkpoints"),
            "HPSEARCH_LEASE_S": str(lease_s),
            "HPSEARCH_NO_PICTURES": "1",
            "COLUMNS": "80",
        }
        if "HPSEARCH_DATA" in os.environ:
            self.env["HPSEARCH_DATA"] = os.environ["HPSEARCH_DATA"]

    @property
    def ledger(self) -> Ledger:
        return Ledger(Database(self.url), self.lease_s)

    def submit(self, text: str, **how: Any) -> None:
        """Make the study of that file."""
        file = self.folder / "study.yaml"
        file.write_text(text)
        submit(self.ledger, load(file, []), self.folder, **how)

    def worker(
        self, *hooks: Hook, args: Sequence[str] = ("--until-done",), url: str | None = None
    ) -> Worker:
        """Start `hpsearch worker`."""
        name = f"{self.prefix}{len(self.workers)}"
        argv = ["worker", "--device", "cpu", "--threads", "1", "--name", name, *args]
        return self.process(name, argv, hooks, url=url)

    def process(
        self,
        name: str,
        argv: Sequence[str] = (),
        hooks: Sequence[Hook] = (),
        body: Hook | None = None,
        url: str | None = None,
    ) -> Worker:
        """Start any command, or a function."""
        output = self.folder / f"{name}.log"
        env = {**self.env, "HPSEARCH_STORAGE": url or self.url}
        job = Job(argv, env, self.folder, tuple(hooks), body)
        with output.open("ab") as log:
            process = Process(job, stdout=log, stderr=subprocess.STDOUT)
        self.workers.append(Worker(name, process, output))
        return self.workers[-1]

    def finish(self, timeout_s: float = 120.0) -> None:
        """Until every living worker has left, and all of them content."""
        codes = {w.name: w.wait(timeout_s) for w in self.workers if w.alive}
        wrong = {name: self.said(name) for name, code in codes.items() if code != 0}
        assert not wrong, wrong

    def said(self, name: str) -> str:
        return next(w.said for w in self.workers if w.name == name)

    def trouble(self) -> dict[str, str]:
        """What workers said of errors."""
        return {w.name: w.said for w in self.workers if TROUBLE.search(w.said)}

    def clear(self) -> None:
        for worker in self.workers:
            if worker.alive:
                worker.process.kill()
            worker.process.wait()

    def begun(self) -> list[tuple[int, int]]:
        """(ticket, epoch) of each epoch that was begun, where workers note them."""
        if not self.epochs.exists():
            return []
        lines = self.epochs.read_text().splitlines()
        return [(int(ticket), int(epoch)) for _, ticket, epoch in map(str.split, lines)]

    def repeated(self) -> int:
        """How many epochs were begun again after they had been begun before."""
        begun = self.begun()
        return len(begun) - len(set(begun))

    def delivered(self) -> list[tuple[int, int, float]]:
        """(trial_id, epoch, value) of each report delivered, where workers note them."""
        lines = self.reports.read_text().splitlines() if self.reports.exists() else []
        rows = (line.split() for line in lines)
        return [(int(trial), int(epoch), float(value)) for trial, epoch, value in rows]

    # --- what the database says ---------------------------------------------------------------

    def rows(self, query: str, **values: Any) -> list[Any]:
        """Read by a connection of its own, so that nothing of hpsearch is asked."""
        with connected(self.url) as connection:
            return list(connection.execute(sa.text(query), values))

    def leases(self, **where: Any) -> list[Any]:
        """The ledger's history, ticket by ticket."""
        wanted = "".join(f" AND {name} = :{name}" for name in where)
        query = f"SELECT * FROM hpsearch_leases WHERE 1 = 1{wanted} ORDER BY number, fence"
        return self.rows(query, **where)

    def held(self, worker: Worker) -> list[Any]:
        """The leases of a worker that have not ended."""
        return [lease for lease in self.leases(worker=worker.name) if lease.ended_at is None]

    def dropped(self, worker: Worker) -> list[Any]:
        """The leases that a dead worker held; others may have them by now."""
        return [
            lease for lease in self.leases(worker=worker.name) if lease.ending in (None, "lost")
        ]

    def ended(self) -> int:
        (row,) = self.rows("SELECT count(*) FROM hpsearch_tickets WHERE state = 'ended'")
        return int(row[0])

    def now(self) -> float:
        """The database's clock."""
        from hpsearch.store.engine import now

        with connected(self.url) as connection:
            return float(connection.execute(sa.select(now())).scalar_one())


@contextmanager
def connected(url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def study(
    *,
    name: str = "s",
    parameters: str = "{architecture: {width: 4, depth: 1}}",
    trials: int | None = None,
    epochs: int = 3,
    sampler: str = "random",
    pruner: str = "none",
    limit: int = 100,
    stack: int | str = "off",
    extra: Sequence[str] = (),
) -> str:
    """A study of cells that take milliseconds, one at a time unless `stack` says how many.

    Without the look before the first trial: the hooks count what is trained.
    """
    budget = f"epochs: {epochs}" + (f", trials: {trials}" if trials else "")
    return "\n".join(
        [
            f"name: {name}",
            f"data: {{source: digits, limit: {limit}}}",
            "network: {family: mlp}",
            f"parameters: {parameters}",
            f"search: {{sampler: {sampler}, pruner: {pruner}, stack: {stack}, sanity: false}}",
            f"budget: {{{budget}}}",
            *extra,
            "",
        ]
    )
