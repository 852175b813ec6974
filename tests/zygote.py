"""Processes in a hundredth of a second: forked from one that has loaded PyTorch, the zygote.

Each is a real process, with a pid, signals, streams and a session of its own, and the real command
line; only the imports are shared. To a test it is a `subprocess.Popen`. What differs from one that
starts anew is how it starts: what is tested of that (`python -m hpsearch`, the installed script,
flags of the interpreter, streams that are closed) starts anew.

What a test wants to happen inside it is a hook, called before the command starts.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import importlib
import inspect
import io
import os
import pickle
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import types
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tests.shared import Tenants, shared

__all__ = ["Job", "Process", "have_a_fork_server_ready", "program", "use"]

PRELOAD = [
    "pytest", "torch", "torchvision", "optuna", "optuna.importance", "psycopg",
    "pymysql", "scipy.stats", "sklearn.datasets", "joblib", "safetensors.torch", "alembic.config",
    "alembic.migration", "alembic.script", "rich.table", "rich.progress", "rich.markdown",
    "hpsearch.cli", "hpsearch.worker", "hpsearch.fleet",
    "hpsearch.tasks.classification.learning", "hpsearch.tasks.regression.learning",
    "hpsearch.insight.reader", "hpsearch.api.study", "hpsearch.api.submit",
    "hpsearch.preflight.data_check", "hpsearch.dashboard", "optuna_dashboard",
    "hpsearch.forecast.dry_runs", "hpsearch.insight.importance", "hpsearch.handover.predictor",
    "hpsearch.handover.save",
    "tests.acceptance.chaos.hooks",
]  # fmt: skip
DECLARATIONS = ("hpsearch.families", "hpsearch.sources", "hpsearch.tasks")
"""Whoever reads a study file loads each folder of these."""
_NOT_YET = ["hpsearch.cli.console"]
"""They look at the environment as they are loaded."""
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}  # fmt: skip
"""Threads started while modules are loaded would not survive a fork."""
_ROOM = {"ROOM_FOR_A_TITLE": " " * 2000}
"""A process is named in ps within the room that its first words and settings took."""
_PR_SET_PDEATHSIG = 1
_HEADER = struct.Struct("!I")
_CODE = struct.Struct("!i")


@dataclass(frozen=True)
class Job:
    """What one process is to do."""

    argv: Sequence[str]
    """What follows `hpsearch` on the command line."""
    env: Mapping[str, str] = field(default_factory=os.environ.copy)
    cwd: Path = field(default_factory=Path.cwd)
    hooks: Sequence[Callable[[], None]] = ()
    """Called in the process before the command; what can be pickled, such as a partial."""
    body: Callable[[], None] | None = None
    """Called in place of the command line."""


def program(text: str, *argv: object, env: Mapping[str, str] | None = None) -> Job:
    """What `python -c` does, but that hpsearch and PyTorch are loaded already."""
    body = functools.partial(_execute, textwrap.dedent(text))
    return Job([str(word) for word in argv], os.environ if env is None else env, body=body)


def _execute(text: str) -> None:
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(compile(text, "<string>", "exec"), main.__dict__)


# --- as tests see it --------------------------------------------------------------------------

_folder: Path | None = None


def use(folder: Path) -> None:
    """Start processes from the zygote of the run that has this folder: `shared.run_folder`."""
    global _folder
    _folder = folder


class Process(subprocess.Popen[str]):
    """One process. It ends with the test process that asked for it, however that ends."""

    def __init__(self, job: Job, **streams: Any) -> None:
        """`streams` as of `subprocess.Popen`; without `stdin` there is nothing to read."""
        self._job = job
        streams = {"text": True, "stdin": subprocess.DEVNULL, **streams}
        super().__init__(list(job.argv), **streams)

    def _execute_child(self, *arguments: Any) -> None:
        """In place of fork and exec."""
        names = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
        ends = names.bind(self, *arguments).arguments
        given = [ends[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [end if end != -1 else number for number, end in enumerate(given)]
        assert _folder is not None
        address = shared(_folder, "tests.zygote", {**_ONE_THREAD, **_ROOM})
        self._line = socket.socket(socket.AF_UNIX)
        try:
            self._line.connect(f"\0{address}")
            job = self._job
            rest = pickle.dumps((job.hooks, job.body))
            message = pickle.dumps((list(job.argv), dict(job.env), str(job.cwd), rest))
            socket.send_fds(self._line, [_HEADER.pack(len(message))], streams)
            self._line.sendall(message)
            answer = self._line.recv(_CODE.size)
        finally:
            ours = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
            self._close_pipe_fds(*(ends[name] for name in ours))  # type: ignore[attr-defined]
        if not answer:
            raise RuntimeError(f"no zygote: {(_folder / 'zygote' / 'log').read_text()}")
        (self.pid,) = _CODE.unpack(answer)
        self._child_created = True

    @property
    def sentinel(self) -> int:
        """Can be read from once it has ended."""
        return self._line.fileno()

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None:
            self._end(0)
        return self.returncode

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None and not self._end(timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def _end(self, timeout: float | None) -> bool:
        """Whether it has ended within that time; what it ended with is then known."""
        ready, _, _ = select.select([self._line], [], [], timeout)
        if ready:
            answer = self._line.recv(_CODE.size)
            self.returncode = _CODE.unpack(answer)[0] if answer else -signal.SIGKILL
            self._line.close()
        return bool(ready)


# --- the zygote -------------------------------------------------------------------------------


def _serve(place: Path) -> None:
    """Fork a process for each request, say how it ends; until nobody is left to ask."""
    tenants, listener = Tenants(place), socket.socket(socket.AF_UNIX)
    address = f"hpsearch-tests-{uuid.uuid4().hex}"
    listener.bind(f"\0{address}")
    listener.listen(128)
    tenants.open(address)  # who asks meanwhile waits
    for module in PRELOAD:
        importlib.import_module(module)
    for package in DECLARATIONS:
        for entry in pkgutil.iter_modules(importlib.import_module(package).__path__):
            if entry.ispkg:
                importlib.import_module(f"{package}.{entry.name}")
    assert not set(_NOT_YET) & set(sys.modules)
    assert threading.active_count() == 1
    from setproctitle import setproctitle

    setproctitle("hpsearch tests: zygote")
    gc.collect()
    gc.freeze()
    deaths, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    lines: dict[socket.socket, int] = {}
    told: set[socket.socket] = set()
    while True:
        ready, _, _ = select.select([listener, deaths, *lines], [], [], 1.0)
        if deaths in ready:
            deaths.recv(4096)
            _tell(lines, told)
        for line in lines.keys() & set(ready):  # who asked knows how it has ended, or has gone
            os.kill(lines[line], signal.SIGKILL)
            os.waitpid(lines.pop(line), 0)
            told.discard(line)
            line.close()
        if listener in ready:
            line, _ = listener.accept()
            lines[line] = _fork(line, [listener, deaths, wakeup, *lines])
        if not ready and not lines and tenants.gone():
            return


def _tell(lines: Mapping[socket.socket, int], told: set[socket.socket]) -> None:
    """Say how processes have ended. They stay in the list of processes until it is heard, as a
    child does until its parent has waited for it."""
    for line, pid in lines.items():
        if line not in told:
            end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if end is not None:
                code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
                told.add(line)
                with suppress(OSError):
                    line.send(_CODE.pack(code))


def _fork(line: socket.socket, not_its: Sequence[socket.socket]) -> int:
    header, streams, *_ = socket.recv_fds(line, _HEADER.size, 3)
    with line.makefile("rb", buffering=-1) as file:
        message = file.read(_HEADER.unpack(header)[0])
    heeded = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
    pid = os.fork()
    if pid == 0:
        for theirs in (*not_its, line):
            theirs.close()
        _live(functools.partial(_work, message), streams)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
    for stream in streams:
        os.close(stream)
    line.send(_CODE.pack(pid))
    return pid


def _live(work: Callable[[], None], streams: Sequence[int]) -> NoReturn:
    """Be a process like one that has just started, and end as one."""
    number = 1
    try:
        # The zygote ends with the tests, however they end; so do its children.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setsid()
        for standard, stream in enumerate(streams):
            os.dup2(stream, standard)
        for stream in streams:
            os.close(stream)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        work()
        number = 0
    except SystemExit as left:
        if left.code is not None and not isinstance(left.code, int):
            print(left.code, file=sys.stderr)
        number = left.code if isinstance(left.code, int) else int(left.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        number = -signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _end(number)


def _end(number: int) -> NoReturn:
    """As Python ends, but for taking apart what was loaded."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stderr.flush()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        number = 120
    if number < 0:
        signal.signal(-number, signal.SIG_DFL)
        os.kill(os.getpid(), -number)
    os._exit(number & 0xFF)


def _work(message: bytes) -> None:
    argv, env, cwd, rest = pickle.loads(message)
    os.chdir(cwd)
    _take_on(env)
    hooks, body = pickle.loads(rest)
    sys.path[0] = cwd
    for hook in hooks:
        hook()
    if body is not None:
        sys.argv = ["-c", *argv]
        body()
        return
    if argv[:1] in (["run"], ["fleet"]):
        have_a_fork_server_ready()
    from setproctitle import setproctitle

    from hpsearch import __main__ as command

    setproctitle(" ".join([sys.executable, "-m", "hpsearch", *argv]))
    sys.argv = [str(command.__file__), *argv]
    command.main()


def _take_on(env: Mapping[str, str]) -> None:
    """Settings, and what Python makes of them as it starts."""
    import numpy as np

    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    np.random.seed()
    unbuffered = bool(env.get("PYTHONUNBUFFERED"))
    for stream, by_lines in ((sys.stdout, sys.stdout.isatty()), (sys.stderr, True)):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(line_buffering=by_lines, write_through=unbuffered)


def have_a_fork_server_ready() -> None:
    """Fork the process that workers will be forked from, which would load PyTorch for seconds. A
    second one, where that is lost, loads for itself."""
    from hpsearch.processes import forkserver

    ours, theirs = socket.socketpair()
    if (pid := os.fork()) == 0:
        ours.close()
        message, streams, *_ = socket.recv_fds(theirs, _HEADER.size, 3)
        if not message:
            os._exit(0)  # there was no need of it
        _live(functools.partial(_be_a_fork_server, theirs, message), streams)
    theirs.close()

    class Ready(subprocess.Popen[bytes]):
        """It takes its place."""

        def _execute_child(self, *arguments: Any) -> None:
            forkserver.subprocess = subprocess  # type: ignore[attr-defined]
            names = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]
            ends = names.bind(self, *arguments).arguments
            streams = [ends[name] for name in ("p2cread", "c2pwrite", "errwrite")]
            env = pickle.dumps(dict(ends["env"]))
            with ours:
                socket.send_fds(ours, [_HEADER.pack(len(env))], streams)
                ours.sendall(env)
            self.pid, self._child_created = pid, True
            theirs = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
            self._close_pipe_fds(*(ends[name] for name in theirs))  # type: ignore[attr-defined]

    forkserver.subprocess = types.SimpleNamespace(  # type: ignore[attr-defined,assignment]
        Popen=Ready, PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT
    )


def _be_a_fork_server(line: socket.socket, header: bytes) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0)  # it ends at the end of its line, as ever
    with line, line.makefile("rb") as file:
        env = pickle.loads(file.read(_HEADER.unpack(header)[0]))
    _take_on(env)
    from hpsearch.cli import forkserver

    sys.argv = [str(forkserver.__file__)]
    forkserver.main()


if __name__ == "__main__":
    # Not this module, whose name is `__main__`: what is pickled names the other one.
    importlib.import_module("tests.zygote")._serve(Path(sys.argv[1]))
