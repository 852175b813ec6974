"""waitress, so that clients who do nothing keep nobody else out.

A connection costs a client nothing. waitress takes a hundred and then no more, idle or not,
for two minutes; its health check waits with the rest. Here the connection that has been silent
the longest makes room for the next one, and the health check has a thread of its own.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ["Server"]

_THREADS = 8
"""Requests answered at the same time: one that reads a large study takes seconds. Optuna's storage
has a session a thread, and optuna-dashboard locks its caches. A client that is slow to send or to
read takes none of them: waitress waits for it elsewhere."""

_BODY_BYTES = 1 << 20
"""The largest body of a request: notes are text. waitress would take a gigabyte."""

_CONNECTIONS = 1000
_IDLE_S = 15
"""Of a connection without a request; a page asks every ten seconds or less."""
_FRESH_S = 0.5
"""For a connection that was just made to send its request."""

# A busy page asks for more than there are threads, and then waits: that is no news.
logging.getLogger("waitress.queue").setLevel(logging.ERROR)


class _Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Threads for requests, and one more for those that must not wait for others."""

    def __init__(self, health: str) -> None:
        super().__init__()
        self._health = health
        self._apart = ThreadedTaskDispatcher()
        self._apart.set_thread_count(1)
        self.set_thread_count(_THREADS)

    def add_task(self, task: Any) -> None:
        """Answer the first request of a connection in a thread."""
        if getattr(task.requests[0], "path", "") == self._health:
            self._apart.add_task(task)
        else:
            super().add_task(task)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """End the threads."""
        self._apart.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))


class Server(TcpWSGIServer):  # type: ignore[misc]
    """One address, served until `close`; raises OSError where it cannot be bound."""

    def __init__(self, app: WSGIApplication, address: str, port: int, health: str) -> None:
        """`health` is the path that is answered however busy the others are."""
        adjusted = Adjustments(
            host=address,
            port=port,
            max_request_body_size=_BODY_BYTES,
            channel_timeout=_IDLE_S,
            cleanup_interval=2,
            asyncore_loop_timeout=0.25,
            asyncore_use_poll=True,  # select knows no more than 1,024 connections
            ident=None,
        )
        self.next_channel_cleanup = 0.0
        self.most = min(_CONNECTIONS, _descriptors() // 2)
        dispatcher, (info, *_) = _Dispatcher(health), adjusted.listen
        try:
            super().__init__(app, dispatcher=dispatcher, adj=adjusted, sockinfo=info)
        except OSError:
            dispatcher.shutdown()
            raise

    def readable(self) -> bool:
        """Whether a connection may be taken now. At the limit a tenth is closed first."""
        now = time.time()
        if now >= self.next_channel_cleanup:
            self.next_channel_cleanup = now + self.adj.cleanup_interval
            self.maintenance(now)
        if len(self.active_channels) < self.most:
            return bool(self.accepting)
        silent = [
            channel for channel in self.active_channels.values()
            if not channel.requests and now - channel.last_activity > _FRESH_S
        ]  # fmt: skip
        silent.sort(key=lambda channel: channel.last_activity)
        for channel in silent[: max(self.most // 10, 1)]:
            channel.handle_close()
        if silent:
            # Their descriptors may be polled in this round still: the next one takes connections.
            self.pull_trigger()
        return False

    def close(self) -> None:
        """Take no more connections.

        waitress would close its trigger too, by number. A thread that outlives the server pulls it
        once more, and would write into whatever file has that number by then.
        """
        wasyncore.dispatcher.close(self)


def _descriptors() -> int:
    """How many files this process may have open, after raising that as far as is of use."""
    wanted = 4 * _CONNECTIONS
    if sys.platform == "win32":  # which has no such limit
        return wanted
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
