"""Which MLflow a study goes to, and what is said of one that cannot be used; no password is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hpsearch.errors import StudyFileError, TrackingError
from hpsearch.tracking.target import Target, probe, target_of

FILE = {"track": {"mlflow": "sqlite:///runs.db", "experiment": "shoes"}}


@pytest.fixture(autouse=True)
def _no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HPSEARCH_MLFLOW", raising=False)


def test_nowhere_by_default() -> None:
    assert target_of({}, "/") is None


def test_a_file_is_beside_the_study_file_and_its_artifacts_beside_it() -> None:
    target = target_of(FILE, "/base")
    assert target == Target("sqlite:////base/runs.db", "shoes")
    assert target.artifacts == "file:///base/mlartifacts"


def test_the_option_comes_before_the_environment_and_that_before_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HPSEARCH_MLFLOW", "sqlite:///here.db")
    monkeypatch.chdir(tmp_path)
    assert target_of(FILE, "/base") == Target(f"sqlite:///{tmp_path}/here.db", "shoes")
    assert target_of({}, "/base", "http://h:5000/") == Target("http://h:5000", "hpsearch")


def test_a_password_is_not_shown() -> None:
    target = target_of({}, "/", "https://me:geheim-12@h:5000")
    assert target is not None
    assert target.name == "https://h:5000"
    assert "geheim" not in repr(target) + target.duty


@pytest.mark.parametrize("uri", ["htp://h", "runs", "s3://bucket"])
def test_what_is_no_uri_of_mlflow_is_refused(uri: str) -> None:
    with pytest.raises(StudyFileError, match=r"--uri: expected a server, http://HOST:5000"):
        target_of({}, "/", uri)


def test_two_places_have_two_duties() -> None:
    uris = ("http://h:1", "http://h:2")
    duties = {Target(uri, name).duty for uri in uris for name in ("a", "b")}
    assert len(duties) == 4
    assert all(len(duty) <= 80 for duty in duties)


@contextmanager
def answering(status: int) -> Iterator[tuple[str, list[str | None]]]:
    """A server that answers everything with that status; its address, and the logins it got."""
    logins: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            logins.append(self.headers["Authorization"])
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}", logins
        server.shutdown()
        thread.join()


def test_a_server_that_answers_gets_the_login() -> None:
    with answering(200) as (address, logins):
        probe(Target(f"http://me:pass@{address}", "a"))
    assert logins == ["Basic bWU6cGFzcw=="]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refuses the login (401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (500, "answers with an error (500)"),
    ],
)
def test_a_server_that_refuses_is_a_line(status: int, words: str) -> None:
    with answering(status) as (address, _), pytest.raises(TrackingError) as raised:
        probe(Target(f"http://me:geheim-12@{address}", "a"))
    assert str(raised.value) == f"MLflow at http://{address} {words}"


def test_a_server_that_is_away_and_a_folder_that_is_missing_are_a_line(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:1 does not answer: connection refu"):
        probe(Target("http://127.0.0.1:1", "a"))
    with pytest.raises(TrackingError, match=r"database .*/none/m.db cannot be written"):
        probe(Target(f"sqlite:///{tmp_path}/none/m.db", "a"))
    probe(Target(f"sqlite:///{tmp_path}/m.db", "a"))
