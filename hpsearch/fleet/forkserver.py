"""Workers forked from one process that has loaded PyTorch: it loads once, not once a worker.

    ForkServer, here  --name, command line, a socket-->  `hpsearch forkserver`
                      <--process id, exit code---------

The server computes nothing, opens no database and touches no GPU, so there is nothing in it that a
fork could break. A worker's socket is its standard input and output: it ends when this process
does, and the worker with it. Where the server is lost, its workers count as lost and are told so in
the same way.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from hpsearch.errors import INTERRUPTED
from hpsearch.fleet.child import End, Hear, Words, environment

__all__ = ["ForkServer", "Forked", "serve"]

_MOST_BYTES = 1 << 17
"""Of a message; one that is longer than the socket's buffer could not be sent."""

_DEATH_S = 5.0
"""For a process that was killed to be gone: one that waits for a disk may take its time."""

_ASKING = {signal.SIGINT, signal.SIGTERM}


class ForkServer:
    """The process that workers are forked from, as its parent sees it."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        """Start it; it takes seconds to load, and forks what was asked for meanwhile after that.

        Args:
            arguments: What follows `hpsearch forkserver`.
            env: Added to this process's environment, for it and its workers.
        """
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "hpsearch", "forkserver", *arguments],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment(env),
                start_new_session=True,
            )
        assert self._popen.stdout is not None
        self._words = Words(self._popen.stdout)
        self._pids: dict[str, int] = {}
        self._codes: dict[str, int] = {}
        self._end: End | None = None

    def fork(self, name: str, arguments: Sequence[str], hear: Hear | None = None) -> Forked:
        """Ask for a worker: its name, and what follows `hpsearch` on its command line."""
        ours, theirs = socket.socketpair()
        with theirs, suppress(OSError):  # a server that is gone is what `poll` says
            message = json.dumps([name, *arguments]).encode()
            socket.send_fds(self._socket, [message], [theirs.fileno()])
        return Forked(self, name, ours, hear)

    @property
    def lost(self) -> End | None:
        """How the server itself ended; None while it runs."""
        self._read()
        return self._end

    def pid(self, name: str) -> int | None:
        """The worker's process; None: there is none yet."""
        self._read()
        return self._pids.get(name)

    def code(self, name: str) -> int | None:
        """The worker's exit code, or minus the signal that killed it; None: it has not ended."""
        self._read()
        return self._codes.get(name)

    def wait(self, timeout_s: float) -> None:
        """Until it has something to say, or so long."""
        if self._end is None:
            select.select([self._socket], [], [], timeout_s)
            self._read()
        else:
            time.sleep(timeout_s)

    def _read(self) -> None:
        """What the server has said meanwhile."""
        while self._end is None:
            try:
                message = self._socket.recv(_MOST_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                message = b""
            if not message:
                self._bury()
                return
            name, pid, code = json.loads(message)
            self._pids[name] = pid
            if code is not None:
                self._codes[name] = code

    def _bury(self) -> None:
        self._popen.kill()  # it may have closed its socket and be about to leave
        code = self._popen.wait()
        self._end = End(code, self._words.last())

    def close(self) -> None:
        """End it. Workers that still run leave as if this process had died."""
        self._popen.kill()
        self._popen.wait()
        self._socket.close()


class Forked:
    """One `hpsearch worker` that a server has forked."""

    def __init__(
        self, server: ForkServer, name: str, line: socket.socket, hear: Hear | None
    ) -> None:
        """`line` is its standard input and output."""
        self.name = name
        self._server, self._line = server, line
        self._words = Words(line.makefile("rb"), hear)
        self._end: End | None = None

    def poll(self) -> End | None:
        """How it ended; None while it runs."""
        if self._end is None:
            code, lost = self._server.code(self.name), self._server.lost
            if code is not None:
                self._end = End(code, self._words.last())
            elif lost is not None:
                self._end = lost
            if self._end is not None:
                self._hang_up()
        return self._end

    def _hang_up(self) -> None:
        """A worker that has lost its server, or has not begun, hears by it that it has to leave."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()

    def terminate(self) -> None:
        """Ask it to give back what it holds and to leave."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + _DEATH_S
        while self.poll() is None and (left_s := deadline - time.monotonic()) > 0:
            self._server.wait(left_s)

    def _signal(self, signum: signal.Signals) -> None:
        if self.poll() is not None:
            return
        pid = self._server.pid(self.name)
        if pid is None:
            self._end = End(-signum)
            self._hang_up()
        else:
            with suppress(ProcessLookupError):  # its exit code is on its way
                os.kill(pid, signum)


def serve(work: Callable[[], None]) -> None:
    """Fork a process for each message on standard input, until that ends; say how each ended.

    In the new process `sys.argv` is what was asked for, and `work()` is all that it does.
    """
    asked = socket.socket(fileno=os.dup(0))
    # Who asks all of them to leave asks this one too, and it has to tell how they left. Blocked,
    # not ignored: what comes while a worker is not ready to hear it is heard when it is.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKING)
    ended, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    names: dict[int, str] = {}

    def tell(name: str, pid: int, code: int | None) -> None:
        asked.send(json.dumps([name, pid, code]).encode())

    selector = selectors.DefaultSelector()
    for end in (asked, ended):
        selector.register(end, selectors.EVENT_READ)
    with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if ended in ready:
                ended.recv(4096)
                for pid, code in _buried(names):
                    tell(names.pop(pid), pid, code)
            if asked in ready:
                message, lines, *_ = socket.recv_fds(asked, _MOST_BYTES, 1)
                if not message:
                    return
                name, *arguments = json.loads(message)
                pid = os.fork()
                if pid == 0:
                    for mine in (asked, ended, wakes, selector):
                        mine.close()
                    _become(lines[0], arguments, work)
                os.close(lines[0])
                names[pid] = name
                tell(name, pid, None)


def _buried(names: Mapping[int, str]) -> list[tuple[int, int]]:
    """Processes that have ended since, and their exit codes."""
    found = list[tuple[int, int]]()
    while len(found) < len(names):
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            break
        found.append((pid, os.waitstatus_to_exitcode(status)))
    return found


def _become(line: int, arguments: Sequence[str], work: Callable[[], None]) -> NoReturn:
    """Be a process like one that was started with that command line."""
    code: object = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        os.setsid()
        for standard in (0, 1, 2):
            os.dup2(line, standard)
        os.close(line)
        sys.argv[1:] = arguments
        _name_process(arguments)
        _go_first()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKING)
        work()
        code = 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as left:
        code = left.code
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _name_process(arguments: Sequence[str]) -> None:
    """`ps` shows it as what it is, not as the server that it was forked from."""
    from setproctitle import setproctitle

    setproctitle(shlex.join(["hpsearch", *arguments]))


def _go_first() -> None:
    """Where memory runs out, a worker is to be killed, and not what all workers come from."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("100")
