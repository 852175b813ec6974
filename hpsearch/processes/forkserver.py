"""Processes forked from one that has loaded PyTorch: it loads once, not once a process.

    ForkServer, here  -- [name, *command line], a socket -->  the server
                      <-- [name, process id, exit code] ----

The server trains nothing, opens no database and touches no GPU. Loading does start threads; the
libraries that do so prepare for a fork themselves.

What is forked is a worker here, or a child of a worker, which trains own code. Its socket is its
standard input and output. It ends when this process does, and the worker with it. A worker whose
server is lost is told to leave in the same way, and is over when it has.

Not Python's own fork server: to start a process there waits until the server has loaded, and where
that server is lost, each of its processes counts as ended while it runs on.
"""

from __future__ import annotations

import gc
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
from functools import partial
from pathlib import Path
from typing import IO, NoReturn, Protocol

from hpsearch.errors import INTERRUPTED
from hpsearch.processes import descendants
from hpsearch.processes.interpreter import python
from hpsearch.processes.process import End, Hear, Listener, Words, environment

__all__ = ["ForkServer", "Forked", "serve"]

_MOST_BYTES = 1 << 18
"""More than Linux lets a message have (net.core.wmem_default)."""

_MOST_SOCKETS = 4
"""That come with a message."""

_DEATH_S = 5.0
"""For a process that was killed to be gone: one that waits for a disk may take its time."""

_LEAVE = {signal.SIGINT, signal.SIGTERM}


class ForkServer:
    """The process that workers are forked from, as its parent sees it."""

    def __init__(self, end: socket.socket, process: _Serving, words: Listener | None) -> None:
        """
        Args:
            end: This end of the line to it.
            process: The process.
            words: What reads what it writes; None: nobody does.
        """
        self._socket, self._process, self._words = end, process, words
        self._forked: dict[str, Forked] = {}
        """By name; those that have ended are left out."""
        self._end: End | None = None

    @classmethod
    def started(cls, env: Mapping[str, str], hear: Hear | None = None) -> ForkServer:
        """One that workers are forked from. It takes seconds to load, and forks what was asked for
        meanwhile after that.

        Args:
            env: Added to this process's environment, for it and its workers.
            hear: Is told what it writes while it loads.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            popen = subprocess.Popen(
                python("hpsearch.cli.forkserver"),
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment(env),
                start_new_session=True,
            )
        assert popen.stdout is not None
        return cls(ours, popen, Words(popen.stdout, hear))

    @classmethod
    def copied(cls, work: Callable[[Sequence[int]], None], env: Mapping[str, str]) -> ForkServer:
        """One that is a copy of this process, with all that is loaded here: what it forks does
        `work`, and ends with this process. No other thread may run here yet.

        Args:
            work: What each does, given the sockets that it has beside its standard streams.
            env: Added to this process's environment, for it and what it forks.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            if (pid := os.fork()) == 0:
                _serve_only(ours, theirs, work, env)
        return cls(ours, _Copy(pid), None)

    def fork(
        self, name: str, arguments: Sequence[str] = (), hear: Hear | None = None, *,
        listen: Callable[[IO[bytes]], Listener] | None = None, more: Sequence[socket.socket] = (),
    ) -> Forked:  # fmt: skip
        """Ask for a process.

        Args:
            name: Its name.
            arguments: What follows `hpsearch` on its command line.
            hear: Is told what it writes.
            listen: Reads what it writes, in place of `Words`.
            more: Sockets that it has beside its standard streams.
        """
        ours, theirs = socket.socketpair()
        stream = ours.makefile("rb")
        words = Words(stream, hear) if listen is None else listen(stream)
        forked = self._forked[name] = Forked(self, name, ours, words)
        message = json.dumps([name, *arguments]).encode()
        with theirs, suppress(BrokenPipeError, ConnectionResetError):
            # It is heard while it does not hear us: it may be waiting for just that.
            while self.poll() is None:
                with suppress(BlockingIOError):
                    flags = socket.MSG_DONTWAIT
                    sockets = [own.fileno() for own in (theirs, *more)]
                    socket.send_fds(self._socket, [message], sockets, flags)
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
            self._socket.close()
            self._process.kill()
            code = self._process.wait()
            self._end = End(code, "" if self._words is None else self._words.last())


class _Serving(Protocol):
    """The process that a server is."""

    def kill(self) -> None:
        """End it now."""

    def wait(self) -> int:
        """Its exit code, once it has ended."""


class _Copy:
    """A process that was forked here, as `subprocess.Popen` is."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._code: int | None = None

    def kill(self) -> None:
        """End it; with its line closed it does so by itself, what it has forked first."""
        deadline = time.monotonic() + _DEATH_S
        while self._code is None and time.monotonic() < deadline:
            self._look(os.WNOHANG)
            time.sleep(0.002)
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit code."""
        if self._code is None:
            self._look(0)
        return self._code or 0

    def _look(self, options: int) -> None:
        try:
            pid, status = os.waitpid(self._pid, options)
        except ChildProcessError:
            self._code = 0
            return
        if pid:
            self._code = os.waitstatus_to_exitcode(status)


def _serve_only(
    ours: socket.socket, theirs: socket.socket, work: Callable[[Sequence[int]], None],
    env: Mapping[str, str],
) -> NoReturn:  # fmt: skip
    """Be a server, and nothing of what this process was."""
    try:
        ours.close()
        os.dup2(theirs.fileno(), 0)
        theirs.close()  # what is forked here gets another standard input, and has no part in this
        os.setsid()
        os.environ.update(env)
        descendants.adopt()
        descendants.leave_room()
        # A look for garbage in what is loaded would copy all of it, in each process anew.
        gc.freeze()
        serve(work, kills=True)
    finally:
        os._exit(0)


class Forked:
    """A process that a server has forked, such as an `hpsearch worker`."""

    def __init__(self, server: ForkServer, name: str, line: socket.socket, words: Listener) -> None:
        """`line` is its standard input and output, and `words` what reads that."""
        self.name = name
        self.pid: int | None = None
        """Its process, once the server has said so."""
        self.code: int | None = None
        """Its exit code, or minus the signal that killed it, once the server has said so."""
        self._server, self._line = server, line
        self._words = words
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

    def kill_group(self) -> None:
        """End it now and whatever it has started, without waiting for that."""
        if self.pid is not None and self.code is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._signal(signal.SIGKILL)

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


def serve(work: Callable[[Sequence[int]], None], *, kills: bool = False) -> None:
    """Fork a process for each message on standard input, until that ends; say how each ended.

    In the new process `sys.argv` is what was asked for, and `work(sockets)` is all that it does;
    `sockets` are the descriptors of those that came with the message.

    Args:
        work: What a process does.
        kills: Whether what a process has started ends with it, and all processes with the parent.
    """
    import numpy.random  # noqa: F401  # which NumPy puts off: in no new process then

    parent = socket.socket(fileno=os.dup(0))
    # It has to tell how the others left. Blocked, not ignored: what comes while a worker is not
    # ready to hear it is heard when it is.
    signal.pthread_sigmask(signal.SIG_BLOCK, _LEAVE)
    deaths, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler Python writes no byte
    names: dict[int, str] = {}
    own = os.getpid()

    def tell(name: str, pid: int | None, code: int | None) -> None:
        parent.send(json.dumps([name, pid, code]).encode())

    with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone
        while True:
            ready, _, _ = select.select([parent, deaths], [], [])
            if deaths in ready:
                deaths.recv(4096)
                _bury(names, tell, kills=kills)
            if parent in ready:
                message, lines, *_ = socket.recv_fds(parent, _MOST_BYTES, _MOST_SOCKETS)
                if not message:
                    break
                name, *arguments = json.loads(message)
                line, *more = lines
                pid: int | None
                try:
                    pid = descendants.fork(names) if kills else os.fork()
                except OSError as error:  # of that those that run are not to blame
                    os.write(line, f"hpsearch: cannot be forked: {error.strerror}\n".encode())
                    pid = None
                if pid == 0:
                    not_ours = (parent, deaths, wakeup)
                    server = own if kills else None
                    _become(line, arguments, partial(work, more), not_ours, server)
                for descriptor in lines:
                    os.close(descriptor)
                if pid is None:
                    tell(name, None, 1)
                    continue
                names[pid] = name
                tell(name, pid, None)
    if kills:
        descendants.kill(names)


def _bury(names: dict[int, str], tell: Callable[[str, int, int], None], *, kills: bool) -> None:
    """Say which of the processes by those ids have ended, and how."""
    for ended, code in descendants.reaped():
        if ended in names:  # else what one of them has left behind
            if kills:
                descendants.kill_group(ended)
            tell(names.pop(ended), ended, code)
    if kills:
        descendants.kill_orphans(names)


def _become(
    line: int, arguments: Sequence[str], work: Callable[[], None],
    not_ours: Sequence[socket.socket], server: int | None,
) -> NoReturn:  # fmt: skip
    """Be a process like one that was started with that command line; one that has to end with the
    process `server` does so even where that is killed."""
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
        if server is not None:
            descendants.end_with(server)
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
