"""A SQLite file that is removed or replaced while it is in use: noticed, and not continued with."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest
import sqlalchemy as sa

from hpsearch.dashboard import watched
from hpsearch.dashboard.guard import Guard
from hpsearch.errors import LostError, StorageError, UnreachableError
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from hpsearch.store.storage import open_storage
from hpsearch.store.tables import workers
from hpsearch.worker.keeper import Keeper
from tests.integration.test_ledger import a_study
from tests.later import Later

optuna_dashboard = Later("optuna_dashboard")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


@pytest.fixture
def ledger(folder: Path) -> Ledger:
    """One that has two connections open, as a worker's threads have."""
    ledger = Ledger(Database(f"sqlite:///{folder}/study.db"))
    a_study(ledger)
    ledger.sign_on("w", "host", 1, "cpu")
    with ledger.database.read() as first, ledger.database.read() as second:
        for connection in (first, second):
            connection.execute(sa.select(workers)).all()
    return ledger


def backup(file: Path) -> Path:
    """A copy as SQLite makes one."""
    copy = file.with_name("backup.db")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def remove(file: Path) -> None:
    file.unlink()


def remove_all(file: Path) -> None:
    for path in file.parent.iterdir():
        path.unlink()


def move_the_folder(file: Path) -> None:
    file.parent.rename(file.parent.with_name("moved"))


def put_a_backup_over_it(file: Path) -> None:
    backup(file).rename(file)


def copy_over_it_anew(file: Path) -> None:
    copy = backup(file)
    file.unlink()
    shutil.copy(copy, file)


def make_another(file: Path) -> None:
    remove_all(file)
    Ledger(Database(f"sqlite:///{file}")).sign_on("w", "host", 1, "cpu")


def remove_the_log(file: Path) -> None:
    Path(f"{file}-wal").unlink()


def replace_the_index(file: Path) -> None:
    Path(f"{file}-shm").unlink()
    with closing(sqlite3.connect(file)) as other:
        other.execute("SELECT count(*) FROM studies").fetchall()


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (remove, "was removed or moved"), (remove_all, "was removed or moved"),
        (move_the_folder, "was removed or moved"),
        (put_a_backup_over_it, "was replaced by another file"),
        (copy_over_it_anew, "was replaced by another file"),
        (make_another, "was replaced by another file"),
        (remove_the_log, "has lost the file study.db-wal"),
        (replace_the_index, "has lost the file study.db-shm"),
        (empty, "was emptied"),
    ],
)  # fmt: skip
def test_nobody_goes_on_in_a_file_that_is_not_the_one(
    ledger: Ledger, folder: Path, act: Callable[[Path], None], words: str
) -> None:
    ledger.renew("w", [])
    file = folder / "study.db"
    if act is empty:  # what is in the log alone has not made it a file yet
        with closing(sqlite3.connect(file)) as other:
            other.execute("PRAGMA wal_checkpoint").fetchall()
    ledger.renew("w", [])
    act(file)
    for verb in (
        lambda: ledger.renew("w", []),
        lambda: ledger.sign_off("w"),
        ledger.studies,
    ):
        with pytest.raises(LostError, match=words) as raised:
            verb()
        assert raised.value.exit_code == 3
        assert "\n" not in str(raised.value)
        assert not isinstance(raised.value, UnreachableError), "nobody waits for it"


def test_a_page_of_the_dashboard_says_it(ledger: Ledger, folder: Path) -> None:
    app = optuna_dashboard.wsgi(open_storage(ledger.database))
    app.catchall = False
    guard, answers = Guard(watched(app, ledger.database), None, read_only=False), list[str]()

    def ask() -> bytes:
        environ = {"PATH_INFO": "/api/studies", "HTTP_HOST": "localhost"}
        setup_testing_defaults(environ)
        return b"".join(guard(environ, lambda status, *_rest: answers.append(status)))

    assert b'"s"' in ask()
    remove(folder / "study.db")
    assert b"was removed or moved" in ask()
    assert answers == ["200 OK", "503 Service Unavailable"]


def test_whoever_watches_is_told(ledger: Ledger, folder: Path) -> None:
    mirror = Mirror(ledger.database, ledger.study("s").study_id, "s", "maximize")
    mirror.refresh()
    put_a_backup_over_it(folder / "study.db")
    with pytest.raises(LostError, match="was replaced"):
        mirror.refresh()


def test_the_keeper_ends_with_it(ledger: Ledger, folder: Path) -> None:
    keeper = Keeper(ledger, "w")
    remove(folder / "study.db")
    keeper.start()
    keeper.join(20)
    with pytest.raises(LostError):
        keeper.check()
    keeper.stop()


def test_another_database_that_is_copied_into_the_file(ledger: Ledger, folder: Path) -> None:
    """The inode stays; what is in it knows no worker of that name."""
    other = Ledger(Database(f"sqlite:///{folder}/other.db"))
    a_study(other)
    other.database.close()
    ledger.database.close()  # the log goes into the file, as when all connections are idle
    shutil.copyfile(folder / "other.db", folder / "study.db")
    with pytest.raises(LostError, match="does not know worker w any more"):
        ledger.renew("w", [])


def test_a_file_of_another_program_is_not_waited_for(ledger: Ledger, folder: Path) -> None:
    ledger.database.close()
    for content in (b"text" * 4096, None):
        if content:
            (folder / "study.db").write_bytes(content)
        else:
            with closing(sqlite3.connect(folder / "x.db")) as other:
                other.execute("CREATE TABLE t (x)")
            shutil.copyfile(folder / "x.db", folder / "study.db")
        with pytest.raises(StorageError) as raised:
            ledger.renew("w", [])
        assert not isinstance(raised.value, UnreachableError)


def test_a_connection_from_before_there_was_a_log(folder: Path) -> None:
    """The first to make the tables looks whether they are there, and then has SQLite keep one."""
    database = Database(f"sqlite:///{folder}/new.db")
    for _ in range(3):
        with database.read() as connection:
            connection.execute(sa.text("SELECT 1 FROM sqlite_master")).all()
    ledger = Ledger(database)
    for _ in range(3):
        a_study(ledger)
        ledger.studies()


def test_closing_and_opening_again_is_no_loss(ledger: Ledger, folder: Path) -> None:
    """The files beside go with the last connection, and are made again."""
    for _ in range(2):
        ledger.renew("w", [])
        ledger.database.close()
        assert [path.name for path in folder.iterdir()] == ["study.db"]
    ledger.renew("w", [])


def test_a_restored_server_is_noticed_too(url: str) -> None:
    """Whatever the database: rows of workers are never deleted."""
    ledger = Ledger(Database(url))
    ledger.sign_on("w", "host", 1, "cpu")
    ledger.renew("w", [])
    ledger.database.write(lambda connection: connection.execute(sa.delete(workers)))
    with pytest.raises(LostError, match="does not know worker w any more"):
        ledger.renew("w", [])
