"""Processes forked from one that is loaded: how they begin, how they end, who hears of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hpsearch.fleet import End
from hpsearch.fleet.forkserver import Forked, ForkServer
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger

LIMIT_S = 60


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


@pytest.fixture
def server(url: str) -> Iterator[ForkServer]:
    server = ForkServer([], {"HPSEARCH_STORAGE": url})
    yield server
    server.close()


def until(server: ForkServer, happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not happened():
        assert time.monotonic() < deadline
        server.wait(0.1)


def end_of(server: ForkServer, forked: Forked) -> End:
    until(server, forked.poll)
    end = forked.poll()
    assert end is not None
    return end


def working(server: ForkServer, name: str, url: str) -> Forked:
    """A worker that waits for studies."""
    ledger = Ledger(Database(url))
    ledger.studies()  # makes the tables
    forked = server.fork(name, ["worker", "--name", name])
    until(server, lambda: any(w.worker == name for w in ledger.workers()))
    return forked


def test_each_is_a_command_of_its_own_and_its_end_is_known(server: ForkServer) -> None:
    heard: list[str] = []
    fine = server.fork("fine", ["--version"], heard.append)
    missing = server.fork("missing", ["status", "nowhere"])
    misused = server.fork("misused", ["status", "--none"])
    end = end_of(server, fine)
    assert end.code == 0
    assert [end.said] == heard
    assert heard[0].startswith("hpsearch ")
    end = end_of(server, missing)
    assert end.code == 6
    assert "has no studies and no workers yet" in end.said
    assert end_of(server, misused).code == 2


def test_a_worker_is_killed_and_is_named_as_what_it_is(server: ForkServer, url: str) -> None:
    forked = working(server, "w1", url)
    pid = server.pid("w1")
    assert pid is not None
    assert psutil.Process(pid).cmdline()[0] == "hpsearch worker --name w1"
    forked.kill()
    assert forked.poll() == End(-9, forked.poll().said)
    assert not psutil.pid_exists(pid)
    forked.kill()  # nobody is hit by it


def test_a_worker_is_asked_to_leave_and_others_stay(server: ForkServer, url: str) -> None:
    leaves, stays = working(server, "leaves", url), working(server, "stays", url)
    leaves.terminate()
    assert end_of(server, leaves).code == 0
    assert stays.poll() is None
    states = {w.worker: w.state for w in Ledger(Database(url)).workers()}
    assert states == {"leaves": "left", "stays": "idle"}


def test_one_that_has_not_begun_never_does(server: ForkServer, url: str, tmp_path: Path) -> None:
    forked = server.fork("early", ["worker", "--name", "early"])
    forked.terminate()
    assert forked.poll() == End(-15)
    server.close()
    assert not (tmp_path / "study.db").exists()


def test_one_that_is_forgotten_before_it_begins_leaves(server: ForkServer, url: str) -> None:
    """The server forks it all the same; it finds that nobody holds the other end."""
    server.fork("forgotten", ["worker", "--name", "forgotten"]).terminate()
    until(server, lambda: server.code("forgotten") is not None)
    assert server.code("forgotten") == 0
    assert not [w for w in Ledger(Database(url)).workers() if w.state != "left"]


def test_workers_whose_server_is_lost_are_lost_and_leave(server: ForkServer, url: str) -> None:
    forked = working(server, "w1", url)
    pid = server.pid("w1")
    assert pid is not None
    worker = psutil.Process(pid)
    server._popen.kill()
    assert end_of(server, forked).how == "was killed by signal 9 (SIGKILL)"
    assert server.fork("late", ["--version"]).poll() == server.lost
    _, alive = psutil.wait_procs([worker], timeout=LIMIT_S)
    assert not alive
    assert {w.worker: w.state for w in Ledger(Database(url)).workers()} == {"w1": "left"}


def test_a_server_that_cannot_load_says_why(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libnothing.so.7: cannot open')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    server = ForkServer([], {"PYTHONPATH": path})
    end = end_of(server, server.fork("w", ["--version"]))
    assert end.code == 1
    assert "libnothing.so.7: cannot open" in end.said
    server.close()


def test_who_dies_takes_server_and_workers_along(url: str) -> None:
    parent = f"""
import time
from hpsearch.fleet.forkserver import ForkServer
server = ForkServer([], {{"HPSEARCH_STORAGE": {url!r}}})
forked = server.fork("w1", ["worker", "--name", "w1"])
time.sleep(1000)
"""
    ledger = Ledger(Database(url))
    ledger.studies()
    process = subprocess.Popen([sys.executable, "-c", parent])
    deadline = time.monotonic() + LIMIT_S
    while not ledger.workers():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    left = psutil.Process(process.pid).children(recursive=True)
    assert len(left) == 2
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(left, timeout=LIMIT_S)
    assert not alive
    assert [w.state for w in ledger.workers()] == ["left"]
