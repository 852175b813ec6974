"""The processes below one, on Linux: that they end with it, and that none of them gets away.

A process that has adopted what its descendants leave behind is the parent of each that has lost its
own, in whatever session or group that has put itself.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Collection, Container
from contextlib import suppress
from pathlib import Path

__all__ = [
    "ROOM", "adopt", "end_with", "fork", "kill", "kill_group", "kill_orphans", "leave_room",
    "reaped",
]  # fmt: skip

_PDEATHSIG, _SUBREAPER = 1, 36
"""Of prctl(2), which Python has no names for."""

_ROOM_S = 2.0
"""For others to have ended, where no process can be started."""
_DEATH_S = 5.0
"""For processes that were killed to be gone."""

ROOM = 1024 + 256 * (os.cpu_count() or 1)
"""Processes and threads that may be started below: own code that starts them without end fails for
want of more, while others can still start theirs."""


def end_with(parent: int) -> None:
    """Have this process, a new one, end with its parent, even where that is killed."""
    ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before that
        os._exit(1)


def adopt() -> None:
    """Be the parent, from now on, of what descendants leave behind."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1)


def leave_room() -> None:
    """Let the user of this process have so many more processes and threads than now: a limit for
    this process and those below it, which the system applies to any user but root."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    most = _tasks() + ROOM
    if soft == resource.RLIM_INFINITY or soft > most:
        resource.setrlimit(resource.RLIMIT_NPROC, (most, hard))


def _tasks() -> int:
    """Processes and threads of this user."""
    own, count = os.geteuid(), 0
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdecimal() and process.stat().st_uid == own:
                count += len(os.listdir(process / "task"))  # noqa: PTH208 - only how many
    return count


def fork(known: Container[int]) -> int:
    """`os.fork`; where no process can be started, again for a while: those of own code may have
    taken all room, and be about to end.

    Args:
        known: Children that are to live on meanwhile; others are killed.
    """
    deadline = time.monotonic() + _ROOM_S
    while True:
        try:
            return os.fork()
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            kill_orphans(known)
            time.sleep(0.02)


def reaped() -> list[tuple[int, int]]:
    """Children of this process that have ended since, and their exit codes, or minus the signals
    that killed them."""
    ends = list[tuple[int, int]]()
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            ends.append((ended[0], os.waitstatus_to_exitcode(ended[1])))
    return ends


def kill_group(pid: int) -> None:
    """Kill a process that leads a group, and what it has started in that."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_orphans(known: Container[int]) -> None:
    """Kill the children of this process that are not among those known: what others have left
    behind. What those leave in turn is a child of this process when they have ended."""
    for pid in _children():
        if pid not in known:
            kill_group(pid)
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def kill(children: Collection[int]) -> None:
    """Kill these children of this process with their groups, and whatever they leave behind, until
    there is nothing."""
    for pid in children:
        kill_group(pid)
    deadline = time.monotonic() + _DEATH_S
    with suppress(ChildProcessError):  # there is none left
        while time.monotonic() < deadline:
            kill_orphans(())
            if os.waitpid(-1, os.WNOHANG)[0] == 0:  # one may wait for a disk
                time.sleep(0.002)


def _children() -> list[int]:
    """The children of this process, which has one thread."""
    own = os.getpid()
    try:
        text = Path(f"/proc/self/task/{own}/children").read_text(encoding="utf-8")
    except OSError:  # a kernel without that file
        import psutil

        return [child.pid for child in psutil.Process().children()]
    return list(map(int, text.split()))
