"""Processes forked from one that is loaded: how they begin, how they end, who hears of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import pytest

from hpsearch.fleet import End
from hpsearch.processes.forkserver import _DEATH_S, Forked, ForkServer
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.zygote import Job, Process

LIMIT_S = 60


def _serve() -> None:
    from hpsearch.cli import forkserver

    forkserver.main()


class _Warm:
    """In place of `subprocess` where a server is started: it is forked, with PyTorch loaded."""

    PIPE, STDOUT = subprocess.PIPE, subprocess.STDOUT

    @staticmethod
    def Popen(_: list[str], *, env: Mapping[str, str], start_new_session: bool, **streams: Any):
        return Process(Job([], env, body=_serve), text=False, **streams)


def warm_server() -> ForkServer:
    with mock.patch("hpsearch.processes.forkserver.subprocess", _Warm):
        return ForkServer.started({})


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """One for all tests that leave it alive, which is started as in earnest."""
    server = ForkServer.started({})
    yield server
    server.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


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


def pid_of(server: ForkServer) -> int:
    process: Any = server._process
    pid: int = process.pid
    return pid


def server_of(worker: psutil.Process) -> psutil.Process:
    return psutil.Process(worker.ppid())


def working(server: ForkServer, name: str, url: str) -> Forked:
    """A worker that waits for studies."""
    ledger = Ledger(Database(url))
    ledger.studies()  # makes the tables
    forked = server.fork(name, ["worker", "--name", name, "--storage", url])
    until(server, lambda: any(w.worker == name for w in ledger.workers()))
    return forked


def test_each_is_a_command_of_its_own_and_its_end_is_known(server: ForkServer, url: str) -> None:
    heard: list[str] = []
    fine = server.fork("fine", ["--version"], heard.append)
    missing = server.fork("missing", ["status", "nowhere", "--storage", url])
    misused = server.fork("misused", ["status", "--none"])
    end = end_of(server, fine)
    assert end.code == 0
    assert [end.said] == heard
    assert heard[0].startswith("hpsearch ")
    end = end_of(server, missing)
    assert end.code == 6
    assert "has no studies and no workers yet" in end.said
    assert end_of(server, misused).code == 2


def test_a_worker_is_named_as_what_it_is_and_killed(server: ForkServer, url: str) -> None:
    forked, bystander = working(server, "w1", url), working(server, "w2", url)
    assert forked.pid is not None
    process = psutil.Process(forked.pid)
    assert " ".join(process.cmdline()).startswith("hpsearch worker --name w1 ")
    assert Path(f"/proc/{forked.pid}/oom_score_adj").read_text() == "100\n"
    forked.kill()
    end = forked.poll()
    assert end is not None
    assert end.code == -9
    assert not process.is_running()
    forked.kill()
    assert bystander.poll() is None
    bystander.kill()


def test_a_worker_is_asked_to_leave_and_others_stay(server: ForkServer, url: str) -> None:
    leaves, stays = working(server, "leaves", url), working(server, "stays", url)
    leaves.terminate()
    assert end_of(server, leaves).code == 0
    assert stays.poll() is None
    states = {w.worker: w.state for w in Ledger(Database(url)).workers()}
    assert states == {"leaves": "left", "stays": "idle"}
    stays.kill()


def test_one_that_is_ended_before_it_begins_leaves(server: ForkServer, url: str) -> None:
    """The server forks it all the same; it finds that nobody holds the other end."""
    ledger = Ledger(Database(url))
    ledger.studies()
    forked = server.fork("early", ["worker", "--name", "early", "--storage", url])
    forked.terminate()
    assert forked.poll() == End(-15)
    until(server, lambda: forked.code is not None)
    assert forked.code == 0
    assert not [w for w in ledger.workers() if w.state != "left"]


def test_more_than_the_socket_holds_are_asked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = socket.socketpair

    def small(*kind: int) -> tuple[socket.socket, socket.socket]:
        both = pair(*kind)
        for end in both:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least there is
        return both

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", small)
        server = ForkServer.started({})
    with closing(server):
        many = [server.fork(f"w{i}", ["--none"]) for i in range(15)]
        assert {end_of(server, forked).code for forked in many} == {2}


def test_numpy_computes_in_a_fork(server: ForkServer, tmp_path: Path) -> None:
    """The threads of its BLAS, begun when it was loaded, do not survive a fork by themselves."""
    (tmp_path / "many.csv").write_text("a,b,kind\n" + "1,2,x\n3,4,y\n" * 50)
    (tmp_path / "s.yaml").write_text(
        "name: s\ndata: {source: csv, path: many.csv, target: kind}\nnetwork: {family: mlp}\n"
        "metric: accuracy\n"
        "parameters: {learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true}}}\n"
        "search: {sampler: bayesian}\nbudget: {trials: 8, epochs: 1}\n"
    )
    storage = ["--storage", f"sqlite:///{tmp_path}/study.db"]
    end = end_of(server, server.fork("a", ["submit", f"{tmp_path}/s.yaml", *storage]))
    assert end.code == 0, end
    end = end_of(server, server.fork("w", ["worker", "s", "--until-done", *storage]))
    assert end.code == 0, end


def test_nothing_stands_in_the_way_of_a_fork() -> None:
    """Neither CUDA, which does not bear one, nor threads of Python's."""
    code = """
import threading
import hpsearch.cli, hpsearch.worker
import torch
assert not torch.cuda.is_initialized()
assert threading.active_count() == 1, threading.enumerate()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=LIMIT_S)


def hung_and_orphaned(url: str) -> tuple[ForkServer, Forked, psutil.Process]:
    """A server that is lost, and its worker, which does not hear of it."""
    server = warm_server()
    forked = working(server, "w1", url)
    worker = psutil.Process(forked.pid)
    worker.suspend()
    server_of(worker).kill()
    until(server, server.poll)
    return server, forked, worker


def test_workers_whose_server_is_lost_leave_and_are_lost_then(url: str) -> None:
    server, forked, worker = hung_and_orphaned(url)
    assert forked.poll() is None, "it has not gone"
    worker.resume()
    end = end_of(server, forked)
    assert end.how == (
        "was lost: the process that it is forked from was killed by signal 9 (SIGKILL)"
    )
    assert end_of(server, server.fork("late", ["--version"])).how == end.how
    _, alive = psutil.wait_procs([worker], timeout=LIMIT_S)
    assert not alive
    assert {w.worker: w.state for w in Ledger(Database(url)).workers()} == {"w1": "left"}


def test_a_hung_worker_whose_server_is_lost_is_killed_all_the_same(url: str) -> None:
    server, forked, worker = hung_and_orphaned(url)
    forked.kill()
    _, alive = psutil.wait_procs([worker], timeout=LIMIT_S)
    assert not alive
    assert end_of(server, forked).code is None


def test_a_server_that_does_not_answer_holds_up_only_the_first_kill(url: str) -> None:
    server = warm_server()
    all_ = [working(server, name, url) for name in ("w1", "w2", "w3")]
    workers = [psutil.Process(forked.pid) for forked in all_]
    server_of(workers[0]).suspend()
    began = time.monotonic()
    for forked in all_:
        forked.kill()
    assert time.monotonic() - began < 2 * _DEATH_S
    _, alive = psutil.wait_procs(workers, timeout=LIMIT_S)
    assert not alive
    assert [end_of(server, forked).code for forked in all_] == [None] * 3  # and closes its line


def test_who_asks_all_processes_to_leave_does_not_end_the_server() -> None:
    server = warm_server()
    end_of(server, server.fork("first", ["--version"]))  # it has loaded
    for signum in (signal.SIGTERM, signal.SIGINT):
        os.kill(pid_of(server), signum)
    assert end_of(server, server.fork("second", ["--version"])).code == 0
    assert server.poll() is None
    server.close()


def test_a_server_that_cannot_load_says_why(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libnothing.so.7: cannot open')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    server = ForkServer.started({"PYTHONPATH": path})
    end = end_of(server, server.fork("w", ["--version"]))
    assert end.code is None
    assert "libnothing.so.7: cannot open" in end.said


def test_what_the_server_said_before_it_died_is_heard(server: ForkServer, url: str) -> None:
    """Also where it has left requests unread."""
    dying = warm_server()
    first = dying.fork("first", ["--version"])
    until(dying, lambda: first.pid is not None)
    process = psutil.Process(pid_of(dying))
    time.sleep(0.5)  # that it has ended is told; nobody listens here
    process.suspend()
    late = dying.fork("late", ["--version"])
    process.kill()
    assert end_of(dying, first).code == 0
    assert end_of(dying, late).code is None
