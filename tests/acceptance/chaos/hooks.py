"""What tests make happen inside a worker's process. None of it is in hpsearch."""

from __future__ import annotations

import ctypes
import functools
import inspect
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.children import runner
from hpsearch.fleet import fleet
from hpsearch.store.ledger import Ledger
from hpsearch.training.solo import Solo
from hpsearch.training.stacking import slots as fit
from hpsearch.training.stacking.stack import Stack
from hpsearch.worker import keeper, outbox, study_session

Hook = Callable[[], None]

_CLONE_NEWNET, _CLONE_NEWNS, _CLONE_NEWUSER = 0x40000000, 0x00020000, 0x10000000


def die() -> None:
    """SIGKILL, as the kernel or a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # never: the signal comes before the call returns


# --- epochs -----------------------------------------------------------------------------------


def _before_epoch(do: Callable[[int, int], None]) -> None:
    """Call `do` with the ticket and the epoch that is about to be trained, of each in a stack."""

    def each(trainer: Solo | Stack, _interrupted: Callable[[], bool]) -> None:
        for progress in trainer.members:
            do(int(progress.candidate.key), progress.epoch + 1)

    _before_training(each)


def _before_training(do: Callable[[Solo | Stack, Callable[[], bool]], None]) -> None:
    """Call `do` with what is about to be trained for an epoch, and what interrupts that."""
    dry = [False]
    dry_run = fit._dry_run

    def noted(*args: Any) -> Any:
        dry[0] = True
        try:
            return dry_run(*args)
        finally:
            dry[0] = False

    fit._dry_run = noted  # type: ignore[assignment]
    for kind in (Solo, Stack):
        _wrap_training(kind, lambda *args: None if dry[0] else do(*args))


def _wrap_training(kind: Any, do: Callable[[Any, Callable[[], bool]], None]) -> None:
    train = kind.train

    @functools.wraps(train)
    def wrapped(self: Any, interrupted: Callable[[], bool]) -> Any:
        do(self, interrupted)
        return train(self, interrupted)

    kind.train = wrapped


def note_epochs(path: Path) -> None:
    """Append a line `pid ticket epoch` as each epoch begins."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    _before_epoch(lambda ticket, epoch: _append(file, f"{os.getpid()} {ticket} {epoch}\n"))


def _append(file: int, line: str) -> None:
    os.write(file, line.encode())


def pace(seconds: float, gate: Path | None = None) -> None:
    """Make each epoch, of a stack as of one, take that much longer, without a load; with a gate
    only while that file exists."""

    def wait(_trainer: Any, interrupted: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and (gate is None or gate.exists()) and not interrupted():
            time.sleep(0.02)

    _before_training(wait)


def hold_while(gate: Path) -> None:
    """Begin no epoch, of a stack as of one, while that file exists. The lease is kept."""

    def wait(_trainer: Any, interrupted: Callable[[], bool]) -> None:
        while gate.exists() and not interrupted():
            time.sleep(0.02)

    _before_training(wait)


def report_at_once() -> None:
    """Save and report after each epoch: trials here end before a second is over."""
    outbox._SAVE_S = 0.0


def report_each() -> None:
    """Save and report after each epoch, and train the next one once that is in the database: of
    short epochs several would be delivered together, the last ones with the trial's end."""
    report_at_once()
    for name in ("save_where_due", "finish"):
        _deliver_after(name)


def _deliver_after(name: str) -> None:
    method = getattr(outbox.Outbox, name)

    @functools.wraps(method)
    def wrapped(self: outbox.Outbox, *args: Any) -> None:
        method(self, *args)
        self._keeper.flush(10.0)

    setattr(outbox.Outbox, name, wrapped)


def deliver_when_awaited() -> None:
    """Keep what is to be written until somebody waits for it, or the next renewal; and train one
    trial after another all the while, as those that are very short are."""
    study_session._STAY_S = 600.0
    due = property(lambda self: -keeper._NEVER if self._writes and self._awaited else keeper._NEVER)
    keeper.Keeper._deliver_at = due  # type: ignore[assignment,method-assign]


def have_some_at_hand() -> None:
    """Take tickets to train one after another, however long these trials take."""
    runner._AHEAD_S = 1e9


def die_in(ticket: int, epochs: range) -> None:
    """Kill the process as it begins such an epoch of that ticket."""
    _before_epoch(lambda number, epoch: die() if (number == ticket and epoch in epochs) else None)


def die_after(ticket: int) -> None:
    """Kill the process once a report of that ticket, of any epoch but the last, is delivered."""

    def due(args: Any, _refused: Any) -> bool:
        return any(w.lease.number == ticket and w.reports and not w.ending for w in args[1])

    _wrap(Ledger, "record", due, "after")


def note_reports(path: Path) -> None:
    """Append a line `trial_id epoch value` for each report that the ledger has taken."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    record = Ledger.record

    @functools.wraps(record)
    def wrapped(self: Ledger, writes: Any) -> Any:
        writes = list(writes)
        refused = record(self, writes)
        taken = [w for w in writes if w.lease.key not in refused]
        lines = [f"{w.trial_id} {r.epoch} {r.value!r}\n" for w in taken for r in w.reports]
        _append(file, "".join(lines))
        return refused

    Ledger.record = wrapped  # type: ignore[assignment, method-assign]


def slow_endings(seconds: float) -> None:
    """Let the end of a trial take that long to reach the database."""
    record = Ledger.record

    @functools.wraps(record)
    def wrapped(self: Ledger, writes: Any) -> Any:
        writes = list(writes)
        if any(write.ending for write in writes):
            time.sleep(seconds)
        return record(self, writes)

    Ledger.record = wrapped  # type: ignore[assignment, method-assign]


def terminate_in(epoch: int, ticket: int | None = None) -> None:
    """SIGTERM as this epoch, of a ticket or of any, begins the first time; a second one would not
    be the same."""
    left = [1]

    def ask(number: int, now: int) -> None:
        if now == epoch and ticket in (None, number) and left:
            left.clear()
            os.kill(os.getpid(), signal.SIGTERM)

    _before_epoch(ask)


def freeze_in(epoch: int, ticket: int | None = None) -> None:
    """SIGSTOP as this epoch, of a ticket or of any, begins the first time, while no transaction is
    open.

    A process stopped inside a transaction would hold SQLite's lock against everyone.
    """
    gate, left = _between_transactions(), [1]

    def stop(number: int, now: int) -> None:
        if now == epoch and ticket in (None, number) and left:
            left.clear()
            with gate:
                os.kill(os.getpid(), signal.SIGSTOP)

    _before_epoch(stop)


def _between_transactions() -> AbstractContextManager[Any]:
    """A lock that any thread has while it has a connection to the database."""
    gate = threading.RLock()
    event.listen(sa.pool.Pool, "checkout", lambda *_: gate.acquire())
    event.listen(sa.pool.Pool, "checkin", lambda *_: gate.release())
    return gate


def freeze_after(verb: str) -> None:
    """SIGSTOP once a verb has been done for the first time, while no transaction is open."""
    method, gate, left = getattr(Ledger, verb), _between_transactions(), [1]

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        if left:
            left.clear()
            with gate:
                os.kill(os.getpid(), signal.SIGSTOP)
        return result

    setattr(Ledger, verb, wrapped)


def freeze_at_commit(verb: str) -> None:
    """SIGSTOP before the commit of a verb, its locks held."""
    at_points(
        lambda name: (
            os.kill(os.getpid(), signal.SIGSTOP)
            if name.startswith(f"{verb} ") and name.endswith(" COMMIT")
            else None
        )
    )


def hang_in(epoch: int) -> None:
    """Never return from C as this epoch begins: no Python code of the main thread runs again."""

    def hang(_ticket: int, now: int) -> None:
        if now == epoch:
            libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)
            libc.pthread_mutex_lock(mutex)
            libc.pthread_mutex_lock(mutex)  # by its own holder: forever, whatever signals come

    _before_epoch(hang)


# --- verbs and writes ---------------------------------------------------------------------------


class Verbs(threading.local):
    """Which verb of the ledger a thread is in."""

    name = ""
    writes: tuple[str, ...] = ()
    """Since its transaction began: what was done to which table."""


verbs = Verbs()


def _watch_verbs() -> None:
    """Keep `verbs` up to date: the outermost method of the ledger counts."""
    for name, method in inspect.getmembers(Ledger, inspect.isfunction):
        if not name.startswith("_") or name == "__init__":
            setattr(Ledger, name, _named(name, method))

    @event.listens_for(sa.engine.Engine, "begin")
    def _begin(_connection: sa.Connection) -> None:
        verbs.writes = ()


def _named(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        before, verbs.name = verbs.name, verbs.name or name
        try:
            return method(*args, **kwargs)
        finally:
            verbs.name = before

    return wrapped


def at_points(do: Callable[[str], None]) -> None:
    """Call `do` with the name of each fault point: before each write, before and after a commit.

    The moment after a write is the one before the next write, or before the commit. A write has
    the name of the verb and its own, with a number where the transaction has done the like before;
    a commit is known by the last write before it. How many writes came before is not part of it:
    that depends on how many reports a delivery has.
    """
    _watch_verbs()

    def next_is(*what: str) -> None:
        if verbs.name:
            do(" ".join((verbs.name, *what)))

    @event.listens_for(sa.engine.Engine, "before_cursor_execute")
    def _write(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        kind, *rest = statement.split()[:3]
        if kind.upper() in ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER"):
            write = f"{kind.upper()} {rest[0] if kind.upper() == 'UPDATE' else rest[-1]}"
            next_is(write, str(verbs.writes.count(write) + 1))
            verbs.writes += (write,)

    @event.listens_for(sa.engine.Engine, "commit")
    def _commit(connection: sa.Connection) -> None:
        if verbs.writes:
            next_is(verbs.writes[-1], "COMMIT")
            connection.info["point"] = verbs.writes[-1]

    @event.listens_for(sa.pool.Pool, "checkin")
    def _after(_dbapi: Any, record: Any) -> None:
        if last := record.info.pop("point", None):
            next_is(last, "done")


def note_points(path: Path) -> None:
    """Append the name of each fault point as it is reached."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    at_points(lambda name: _append(file, f"{name}\n"))


def die_at(point: str) -> None:
    """Kill the process where that fault point is reached for the first time."""
    at_points(lambda name: die() if name == point else None)


# --- the moments of a worker's work -----------------------------------------------------------


MOMENTS = {
    "claiming": ("after claim", "in begin", "after begin"),
    "training": ("during",),
    "checkpoint": ("during",),
    "reporting": ("before", "in", "after"),
    "finishing": ("before", "in"),
}
"""What a worker may be at when it dies, and where in it. It holds a lease in all of them."""


@dataclass(frozen=True)
class Doom:
    """When a worker dies."""

    moment: str
    where: str
    """In that moment: one of `MOMENTS`."""
    nth: int
    """Which of its moments of that kind."""
    delay_s: float = 0.0
    """How far into it, where it lasts."""


def doomed(doom: Doom) -> None:
    """Kill the process then."""
    left = [doom.nth]

    def due() -> bool:
        left[0] -= 1
        return left[0] == 0

    if doom.moment == "training":
        for trainer in (Solo, Stack):
            _wrap(trainer, "train", lambda _args, _result: due(), "during", doom.delay_s)
    elif doom.moment == "checkpoint":
        _wrap(Checkpoints, "save", lambda _args, _result: due(), "during", doom.delay_s)
    elif doom.where == "after claim":
        _wrap(Ledger, "claim", lambda _args, leases: bool(leases) and due(), "after")
    elif doom.moment == "claiming":
        _wrap(Ledger, "begin", lambda _args, _result: due(), doom.where.split()[0])
    else:
        ends = doom.moment == "finishing"
        _wrap(Ledger, "record", lambda args, _: _is(args[1], ends=ends) and due(), doom.where)


def _is(writes: Any, *, ends: bool) -> bool:
    """Whether they end a trial; or report an epoch, and the trial continues."""
    if any(write.ending for write in writes):
        return ends
    return not ends and any(write.reports for write in writes)


def _wrap(
    owner: type, name: str, due: Callable[[Any, Any], bool], where: str, delay_s: float = 0.0
) -> None:
    """Die before, in (at its commit), during (some time into) or after a method."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        args = tuple(list(a) if _is_iterator(a) else a for a in args)
        if where == "after":
            result = method(*args, **kwargs)
            if due(args, result):
                die()
            return result
        if not due(args, None):
            return method(*args, **kwargs)
        if where == "before":
            die()
        with _dying_at_commit() if where == "in" else _dying_soon(delay_s):
            return method(*args, **kwargs)

    setattr(owner, name, wrapped)


def _is_iterator(value: Any) -> bool:
    return hasattr(value, "__next__")


@contextmanager
def _dying_at_commit() -> Iterator[None]:
    event.listen(sa.engine.Engine, "commit", lambda _connection: die())
    yield


@contextmanager
def _dying_soon(delay_s: float) -> Iterator[None]:
    """From another thread, so that the moment continues meanwhile; at its end at the latest."""

    def wait() -> None:
        time.sleep(delay_s)
        die()

    killer = threading.Thread(target=wait, daemon=True)
    killer.start()
    try:
        yield
    finally:
        die()


# --- what workers are started by ---------------------------------------------------------------


def restart_at_once() -> None:
    """Let a worker that crashed be started again without the pause that doubles."""
    fleet._LONGEST_S = 0.0


def fail_to_start(words: str, *, spare_this: bool = False) -> None:
    """Let a worker end as it starts by an error that nobody foresaw, which quotes the database's
    URL; with `spare_this` those that this process will start, and not itself."""
    own, name = os.getpid(), socket.gethostname

    def gethostname() -> str:
        if spare_this and os.getpid() == own:
            return name()
        raise RuntimeError(f"no name: {os.environ['HPSEARCH_STORAGE']} {words}")

    socket.gethostname = gethostname


# --- the machine --------------------------------------------------------------------------------


def enter_network(name: str) -> None:
    """Go into the network namespace that `ip netns` knows by that name."""
    with Path("/run/netns", name).open() as file:
        _call("setns", file.fileno(), _CLONE_NEWNET)


def small_disk(path: Path, size: str) -> None:
    """Put a file system of that size on a folder, seen by this process only."""
    uid, gid = os.getuid(), os.getgid()
    _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _call("mount", b"none", str(path).encode(), b"tmpfs", 0, f"size={size}".encode())


def _call(name: str, *args: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
