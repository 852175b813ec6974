"""Who may use the dashboard, and for what: a real server, asked over real HTTP."""

from __future__ import annotations

import base64
import http.client
import re
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hpsearch.store.engine import Database
from hpsearch.store.storage import open_storage
from hpsearch.store.tables import prepare
from tests.acceptance.conftest import Command, digits
from tests.conftest import Servers
from tests.later import Later

optuna_dashboard = Later("optuna_dashboard")

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
UNKNOWN = ["/nowhere", "/healthz/", "/healthz/x", "/static/../../x", "/HEALTHZ"]
NAMES = {"study_id": "1", "trial_id": "1", "plot_type": "slice", "history_id": "x",
         "artifact_id": "ab", "filename": "bundle.js", "": ""}  # fmt: skip


class Dashboard:
    """A dashboard that runs, and a client of it."""

    def __init__(self, command: Command, *options: str) -> None:
        self.process = command.start("dashboard", "--port", "0", *options)
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()
        found = re.search(r"http://[\d.]+:(\d+)/", self.said)
        assert found, (self.said, self.process.communicate())
        self.port = int(found[1])

    def ask(
        self, method: str, path: str, login: str | None = None, timeout: float = 60, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        """The status, body and headers of the answer."""
        sent = {"Accept-Encoding": "gzip", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if login is not None:
            sent["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, headers=sent)
            answer = connection.getresponse()
            return (
                answer.status,
                answer.read().decode(errors="replace"),
                {k.lower(): v for k, v in answer.getheaders()},
            )
        finally:
            connection.close()

    def status(self, method: str, path: str, login: str | None = None, **headers: Any) -> int:
        return self.ask(method, path, login, **headers)[0]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a study that has run."""
    folder = tmp_path_factory.mktemp("searched")
    command = Command(folder, f"sqlite:///{folder}/study.db")
    text = digits(parameters="{learning_rate: {lr: {values: [0.01, 0.1]}}}",
                  budget="{trials: 2, epochs: 1}")  # fmt: skip
    command.run("run", command.file(text))
    return folder / "study.db"


@pytest.fixture
def served(command: Command, searched: Path) -> Command:
    """A command against a copy of that database."""
    shutil.copy(searched, command.folder / "study.db")
    return command


@pytest.fixture
def login(command: Command) -> list[str]:
    """Options of a login."""
    file = command.folder / "password"
    file.write_text("open: sésame\n")
    file.chmod(0o600)
    return ["--user", "me", "--password-file", str(file)]


ME = "me:open: sésame"


def filled(rule: str) -> str:
    return re.sub(r"<(\w*)(?::\w+(?::(?:[^<>\[]|\[[^\]]*\])*)?)?>", lambda m: NAMES[m[1]], rule)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Every (method, path) of the application, its parameters filled in."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('routes')}/empty.db")
    prepare(database)
    app = optuna_dashboard.wsgi(open_storage(database))
    found = [(route.method, filled(route.rule)) for route in app.routes]
    assert len(found) > 25
    assert {"GET", "POST", "PUT", "DELETE"} == {method for method, _ in found}
    assert not any("<" in path for _, path in found)
    return found


def content(file: Path) -> list[str]:
    """All rows of all tables."""
    with sqlite3.connect(file) as connection:
        found = list(connection.iterdump())
    connection.close()
    return found


def test_beyond_loopback_it_does_not_start_without_a_login(
    served: Command, login: list[str]
) -> None:
    for host in ("0.0.0.0", "::", "0"):
        said = served.run("dashboard", "--host", host, "--port", "0", code=2).stderr
        assert "login" in said
        assert "HPSEARCH_DASHBOARD_PASSWORD_FILE" in said
    dashboard = Dashboard(served, "--host", "0.0.0.0", *login)
    assert "login" in dashboard.said
    assert dashboard.status("GET", "/api/studies", ME) == 200


@pytest.mark.parametrize("options", [[], ["--read-only"]])
def test_without_the_login_every_route_is_closed(
    served: Command, login: list[str], known: list[tuple[str, str]], options: list[str]
) -> None:
    before = content(served.folder / "study.db")
    dashboard = Dashboard(served, *login, *options)
    for path in sorted({path for _, path in known} | set(UNKNOWN)):
        for method in METHODS:
            status, body, headers = dashboard.ask(method, path)
            assert (status, body) == (401, "" if method == "HEAD" else "log in\n"), (method, path)
            assert headers["www-authenticate"].startswith("Basic ")
    assert content(served.folder / "study.db") == before


@pytest.mark.parametrize(
    "wrong",
    ["me:open", "me:open: sésame\n", "me:", "me", ":", "", "you:open: sésame", "ME:open: sésame"],
)
def test_a_wrong_login_is_none(served: Command, login: list[str], wrong: str) -> None:
    dashboard = Dashboard(served, *login)
    assert dashboard.status("GET", "/dashboard", wrong) == 401
    assert dashboard.status("GET", "/dashboard", ME) == 200


def test_what_is_no_basic_login_is_none(served: Command, login: list[str]) -> None:
    dashboard = Dashboard(served, *login)
    right = base64.b64encode(ME.encode()).decode()
    for header in ("", "Basic", "Basic ", f"Bearer {right}", right, f"Basic {right}!", "Basic \xff",
                   f"Basic {right[:-4]}", "Basic ===="):  # fmt: skip
        assert dashboard.status("GET", "/dashboard", Authorization=header) == 401, header
    assert dashboard.status("GET", "/dashboard", Authorization=f"bAsIc  {right}") == 200


def test_the_login_opens_every_route(
    served: Command, login: list[str], known: list[tuple[str, str]]
) -> None:
    dashboard = Dashboard(served, *login)
    for method, path in known:
        assert dashboard.status(method, path, ME) not in (401, 403), (method, path)
    assert dashboard.status("DELETE", "/api/studies/1", ME) in (204, 404)
    assert "no studies" in dashboard.ask("GET", "/api/studies", ME)[1].replace("[]", "no studies")


def test_read_only_refuses_what_writes_and_shows_the_rest(
    served: Command, known: list[tuple[str, str]]
) -> None:
    before = content(served.folder / "study.db")
    dashboard, open_ = Dashboard(served, "--read-only"), Dashboard(served)
    assert "read-only" in dashboard.said
    assert "read-only" not in open_.said
    for method, path in known:
        # A few of the application's own answers are errors: it has no artifacts to show.
        expected = open_.status("GET", path) if method == "GET" else 403
        assert dashboard.status(method, path) == expected, (method, path)
    for method in ("PATCH", "OPTIONS", "PROPFIND", "BREW"):
        assert dashboard.status(method, "/api/studies/1") == 403, method
    assert "Optuna Dashboard" in dashboard.ask("GET", "/dashboard")[1]
    for path in ("/api/studies", "/api/studies/1", "/csv/1", "/static/bundle.js"):
        assert dashboard.status("GET", path) == 200, path
    assert content(served.folder / "study.db") == before


def test_no_reading_route_writes(served: Command, known: list[tuple[str, str]]) -> None:
    """Or read-only would have to look at more than the method."""
    file = served.folder / "study.db"
    dashboard = Dashboard(served)
    for path in [path for method, path in known if method == "GET"]:
        before = content(file)
        for method in ("GET", "HEAD"):
            dashboard.status(method, path, X_HTTP_Method_Override="DELETE")
            assert content(file) == before, (method, path)
    assert dashboard.status("DELETE", "/api/studies/1") == 204
    assert content(file) != before, "else nothing here could fail"


def test_a_foreign_name_for_this_machine_opens_nothing(served: Command, login: list[str]) -> None:
    dashboard = Dashboard(served)
    for good in ("localhost", "localhost:1", "127.0.0.1", "127.0.0.9:80", "[::1]:80", "LOCALHOST"):
        assert dashboard.status("GET", "/api/studies", Host=good) == 200, good
    for bad in ("evil.com", "127.0.0.1.evil.com", "localhost.evil.com:80", "192.168.0.1", "[::]",
                "", "[", "evil.com@localhost.x", "0.0.0.0"):  # fmt: skip
        status, body, _ = dashboard.ask("GET", "/api/studies", Host=bad)
        assert status == 403, bad
        assert "open the dashboard as localhost" in body
    behind = Dashboard(served, *login)
    assert behind.status("GET", "/api/studies", ME, Host="search.example.org") == 200


@pytest.mark.parametrize("with_login", [False, True])
def test_another_site_writes_nothing(
    served: Command, login: list[str], *, with_login: bool
) -> None:
    before = content(served.folder / "study.db")
    dashboard = Dashboard(served, *(login if with_login else []))
    me = ME if with_login else None
    port = dashboard.port
    for origin in ("https://evil.com", "null", f"http://localhost:{port + 1}", "http://["):
        answer = dashboard.ask("DELETE", "/api/studies/1", me, Origin=origin)
        assert answer[0] == 403, origin
    assert content(served.folder / "study.db") == before
    own = f"http://127.0.0.1:{port}"
    assert dashboard.status("GET", "/api/studies", me, Origin="https://evil.com") == 200
    assert dashboard.status("DELETE", "/api/studies/1", me, Origin=own) == 204


def test_every_answer_of_the_application_keeps_frames_away(served: Command) -> None:
    _, _, headers = Dashboard(served).ask("GET", "/dashboard")
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["x-content-type-options"] == "nosniff"


def test_its_health_is_told_without_a_login(served: Command, login: list[str]) -> None:
    dashboard = Dashboard(served, *login)
    assert dashboard.ask("GET", "/healthz", Host="10.0.0.7:8080")[:2] == (200, "ok\n")
    assert dashboard.ask("HEAD", "/healthz")[:2] == (200, "")
    assert dashboard.status("POST", "/healthz") == 401


def test_a_login_by_the_environment(served: Command, login: list[str]) -> None:
    served.env["HPSEARCH_DASHBOARD_USER"] = "me"
    served.env["HPSEARCH_DASHBOARD_PASSWORD_FILE"] = login[-1]
    dashboard = Dashboard(served)
    assert dashboard.status("GET", "/dashboard") == 401
    assert dashboard.status("GET", "/dashboard", ME) == 200


def test_a_login_that_makes_no_sense_is_told(served: Command, login: list[str]) -> None:
    file = Path(login[-1])
    assert "--password-file" in served.run("dashboard", "--user", "me", code=2).stderr
    assert "--user" in served.run("dashboard", "--password-file", file, code=2).stderr
    assert "colon" in served.run("dashboard", *login, "--user", "a:b", code=2).stderr
    for text in ("", "\n"):
        file.write_text(text)
        assert "is empty" in served.run("dashboard", *login, code=2).stderr
    file.write_bytes(b"\xff\xfe")
    assert "UTF-8" in served.run("dashboard", *login, code=2).stderr
    file.unlink()
    assert "cannot be read" in served.run("dashboard", *login, code=2).stderr


def test_a_password_that_all_may_read_is_a_warning(served: Command, login: list[str]) -> None:
    Path(login[-1]).chmod(0o644)
    dashboard = Dashboard(served, *login)
    assert dashboard.status("GET", "/dashboard", ME) == 200
    dashboard.process.terminate()
    _, said = dashboard.process.communicate(timeout=30)
    assert "every user may read" in said
    assert "sésame" not in said


def test_slow_clients_keep_nobody_waiting(served: Command) -> None:
    dashboard = Dashboard(served)
    slow = [socket.create_connection(("127.0.0.1", dashboard.port)) for _ in range(20)]
    try:
        for index, client in enumerate(slow):
            client.sendall(b"POST /api/studies HTTP/1.1\r\nHost: localhost\r\n")
            if index % 2:
                client.sendall(b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
        assert dashboard.ask("GET", "/api/studies", timeout=20)[0] == 200
    finally:
        for client in slow:
            client.close()


def test_slow_answers_keep_nobody_waiting(
    make_command: Callable[[str], Command], servers: Servers, tmp_path: Path
) -> None:
    command = make_command(servers.new_database("postgresql", tmp_path))
    command.run("db", "init")
    dashboard = Dashboard(command)
    answers: list[int] = []
    waiting = [
        threading.Thread(target=lambda: answers.append(dashboard.status("GET", "/api/studies")))
        for _ in range(2)
    ]
    engine = sa.create_engine(command.url, poolclass=sa.NullPool)
    with engine.begin() as held:
        held.execute(sa.text("LOCK TABLE studies IN ACCESS EXCLUSIVE MODE"))
        for thread in waiting:
            thread.start()
        while blocked(held) < 2:  # the test's own time limit ends it
            pass
        assert dashboard.ask("GET", "/dashboard", timeout=20)[0] == 200
        assert answers == []
    for thread in waiting:
        thread.join(30)
    assert answers == [200, 200]


def blocked(connection: Any) -> int:
    query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM "
    query += "pg_database WHERE datname = current_database())"
    return int(connection.execute(sa.text(query)).scalar_one())


def test_a_huge_request_is_refused(served: Command) -> None:
    dashboard = Dashboard(served)
    with socket.create_connection(("127.0.0.1", dashboard.port), timeout=30) as client:
        client.sendall(b"POST /api/studies HTTP/1.1\r\nHost: localhost\r\n"
                       b"Content-Length: 99999999999\r\n\r\n")  # fmt: skip
        assert client.recv(100).startswith(b"HTTP/1.1 413 ")


def test_ctrl_c_and_sigterm_end_it_in_order(served: Command) -> None:
    for end in ("terminate", "interrupt"):
        dashboard = Dashboard(served)
        dashboard.process.send_signal({"terminate": 15, "interrupt": 2}[end])
        _, said = dashboard.process.communicate(timeout=30)
        assert (dashboard.process.returncode, said) == (0, ""), end


# --- in a browser -------------------------------------------------------------------------------


@pytest.mark.nightly
def test_a_browser_shows_the_note_and_what_is_refused(served: Command) -> None:
    """By Debian's chromium and `pip install playwright`."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    address = f"http://127.0.0.1:{Dashboard(served).port}/dashboard"
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(f"{address}/studies/1/note")
        page.get_by_text("hpsearch trials s --top 10").wait_for()
        note = page.inner_text("body")
        page.goto(f"{address}/studies/1/trials?numbers=0")
        page.get_by_text("best_epoch 1").wait_for()
        trial = page.inner_text("body")
        page.goto(address)
        page.get_by_role("button", name="Create").click()
        page.get_by_label("Study name").fill("new")
        page.get_by_role("button", name="Create").last.click()
        page.get_by_text("hpsearch run FILE or hpsearch submit FILE creates one").wait_for()
        browser.close()
    assert "2 of 2 trials" in note
    assert "hpsearch keeps what is above this line up to date" in note
    assert re.search(r"accuracy 0\.\d+\s", trial)
    assert '"ticket": 0' in trial
