"""A MariaDB server of the tests' own; `python -m tests.mariadb` is the one that a run shares."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgres import free_port, wait_for
from tests.shared import Tenants, quick_folder

__all__ = ["MariaDB", "need"]


def need() -> str:
    """The server's program; skips the test where it is not installed."""
    server = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    if server is None:
        pytest.skip("MariaDB is not installed: apt-get install mariadb-server")
    return server


class MariaDB:
    """One server on one port, its data below one folder."""

    def __init__(self, folder: Path) -> None:
        """Makes the data folder."""
        self._folder, self._port = folder, free_port()
        self._user = ["--user=root"] if os.getuid() == 0 else []
        subprocess.run(
            ["mariadb-install-db", f"--datadir={folder}", *self._user, "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True,
        )  # fmt: skip

    def start(self) -> str:
        """Its URL once it takes connections."""
        self._process = subprocess.Popen(
            [need(), "--no-defaults", f"--datadir={self._folder}", *self._user,
             f"--port={self._port}", "--bind-address=127.0.0.1",
             f"--socket={self._folder}/s.sock", "--max-connections=300",
             "--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return wait_for(f"mysql+pymysql://root@127.0.0.1:{self._port}/mysql")

    def stop(self) -> None:
        """As an administrator does."""
        self._process.terminate()
        self._process.wait(30)


def _serve(place: Path) -> None:
    tenants = Tenants(place)
    with quick_folder() as folder:
        server = MariaDB(folder / "data")
        tenants.open(server.start())
        tenants.wait()
        server.stop()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
