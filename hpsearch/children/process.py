"""A child as its worker sees it: a process that trains one candidate at a time."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from hpsearch.children.child import main
from hpsearch.children.log import Log, Pump
from hpsearch.children.wire import HangUpError, Wire
from hpsearch.errors import WorkerError
from hpsearch.processes.forkserver import ForkServer

if TYPE_CHECKING:
    from hpsearch.processes.forkserver import Forked

__all__ = ["FORKS", "Child", "Nursery", "saved_over", "visible"]

FORKS = sys.platform == "linux"
"""Elsewhere a copy of a process that has loaded PyTorch does not work."""

_LOOK_S = 0.25
"""Between two looks at whether a checkpoint is still wanted."""
_DEATH_S = 5.0
"""For a process whose line is closed to have ended."""


class Nursery:
    """What children are forked from: a copy of the worker as it was before it had begun anything,
    with PyTorch loaded and nothing of own code."""

    def __init__(self, device: str) -> None:
        """Make it, where no other thread runs yet, nor anything has been asked of a GPU; only where
        processes can be forked (`FORKS`)."""
        import hpsearch.children.kept  # noqa: F401  # and with it NumPy and PyTorch
        import hpsearch.children.own_threads  # noqa: F401

        self._server = ForkServer.copied(main, visible(device))
        self._numbers = itertools.count()

    def child(self) -> Child:
        """A new one. Raises WorkerError where the process that it would be forked from has ended:
        a new worker has one."""
        if (end := self._server.poll()) is not None:
            raise WorkerError(f"the process that own training code is forked from {end.how}")
        ours, theirs = socket.socketpair()
        pumps: list[Pump] = []

        def listen(stream: IO[bytes]) -> Pump:
            pumps.append(Pump(stream))
            return pumps[0]

        with theirs:
            forked = self._server.fork(
                f"{next(self._numbers)}", ["child"], listen=listen, more=[theirs]
            )
        return Child(self._server, forked, Wire(ours), pumps[0])

    def close(self) -> None:
        """End it and all children."""
        self._server.close()


def saved_over(
    wire: Wire, path: Path, given_up: Callable[[], bool]
) -> tuple[bool, str | None]:  # fmt: skip
    """Have the other end of a line write a checkpoint of the epoch that it has just reported.

    Args:
        wire: The line.
        path: Where.
        given_up: Asked a few times a second; once it says True that is waited for no longer.

    Returns: whether that worked; and the path, None where own code saves nothing, or else why it
    did not work.
    """
    try:
        wire.send({"save": str(path)})
        while (answer := wire.receive(_LOOK_S)) is None:
            if given_up():
                return False, "it did not come in time"
    except HangUpError:
        return False, "its process has ended"
    if "saved" in answer:
        return True, answer["saved"]
    return False, str(answer.get("unsaved", "its process answered with something else"))


class Child:
    """A process that trains own code."""

    def __init__(self, server: ForkServer, forked: Forked, wire: Wire, pump: Pump) -> None:
        self._server, self._forked, self._pump = server, forked, pump
        self.wire = wire
        self.log = Log(None, 0)
        """Of the trial that it has."""

    @property
    def pid(self) -> int | None:
        """Its process, once that is known."""
        self._forked.poll()
        return self._forked.pid

    def begin(self, order: Mapping[str, Any], folder: Path | None, number: int) -> None:
        """Train a candidate.

        Args:
            order: What `child.main` takes, but for the mark of its end.
            folder: Where its log is kept.
            number: What the log is called.
        """
        mark = f"\n<end of {uuid4().hex}>\n"
        self.log = Log(folder, number)
        self.log.begin_line()
        self._pump.begin(self.log, mark)
        self.wire.send({"train": {**order, "mark": mark}})

    def settle(self) -> None:
        """Read the rest of what its trial has written."""
        self._pump.settle()

    def save(
        self, path: Path, given_up: Callable[[], bool] = lambda: False
    ) -> tuple[bool, str | None]:
        """Have it write a checkpoint, as `saved_over` does."""
        return saved_over(self.wire, path, given_up)

    def ended(self) -> str | None:
        """How its process ended, in words; None while it runs."""
        end = self._forked.poll()
        return None if end is None else end.how

    def death(self) -> str:
        """How its process, which has hung up, ended. One that has not is killed."""
        deadline = time.monotonic() + _DEATH_S
        while (how := self.ended()) is None and time.monotonic() < deadline:
            self._server.wait(0.05)
        if how is None:
            self.kill()
            return "closed its line to the worker"
        return how

    def kill(self) -> None:
        """End it and what it has started, now."""
        self.wire.close()
        with contextlib.suppress(OSError):
            self._forked.kill_group()
        deadline = time.monotonic() + _DEATH_S
        while self.ended() is None and time.monotonic() < deadline:
            self._server.wait(0.05)

    def memory_bytes(self) -> int:
        """What its processes have in memory."""
        import psutil

        pid = self.pid
        if pid is None:
            return 0
        total = 0
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += one.memory_info().rss
        return total


def visible(device: str, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What lets a child see its worker's GPU as its only one."""
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return {}
    seen = [name for name in env.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    number = int(index or 0)
    return {"CUDA_VISIBLE_DEVICES": seen[number] if number < len(seen) else str(number)}
