"""Real databases for tests: SQLite files, a PostgreSQL and a MariaDB server of this run."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path

import pytest
import sqlalchemy as sa
from filelock import FileLock

from tests import mariadb, postgres, zygote
from tests.dealing import dealt
from tests.s3 import S3, new_bucket
from tests.shared import run_folder, shared

# Before PyTorch is loaded, which is when OpenMP reads it: more threads than free cores make small
# networks many times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BACKENDS = ("sqlite", "postgresql", "mariadb")


def pytest_configure() -> None:
    """The tests see the families, sources and tasks of hpsearch itself and of packages that they
    make, and none of packages that happen to be installed beside hpsearch."""
    from hpsearch.spec import registry

    groups = ("hpsearch.families", "hpsearch.sources", "hpsearch.tasks")
    installed = {entry for group in groups for entry in entry_points(group=group)}

    def others(*, group: str) -> EntryPoints:
        return EntryPoints(e for e in entry_points(group=group) if e not in installed)

    setattr(registry, "entry_points", others)  # noqa: B010 -- mypy knows that it is imported there


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """What runs on each database runs on MariaDB at night, unless marked as `mariadb`.

    What is left once that is known is dealt to the processes of the run.
    """
    for item in items:
        params = item.callspec.params.values() if hasattr(item, "callspec") else ()
        on_mariadb = any(isinstance(param, str) and param == "mariadb" for param in params)
        if on_mariadb and not item.get_closest_marker("mariadb"):
            item.add_marker("nightly")
    yield
    if count := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
        items[:] = dealt(items, count)


@pytest.fixture(scope="session", autouse=True)
def _processes_are_forked(tmp_path_factory: pytest.TempPathFactory) -> None:
    """From one zygote for all test processes, which starts when the first test needs it."""
    zygote.use(run_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Servers:
    """Servers that start when the first test of the run asks for them."""
    return Servers(run_folder(tmp_path_factory))


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> Iterator[str]:
    """A database without studies, in turn of each kind; its tables are there."""
    url = servers.new_database(request.param, tmp_path)
    yield url
    servers.give_back(url)


@pytest.fixture(params=BACKENDS)
def bare_url(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> str:
    """A database without any table, in turn of each kind."""
    return servers.bare_database(request.param, tmp_path)


@pytest.fixture
def sqlite_url(tmp_path: Path, servers: Servers) -> str:
    """A SQLite database without studies; its tables are there."""
    return servers.new_database("sqlite", tmp_path)


@pytest.fixture
def bare_sqlite_url(tmp_path: Path) -> str:
    """Where a SQLite database may be made."""
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def s3(tmp_path_factory: pytest.TempPathFactory) -> S3:
    """An empty bucket."""
    return new_bucket(run_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def fashion_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that has Fashion-MNIST; skips the test where neither we nor Debian have it."""
    from hpsearch.sources.readymade import find

    if folder := find("fashion_mnist"):
        return folder
    folder = tmp_path_factory.mktemp("data")
    script = Path(__file__).with_name("fashion_mnist.sh")
    done = subprocess.run([script, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(done.stderr.strip())
    return folder


class Servers:
    """Databases for tests: files, and databases of servers that all processes of a run share.

    To make our tables takes 0.05 s on SQLite, 0.3 s on PostgreSQL and 2 s on MariaDB. So a file is
    copied, PostgreSQL copies a database, and what a test on MariaDB gives back is emptied.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._free, self._shape = list[str](), list[object]()
        """Databases of MariaDB that are as good as new, and what each of them is."""
        self._has_template = False
        """Whether PostgreSQL has the database that others are copies of."""

    def new_database(self, backend: str, tmp_path: Path) -> str:
        """The URL of a database without studies; skips the test where there is no server.

        What is in its tables is deleted where a test may have changed it; a change of the tables
        themselves is never seen by another test.
        """
        if backend == "sqlite":
            shutil.copyfile(self._sqlite_file(), tmp_path / "study.db")
            return f"sqlite:///{tmp_path}/study.db"
        if backend == "postgresql":
            return self._create(backend, f" TEMPLATE {self._postgres_template()}")
        if self._free:
            return self._free.pop()
        url = self._create(backend)
        _make_tables(url)
        with _connected(url) as connection:
            self._shape = _shape(connection)
        return url

    def bare_database(self, backend: str, tmp_path: Path) -> str:
        """The URL of a database without tables; skips the test where there is no server."""
        return f"sqlite:///{tmp_path}/study.db" if backend == "sqlite" else self._create(backend)

    def give_back(self, url: str) -> None:
        """A database of `new_database` that nobody uses any more."""
        if url.startswith("mysql") and _emptied(url, self._shape):
            self._free.append(url)

    def _create(self, backend: str, how: str = "") -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        admin = self._admin(backend)
        with _connected(admin) as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}{how}"))
        return sa.make_url(admin).set(database=name).render_as_string(hide_password=False)

    def _admin(self, backend: str) -> str:
        service = {"postgresql": postgres, "mariadb": mariadb}[backend]
        service.need()
        return shared(self._folder, service.__name__)

    def _sqlite_file(self) -> Path:
        """A file with our tables, and nothing else."""
        file = self._folder / "template.db"
        with FileLock(f"{file}.lock"):
            if not file.exists():
                new = file.with_suffix(".new")
                _make_tables(f"sqlite:///{new}")
                new.rename(file)
        return file

    def _postgres_template(self) -> str:
        name = "our_tables"
        admin = self._admin("postgresql")
        if not self._has_template:
            with FileLock(f"{self._folder}/postgres-template.lock"):
                with _connected(admin) as connection:
                    query = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
                    missing = connection.execute(query, {"name": name}).first() is None
                    if missing:
                        connection.execute(sa.text(f"CREATE DATABASE {name}"))
                if missing:
                    url = sa.make_url(admin).set(database=name)
                    _make_tables(url.render_as_string(hide_password=False))
            self._has_template = True
        return name


@contextmanager
def _connected(url: str) -> Iterator[sa.Connection]:
    """A connection that commits each statement, and is closed."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def _make_tables(url: str) -> None:
    from hpsearch.store.engine import Database
    from hpsearch.store.tables import prepare

    database = Database(url)
    prepare(database)
    database.close()


_OF_THE_SCHEMA = ("alembic_version", "version_info", "hpsearch_schema")


def _shape(connection: sa.Connection) -> list[object]:
    """What a MariaDB database is but for the rows of its studies."""
    queries = [
        "SELECT table_name, column_name, column_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = database() ORDER BY table_name, ordinal_position",
        *(f"SELECT * FROM {table}" for table in _OF_THE_SCHEMA),
    ]
    return [row for query in queries for row in connection.execute(sa.text(query))]


def _emptied(url: str, shape: list[object]) -> bool:
    """Whether a MariaDB database is as good as new now: without rows, and counting from 1."""
    with _connected(url) as connection:
        others = "SELECT id FROM information_schema.processlist WHERE db = database()"
        for number in connection.execute(sa.text(f"{others} AND id <> connection_id()")).scalars():
            with suppress(sa.exc.OperationalError):  # it has just ended by itself
                connection.execute(sa.text(f"KILL {number}"))
        tables = set(connection.execute(sa.text("SHOW TABLES")).scalars())
        if not tables.issuperset(_OF_THE_SCHEMA) or _shape(connection) != shape:
            return False
        connection.execute(sa.text("SET foreign_key_checks = 0"))
        for table in tables.difference(_OF_THE_SCHEMA):
            if connection.execute(sa.text(f"DELETE FROM {table}")).rowcount:
                connection.execute(sa.text(f"ALTER TABLE {table} AUTO_INCREMENT = 1"))
    return True
