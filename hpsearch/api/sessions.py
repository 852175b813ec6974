"""Workers at one study, followed in the foreground or by a thread behind.

Nothing of it outlives the interpreter. Workers are forked from a process that ends with its line
to this one, and they end with it, even where this process is killed; at an orderly exit they are
asked to leave before.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hpsearch.api.running import POLL_S, Listener, Workers, follow, outcome
from hpsearch.errors import HpsearchError, line
from hpsearch.processes.process import End

if TYPE_CHECKING:
    from hpsearch.children.here import Here
    from hpsearch.fleet import News
    from hpsearch.insight.reader import Reader
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.worker import Options

__all__ = ["InProcess", "Quiet", "Session"]

_MARGIN_S = 3.0
"""Beyond the workers' grace, for what is left of them to be gone."""


class Quiet:
    """A listener that says nothing."""

    def note(self, text: str) -> None:
        """Nobody hears it."""

    def update(self, snapshot: Snapshot) -> None:
        """Nobody sees it."""


class InProcess:
    """A worker in a thread of this process, as the `Workers` of a study."""

    failure: End | None = None

    def __init__(self, options: Options, here: Here) -> None:
        """Starts nothing yet: `tend` does."""
        self._options, self.here = options, here
        self._thread = threading.Thread(target=self._serve, name="hpsearch worker", daemon=True)
        self._began = False

    def _serve(self) -> None:
        from hpsearch.worker import serve_here

        try:
            serve_here(self._options, self.here)
        except HpsearchError as error:
            self.failure = End(error.exit_code, str(error))
        except BaseException as error:
            self.failure = End(1, f"{type(error).__name__}: {line(error)}")
            raise
        finally:
            self.here.close()

    @property
    def running(self) -> int:
        """Whether it runs."""
        return int(self._thread.is_alive())

    @property
    def over(self) -> bool:
        """Whether it has run."""
        return self._began and not self._thread.is_alive()

    def tend(self) -> Sequence[News]:
        """Start it."""
        if not self._began:
            self._began = True
            self._thread.start()
        return []

    def wait(self, timeout_s: float) -> None:
        """Until it has ended, or so long."""
        if self._began:
            self._thread.join(timeout_s)

    def stop(self, grace_s: float) -> None:
        """Have it give back what it holds."""
        self.here.interrupted.set()
        if self._began:
            self._thread.join(grace_s)
        self.here.close()


class Session:
    """One call of `run`: from the start of its workers to their end."""

    def __init__(
        self, workers: Workers, reader: Reader, grace_s: float, close: Callable[[], None],
        here: Here | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            workers: What trains the study.
            reader: Reads it.
            grace_s: For workers to leave in order.
            close: Lets go of what they were started from.
            here: What trains in this process, where that is done.
        """
        self._workers, self._reader, self._grace_s = workers, reader, grace_s
        self._close, self._here = close, here
        self._leave, self._done = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self.is_heard = False
        """Whether somebody has been given what it came to."""
        self._process = os.getpid()

    @property
    def is_over(self) -> bool:
        """Whether its workers have left."""
        return self._done.is_set()

    def run(self, listener: Listener) -> Snapshot:
        """Until the study's workers have left; the study as they leave it.

        Raises what stands in their way. KeyboardInterrupt sends them away first: trials go back to
        their last checkpoint.
        """
        if self._here is None:
            self._attend(listener)
            return self._result()
        try:
            self._started(self._attend, listener)
            self._here.serve(self._grace_s)
        except BaseException:  # Ctrl-C, at whatever moment
            self.end()
            raise
        self._done.wait()
        return self._result()

    def start(self) -> None:
        """The same in threads, while this one continues."""
        _SESSIONS.add(self)
        self._started(self._attend, Quiet())
        if self._here is not None:
            self._started(self._here.serve, self._grace_s)

    def watch(self, listener: Listener, reader: Reader) -> Snapshot:
        """Follow it from another thread until its workers have left; what `run` gives and raises.

        KeyboardInterrupt leaves it running.
        """
        while not self._done.wait(POLL_S):
            listener.update(reader.snapshot())
        return self._result()

    def end(self) -> None:
        """Send its workers away, and wait for that."""
        self.ask_to_end()
        self._done.wait(self._grace_s + _MARGIN_S)

    def ask_to_end(self) -> None:
        """Send its workers away."""
        self._leave.set()
        if self._here is not None:
            self._here.interrupted.set()

    @property
    def is_ours(self) -> bool:
        """Whether this process has started it, and is no copy of that."""
        return self._process == os.getpid()

    def _attend(self, listener: Listener) -> None:
        try:
            with ExitStack() as stack:
                stack.callback(self._close)  # also where Ctrl-C comes twice
                stack.callback(self._workers.stop, self._grace_s)
                snapshot = follow(self._workers, self._reader, listener, leave=self._leave)
                if not self._leave.is_set():
                    outcome(snapshot, self._workers)
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def _result(self) -> Snapshot:
        self.is_heard = True
        if self._error is not None:
            raise self._error
        snapshot = self._reader.snapshot()
        self._reader.tidy(snapshot)
        return self._reader.located(snapshot)

    @staticmethod
    def _started(target: Callable[..., None], *args: object) -> None:
        threading.Thread(target=target, args=args, name="hpsearch", daemon=True).start()


_SESSIONS: weakref.WeakSet[Session] = weakref.WeakSet()
"""Those behind."""


def _end_all() -> None:
    """At the end of the interpreter, when no thread can be started any more."""
    sessions = [session for session in _SESSIONS if session.is_ours and not session.is_over]
    for session in sessions:
        session.ask_to_end()
    for session in sessions:
        session.end()


atexit.register(_end_all)
