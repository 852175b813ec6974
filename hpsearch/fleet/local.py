"""Workers as children of this process, on the devices of this machine."""

from __future__ import annotations

import logging
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from hpsearch.fleet.child import Child
from hpsearch.fleet.orders import Orders, Seat, new_name

__all__ = ["Local", "check_devices", "local_devices", "spread"]

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
on two cores are done up to twice as soon. Each takes half a GiB, and the more there are, the less a
sampler that learns knows when it is asked."""


def spread(
    devices: Sequence[str], workers: int | None = None, per_device: int | None = None
) -> list[Seat]:
    """A seat for each worker: so many in all or on each device, the CPU cores shared out.

    Where nobody says how many there is one on each device, or, on a CPU alone, one on each core up
    to 4. Cores are those that this process may use, be it by its affinity or by its container's
    limit.
    """
    count = workers or len(devices) * (per_device or _usual(devices))
    threads = max(_cores() // count, 1) if count > 1 else None
    chosen = [devices[i % len(devices)] for i in range(count)]
    return [Seat(f"{i}", device, threads, f"on {device}") for i, device in enumerate(chosen)]


def _usual(devices: Sequence[str]) -> int:
    return min(_cores(), _MOST_ON_A_CPU) if list(devices) == ["cpu"] else 1


def _cores() -> int:
    from joblib import cpu_count  # takes 0.2 s to load

    return int(cpu_count())


class Local:
    """Starts workers on this machine."""

    def __init__(self, orders: Orders, seats: Sequence[Seat], *, echo: bool = False) -> None:
        """`echo` logs what the workers say, each line with the worker's name before it."""
        self._orders, self._seats, self._echo = orders, list(seats), echo
        self._warm: dict[str, Child] = {}
        """By the seat's key: workers that load PyTorch and wait for `launch`."""

    def seats(self) -> Sequence[Seat]:
        """Where workers belong: it does not change."""
        return self._seats

    def warm_up(self) -> None:
        """Start processes already, to load PyTorch, which takes longer than all the rest.

        This process needs a core as well: with as many of them as there are cores, the first one
        would be there a second later.
        """
        early = self._seats[: max(_cores() - 1, 1)]
        self._warm = {seat.key: self._started(seat) for seat in early}

    def launch(self, seat: Seat) -> Child:
        """Start a worker there."""
        child = self._warm.pop(seat.key, None) or self._started(seat)
        child.begin()
        return child

    def _started(self, seat: Seat) -> Child:
        name = new_name()

        def hear(line: str) -> None:
            _log.info("%s | %s", name, line)

        return Child(
            name,
            self._orders.arguments(name, seat),
            self._orders.env,
            hear if self._echo else None,
        )

    def close(self) -> None:
        """Kill what was started and never launched."""
        while self._warm:
            self._warm.popitem()[1].kill()
