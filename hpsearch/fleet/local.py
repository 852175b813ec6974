"""Workers on the devices of this machine: forked from one process on Linux, each started by itself
elsewhere."""

from __future__ import annotations

import logging
import platform
import shutil
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hpsearch.fleet.child import Child
from hpsearch.fleet.worker_config import DevicePlace, Process, WorkerConfig, new_name
from hpsearch.processes.forkserver import ForkServer
from hpsearch.processes.process import FailedStart

__all__ = ["Local", "check_devices", "local_devices", "spread"]

_FORKS = sys.platform == "linux"
"""Apple's libraries do not survive a fork: each worker loads PyTorch itself there."""

_log = logging.getLogger(__name__)


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


_MOST_ON_A_CPU = 4
"""Workers of a CPU where nobody says how many. Small networks hardly use a second core: two workers
on two cores are done up to twice as soon. Each takes some 200 MiB, and the more there are, the less
a sampler that learns knows when it is asked."""


def spread(
    devices: Sequence[str], workers: int | None = None, per_device: int | None = None
) -> list[DevicePlace]:
    """A seat for each worker: so many in all or on each device, the CPU cores shared out.

    Where nobody says how many there is one on each device, or, on a CPU alone, one on each core up
    to 4. Cores are those that this process may use, by its affinity and its container's limit.
    """
    count = workers or len(devices) * (per_device or _usual(devices))
    threads = max(_cores() // count, 1) if count > 1 else None
    chosen = [devices[i % len(devices)] for i in range(count)]
    return [DevicePlace(f"{i}", device, threads, f"on {device}") for i, device in enumerate(chosen)]


def _usual(devices: Sequence[str]) -> int:
    return min(_cores(), _MOST_ON_A_CPU) if list(devices) == ["cpu"] else 1


def _cores() -> int:
    from joblib import cpu_count  # takes 0.2 s to load

    return int(cpu_count())


class Local:
    """Starts workers on this machine."""

    def __init__(
        self, orders: WorkerConfig, seats: Sequence[DevicePlace], *, echo: bool = False
    ) -> None:
        """`echo` logs what the workers say, each line with the worker's name before it."""
        self._orders, self._seats, self._echo = orders, list(seats), echo
        self._server: ForkServer | None = None

    def seats(self) -> Sequence[DevicePlace]:
        """Where workers belong: it does not change."""
        return self._seats

    def warm_up(self) -> None:
        """Load PyTorch already, which takes longer than all the rest, where there are forks."""
        if _FORKS:
            self._server = self._new_server()

    def launch(self, seat: DevicePlace) -> Process:
        """Start a worker there."""
        name = new_name()
        arguments = self._orders.arguments(name, seat)
        hear = partial(_log.info, "%s | %s", name) if self._echo else None
        try:
            if not _FORKS:
                return Child(name, arguments, self._orders.env, hear)
            if self._server is None or self._server.poll() is not None:
                self._server = self._new_server()
            return self._server.fork(name, arguments, hear)
        except OSError as error:  # such as too many open files
            return FailedStart(name, f"it cannot be started: {error.strerror}")

    def _new_server(self) -> ForkServer:
        env = dict(self._orders.env)
        if (threads := self._seats[0].threads) is not None:  # all seats of a machine have as many
            env["OMP_NUM_THREADS"] = str(threads)  # OpenMP reads it when it is loaded
        return ForkServer.started(env, _log.info if self._echo else None)

    def wait(self, timeout_s: float) -> None:
        """Until a worker has ended, where that is to be heard, or so long."""
        if self._server is None:
            time.sleep(timeout_s)
        else:
            self._server.wait(timeout_s)

    def close(self) -> None:
        """End what workers are forked from."""
        if self._server is not None:
            self._server.close()
