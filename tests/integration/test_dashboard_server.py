"""The dashboard's server, with real sockets: clients that do nothing, guess, or click."""

from __future__ import annotations

import base64
import gc
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import optuna
import pytest

from hpsearch import dashboard
from hpsearch.checkpoints.places import checkpoint_place
from hpsearch.dashboard.attempts import Attempts
from hpsearch.dashboard.guard import HEALTH, Guard
from hpsearch.dashboard.login import Login
from hpsearch.dashboard.owned import Owned
from hpsearch.dashboard.readable import ReadableStorage
from hpsearch.dashboard.server import Server
from hpsearch.insight.note import refresh
from hpsearch.store.storage import open_storage
from tests.later import Later
from tests.searched import searched

optuna_dashboard = Later("optuna_dashboard")

ME = Login("me", "secret")


class Served:
    """A server in a thread, and a client of it."""

    def __init__(self, app: Any, most: int | None = None) -> None:
        self.server = Server(app, "127.0.0.1", 0, HEALTH)
        if most is not None:
            self.server.most = most
        self.port = self.server.effective_port
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            self.server.asyncore.loop(
                timeout=0.05, map=self.server._map, use_poll=True, count=1
            )  # fmt: skip

    def close(self) -> None:
        self._over = True
        self._thread.join()
        self.server.task_dispatcher.shutdown()
        for channel in list(self.server.active_channels.values()):
            channel.handle_close()
        self.server.asyncore.close_all(self.server._map)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def ask(
        self, method: str, path: str, password: str | None = None, body: Any = None
    ) -> tuple[int, str, dict[str, str]]:
        sent = {"Content-Type": "application/json"}
        if password is not None:
            encoded = base64.b64encode(f"me:{password}".encode()).decode()
            sent["Authorization"] = f"Basic {encoded}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        finally:
            connection.close()


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(app: Any, most: int | None = None) -> Served:
            served = Served(app, most)
            stack.callback(served.close)
            return served

        yield start


def hello(_environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
    start("200 OK", [("Content-Length", "2")])
    return [b"hi"]


def guarded(app: Any = hello, login: Login | None = ME) -> Guard:
    return Guard(app, login, read_only=False)


# --- clients that do nothing --------------------------------------------------------------------


SILENT = {
    "nothing": b"",
    "half a line": b"GET /",
    "half a head": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "half a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
    "an answer that is not read": b"GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}


def large(environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
    start("200 OK", [])
    return [b"x" * (4_000_000 if environ["PATH_INFO"] == "/large" else 2)]


@pytest.mark.parametrize("sent", SILENT.values(), ids=SILENT)
def test_idle_connections_keep_nobody_out(serve: Serve, sent: bytes) -> None:
    served = serve(guarded(large, None), most=10)
    with ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(served.connect())
            client.sendall(sent)
        began = time.monotonic()
        assert served.ask("GET", HEALTH)[:2] == (200, "ok\n")
        assert served.ask("GET", "/")[:2] == (200, "xx")
        assert time.monotonic() - began < 20  # two minutes, where idle ones stay
        assert len(served.server.active_channels) <= 10


def test_a_hundred_and_more_are_taken_by_default(serve: Serve) -> None:
    served = serve(guarded(login=None))
    assert served.server.most >= 200
    with ExitStack() as stack:
        silent = [stack.enter_context(served.connect()) for _ in range(150)]
        assert served.ask("GET", HEALTH)[:2] == (200, "ok\n")
        assert len(silent) == 150


def test_an_idle_connection_is_closed_soon(serve: Serve) -> None:
    served = serve(guarded(login=None))
    assert served.server.adj.channel_timeout <= 15
    served.server.adj.channel_timeout, served.server.adj.cleanup_interval = 0, 0
    served.server.next_channel_cleanup = 0
    with served.connect() as client:
        assert client.recv(1) == b""


def test_its_health_waits_for_no_other_request(serve: Serve) -> None:
    held, entered = threading.Event(), threading.Semaphore(0)

    def slow(_environ: WSGIEnvironment, start: StartResponse) -> list[bytes]:
        entered.release()
        held.wait(20)
        return hello(_environ, start)

    served = serve(guarded(slow, None))
    asking = [threading.Thread(target=served.ask, args=("GET", "/")) for _ in range(12)]
    for thread in asking:
        thread.start()
    for _ in range(8):  # every thread is taken, and four requests wait
        assert entered.acquire(timeout=20)
    try:
        assert served.ask("GET", HEALTH)[:2] == (200, "ok\n")
    finally:
        held.set()
        for thread in asking:
            thread.join()


# --- clients that guess -------------------------------------------------------------------------


def test_after_wrong_passwords_a_client_has_to_wait(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(guarded())
    with caplog.at_level(logging.WARNING):
        assert [served.ask("GET", "/", f"no{n}")[0] for n in range(5)] == [401, 401, 401, 429, 429]
    status, said, headers = served.ask("GET", "/", "secret")
    assert status == 429, "the right one would be told from the wrong ones"
    assert headers["Retry-After"] == "1"
    assert "try again in 1 s" in said
    assert served.ask("GET", HEALTH)[0] == 200
    assert served.ask("GET", "/")[0] == 401
    time.sleep(1.1)
    assert served.ask("GET", "/", "secret")[0] == 200
    assert served.ask("GET", "/", "wrong")[0] == 401
    assert len(caplog.messages) == 4, "an attempt that is not looked at is no news"
    assert "wrong password for the dashboard from 127.0.0.1, 3 in a row" in caplog.messages[2]
    assert "no2" not in caplog.text


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_wait_grows_to_its_bound(clock: Clock) -> None:
    attempts, waits = Attempts(clock), []
    for _ in range(10):
        attempts.failed("10.0.0.1")
        waits.append(attempts.wait_s("10.0.0.1"))
        clock.now += waits[-1]
    assert waits == [0, 0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_each_client_waits_for_itself(clock: Clock) -> None:
    attempts = Attempts(clock)
    for _ in range(5):
        attempts.failed("10.0.0.1")
    assert attempts.wait_s("10.0.0.1") == 4
    assert attempts.wait_s("10.0.0.2") == 0


def test_a_site_of_ipv6_is_one_client(clock: Clock) -> None:
    attempts = Attempts(clock)
    for last in range(5):
        attempts.failed(f"2001:db8:1:2::{last}")
    assert attempts.wait_s("2001:db8:1:2:ffff::9") == 4
    assert attempts.wait_s("2001:db8:1:3::1") == 0
    for _ in range(5):
        attempts.failed("::ffff:10.0.0.7")
    assert attempts.wait_s("10.0.0.7") == 4


def test_waits_are_forgotten(clock: Clock) -> None:
    attempts = Attempts(clock)
    for _ in range(4):
        attempts.failed("10.0.0.1")
    attempts.passed("10.0.0.1")
    assert attempts.wait_s("10.0.0.1") == 0
    for _ in range(4):
        attempts.failed("10.0.0.2")
    clock.now += 1000
    attempts.failed("10.0.0.2")
    assert attempts.wait_s("10.0.0.2") == 0


def test_any_number_of_clients_is_remembered_in_bounded_memory(clock: Clock) -> None:
    attempts = Attempts(clock)
    for number in range(5000):
        attempts.failed(f"10.0.{number // 256}.{number % 256}")
    assert len(attempts._clients) == 4096


# --- what optuna-dashboard may do to a study of hpsearch ------------------------------------------


@pytest.fixture
def shown(serve: Serve, sqlite_url: str, tmp_path: Path) -> tuple[Served, Any, Any]:
    """A dashboard over a study of hpsearch and one of Optuna's."""
    ledger, study = searched(sqlite_url, tmp_path)
    other = optuna.create_study(study_name="other", storage=sqlite_url)
    other.add_trial(optuna.trial.create_trial(value=1.0))
    other.ask()
    app = optuna_dashboard.wsgi(open_storage(ledger.database))
    return serve(guarded(Owned(app, ledger, None), None)), ledger, study


def trials_of(ledger: Any, name: str) -> list[tuple[str, Any, Any]]:
    found = optuna.load_study(study_name=name, storage=ledger.database.url)
    return [(t.state.name, t.value, t.user_attrs) for t in found.trials]


REFUSED = {
    "create": ("POST", "/api/studies", {"study_name": "new", "directions": ["minimize"]}),
    "rename": ("POST", "/api/studies/1/rename", {"study_name": "new"}),
    "rename, with slashes": ("POST", "//api/studies/1/rename//", {"study_name": "new"}),
    "tell complete": ("POST", "/api/trials/13/tell", {"state": "Complete", "values": [9]}),
    "tell fail": ("POST", "/api/trials/13/tell", {"state": "Fail"}),
    "attributes": ("POST", "/api/trials/13/user-attrs", {"user_attrs": {"ticket": "x"}}),
    "skip": ("POST", "/api/studies/1/13/skip", {}),
    "preference": (
        "POST",
        "/api/studies/1/preference",
        {"mode": "ChooseWorst", "candidates": [0, 1], "clicked": 0},
    ),
    "component": ("PUT", "/api/studies/1/preference_feedback_component", {"output_type": "note"}),
}


@pytest.mark.parametrize("act", REFUSED.values(), ids=REFUSED)
def test_what_would_spoil_a_study_is_refused_with_a_reason(
    shown: tuple[Served, Any, Any], act: tuple[str, str, Any]
) -> None:
    served, ledger, _ = shown
    before = trials_of(ledger, "s")
    method, path, body = act
    status, said, headers = served.ask(method, path, body=body)
    assert status == 409
    assert headers["Content-Type"] == "application/json"
    assert "hpsearch" in json.loads(said)["reason"]
    assert trials_of(ledger, "s") == before
    assert {s.study_name for s in optuna.get_all_study_summaries(ledger.database.url)} == {
        "s", "other",
    }  # fmt: skip


def test_its_page_has_the_script_that_says_why(shown: tuple[Served, Any, Any]) -> None:
    """optuna-dashboard shows no reason where a study is not created or renamed."""
    served, _, _ = shown
    for path in ("/dashboard", "/dashboard/studies/1/note"):
        status, page, headers = served.ask("GET", path)
        assert (status, int(headers["Content-Length"])) == (200, len(page.encode()))
        assert page.count('<script src="/hpsearch/refusals.js"></script>') == 1
        assert "script-src 'self'" in headers["Content-Security-Policy"]
    status, script, headers = served.ask("GET", "/hpsearch/refusals.js")
    assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert "reason" in script


def test_a_study_is_deleted_as_the_command_does(shown: tuple[Served, Any, Any]) -> None:
    served, ledger, study = shown
    folder = Path(checkpoint_place(ledger.database, study))
    folder.mkdir(parents=True)
    (folder / "1.1.pt").write_bytes(b"x")
    assert served.ask("DELETE", f"/api/studies/{study.study_id}", body={})[0] == 204
    assert ledger.studies() == []
    assert not folder.exists()
    assert "other" in served.ask("GET", "/api/studies")[1]
    assert served.ask("DELETE", f"/api/studies/{study.study_id}", body={})[0] == 404


def test_notes_are_written_by_whoever_looks_at_them(shown: tuple[Served, Any, Any]) -> None:
    served, ledger, _ = shown
    note = {"version": 1, "body": "mine"}
    for path in ("/api/studies/1/note", "/api/studies/1/13/note", "/api/studies/2/note"):
        assert served.ask("PUT", path, body=note)[0] == 204
    status, said, _ = served.ask("PUT", "/api/studies/1/note", body=note)
    assert (status, json.loads(said)["note"]) == (409, note), "somebody else has changed it"
    assert served.ask("PUT", "/api/studies/1/note", body={"version": 2})[0] == 400
    assert json.loads(served.ask("GET", "/api/studies/1")[1])["note"] == note
    assert refresh(ledger, ledger.studies()[0], "w-1")
    text = json.loads(served.ask("GET", "/api/studies/1")[1])["note"]["body"]
    assert text.startswith("**open**")
    assert text.endswith("mine")


def test_a_study_of_optunas_is_left_to_it(shown: tuple[Served, Any, Any]) -> None:
    served, ledger, _ = shown
    assert served.ask("POST", "/api/trials/15/user-attrs", body={"user_attrs": {"a": 1}})[0] == 204
    assert served.ask("POST", "/api/trials/15/tell", body={"state": "Fail"})[0] == 204
    assert trials_of(ledger, "other")[1][0] == "FAIL"
    assert served.ask("POST", "/api/studies/2/rename", body={"study_name": "o"})[0] == 201
    assert served.ask("DELETE", "/api/studies/3", body={})[0] == 204


@pytest.mark.parametrize("act", [("DELETE", "/api/studies/1", {}), *REFUSED.values()][:6])
def test_a_study_whose_row_is_damaged_is_hpsearchs_all_the_same(
    shown: tuple[Served, Any, Any], act: tuple[str, str, Any]
) -> None:
    served, ledger, _ = shown
    with ledger.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hpsearch_studies SET state = 'weird'")
    before = trials_of(ledger, "s")
    method, path, body = act
    status, said, _ = served.ask(method, path, body=body)
    assert status == (409 if path == "/api/studies" else 500)
    assert "hpsearch" in said
    assert trials_of(ledger, "s") == before


@pytest.mark.parametrize("digits", [19, 24, 5000])
def test_no_row_has_a_number_of_so_many_digits(shown: tuple[Served, Any, Any], digits: int) -> None:
    served, _, _ = shown
    for method, path in (("DELETE", "/api/studies/{}"), ("POST", "/api/trials/{}/tell"),
                         ("GET", "/api/studies/{}")):  # fmt: skip
        assert served.ask(method, path.format("9" * digits), body={})[0] == 404


# --- the first answer ---------------------------------------------------------------------------


def test_the_newest_studies_are_read_before_anybody_asks(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched(sqlite_url, tmp_path, "old")
    ledger, study = searched(sqlite_url, tmp_path, "new")
    storage = ReadableStorage(ledger.database)
    monkeypatch.setattr(dashboard, "_READ_AHEAD", study.tickets)  # there is room for one
    dashboard._prepare(ledger, storage, read_only=True)
    assert set(storage._views) == {study.study_id}
    assert storage._views[study.study_id].history.select()


def test_no_garbage_is_looked_for_while_an_answer_is_made(sqlite_url: str, tmp_path: Path) -> None:
    ledger, _ = searched(sqlite_url, tmp_path)

    def app(_environ: WSGIEnvironment, _start: StartResponse) -> list[bytes]:
        return [b"looks for garbage" if gc.isenabled() else b"does not"]

    environ: WSGIEnvironment = {}
    answer = dashboard.watched(app, ledger.database)(environ, lambda *_: lambda _: None)
    assert list(answer) == [b"does not"]
    assert gc.isenabled()
