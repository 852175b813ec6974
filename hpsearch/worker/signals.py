"""How a worker is asked to leave, and that it does leave."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from hpsearch.errors import INTERRUPTED

__all__ = ["stop_on_signals"]

_MARGIN_S = 2.0
"""Of the grace, for giving back what a worker holds that does not come to an end by itself."""

_HASTE_S = 0.5
"""For giving back after a second signal."""

_log = logging.getLogger(__name__)


def stop_on_signals(stop: threading.Event, grace_s: float, give_back: Callable[[], None]) -> None:
    """SIGTERM or SIGINT once: set `stop`; twice: leave within half a second. For the main thread.

    If the process is still there when most of `grace_s` has passed, `give_back` is called in its
    place and the process ends. The same where the parent that started it has died.
    """
    # Python runs handlers in the main thread between two of its instructions, which may be long
    # in coming while a library computes. The byte in the pipe comes at once, to another thread.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, _heed)
    leaving = _Leaving(stop, grace_s, give_back)
    _start(_watch_signals, reader, writer, leaving)
    if os.environ.get("HPSEARCH_PARENT_PIPE"):
        _start(_watch_parent, leaving)


def _heed(_signum: int, _frame: Any) -> None:
    """The byte in the pipe says it all; without a handler the signal would end the process."""


def _start(target: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=target, args=args, daemon=True).start()


def _watch_signals(reader: socket.socket, _writer: socket.socket, leaving: _Leaving) -> None:
    while received := reader.recv(1):  # the writer is held here, or it would be closed
        if received[0] in (signal.SIGTERM, signal.SIGINT):
            leaving.ask(received[0])


def _watch_parent(leaving: _Leaving) -> None:
    # Standard input is a line that only the parent holds: it ends when the parent dies, however.
    # Not through sys.stdin: Python aborts at exit where a thread holds that object's lock.
    with contextlib.suppress(ConnectionResetError):  # it died before it had read all of ours
        while os.read(0, 1024):
            pass
    leaving.ask(None)


class _Leaving:
    """What happens between the wish that the worker leaves and the end of its process."""

    def __init__(
        self, stop: threading.Event, grace_s: float, give_back: Callable[[], None]
    ) -> None:
        self._stop, self._grace_s, self._give_back = stop, grace_s, give_back

    def ask(self, signum: int | None) -> None:
        """Ask the worker to leave; a second signal does not ask."""
        if self._stop.is_set():
            if signum is not None:
                # What is lost counts against its trial, and this worker leaves of its own accord.
                _start(self._give_back)
                time.sleep(_HASTE_S)
                os._exit(128 + signum)
            return
        self._stop.set()
        _start(self._insist)

    def _insist(self) -> None:
        margin_s = min(_MARGIN_S, self._grace_s / 2)
        time.sleep(self._grace_s - margin_s)
        _log.warning("not done within the grace: giving back what is held, and leaving")
        _start(self._give_back)
        time.sleep(margin_s * 0.7)
        os._exit(INTERRUPTED)
