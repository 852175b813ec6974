"""Real databases for tests: SQLite files, a PostgreSQL and a MariaDB server of this session."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests import zygote
from tests.postgres import Postgres, free_port, wait_for
from tests.shared import run_folder

BACKENDS = ("sqlite", "postgresql", "mariadb")


@pytest.fixture(scope="session", autouse=True)
def _processes_are_forked(tmp_path_factory: pytest.TempPathFactory) -> None:
    """From one zygote for all test processes, which starts when the first test needs it."""
    zygote.use(run_folder(tmp_path_factory))


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
        self._started: dict[str, tuple[Callable[[], None], str]] = {}

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
        for stop, _ in self._started.values():
            stop()

    def _postgresql(self) -> tuple[Callable[[], None], str]:
        server = Postgres(self._folder / "postgresql", "fsync=off", "max_connections=300")
        return server.stop, server.start()

    def _mariadb(self) -> tuple[Callable[[], None], str]:
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
        port = free_port()
        process = subprocess.Popen(
            [server, "--no-defaults", f"--datadir={folder}", *user, f"--port={port}",
             "--bind-address=127.0.0.1", f"--socket={folder}/s.sock", "--max-connections=300",
             "--innodb-flush-log-at-trx-commit=0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

        def stop() -> None:
            process.terminate()
            process.wait(30)

        return stop, wait_for(f"mysql+pymysql://root@127.0.0.1:{port}/mysql")
