"""Own training code in a process that is somebody else's: a function of a notebook, one trial at a
time, without a process of its own.

A worker in another thread trains by it as by children. What it asks for is trained by the thread
that calls `Here.serve`: there Ctrl-C is heard, and there a debugger looks.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hpsearch.children.child import Trial
from hpsearch.children.log import Log
from hpsearch.children.process import saved_over
from hpsearch.children.wire import HangUpError, Wire
from hpsearch.code import Manifest

__all__ = ["Guest", "Here"]

_LOOK_S = 0.2
"""Between two looks at whether there is more to train."""


class Here:
    """What a worker's trials of own training code run in, where that is this process: it stands in
    the place of `process.Nursery`."""

    def __init__(
        self, function: Callable[[Any], object], manifest: Manifest, device: str,
        evaluate: Callable[[Any, str], object] | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            function: What is called with a run.
            manifest: What the study knows it by.
            device: Where it trains, `cuda:1` for example: all devices are seen here.
            evaluate: What tests what that has trained, called with a run and a part; None: nothing.
        """
        self.manifest = manifest
        self.interrupted = threading.Event()
        """Set once Ctrl-C has come, before any line is closed: the worker is to give back what it
        holds."""
        self._function, self._evaluate, self._device = function, evaluate, device
        self._waiting: queue.SimpleQueue[Wire] = queue.SimpleQueue()
        self._over = threading.Event()

    @property
    def tests(self) -> bool:
        """Whether it can test what it has trained."""
        return self._evaluate is not None

    def child(self) -> Guest:
        """Another one to train by."""
        ours, theirs = socket.socketpair()
        self._waiting.put(Wire(theirs))
        return Guest(Wire(ours), self._over, self._device)

    def close(self) -> None:
        """Nothing more is to be trained: `serve` returns."""
        self._over.set()

    def serve(self, grace_s: float) -> None:
        """Train what a worker asks for until that is closed.

        Args:
            grace_s: For the worker to let go of a trial once Ctrl-C has come.

        Raises KeyboardInterrupt where Ctrl-C comes; the trial under way is then no failure, nor is
        one that the worker has and that has not come here yet.
        """
        try:
            while not self._over.is_set():
                with suppress(queue.Empty):
                    self._train(self._waiting.get(timeout=_LOOK_S), grace_s)
        except KeyboardInterrupt:
            self.interrupted.set()
            raise
        finally:
            self._over.set()

    def _called(self, part: str | None) -> Callable[[Any], object]:
        """What trains, or what tests on that part."""
        evaluate = self._evaluate
        if part is None or evaluate is None:
            return self._function
        return lambda run: evaluate(run, part)

    def _train(self, wire: Wire, grace_s: float) -> None:
        """Train one candidate after another, as a child does, until the worker hangs up."""
        trial = None
        try:
            while (order := wire.receive()) is not None:
                trial = Trial(wire, order["train"], self._called(order["train"]["part"]))
                trial.train()
                trial = None
        except HangUpError:
            pass
        except KeyboardInterrupt:
            self.interrupted.set()
            if trial is not None:
                trial.leave(time.monotonic() + grace_s)
            raise
        finally:
            wire.close()


class Guest:
    """A `process.Child` that is no process: it cannot be killed, and hears at its next report that
    nobody waits for it."""

    pid: int | None = None

    def __init__(self, wire: Wire, over: threading.Event, device: str) -> None:
        self.wire, self._over, self._device = wire, over, device
        self.log = Log(None, 0)

    def begin(self, order: Mapping[str, Any], folder: Path | None, number: int) -> None:
        """Train a candidate. What it prints is seen where this process prints, and not kept."""
        self.wire.send({"train": {**order, "device": self._device, "mark": ""}})

    def settle(self) -> None:
        """Nothing of what it writes is read."""

    def save(
        self, path: Path, given_up: Callable[[], bool] = lambda: False
    ) -> tuple[bool, str | None]:
        """As `process.Child.save`."""
        return saved_over(self.wire, path, given_up)

    def ended(self) -> str | None:
        """Why nobody trains any more; None while somebody does."""
        return "has been left" if self._over.is_set() else None

    def death(self) -> str:
        """How it ended."""
        return "has been left"

    def kill(self) -> None:
        """Hang up."""
        self.wire.close()

    def memory_bytes(self) -> int:
        """Nobody can tell what of this process's memory is its own."""
        return 0
