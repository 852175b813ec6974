from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpsearch.preflight.doctor import Finding, check_database, examine
from hpsearch.sources import readymade as images
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests import old
from tests.studies import A_STUDY


@pytest.fixture(autouse=True)
def _nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HPSEARCH_STORAGE", "HPSEARCH_CHECKPOINTS", "HPSEARCH_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(images, "user_data_path", lambda name: tmp_path / name)


def findings(storage: str) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(storage)}


def test_a_database_is_looked_at_and_not_made(bare_sqlite_url: str, tmp_path: Path) -> None:
    assert "hpsearch db init makes it" in check_database(bare_sqlite_url)["state"]
    assert not (tmp_path / "study.db").exists()
    (tmp_path / "study.db").touch()
    assert "hpsearch db init prepares it" in check_database(bare_sqlite_url)["state"]
    assert (tmp_path / "study.db").stat().st_size == 0


def test_studies_are_counted_and_those_that_are_open(sqlite_url: str) -> None:
    ledger = Ledger(Database(sqlite_url))
    for name in "abc":
        ledger.create(replace(A_STUDY, name=name))
    ledger.set_state("b", "stopped")
    facts = check_database(sqlite_url)
    assert (facts["state"], facts["studies"], facts["open"]) == ("ready", 3, 2)


def test_a_machine_in_order_has_all_that_is_needed(sqlite_url: str, tmp_path: Path) -> None:
    found = findings(sqlite_url)
    assert [f for f in found.values() if f.needed and not f.works] == []
    assert found["database"].said.endswith(": ready")
    assert found["device cpu"].works
    assert found["checkpoints"].said.startswith(f"{tmp_path / 'study.checkpoints'},")


def test_data_that_is_missing_is_no_hindrance_and_says_where_it_belongs(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPSEARCH_DATA", str(tmp_path / "named"))
    raw = tmp_path / "named" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").touch()
    found = findings(sqlite_url)
    assert (found["data mnist"].works, found["data mnist"].said) == (True, str(tmp_path / "named"))
    missing = found["data fashion_mnist"]
    assert (missing.works, missing.needed) == (False, False)
    assert str(tmp_path / "named") in missing.said
    assert "HPSEARCH_DATA" in missing.fix
    assert "data digits" not in found, "they come with scikit-learn"


def test_a_database_of_an_earlier_version_is_to_be_upgraded(
    bare_sqlite_url: str, tmp_path: Path
) -> None:
    old.put(bare_sqlite_url, tmp_path)
    database = findings(bare_sqlite_url)["database"]
    assert not database.works
    assert database.fix == "run hpsearch db upgrade"


def test_a_database_of_a_later_version_is_to_be_left_for_another(sqlite_url: str) -> None:
    later = sa.text("UPDATE hpsearch_schema SET version = 99")
    Database(sqlite_url).write(lambda connection: connection.execute(later))
    database = findings(sqlite_url)["database"]
    assert not database.works
    assert database.fix.startswith("name another one with --storage")


def test_a_database_that_is_none_is_reported_once() -> None:
    found = findings("nosuch://host/name")
    assert (found["database"].works, found["database"].needed) == (False, True)
    assert "checkpoints" not in found


def test_checkpoints_that_other_machines_do_not_find_are_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "postgresql://me@127.0.0.1:1/hpsearch"
    place = findings(url)["checkpoints"]
    assert (place.works, place.needed) == (False, False)
    assert "HPSEARCH_CHECKPOINTS" in place.fix
    monkeypatch.setenv("HPSEARCH_CHECKPOINTS", "s3://bucket/hpsearch")
    assert findings(url)["checkpoints"].said.startswith("s3://bucket/hpsearch,")
