"""`run --ray`: workers on the nodes of a Ray cluster, which come and go."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.conftest import Command, digits
from tests.acceptance.test_fleet import Heard
from tests.acceptance.test_interruptions import EPOCHS, STUDY, trials
from tests.conftest import Servers

pytestmark = pytest.mark.nightly  # a cluster takes ten seconds to start

TRIALS = 3
# One trial for each worker: in a stack the first of them would take all. Some seconds each.
SEARCH = (
    STUDY.replace(f"trials: 2, epochs: {EPOCHS}", f"trials: {TRIALS}, epochs: 40")
    .replace(", limit: 300", "")
    .replace("width: 16, depth: 2", "width: 512, depth: 3")
)
SMALL = digits(parameters="{}", budget="{trials: 1, epochs: 1}")


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes of a CPU each, as processes of this machine."""
    utils = pytest.importorskip("ray.cluster_utils", reason="Ray: pip install 'hpsearch[ray]'")
    made = utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 << 20},
    )
    try:
        made.add_node(num_cpus=1, object_store_memory=80 << 20)
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()


@pytest.fixture
def shared(make_command: Callable[[str], Command], servers: Servers, tmp_path: Path) -> Command:
    """A command on PostgreSQL, whose workers share a folder of checkpoints."""
    command = make_command(servers.new_database("postgresql", tmp_path))
    command.env["HPSEARCH_LEASE_S"] = "60"  # longer than the tests wait for a lost trial
    return command


def workers_under(cluster: Any) -> list[psutil.Process]:
    """The worker processes that the cluster's actors have started."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if "worker" in (words := process.info["cmdline"] or []) and "hpsearch" in words
        if any(node_id(node)[:6] in " ".join(words) for node in cluster.list_all_nodes())
    ]


def node_id(node: Any) -> str:
    return str(node.node_id)


def test_a_study_runs_on_all_nodes_and_outlives_one(
    cluster: Any, shared: Command, make_command: Callable[[str], Command], tmp_path: Path
) -> None:
    running = shared.start("run", shared.file(SEARCH), "--ray", cluster.address)
    heard = Heard(running)
    nodes = heard.wait_for(r"worker \S+ starts on node (\w{6}) ", count=2)
    assert len(set(nodes)) == 2
    wait_until(lambda: len(under_way(shared)) == 2, running)
    (_, second) = cluster.list_all_nodes()
    cluster.remove_node(second, allow_graceful=False)
    gone = second.node_id[:6]
    heard.wait_for(rf"worker \S+-{gone}-\S+ (was lost|is gone)", timeout_s=90)
    running.wait(180)
    assert running.returncode == 0, heard.text
    assert "Traceback" not in heard.text
    assert "Error" not in heard.text
    assert list((shared.folder / "checkpoints").rglob("*.pt"))
    found = trials(shared)
    assert [t.state.name for t in found] == ["COMPLETE"] * TRIALS
    assert sorted(t.user_attrs["ticket"] for t in found) == list(range(TRIALS))
    assert sorted(t.user_attrs["attempts"] for t in found) == [1] * (TRIALS - 1) + [2]
    assert curves(shared) == curves(alone(make_command, tmp_path))


def alone(make_command: Callable[[str], Command], tmp_path: Path) -> Command:
    """The same study by one worker of this machine."""
    command = make_command(f"sqlite:///{tmp_path}/alone.db")
    command.env["HPSEARCH_CHECKPOINTS"] = str(tmp_path / "alone")
    command.run("run", command.file(SEARCH))
    return command


def curves(command: Command) -> dict[int, tuple[Any, Any]]:
    return {t.user_attrs["ticket"]: (t.params, t.intermediate_values) for t in trials(command)}


def under_way(command: Command) -> list[Any]:
    return [
        t for t in trials(command) if t.state.name == "RUNNING" and len(t.intermediate_values) > 2
    ]


def wait_until(true: Callable[[], bool], running: Any, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_new_nodes_get_workers_and_nothing_is_left_behind(cluster: Any, shared: Command) -> None:
    running = shared.start("run", shared.file(SEARCH), "--ray", cluster.address)
    heard = Heard(running)
    heard.wait_for(r"worker \S+ starts on node", count=2)
    third = cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
    heard.wait_for(rf"worker (\S+) starts on node {third.node_id[:6]}")
    wait_until(lambda: len(workers_under(cluster)) == 3, running)
    workers = workers_under(cluster)
    password_free = [" ".join(w.cmdline()) for w in workers]
    assert not any("postgresql" in line or "checkpoints" in line for line in password_free)
    victim = workers[0]
    victim.kill()
    heard.wait_for(r"was killed by signal 9 \(SIGKILL\); a new one starts in 1 s")
    heard.wait_for(r"worker \S+ starts on node", count=4)
    wait_until(lambda: len(under_way(shared)) > 0, running)
    os.kill(running.pid, signal.SIGTERM)
    running.wait(40)
    assert running.returncode == 130, heard.text
    assert "the same command continues from here" in heard.text
    assert not [w for w in workers_under(cluster) if w.status() != psutil.STATUS_ZOMBIE]

    # Anyone who kills the command leaves nobody at work either.
    running = shared.start("run", shared.folder / "study.yaml", "--ray", cluster.address)
    wait_until(lambda: len(workers_under(cluster)) == 3, running)
    running.kill()
    running.wait()
    psutil.wait_procs(workers_under(cluster), timeout=40)
    assert not workers_under(cluster)


def test_sqlite_is_refused_on_several_nodes(cluster: Any, command: Command) -> None:
    said = command.run("run", command.file(SMALL), "--ray", cluster.address, code=1).stderr
    assert "SQLite is a file on this machine" in said
    assert "has 2 nodes" in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("address", "code", "what"),
    [
        ("127.0.0.1:1", 1, "no Ray cluster at 127.0.0.1:1: Connection refused"),
        ("ray://127.0.0.1:1", 1, "no Ray cluster at ray://127.0.0.1:1: Connection refused"),
        ("nowhere", 2, "expected auto, HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_one_line(
    command: Command, address: str, code: int, what: str
) -> None:
    pytest.importorskip("ray", reason="Ray: pip install 'hpsearch[ray]'")
    said = command.run("run", command.file(SMALL), "--ray", address, code=code).stderr
    assert what in said
    assert len(said.strip().splitlines()) == 1
    assert not (command.folder / "study.db").exists()


def test_without_ray_its_extra_is_named(command: Command) -> None:
    (command.folder / "ray.py").write_text("raise ImportError")  # found before the real one
    said = command.run("run", command.file(SMALL), "--ray", "auto", code=1).stderr
    assert "pip install 'hpsearch[ray]'" in said
    assert len(said.strip().splitlines()) == 1
