"""Services that all test processes of a run share: the first that asks starts one, and it ends when
the last has left, however they leave.

Each process that uses a service holds a shared lock on a file, which the kernel releases when the
process ends. The service tries to lock the file for itself alone, and ends once it can.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from filelock import FileLock

__all__ = ["Tenants", "quick_folder", "run_folder", "shared"]

ROOT = Path(__file__).parents[1]

_started: dict[str, tuple[str, object]] = {}
"""What this process uses, by its module and folder: the address, and the lock that it holds."""


def run_folder(factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of this run have in common, and no other run."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A folder in memory where there is room: what lies in it is not missed after the run."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 4 << 30
    with TemporaryDirectory(prefix="hpsearch-tests-", dir=memory if roomy else None) as folder:
        yield Path(folder)


def shared(folder: Path, module: str, env: Mapping[str, str] = {}) -> str:
    """The address of the service `python -m MODULE FOLDER`, which is started where nobody has.

    Args:
        folder: `run_folder`.
        module: Of the tests; what it runs calls `Tenants(folder).open(address)`.
        env: Added to its environment.
    """
    place = folder / module.rpartition(".")[2]
    if str(place) not in _started:
        place.mkdir(exist_ok=True)
        with FileLock(place / "start.lock"):
            tenant = (place / "tenants").open("a")
            fcntl.flock(tenant, fcntl.LOCK_SH)  # of one that is about to end it waits for the end
            _started[str(place)] = (_address(place, module, env), tenant)
    return _started[str(place)][0]


def _address(place: Path, module: str, env: Mapping[str, str], timeout_s: float = 120) -> str:
    address, log = place / "address", place / "log"
    if address.exists():
        return address.read_text()
    with log.open("ab") as output:
        service = subprocess.Popen(
            [sys.executable, "-m", module, place], cwd=ROOT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    deadline = time.monotonic() + timeout_s
    while not address.exists():
        if service.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{module} did not start: {log.read_text()}")
        time.sleep(0.02)
    service.returncode = 0  # it outlives this process by a moment: nobody waits for it
    return address.read_text()


class Tenants:
    """Who uses a service, as the service sees it."""

    def __init__(self, place: Path) -> None:
        self._address, self._file = place / "address", (place / "tenants").open("a")

    def open(self, address: str) -> None:
        """Let them in."""
        beside = self._address.with_suffix(".new")
        beside.write_text(address)
        beside.rename(self._address)

    def gone(self) -> bool:
        """Whether all have left; the next then waits until this process has ended."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._address.unlink()
        return True

    def wait(self) -> None:
        """Until all have left."""
        while not self.gone():
            time.sleep(0.2)
