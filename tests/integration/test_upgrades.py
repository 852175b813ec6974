"""A database of an earlier hpsearch is brought up to date, whatever happens meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hpsearch.errors import ConflictError, NotFoundError, SchemaError, StorageError
from hpsearch.store import upgrades
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.tables import OLDEST, SCHEMA_VERSION, is_ready, prepare, versions
from tests.old import put

pytestmark = pytest.mark.mariadb

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def old(bare_url: str, tmp_path: Path) -> str:
    """The database of hpsearch 0.1.0, of schema 5."""
    put(bare_url, tmp_path)
    return bare_url


def execute(database: Database, statement: str) -> None:
    database.write(lambda connection: connection.exec_driver_sql(statement).close())


def content(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with database.read() as connection:
        tables = sa.MetaData()
        tables.reflect(connection)
        return {
            name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
            for name, table in tables.tables.items()
        }


def check_upgraded(url: str) -> None:
    with closing(Database(url)) as database:
        assert is_ready(database)
        found = {study.name: study for study in Ledger(database, make=False).studies()}
        assert found["finished"].final == {"top": 1, "seeds": 2}
        assert (found["table"].final, found["unfinished"].final) == (None, None)


def test_there_is_a_step_for_every_version() -> None:
    assert list(upgrades.STEPS) == list(range(OLDEST + 1, SCHEMA_VERSION + 1))


def test_nothing_is_changed_without_asking(old: str) -> None:
    database = Database(old)
    before = content(database)
    for opened in (prepare, is_ready, Ledger):
        with pytest.raises(SchemaError, match=r"hpsearch's schema 5.*hpsearch db upgrade"):
            opened(database)
    assert content(database) == before


def test_all_that_is_there_stays(old: str) -> None:
    """Only what was kept of forecasts goes, and a table comes."""
    database = Database(old)
    execute(database, "INSERT INTO hpsearch_forecasts VALUES ('d', '{}')")
    before = content(database)
    done = upgrades.upgrade(database)
    assert (done.before, done.after) == (5, SCHEMA_VERSION)
    assert (done.copy is not None) == (database.file is not None)
    check_upgraded(old)
    after = content(database)
    assert after.pop("hpsearch_schema") == [(SCHEMA_VERSION,)]
    assert before.pop("hpsearch_schema") == [(5,)]
    assert before.pop("hpsearch_forecasts") == [("d", "{}")]
    assert after.pop("hpsearch_duties") == []
    for grown, columns in (("hpsearch_studies", 3), ("hpsearch_workers", 1)):
        after[grown] = [row[:-columns] for row in after[grown]]
    assert after == before  # with Optuna's tables, and the revision of them
    assert upgrades.upgrade(database) == upgrades.Upgrade(SCHEMA_VERSION, SCHEMA_VERSION)


def test_it_looks_as_one_that_is_made_new(old: str, tmp_path: Path, servers: Any) -> None:
    upgrades.upgrade(Database(old))
    (tmp_path / "new").mkdir()
    new = servers.new_database(Database(old).backend.replace("mysql", "mariadb"), tmp_path / "new")
    prepare(Database(new))
    assert described(old) == described(new)


def described(url: str) -> dict[str, dict[str, Any]]:
    with Database(url).read() as connection:
        look = sa.inspect(connection)
        return {
            table: {c["name"]: (str(c["type"]), c["nullable"]) for c in look.get_columns(table)}
            for table in look.get_table_names()
        }


@pytest.mark.parametrize("version", [1, 4, SCHEMA_VERSION + 1])
def test_no_way_leads_from_others(bare_url: str, version: int) -> None:
    database = Database(bare_url)
    prepare(database)
    execute(database, f"UPDATE hpsearch_schema SET version = {version}")
    before = content(database)
    with pytest.raises(SchemaError, match=f"schema {version}"):
        upgrades.upgrade(database)
    assert content(database) == before


def test_nor_from_another_revision_of_optuna(old: str) -> None:
    database = Database(old)
    execute(database, "UPDATE alembic_version SET version_num = 'v99'")
    with pytest.raises(SchemaError, match="Optuna's schema v99"):
        upgrades.upgrade(database)


def test_where_there_is_nothing(bare_url: str, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with pytest.raises(NotFoundError, match="hpsearch db init"):
        upgrades.upgrade(Database(bare_url))
    assert set(tmp_path.iterdir()) == before


# --- workers ----------------------------------------------------------------------------------


def sign_on(database: Database, name: str, lease_s: float = 30.0, ago_s: float = 0.0) -> None:
    execute(
        database,
        "INSERT INTO hpsearch_workers (worker, host, pid, device, lease_s, started_at, seen_at) "
        f"VALUES ('{name}', 'here', 7, 'cpu', {lease_s}, 0, {CLOCK[database.backend]} - {ago_s})",
    )


CLOCK = {
    "sqlite": "(julianday('now') - 2440587.5) * 86400.0",
    "postgresql": "extract(epoch from clock_timestamp())",
    "mysql": "unix_timestamp(sysdate(6))",
}


def test_it_is_refused_while_workers_are_signed_on(old: str) -> None:
    database = Database(old)
    sign_on(database, "a-1")
    sign_on(database, "b-2", lease_s=600, ago_s=500)
    before = content(database)
    with pytest.raises(ConflictError, match=r"a-1 \(process 7 on here\), b-2 \(process"):
        upgrades.upgrade(database)
    assert content(database) == before
    assert not database.file or not list(database.file.parent.glob("*.bak"))


def test_workers_that_have_left_or_are_lost_are_no_hindrance(old: str) -> None:
    database = Database(old)
    sign_on(database, "lost", lease_s=30, ago_s=31)
    sign_on(database, "left")
    execute(database, "UPDATE hpsearch_workers SET stopped_at = 1 WHERE worker = 'left'")
    upgrades.upgrade(database)
    check_upgraded(old)


def test_one_that_signs_on_just_before_is_seen(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = upgrades.pending

    def then_somebody_comes(database: Database) -> int | None:
        found = seen(database)
        sign_on(database, "just-now")
        return found

    monkeypatch.setattr(upgrades, "pending", then_somebody_comes)
    with pytest.raises(ConflictError, match="just-now"):
        upgrades.upgrade(Database(old))


def test_one_that_signs_on_meanwhile_waits(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an old program, too, which has looked at the version before."""
    step, begun = upgrades.STEPS[6], FORK.Event()
    other = FORK.Process(target=_sign_on_after, args=(old, begun))
    other.start()  # before anything is open here: SQLite must not be carried into a fork

    def slow(connection: sa.Connection) -> None:
        begun.set()
        step(connection)
        other.join(0.3)
        assert other.is_alive()

    monkeypatch.setitem(upgrades.STEPS, 6, slow)
    upgrades.upgrade(Database(old))
    other.join(60)
    assert other.exitcode == 0
    check_upgraded(old)


def _sign_on_after(url: str, begun: Any) -> None:
    begun.wait(60)
    sign_on(Database(url), "meanwhile")


# --- killed, and at once ----------------------------------------------------------------------


def upgrade_until(url: str, statement: int) -> None:
    """In a process of its own: killed before its nth statement."""
    count = 0
    database = Database(url)

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def before(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    upgrades.upgrade(database)


def test_one_that_is_killed_anywhere_is_run_again(old: str) -> None:
    """Before each statement in turn; what the one before left is where the next begins."""
    for statement in range(1, 200):
        process = FORK.Process(target=upgrade_until, args=(old, statement))
        process.start()
        process.join(120)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        with closing(Database(old)) as database, database.read() as connection:
            assert versions(connection)[0] in range(5, SCHEMA_VERSION + 1)
    assert statement > 5
    check_upgraded(old)


@pytest.mark.parametrize("point", ["added", "filled"])
def test_a_step_that_is_half_done_is_done_again(old: str, point: str) -> None:
    """As MariaDB leaves it: the column is there, and a later hand may have filled it."""
    database = Database(old)
    execute(database, "ALTER TABLE hpsearch_studies ADD COLUMN final TEXT")
    if point == "filled":
        execute(
            database,
            """UPDATE hpsearch_studies SET final = '{"top": 1, "seeds": 2}'
            WHERE study_id = (SELECT study_id FROM studies WHERE study_name = 'finished')""",
        )
    upgrades.upgrade(database)
    check_upgraded(old)


def test_several_at_once(old: str) -> None:
    processes = [FORK.Process(target=_upgrade, args=(old,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * 4
    check_upgraded(old)
    file = Database(old).file
    assert not file or len(list(file.parent.glob("*.bak"))) == 1


def _upgrade(url: str) -> None:
    upgrades.upgrade(Database(url))


def test_a_damaged_document_is_left_to_its_readers(old: str) -> None:
    database = Database(old)
    execute(database, "UPDATE hpsearch_studies SET document = '{' WHERE study_id = 1")
    execute(database, "UPDATE hpsearch_studies SET document = '[]' WHERE study_id = 2")
    upgrades.upgrade(database)
    assert [study.final for study in Ledger(database).studies()] == [None, None, None]


# --- the copy of a SQLite file ----------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A SQLite file of schema 5, of which a part lies in the write-ahead log."""
    database = Database(f"sqlite:///{tmp_path}/study.db")
    put(database.url, tmp_path)
    with closing(sqlite3.connect(tmp_path / "study.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    with closing(sqlite3.connect(tmp_path / "study.db")) as reader:  # keeps the log from going
        reader.execute("SELECT count(*) FROM studies").fetchall()
        execute(database, "INSERT INTO studies (study_name) VALUES ('in the log')")
        assert (tmp_path / "study.db-wal").stat().st_size > 0
        yield tmp_path / "study.db"


def rows_of(file: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{file}?immutable=1", uri=True)) as connection:
        return list(connection.iterdump())


def test_the_copy_is_the_file_as_it_was(file: Path) -> None:
    file.chmod(0o640)
    with closing(sqlite3.connect(file)) as connection:
        before = list(connection.iterdump())
    copy = upgrades.upgrade(Database(f"sqlite:///{file}")).copy
    assert copy == file.with_name("study.db.schema5.bak")
    assert rows_of(copy) == before
    assert any("in the log" in line for line in before)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o640
    left = {path.name for path in file.parent.glob("study.db*")}
    assert left == {"study.db", "study.db-wal", "study.db-shm", copy.name}


def test_no_earlier_copy_is_overwritten(file: Path) -> None:
    first = file.with_name("study.db.schema5.bak")
    first.write_text("mine")
    file.with_name("study.db.schema5-2.bak").symlink_to("/nowhere")
    copy = upgrades.upgrade(Database(f"sqlite:///{file}")).copy
    assert copy == file.with_name("study.db.schema5-3.bak")
    assert first.read_text() == "mine"


def test_where_no_copy_can_be_made_nothing_is_changed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Callable[..., None]:
        raise OSError(28, "No space left on device")

    before = content(Database(f"sqlite:///{file}"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left on device.*Nothing was changed"):
        upgrades.upgrade(Database(f"sqlite:///{file}"))
    assert content(Database(f"sqlite:///{file}")) == before
    assert not list(file.parent.glob("*.schema5*"))


def test_the_copy_opens_as_a_database_of_its_own(file: Path) -> None:
    copy = upgrades.upgrade(Database(f"sqlite:///{file}")).copy
    assert copy is not None
    again = upgrades.upgrade(Database(f"sqlite:///{copy}"))
    assert again.before == 5
    assert is_ready(Database(f"sqlite:///{copy}"))
