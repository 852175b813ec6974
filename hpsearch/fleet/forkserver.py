"""Workers forked from one process that has loaded PyTorch: it loads once, not once a worker.

    ForkServer, here  -- [name, *command line], a socket -->  the server
                      <-- [name, process id, exit code] ----

The server trains nothing, opens no database and touches no GPU. Loading does start threads; the
libraries that do so prepare for a fork themselves.

A worker's socket is its standard input and output. It ends when this process does, and the worker
with it. A worker whose server is lost is told to leave in the same way, and is over when it has.

Not Python's own fork server: to start a process there waits until the server has loaded, and where
that server is lost, each of its processes counts as ended while it runs on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from hpsearch.errors import INTERRUPTED
from hpsearch.fleet.process import End, Hear, Words, environment
from hpsearch.interpreter import python

__all__ = ["ForkServer", "Forked", "serve"]

_MOST_BYTES = 1 << 18
"""More than Linux lets a message have (net.core.wmem_default)."""

_DEATH_S = 5.0
"""For a process that was killed to be gone: one that waits for a disk may take its time."""

_LEAVE = {signal.SIGINT, signal.SIGTERM}


class ForkServer:
    """The process that workers are forked from, as its parent sees it."""

    def __init__(self, env: Mapping[str, str], hear: Hear | None = None) -> None:
        """Start it; it takes seconds to load, and forks what was asked for meanwhile after that.

        Args:
            env: Added to this process's environment, for it and its workers.
            hear: Is told what it writes while it loads.
        """
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._popen = subprocess.Popen(
                python("hpsearch.cli.forkserver"),
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment(env),
                start_new_session=True,
            )
        assert self._popen.stdout is not None
        self._words = Words(self._popen.stdout, hear)
        self._forked: dict[str, Forked] = {}
        """By name; those that have ended are left out."""
        self._end: End | None = None

    def fork(self, name: str, arguments: Sequence[str], hear: Hear | None = None) -> Forked:
        """Ask for a worker: its name, and what follows `hpsearch` on its command line."""
        ours, theirs = socket.socketpair()
        forked = self._forked[name] = Forked(self, name, ours, hear)
        message = json.dumps([name, *arguments]).encode()
        with theirs, suppress(BrokenPipeError, ConnectionResetError):
            # It is heard while it does not hear us: it may be waiting for just that.
            while self.poll() is None:
                with suppress(BlockingIOError):
                    flags = socket.MSG_DONTWAIT
                    socket.send_fds(self._socket, [message], [theirs.fileno()], flags)
                    break
                select.select([self._socket], [self._socket], [])
        return forked

    def poll(self) -> End | None:
        """Hear what it has said; how the server itself ended, None while it runs."""
        while self._end is None:
            try:
                message = self._socket.recv(_MOST_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except ConnectionResetError:
                continue  # it has left requests unread; what it had said comes after this
            if not message:
                self.close()
                break
            name, pid, code = json.loads(message)
            forked = self._forked[name]
            forked.pid, forked.code = pid, code
            if code is not None:
                del self._forked[name]
        return self._end

    def wait(self, timeout_s: float) -> None:
        """Until it has something to say, or so long."""
        if self._end is None:
            select.select([self._socket], [], [], timeout_s)
            self.poll()
        else:
            time.sleep(timeout_s)

    def close(self) -> None:
        """End it. Workers that still run are told to leave when they are next looked at."""
        if self._end is None:
            self._popen.kill()
            self._end = End(self._popen.wait(), self._words.last())
            self._socket.close()


class Forked:
    """One `hpsearch worker` that a server has forked."""

    def __init__(
        self, server: ForkServer, name: str, line: socket.socket, hear: Hear | None
    ) -> None:
        """`line` is its standard input and output."""
        self.name = name
        self.pid: int | None = None
        """Its process, once the server has said so."""
        self.code: int | None = None
        """Its exit code, or minus the signal that killed it, once the server has said so."""
        self._server, self._line = server, line
        self._words = Words(line.makefile("rb"), hear)
        self._end: End | None = None

    def poll(self) -> End | None:
        """How it ended; None while it runs."""
        if self._end is None:
            lost = self._server.poll()
            if self.code is not None:
                self._end = End(self.code, self._words.last())
            elif lost is not None:
                self._hang_up()
                if self._words.over:  # nobody tells its exit code, but it has closed its end
                    self._end = End(None, f"the process that it is forked from {lost.how}")
                    self._reap()
            if self._end is not None:
                self._line.close()
        return self._end

    def _reap(self) -> None:
        """Where this process is the first of a container, it inherits who has lost a parent."""
        if self.pid is not None:
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)

    def _hang_up(self) -> None:
        """It hears by this that it has to leave."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)

    def terminate(self) -> None:
        """Ask it to give back what it holds and to leave."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now. A server that does not say within 5 s that it has ended is ended too."""
        self._signal(signal.SIGKILL)
        deadline = time.monotonic() + _DEATH_S
        while self.poll() is None and (left_s := deadline - time.monotonic()) > 0:
            self._server.wait(min(left_s, 0.1))
        if self.poll() is None:
            self._server.close()

    def _signal(self, signum: signal.Signals) -> None:
        if self.poll() is not None:
            return
        if self.pid is None:  # whatever is forked for it finds that it has to leave
            self._end = End(-signum)
            self._hang_up()
            self._line.close()
        else:
            # The server may have buried it a moment ago; its code is on its way.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)


def serve(work: Callable[[], None]) -> None:
    """Fork a process for each message on standard input, until that ends; say how each ended.

    In the new process `sys.argv` is what was asked for, and `work()` is all that it does.
    """
    parent = socket.socket(fileno=os.dup(0))
    # It has to tell how the others left. Blocked, not ignored: what comes while a worker is not
    # ready to hear it is heard when it is.
    signal.pthread_sigmask(signal.SIG_BLOCK, _LEAVE)
    deaths, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler Python writes no byte
    names: dict[int, str] = {}

    def tell(name: str, pid: int | None, code: int | None) -> None:
        parent.send(json.dumps([name, pid, code]).encode())

    with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone
        while True:
            ready, _, _ = select.select([parent, deaths], [], [])
            if deaths in ready:
                deaths.recv(4096)
                for pid, code in _reaped(names):
                    tell(names.pop(pid), pid, code)
            if parent in ready:
                message, lines, *_ = socket.recv_fds(parent, _MOST_BYTES, 1)
                if not message:
                    return
                name, *arguments = json.loads(message)
                (line,) = lines
                try:
                    pid = os.fork()
                except OSError as error:  # of that those that run are not to blame
                    os.write(line, f"hpsearch: cannot be forked: {error.strerror}\n".encode())
                    os.close(line)
                    tell(name, None, 1)
                    continue
                if pid == 0:
                    _become(line, arguments, work, (parent, deaths, wakeup))
                os.close(line)
                names[pid] = name
                tell(name, pid, None)


def _reaped(names: Mapping[int, str]) -> list[tuple[int, int]]:
    """Processes that have ended since, and their exit codes."""
    found = list[tuple[int, int]]()
    while len(found) < len(names):
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            break
        found.append((pid, os.waitstatus_to_exitcode(status)))
    return found


def _become(
    line: int, arguments: Sequence[str], work: Callable[[], None], not_ours: Sequence[socket.socket]
) -> NoReturn:
    """Be a process like one that was started with that command line."""
    code: object = 1
    try:
        import numpy as np
        from setproctitle import setproctitle

        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        for theirs in not_ours:
            theirs.close()
        os.setsid()
        for standard in (0, 1, 2):
            os.dup2(line, standard)
        os.close(line)
        sys.argv[1:] = arguments
        np.random.seed()  # as in any new process: NumPy's global generator is forked too
        setproctitle(" ".join(["hpsearch", *arguments]))  # not what `ps` shows of the server
        _go_first()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _LEAVE)
        work()
        code = 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as left:
        code = left.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
        finally:
            # Not sys.exit: below are the server's own frames, and what it has left for its end.
            os._exit(code if isinstance(code, int) else int(code is not None))


def _go_first() -> None:
    """Where memory runs out, a worker is to be killed, and not what all workers come from."""
    with suppress(OSError):
        file = Path("/proc/self/oom_score_adj")
        inherited = int(file.read_text(encoding="ascii"))
        file.write_text(f"{min(inherited + 100, 1000)}", encoding="ascii")
