from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.places import checkpoint_place, stays_here
from hpsearch.spec import StudySpec, load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Study
from hpsearch.submit import submit

DIGITS = Path(__file__).parents[2] / "studies" / "digits.yaml"


@pytest.fixture
def database(sqlite_url: str) -> Database:
    return Database(sqlite_url)


@pytest.fixture
def study(database: Database, tmp_path: Path) -> Study:
    spec: StudySpec = load(DIGITS, ["name=s"])
    base = tmp_path / "base"
    base.mkdir()
    return submit(Ledger(database, make=True), spec, base)[0]


@pytest.mark.parametrize(
    ("configured", "place"),
    [
        ("/mnt/c", "/mnt/c/"),
        ("file:///mnt/c", "/mnt/c/"),
        ("c", "{base}/c/"),
        ("~/c", "{home}/c/"),
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket/p/", "s3://bucket/p/"),
        (None, "{file}.checkpoints/"),
    ],
)
def test_a_place_of_the_study(
    database: Database, study: Study, tmp_path: Path, configured: str | None, place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    own = f"s-{study.uid[:8]}"
    expected = (
        place.format(base=tmp_path / "base", home=tmp_path / "home", file=tmp_path / "study") + own
    )
    configured_so = replace(study, document={**study.document, "checkpoints": configured})
    assert checkpoint_place(database, configured_so) == expected
    if configured:
        assert checkpoint_place(database, study, configured) == expected


def test_the_option_goes_before_the_study_file(database: Database, study: Study) -> None:
    configured = replace(study, document={**study.document, "checkpoints": "/a"})
    assert checkpoint_place(database, configured, "s3://b").startswith("s3://b/s-")


def test_a_server_s_studies_lie_with_the_user(study: Study, monkeypatch: pytest.MonkeyPatch,
                                              tmp_path: Path) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    server = Database("postgresql://user:password@host/name")
    place = Path(checkpoint_place(server, study))
    assert place.is_relative_to(tmp_path / "data" / "hpsearch")
    assert place.name == f"s-{study.uid[:8]}"


def test_what_stays_on_its_machine(database: Database) -> None:
    server = Database("postgresql://user@host/name")
    assert stays_here(server, None)
    assert stays_here(server, None, "s3://b", None)
    assert not stays_here(server, None, "s3://b")
    assert not stays_here(server, "s3://b", None)
    assert not stays_here(database, None)
