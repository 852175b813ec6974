"""What workers take of a PostgreSQL server: connections, and transactions when they are idle."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import torch

from hpsearch.errors import StorageError, UnreachableError
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.patience import Patience, first_contact
from hpsearch.worker.context import Context, Options
from hpsearch.worker.couriers import Couriers
from hpsearch.worker.keeper import Keeper
from hpsearch.worker.loop import _Worker
from tests.conftest import Servers
from tests.searched import searched


@pytest.fixture
def postgres_url(servers: Servers, tmp_path: Path) -> str:
    return servers.new_database("postgresql", tmp_path)


@pytest.fixture
def watcher(postgres_url: str) -> Iterator[sa.Connection]:
    """A connection that looks at the others."""
    engine = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def sessions(watcher: sa.Connection) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hpsearch' AND "
    return int(watcher.exec_driver_sql(query + "datname = current_database()").scalar_one())


def transactions(watcher: sa.Connection) -> int:
    """Ended by anybody; PostgreSQL counts those of a session at most once a second."""
    query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE "
    return int(watcher.exec_driver_sql(query + "datname = current_database()").scalar_one())


class Idle:
    """A worker that has nothing to do, in threads."""

    def __init__(self, url: str, name: str = "w") -> None:
        self.ledger = Ledger(Database(url))
        keeper = Keeper(self.ledger, name)
        self.stop = threading.Event()
        context = Context(
            self.ledger, name, torch.device("cpu"), Options(url, name), keeper, Patience(60),
            self.stop,
        )  # fmt: skip
        self.ledger.sign_on(name, "host", 1, "cpu")
        keeper.start()
        couriers = Couriers(self.ledger, context.options)
        self.keeper, self.worker = keeper, _Worker(context, couriers)
        self.thread = threading.Thread(target=self.worker.work)
        self.thread.start()

    def close(self) -> None:
        self.stop.set()
        self.thread.join()
        self.keeper.stop()
        self.ledger.database.close()


@pytest.fixture
def idle(postgres_url: str) -> Iterator[Idle]:
    worker = Idle(postgres_url)
    yield worker
    worker.close()


def test_an_idle_worker_has_one_connection_and_less_than_a_transaction_a_second(
    idle: Idle, watcher: sa.Connection
) -> None:
    until = time.monotonic() + 20
    while idle.worker._idle_s < 1.2 or sessions(watcher) > 1:
        assert time.monotonic() < until, sessions(watcher)
        time.sleep(0.1)
    # Counted by the engine: the server's own count comes late, and has the watcher's in it.
    counted: list[float] = []
    for name in ("commit", "rollback"):
        sa.event.listen(idle.ledger.database.engine, name, lambda _c: counted.append(0.0))
    sa.event.listen(idle.ledger.database.engine, "close", lambda *_a: counted.append(0.0))
    time.sleep(6.0)
    assert 3 <= len(counted) <= 6
    assert sessions(watcher) == 1


@pytest.mark.parametrize("unused_s", [0.0, 10.0])
def test_only_a_connection_that_was_unused_is_tried_before_use(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, unused_s: float
) -> None:
    database = Database(postgres_url)
    tried: list[float] = []
    ping = database.engine.dialect.do_ping

    def noted(connection: Any) -> bool:
        tried.append(0.0)
        return ping(connection)

    monkeypatch.setattr(database.engine.dialect, "do_ping", noted)
    database.version()
    clock = time.monotonic
    monkeypatch.setattr("hpsearch.store.engine.time.monotonic", lambda: clock() + unused_s)
    database.version()
    assert len(tried) == (unused_s > 0)
    database.close()


def test_a_connection_that_has_died_meanwhile_is_replaced(
    postgres_url: str, watcher: sa.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(postgres_url)
    database.version()
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
    watcher.exec_driver_sql(kill + "AND datname = current_database()")
    clock = time.monotonic
    monkeypatch.setattr("hpsearch.store.engine.time.monotonic", lambda: clock() + 10)
    assert "PostgreSQL" in database.version()
    database.close()


def test_a_server_without_a_free_connection_is_waited_for(
    postgres_url: str, watcher: sa.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    Ledger(Database(postgres_url)).database.close()
    name = sa.make_url(postgres_url).database
    watcher.exec_driver_sql("CREATE ROLE few LOGIN CONNECTION LIMIT 0")
    watcher.exec_driver_sql(
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO few; ALTER DATABASE {name} OWNER TO few"
    )
    url = sa.make_url(postgres_url).set(username="few").render_as_string(hide_password=False)
    try:
        with pytest.raises(UnreachableError, match=r"too many connections.*wait until"):
            first_contact(lambda: Ledger(Database(url)), 0)
        timer = threading.Timer(0.5, watcher.exec_driver_sql, ["ALTER ROLE few CONNECTION LIMIT 5"])
        timer.start()
        ledger = first_contact(lambda: Ledger(Database(url)), 20)
        ledger.database.close()
        assert "waiting for it" in caplog.text
        timer.join()
    finally:
        watcher.exec_driver_sql(
            f"ALTER DATABASE {name} OWNER TO postgres; DROP OWNED BY few; DROP ROLE few"
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [({"database": "nowhere"}, "does not exist"), ({"username": "nobody"}, "does not exist"),
     ({"host": "no-such-host.invalid"}, "host")],
)  # fmt: skip
def test_what_waiting_does_not_mend_is_not_waited_for(
    postgres_url: str, change: dict[str, Any], words: str
) -> None:
    url = sa.make_url(postgres_url).set(**change).render_as_string(hide_password=False)
    began = time.monotonic()
    with pytest.raises(StorageError, match=words):
        first_contact(lambda: Ledger(Database(url)), 60)
    assert time.monotonic() - began < 30


def test_a_file_that_cannot_be_opened_is_not_waited_for() -> None:
    with pytest.raises(StorageError, match="folder"):
        first_contact(lambda: Ledger(Database("sqlite:////no/such/folder/x.db")), 60)


def test_behind_a_pooler_no_statement_is_prepared(postgres_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for said, expected in (("?prepare_threshold=none", None), ("", 5)):
            database = Database(postgres_url + said)
            stack.callback(database.close)
            with database.read() as connection:
                assert connection.connection.dbapi_connection.prepare_threshold == expected
    ledger, _ = searched(f"{postgres_url}?prepare_threshold=none", tmp_path, trials=8)
    with ledger.database.read() as connection:
        query = "SELECT count(*) FROM pg_prepared_statements"
        assert connection.exec_driver_sql(query).scalar_one() == 0
    ledger.database.close()
    with pytest.raises(StorageError, match="none or a number"):
        Database(f"{postgres_url}?prepare_threshold=soon")
