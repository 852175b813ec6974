"""No command writes the password of a database, whatever goes wrong."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.tables import is_ready
from tests.acceptance.chaos import hooks
from tests.acceptance.conftest import Command, digits
from tests.conftest import Servers

LR = "{learning_rate: {lr: {values: [0.01, 0.1]}}}"
AWAY = {
    "sesame": "postgresql://me:sesame@127.0.0.1:1/x",
    "op@n/ses ame": "mysql://me:op%40n%2Fses%20ame@127.0.0.1:1/x",
    "ab1": "postgresql://me@127.0.0.1:1/x?password=ab1",
}
"""Databases that do not answer, by their passwords."""


def is_silent(text: str, password: str, url: str) -> None:
    """Neither the password, decoded or as it was typed, is in the text, nor that broken up."""
    (typed,) = re.findall(r"(?:me:|password=)([^@]+)", url)
    for form in (password, typed):
        assert form not in text, text
        assert form.replace(" ", "") not in re.sub(r"[\s│]+", "", text), text


@pytest.mark.parametrize("password", AWAY)
def test_a_database_that_is_away(command: Command, password: str) -> None:
    url = AWAY[password]
    file = command.file(digits(parameters=LR))
    for words in (["run", file], ["status"]):
        done = command.run(*words, "--storage", url, code=3)
        assert "***" in done.stderr
        is_silent(done.stderr + done.stdout, password, url)
    command.env["HPSEARCH_STORAGE"] = url
    command.env["HPSEARCH_PATIENCE_S"] = "0"
    for words in (["worker"], ["dashboard"], ["db", "check"]):
        done = command.run(*words, code=3)
        assert "***" in done.stderr
        is_silent(done.stderr + done.stdout, password, url)
    done = command.run("doctor", "--json", code=1)
    assert "***" in done.stdout
    is_silent(done.stderr + done.stdout, password, url)


SLIPS = ["status s URL", "URL", "db URL", "dashboard --port URL", "--storage URL status",
         "run URL", "worker --lease-s URL", "status --storage=URL a b"]  # fmt: skip


@pytest.mark.parametrize("words", SLIPS)
def test_a_slip_on_the_command_line(command: Command, words: str) -> None:
    """What is told of it quotes what was typed, and may break it over lines."""
    for password, url in AWAY.items():
        command.env["COLUMNS"] = "40"
        done = command.run(*[word.replace("URL", url) for word in words.split()], code=2)
        assert done.stderr
        is_silent(done.stderr + done.stdout, password, url)


def test_a_url_that_makes_no_sense(command: Command) -> None:
    for url in ("postgresql://me:sesame@host:port/x", "oracle://me:sesame@host/x",
                "me:sesame@host", "postgresql:/me:sesame@host"):  # fmt: skip
        command.env["HPSEARCH_STORAGE"] = url
        done = command.run("status", code=3)
        assert "sesame" not in done.stderr + done.stdout


@pytest.fixture
def open_(make_command: Callable[[str], Command], servers: Servers, tmp_path: Path) -> Command:
    """A command against a database whose URL has a password, and which takes any."""
    url = servers.new_database("postgresql", tmp_path)
    return make_command(url.replace("postgres@", "postgres:sesame@"))


def test_a_search_tells_and_keeps_none(open_: Command) -> None:
    file = open_.file(digits(parameters=LR, budget="{trials: 2, epochs: 1}"))
    del open_.env["HPSEARCH_STORAGE"]
    said = []
    for words in (["run", file, "--workers", 2], ["status"], ["best", "s", "--json"], ["doctor"],
                  ["submit", file], ["run", file]):  # fmt: skip
        done = open_.run(*words, "--storage", open_.url)
        said.append(done.stdout + done.stderr)
    assert "sesame" not in "".join(said)
    assert "postgres:***@" in "".join(said), "the commands to continue with name the database"
    engine = sa.create_engine(open_.url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        rows = [str(row) for table in tables
                for row in connection.execute(sa.text(f'SELECT * FROM "{table}"'))]  # fmt: skip
    assert any("cpu" in row for row in rows)
    assert not [row for row in rows if "sesame" in row]


def test_data_for_programs_is_whole_whatever_the_password(open_: Command) -> None:
    """A password may be a word that such data is made of."""
    for word in ("COMPLETE", "test"):
        open_.env["HPSEARCH_STORAGE"] = open_.url.replace("sesame", word)
        open_.run("run", open_.file(digits(parameters=LR, budget="{trials: 1, epochs: 1}")))
        assert open_.json("status", "s")["data"]["rows"]["test"] > 0
        (trial,) = open_.json("trials", "s")
        assert trial["state"] == "COMPLETE"
        assert json.loads(open_.run("export", "s", "--format", "json").stdout) == [trial]


def test_an_interrupted_search_names_itself_without(open_: Command) -> None:
    file = open_.file(digits(parameters=LR, budget="{trials: 2, epochs: 5000}"))
    running = open_.start("run", file, f"--storage={open_.url}")
    database = Database(open_.url)
    while not (is_ready(database) and any(s.issued for s in Ledger(database).studies())):
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    said = "".join(running.communicate(timeout=60))
    assert "--storage=postgresql+psycopg://postgres:***@" in said
    assert "sesame" not in said


def test_an_unexpected_error_shows_its_traceback_without(open_: Command) -> None:
    """Of the command itself, and of a worker that a search has started."""
    open_.hooks.append(partial(hooks.fail_to_start, "sesame"))
    process = open_.start("worker", "--name", "w")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" in said
    assert re.search(r"RuntimeError: no name: postgresql\S*postgres:\*\*\*@\S+ \*\*\*\n$", said)
    assert "sesame" not in said
    open_.hooks[:] = [
        partial(hooks.fail_to_start, "sesame", spare_this=True), hooks.restart_at_once
    ]  # fmt: skip
    done = open_.run("run", open_.file(digits(parameters=LR)), code=7)
    assert "no name" in done.stderr
    assert "***" in done.stderr
    assert "sesame" not in done.stderr + done.stdout
