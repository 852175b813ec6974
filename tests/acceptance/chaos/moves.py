"""A user's acts at a certain move of a worker: what it does to the ledger, counted.

They are done within the worker's process, once the move is committed and before the worker
continues: a moment is an event and not a time. None of it is in hpsearch.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa

from hpsearch.errors import HpsearchError
from hpsearch.runner import Failure, Report
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Write
from hpsearch.worker.judging import Judging
from hpsearch.worker.keeper import Keeper
from hpsearch.worker.running import Running
from tests.acceptance.chaos import hooks

__all__ = [
    "ACTS", "EXTRA", "FINAL", "LET_GO", "act_at", "fail_once", "let_go_at", "note_moves",
]  # fmt: skip

EXTRA = 2
"""Trials that `extend` adds."""

FINAL = {"top": 1, "seeds": 2}
TICKETS = (FINAL["top"] + 1) * FINAL["seeds"]

_MOVES = ("open_stage", "claim", "begin", "record", "begin_verdict", "end_verdict")
_SEEN_S = 20.0


def after_moves(do: Callable[[str], None]) -> None:
    """Call `do` with the name of each move once it is made: `claim 3` is the third that took any.

    What is written is named by what it is, `record 3.2` by ticket and epoch, `record 3.end`: how
    much is written at once is a matter of time.
    """
    counts: Counter[str] = Counter()
    once = threading.RLock()  # the keeper's thread records, the other one claims

    def counted(name: str) -> None:
        with once:
            counts[name] += 1
            do(f"{name} {counts[name]}")

    def wrap(name: str) -> None:
        method = getattr(Ledger, name)

        @functools.wraps(method)
        def wrapped(self: Ledger, *args: Any, **kwargs: Any) -> Any:
            args = tuple(list(a) if hasattr(a, "__next__") else a for a in args)
            result = method(self, *args, **kwargs)
            if name == "record":
                for what in written(args[0]):
                    do(what)
            elif result or name not in ("claim", "begin", "begin_verdict"):
                counted(name)
            return result

        setattr(Ledger, name, wrapped)

    def written(writes: Sequence[Write]) -> Iterator[str]:
        for write in writes:
            for report in write.reports:
                yield f"record {write.lease.number}.{report.epoch}"
            if write.ending:
                yield f"record {write.lease.number}.end"

    for name in _MOVES:
        wrap(name)


def note_moves(path: Path) -> None:
    """Append the name of each move, and whether it is one of the search or of its finish."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(name: str) -> None:
        state = _ledger().study("s").finish
        os.write(file, f"{name} {'search' if state == 'due' else 'finish'}\n".encode())

    after_moves(note)


def act_at(move: str, act: str, refused: Path, ended: Path) -> None:
    """Do that act of `ACTS` at that move; what is refused is written to a file, and where all
    tickets have ended by then there is another one.

    Where a worker is to see that its study was put down, it trains no further before it has.
    """
    keepers: list[Keeper] = []
    acted = threading.Event()
    start = Keeper.start

    def started(self: Keeper) -> None:
        keepers.append(self)
        start(self)

    Keeper.start = started  # type: ignore[method-assign,assignment]

    def seen(_trainer: Any, interrupted: Callable[[], bool]) -> None:
        if not acted.is_set() or act not in ("stop", "pause"):
            return
        study_id = _ledger().study("s").study_id
        deadline = time.monotonic() + _SEEN_S
        while keepers[0].state(study_id) == "open" and not interrupted():
            assert time.monotonic() < deadline, f"{act} was not seen"
            time.sleep(0.01)

    hooks._before_training(seen)

    def do(name: str) -> None:
        if name != move or acted.is_set():
            return
        acted.set()
        with _ledger().database.read() as connection:
            if not connection.execute(_OPEN).scalar_one():
                ended.touch()
        try:
            ACTS[act]()
        except HpsearchError as error:
            refused.write_text(str(error))

    after_moves(do)


_OPEN = sa.text("SELECT count(*) FROM hpsearch_studies WHERE ended < tickets")

LET_GO = sa.text(
    "UPDATE hpsearch_leases SET until = until - 2000, taken_at = taken_at - 2000 "
    "WHERE worker = :worker AND ended_at IS NULL AND until - taken_at > 500"
)
"""The long leases of a worker have run out."""


def let_go_at(move: str, worker: str) -> None:
    """Let the long leases of a worker that is dead run out at that move."""

    def do(name: str) -> None:
        if name == move:
            _ledger().database.write(lambda c: c.execute(LET_GO, {"worker": worker}))

    after_moves(do)


def fail_once(ticket: int) -> None:
    """Let that ticket's trial fail, no matter who trains it; one that runs it again is another
    ticket."""
    note = Judging.note

    def failing(self: Judging, report: Report) -> Running:
        wanted = "as the test wants it"
        if report.key == ticket:
            report = replace(report, kept=None, failure=Failure.ERROR, message=wanted)
        return note(self, report)

    Judging.note = failing  # type: ignore[method-assign]


def _ledger() -> Ledger:
    return Ledger(Database(os.environ["HPSEARCH_STORAGE"]), make=False)


def _state(*states: Any) -> None:
    for state in states:
        _ledger().set_state("s", state)


def _delete_with_optuna() -> None:
    storage = optuna.storages.RDBStorage(os.environ["HPSEARCH_STORAGE"], skip_table_creation=True)
    optuna.delete_study(study_name="s", storage=storage)


ACTS: dict[str, Callable[[], Any]] = {
    "stop": lambda: _state("stopped"),
    "stop, resume": lambda: _state("stopped", "open"),
    "pause": lambda: _state("paused"),
    "pause, stop": lambda: _state("paused", "stopped"),
    "extend": lambda: _ledger().extend("s", EXTRA),
    "retry": lambda: _ledger().retry_failed("s"),
    "final": lambda: _ledger().finish_again("s", TICKETS, FINAL),
    # The worker's own, and one that is held elsewhere where the walk has such.
    "schedule": lambda: _ledger().schedule("s", 3, 2),
    "kill": hooks.die,
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "delete": lambda: _ledger().delete("s"),
    "delete with Optuna": _delete_with_optuna,
}
"""What a user can do to a study in training."""
