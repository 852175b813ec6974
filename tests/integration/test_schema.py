"""The schema: made once, by however many processes, and refused where it is not ours."""

from __future__ import annotations

import os
import subprocess
import time
from functools import partial
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa

import hpsearch
from hpsearch.errors import SchemaError, StorageError
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.tables import is_ready, prepare
from tests.zygote import Job, Process

pytestmark = pytest.mark.mariadb


def _prepare(url: str, go: Path) -> None:
    while not go.exists():
        time.sleep(0.005)
    prepare(Database(url))


def test_sixteen_processes_make_it_at_once(bare_url: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = Job([], os.environ, tmp_path, body=partial(_prepare, bare_url, go))
    processes = [Process(job, stderr=subprocess.PIPE) for _ in range(16)]
    go.touch()  # all wait for this
    ends = [(process.communicate(timeout=120)[1], process.returncode) for process in processes]
    assert ends == [("", 0)] * 16
    assert is_ready(Database(bare_url))
    assert optuna.get_all_study_names(bare_url) == []


def test_databases_get_what_each_of_them_can_do(bare_url: str) -> None:
    database = Database(bare_url)
    prepare(database)
    with database.read() as connection:
        kind, inspector = connection.dialect.name, sa.inspect(connection)
        documents = {c["name"]: c["type"] for c in inspector.get_columns("hpsearch_studies")}
        partial = {
            index["name"]: str(index.get("dialect_options", {}).get(f"{kind}_where"))
            for table in ("hpsearch_tickets", "hpsearch_leases")
            for index in inspector.get_indexes(table)
        }
    assert str(documents["document"]) == ("LONGTEXT" if kind == "mysql" else "TEXT")
    assert ("'open'" in partial["hpsearch_tickets_open"]) is (kind != "mysql")
    assert ("ended_at IS NULL" in partial["hpsearch_leases_live"]) is (kind != "mysql")
    assert partial["hpsearch_tickets_trial"] == "None"


def test_tables_that_optuna_made_are_taken_as_they_are(bare_url: str) -> None:
    optuna.create_study(study_name="theirs", storage=bare_url)
    assert not is_ready(Database(bare_url))
    prepare(Database(bare_url))
    assert optuna.get_all_study_names(bare_url) == ["theirs"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("UPDATE hpsearch_schema SET version = 99", "has hpsearch's schema 99.*update hpsearch"),
        (
            "UPDATE hpsearch_schema SET version = 2",
            "schema 2.*the hpsearch that made it.*--storage",
        ),
        ("UPDATE alembic_version SET version_num = 'v99'", "has Optuna's schema v99"),
    ],
)
def test_a_database_of_another_version_is_refused(bare_url: str, change: str, text: str) -> None:
    database = Database(bare_url)
    prepare(database)
    database.write(lambda connection: connection.execute(sa.text(change)))
    with pytest.raises(SchemaError, match=text):
        Ledger(Database(bare_url))
    if "hpsearch_schema" in change:  # another revision of Optuna's is Optuna's to open
        with pytest.raises(SchemaError, match=text):
            hpsearch.storage(bare_url)


def test_sqlite_uses_a_write_ahead_log(bare_sqlite_url: str) -> None:
    database = Database(bare_sqlite_url)
    prepare(database)
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


@pytest.mark.parametrize("scheme", ["postgresql", "mysql", "mariadb"])
def test_an_unreachable_server_is_one_line_without_the_password(scheme: str) -> None:
    database = Database(f"{scheme}://me:sesame@127.0.0.1:1/x")
    with pytest.raises(StorageError) as caught:
        Ledger(database)
    assert "sesame" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("query", ["password=sesame", "sslpassword=sesame&connect_timeout=1"])
def test_a_password_in_the_query_is_masked_too(query: str) -> None:
    database = Database(f"postgresql://me@127.0.0.1:1/x?{query}")
    with pytest.raises(StorageError) as caught:
        Ledger(database)
    assert "sesame" not in str(caught.value) + database.name


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "cannot be read"),
        ("oracle://x/y", "not supported"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:////no/such/folder/x.db", "folder exists"),
        ("postgresql://u:p@127.0.0.1:abc/x", "cannot be read"),
        ("studies.db", "sqlite:///studies.db"),
    ],
)
def test_a_url_that_cannot_serve_is_said(url: str, text: str) -> None:
    with pytest.raises(StorageError, match=text):
        Ledger(Database(url))
