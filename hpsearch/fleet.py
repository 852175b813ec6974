"""Start workers on this machine: one process per device, and see them end."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = ["Exit", "Fleet", "check_devices", "local_devices", "new_name", "spread"]


@dataclass(frozen=True)
class Exit:
    """A worker process that has ended."""

    name: str
    code: int
    """Its exit code; minus the signal that killed it."""
    said: str
    """Its error message, or the last line it wrote."""


@dataclass(frozen=True)
class _Process:
    name: str
    popen: subprocess.Popen[bytes]
    log: Path
    stderr: IO[bytes]


def new_name() -> str:
    """A name that no other worker has: host, the process that started it, a few random letters."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"


def local_devices() -> list[str]:
    """The devices of this machine: every CUDA device, else mps, else cpu.

    PyTorch, which takes seconds to load, is asked only where there may be an accelerator.
    """
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    if not apple and shutil.which("nvidia-smi") is None and not Path("/dev/nvidiactl").exists():
        return ["cpu"]
    from hpsearch.training import devices

    return devices.local()


def check_devices(names: Sequence[str]) -> None:
    """Raise HpsearchError where this machine has no device of that name."""
    if any(name != "cpu" for name in names):
        from hpsearch.training import devices

        for name in names:
            devices.device(name)


def spread(devices: Sequence[str], workers: int | None) -> list[tuple[str, int | None]]:
    """(device, CPU threads) of each worker: the devices in turn, the cores shared out."""
    count = workers or len(devices)
    threads = max((os.cpu_count() or 1) // count, 1) if count > 1 else None
    return [(devices[i % len(devices)], threads) for i in range(count)]


class Fleet:
    """Worker processes of one study on this machine."""

    def __init__(
        self, url: str, studies: Sequence[str], checkpoints: str | None, lease_s: float
    ) -> None:
        self._url, self._studies = url, studies
        self._checkpoints, self._lease_s = checkpoints, lease_s
        self._processes: list[_Process] = []
        self._logs = Path(tempfile.mkdtemp(prefix="hpsearch-"))

    def start(self, workers: Sequence[tuple[str, int | None]]) -> None:
        """Start a worker for each (device, threads)."""
        for index, (device, threads) in enumerate(workers):
            self._processes.append(self._start(index, device, threads))

    def _start(self, index: int, device: str, threads: int | None) -> _Process:
        name = new_name()
        command = [sys.executable, "-m", "hpsearch", "worker", *self._studies, "--until-done"]
        command += ["--device", device, "--name", name, "--lease-s", str(self._lease_s)]
        if threads is not None:
            command += ["--threads", str(threads)]
        if self._checkpoints is not None:
            command += ["--checkpoints", self._checkpoints]
        # The URL may carry a password: the environment is not shown to other users, the command
        # line is.
        env = {**os.environ, "HPSEARCH_STORAGE": self._url, "HPSEARCH_PARENT_PIPE": "1"}
        log = self._logs / f"worker-{index}.log"
        stderr = log.open("wb")
        popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # ends when this process does, and the worker with it
            stdout=stderr,
            stderr=stderr,
            env=env,
            # Ctrl-C reaches the whole foreground group; the fleet passes it on itself.
            start_new_session=True,
        )
        return _Process(name, popen, log, stderr)

    @property
    def alive(self) -> int:
        """Number of workers that run."""
        return len(self._processes)

    def ended(self) -> list[Exit]:
        """Workers that have ended since the last call."""
        gone = [p for p in self._processes if p.popen.poll() is not None]
        self._processes = [p for p in self._processes if p not in gone]
        return [_exit(p) for p in gone]

    def stop(self, grace_s: float = 8.0) -> list[Exit]:
        """Ask all workers to give back what they hold and leave; kill those that do not.

        A KeyboardInterrupt meanwhile kills them at once.
        """
        for process in self._processes:
            process.popen.terminate()
        deadline = time.monotonic() + grace_s
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            for process in self._processes:
                process.popen.wait(max(deadline - time.monotonic(), 0.1))
        for process in self._processes:
            process.popen.kill()  # does nothing to one that has ended
            process.popen.wait()
        return self.ended()

    def clear(self) -> None:
        """Remove the workers' logs."""
        shutil.rmtree(self._logs, ignore_errors=True)


def _exit(process: _Process) -> Exit:
    process.stderr.close()
    if process.popen.stdin is not None:
        process.popen.stdin.close()
    text = process.log.read_text(errors="replace").strip()
    _, found, message = text.rpartition("hpsearch: ")
    said = message if found else text.rpartition("\n")[2]
    return Exit(process.name, process.popen.returncode, said)
