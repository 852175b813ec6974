"""Workers that crash are started again, by `run` and by the standing `fleet`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Command, digits, hurry, unhurried
from tests.acceptance.test_interruptions import (
    EPOCHS,
    STUDY,
    trials,
    wait_for_reports,
    words_of,
    workers_of,
)

SMALL = digits(parameters="{learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true}}}")


@pytest.fixture
def make_command(make_command: Callable[[str], Command]) -> Callable[[str], Command]:
    return unhurried(make_command)


class Heard:
    """What a process has said on standard error, as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self._lines = process, list[str]()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with suppress(ValueError):  # closed by who ends the test
            self._lines.extend(self._process.stderr)

    @property
    def text(self) -> str:
        if self._process.poll() is not None:
            self._reader.join(5)
        return "".join(self._lines)

    def wait_for(self, pattern: str, count: int = 1, timeout_s: float = 60) -> list[Any]:
        """Until the pattern has been said so often; what it found."""
        deadline = time.monotonic() + timeout_s
        while len(found := re.findall(pattern, self.text)) < count:
            assert time.monotonic() < deadline, self.text
            assert self._process.poll() is None, self.text
            time.sleep(0.02)
        return found


@pytest.mark.nightly
def test_run_gives_up_a_worker_that_is_killed_each_time(command: Command) -> None:
    running = command.start("run", command.file(STUDY))
    heard = Heard(running)
    seen: set[int] = set()
    deadline = time.monotonic() + 120
    while running.poll() is None:
        assert time.monotonic() < deadline, heard.text
        for worker in workers_of(running):
            seen.add(worker.pid)
            worker.kill()
        time.sleep(0.05)
    assert running.returncode == 7, heard.text
    assert len(seen) == 5
    pauses = re.findall(r"killed by signal 9 \(SIGKILL\); a new one starts in (\d+) s", heard.text)
    assert pauses == ["1", "2", "4", "8"]
    assert "given up after 5 crashes in a row" in heard.text
    assert "0 of 2 trials have ended; run again to continue" in heard.text
    command.run("run", command.folder / "study.yaml", "--epochs", EPOCHS)


def test_run_does_not_start_a_worker_again_that_says_why_it_cannot_work(command: Command) -> None:
    table = command.folder / "table.csv"
    table.write_text("a,b,kind\n" + "".join(f"{i},{i % 7},{i % 2}\n" for i in range(60)))
    text = SMALL.replace(
        "{source: digits, limit: 300}",
        "{source: csv, path: table.csv, target: kind}\nmetric: accuracy",
    )
    command.run("submit", command.file(text))
    command.run("worker", "s", "--until-done")
    table.write_text("a,b,kind\n" + "".join(f"{i},{i % 5},{i % 2}\n" for i in range(60)))
    command.run("extend", "s", "--trials", 2)
    said = command.run("run", command.folder / "study.yaml", "--workers", 2, code=4).stderr
    assert said.count("is not what it was when the study began") == 1, "once, not by each worker"
    assert "fix that and run again" in said
    assert "a new one starts" not in said


def test_more_workers_a_device_share_the_cores(command: Command) -> None:
    running = command.start("run", command.file(STUDY), "--workers-per-device", 2)
    wait_for_reports(command, running, 1)
    lines = [" ".join(words_of(worker)) for worker in workers_of(running)]
    assert len(lines) == 2
    assert all("--device cpu" in line and "--threads " in line for line in lines)
    assert not any("checkpoints" in line for line in lines), "a URL may carry a password"
    assert list((command.folder / "checkpoints").iterdir())
    os.kill(running.pid, signal.SIGTERM)
    running.communicate(timeout=30)


def test_two_ways_to_count_workers_are_one_too_many(command: Command) -> None:
    for verb in (["run", command.file(SMALL)], ["fleet"]):
        said = command.run(*verb, "--workers", 2, "--workers-per-device", 2, code=2).stderr
        assert "give one" in said


def test_a_fleet_serves_restarts_and_leaves_in_order(command: Command) -> None:
    command.run("submit", command.file(STUDY))
    command.env["HPSEARCH_LEASE_S"] = "120"  # nothing here may wait for a lease to run out
    running = command.start("fleet", "--workers", 2)
    heard = Heard(running)
    names = heard.wait_for(r"worker (\S+) starts on cpu", count=2)
    heard.wait_for(r"\S+ \| serving study s on cpu", count=2)
    wait_for_reports(command, running, 4)
    victim = next(w for w in workers_of(running) if names[0] in words_of(w))
    victim.kill()
    heard.wait_for(
        rf"worker {names[0]} was killed by signal 9 \(SIGKILL\); a new one starts in 1 s"
    )
    third = heard.wait_for(r"worker (\S+) starts on cpu", count=3)[-1]
    assert third not in names
    heard.wait_for(rf"{third} \| worker {third} on cpu serves")
    hurry(command)
    heard.wait_for(r"\| trial \d of s: COMPLETE", count=2, timeout_s=120)
    left = workers_of(running)
    os.kill(running.pid, signal.SIGTERM)
    running.wait(30)
    assert running.returncode == 0, heard.text
    assert not any(worker.is_running() for worker in left)
    ended = trials(command)
    assert [t.state.name for t in ended] == ["COMPLETE", "COMPLETE"]
    assert sorted(t.user_attrs["attempts"] for t in ended) == [1, 2]
    assert [sorted(t.intermediate_values) for t in ended] == [list(range(1, EPOCHS + 1))] * 2


def test_a_fleet_kills_a_worker_that_does_not_leave(command: Command) -> None:
    command.run("submit", command.file(STUDY))
    running = command.start("fleet", "--workers", 2, "--grace", 1)
    heard = Heard(running)
    heard.wait_for(r"\| serving study s", count=2)
    stuck, other = workers_of(running)
    stuck.suspend()
    began = time.monotonic()
    os.kill(running.pid, signal.SIGTERM)
    running.wait(30)
    assert running.returncode == 0, heard.text
    assert time.monotonic() - began < 8
    assert not stuck.is_running()
    assert not other.is_running()


def test_a_fleet_outlives_what_its_workers_are_forked_from(command: Command) -> None:
    """They leave with it, and others are forked from a new one."""
    command.run("submit", command.file(STUDY))
    command.env["HPSEARCH_LEASE_S"] = "120"
    running = command.start("fleet", "s", "--workers", 2, "--until-done")
    heard = Heard(running)
    wait_for_reports(command, running, 4)
    before = workers_of(running)
    (server,) = psutil.Process(running.pid).children()
    server.kill()
    hurry(command)
    lost = r"was lost: the process that it is forked from was killed by signal 9 \(SIGKILL\); a new"
    heard.wait_for(lost, count=2)
    running.wait(120)
    assert running.returncode == 0, heard.text
    assert not any(worker.is_running() for worker in before)
    ended = trials(command)
    assert [t.state.name for t in ended] == ["COMPLETE", "COMPLETE"]
    assert [sorted(t.intermediate_values) for t in ended] == [list(range(1, EPOCHS + 1))] * 2


def test_who_kills_the_command_leaves_nobody_at_work(command: Command) -> None:
    running = command.start("run", command.file(STUDY), "--workers", 2)
    wait_for_reports(command, running, 2)
    left = psutil.Process(running.pid).children(recursive=True)
    assert len(left) == 3, "two workers, and what they were forked from"
    running.kill()
    running.communicate()
    _, alive = psutil.wait_procs(left, timeout=30)
    assert not alive


def test_a_fleet_until_done_ends_with_the_work(command: Command) -> None:
    command.run("submit", command.file(SMALL))
    said = command.run("fleet", "s", "--workers", 2, "--until-done").stderr
    assert said.count("of s: COMPLETE") == 4
    assert command.json("status", "s")["state"] == "done"
    assert "no study 't'" in command.run("fleet", "t", code=6).stderr


@pytest.mark.nightly
def test_a_fleet_waits_out_a_database_that_is_away(
    make_command: Callable[[str], Command], servers: Any
) -> None:
    """Workers of little patience give up, and are started again until it is back."""
    import sqlalchemy as sa

    command = make_command(servers.new_database("postgresql", None))
    command.env["HPSEARCH_PATIENCE_S"] = "0"
    command.env["HPSEARCH_LEASE_S"] = "600"  # what they held is given back for them, later
    command.run("submit", command.file(STUDY))
    running = command.start("fleet", "--workers", 1)
    heard = Heard(running)
    wait_for_reports(command, running, 3)
    url = sa.make_url(command.url)
    engine = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT",
                              poolclass=sa.NullPool)  # fmt: skip
    with engine.connect() as admin:
        admin.execute(sa.text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false"))
        admin.execute(sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                              f"WHERE datname = '{url.database}'"))  # fmt: skip
        heard.wait_for(r"ended with exit code 3: .*; a new one starts in", count=2)
        admin.execute(sa.text(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true"))
    # By the database: a worker that leaves may have said of an end what it could not deliver.
    deadline = time.monotonic() + 120
    while [t.state.name for t in trials(command)] != ["COMPLETE", "COMPLETE"]:
        assert time.monotonic() < deadline, heard.text
        assert running.poll() is None, heard.text
        time.sleep(0.1)
    os.kill(running.pid, signal.SIGTERM)
    running.wait(30)
    assert running.returncode == 0
    assert [len(t.intermediate_values) for t in trials(command)] == [EPOCHS, EPOCHS]


@pytest.mark.parametrize("verb", ["fleet", "worker"])
def test_a_fleet_without_its_database_says_so(command: Command, verb: str) -> None:
    command.env["HPSEARCH_STORAGE"] = "postgresql://127.0.0.1:1/none"
    command.env["HPSEARCH_PATIENCE_S"] = "0"
    assert "127.0.0.1:1" in command.run(verb, code=3).stderr
