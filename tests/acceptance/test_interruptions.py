"""A search that is killed or interrupted continues where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
import psutil
import pytest
import sqlalchemy as sa

from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.acceptance.chaos import hooks
from tests.acceptance.conftest import Command, digits, hurry, unhurried, wait_until
from tests.conftest import Servers

PARAMETERS = (
    "{architecture: {width: 16, depth: 2, batch_norm: true},"
    " learning_rate: {lr: {min: 1.0e-3, max: 1.0e-2, log: true}, schedule: cosine},"
    " regularization: {dropout: 0.2}}"
)
EPOCHS = 24
"""Of 0.4 s each: a signal sent after the first reports comes in the middle of a trial."""
STUDY = digits(parameters=PARAMETERS, budget=f"{{trials: 2, epochs: {EPOCHS}}}", stack="off")
"""One trial after the other; `chaos` has the same with stacks."""
BACKENDS = ["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.nightly)]

MakeCommand = Callable[[str], Command]


@pytest.fixture
def make_command(make_command: MakeCommand) -> MakeCommand:
    return unhurried(make_command)


def trials(command: Command) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="s", storage=command.url).trials


def wait_for_reports(command: Command, running: subprocess.Popen, count: int) -> None:
    """Until the first trial has that many reports."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert running.poll() is None, running.communicate()
        if reports(command) >= count:
            return
        time.sleep(0.02)
    pytest.fail("no reports came")


def reports(command: Command) -> int:
    """Looked up by hand: Optuna would create its tables in a database that has none yet."""
    engine = sa.create_engine(command.url, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            query = "SELECT count(*) FROM trial_intermediate_values"
            return int(connection.execute(sa.text(query)).scalar_one())
    except sa.exc.DBAPIError:
        return 0  # the tables are being made


def workers_of(running: subprocess.Popen) -> list[psutil.Process]:
    """Its workers: children of the process that they are forked from."""
    found = psutil.Process(running.pid).children(recursive=True)
    return [process for process in found if words_of(process)[:2] == ["hpsearch", "worker"]]


def words_of(process: psutil.Process) -> list[str]:
    try:
        return " ".join(process.cmdline()).split()  # its title is one word to psutil
    except psutil.NoSuchProcess:
        return []


def worker_of(running: subprocess.Popen) -> psutil.Process:
    (worker,) = workers_of(running)
    return worker


def uninterrupted(make_command: MakeCommand, tmp_path: Path) -> list[dict[int, float]]:
    command = make_command(f"sqlite:///{tmp_path}/whole.db")
    command.hooks.clear()
    command.env["HPSEARCH_CHECKPOINTS"] = str(tmp_path / "whole")
    command.run("run", command.file(STUDY))
    return [trial.intermediate_values for trial in trials(command)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_only_worker_is_killed_and_the_trial_goes_on(
    backend: str, servers: Servers, make_command: MakeCommand, tmp_path: Path
) -> None:
    command = make_command(servers.new_database(backend, tmp_path))
    command.env["HPSEARCH_LEASE_S"] = "120"  # it does not wait for the lease to run out
    running = command.start("run", command.file(STUDY))
    wait_for_reports(command, running, 5)
    before = trials(command)[0]
    worker_of(running).kill()
    hurry(command)
    _, said = running.communicate(timeout=90)
    assert running.returncode == 0, said
    assert "was killed by signal 9 (SIGKILL); a new one starts in 1 s" in said
    assert 5 <= len(before.intermediate_values) < EPOCHS

    resumed, other = trials(command)
    assert (resumed._trial_id, resumed.user_attrs["attempts"]) == (before._trial_id, 2)
    assert other.user_attrs["attempts"] == 1
    assert [t.state.name for t in (resumed, other)] == ["COMPLETE", "COMPLETE"]
    curves = [trial.intermediate_values for trial in (resumed, other)]
    assert [sorted(curve) for curve in curves] == [list(range(1, EPOCHS + 1))] * 2
    assert curves == uninterrupted(make_command, tmp_path), "it did not continue where it was"


def test_everything_is_killed_and_the_trial_is_taken_over_when_its_lease_ends(
    command: Command,
) -> None:
    command.env["HPSEARCH_LEASE_S"] = "2"
    file = command.file(STUDY)
    running = command.start("run", file)
    wait_for_reports(command, running, 3)
    worker = worker_of(running)
    running.kill()
    worker.kill()
    running.communicate()
    before = trials(command)[0]
    command.hooks.clear()
    command.run("run", file)
    first, second = sorted(trials(command), key=lambda t: t.user_attrs["ticket"])
    assert first._trial_id == before._trial_id
    assert sorted(first.intermediate_values) == list(range(1, EPOCHS + 1))
    assert {first.state.name, second.state.name} == {"COMPLETE"}
    known = before.intermediate_values
    assert {e: first.intermediate_values[e] for e in known} == known


def test_a_worker_leaves_when_its_parent_is_killed(command: Command) -> None:
    running = command.start("run", command.file(STUDY))
    wait_for_reports(command, running, 1)
    worker = worker_of(running)
    running.kill()
    running.communicate()
    worker.wait(30)
    ledger = Ledger(Database(command.url))
    (lease,) = ledger.claim("next", ledger.study("s").study_id)
    assert lease.trial_id == trials(command)[0]._trial_id, "the trial was not given back"


DEAF = """
import os, signal, time, weakref
from hpsearch import cli

class Any: pass

cli._hear_interrupts()
thing = Any()
watch = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT) or time.sleep(1))
try:
    del thing
    print("dropped", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("heard")
"""


def test_an_interrupt_that_python_drops_is_heard_all_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEAF], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.split() == ["dropped", "heard"], done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_gives_back_and_goes_on(command: Command, signum: int) -> None:
    file = command.file(STUDY)
    running = command.start("run", file)
    wait_for_reports(command, running, 2)
    worker = worker_of(running)
    os.kill(running.pid, signum)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130, said
    assert "the same command continues from here:\n  hpsearch run" in said
    assert not worker.is_running()
    status = command.json("status", "s")
    assert (status["workers"], status["in_training"], status["running"]) == (0, 0, 1)
    waits = ("no worker is there to continue with 1 of its trials: run its file again (hpsearch "
             "run FILE), or hpsearch worker s\n")  # fmt: skip
    assert waits in command.run("status", "s").stdout.replace("-m ", "")
    command.hooks.clear()
    assert "others hold trials" not in command.run("run", file).stderr
    assert [len(t.intermediate_values) for t in trials(command)] == [EPOCHS, EPOCHS]
    assert trials(command)[0].user_attrs["attempts"] == 2


def test_a_trial_whose_checkpoint_is_damaged_starts_again_and_says_so(command: Command) -> None:
    file = command.file(STUDY)
    running = command.start("run", file)
    wait_for_reports(command, running, 2)
    os.kill(running.pid, signal.SIGINT)
    running.communicate(timeout=30)
    (saved,) = (command.folder / "checkpoints").rglob("*.pt")
    saved.write_bytes(saved.read_bytes()[:1000])
    command.hooks.clear()
    command.run("run", file)
    first = trials(command)[0]
    assert sorted(first.intermediate_values) == list(range(1, EPOCHS + 1))
    assert "starts again" in first.user_attrs["restarted"]


def test_a_full_disk_loses_nothing(command: Command, tmp_path: Path) -> None:
    """Checkpoints on a file system of 3 MB: the first fits, more do not."""
    mount = tmp_path / "small"
    mount.mkdir()
    allowed = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    if subprocess.run(allowed, check=False, capture_output=True).returncode != 0:
        pytest.skip("user namespaces are not permitted here, so no small disk can be made")
    command.hooks[:] = [partial(hooks.small_disk, mount, "3m"), hooks.report_at_once]
    command.env["HPSEARCH_CHECKPOINTS"] = str(mount)
    large = STUDY.replace("width: 16, depth: 2", "width: 512, depth: 3")
    command.run("run", command.file(large.replace(f"epochs: {EPOCHS}", "epochs: 3")))
    first, second = trials(command)
    assert [len(t.intermediate_values) for t in (first, second)] == [3, 3]
    assert [t.user_attrs["attempts"] for t in (first, second)] == [1, 1]
    assert "No space left" in second.user_attrs["checkpoint"]
    assert str(mount) in second.user_attrs["checkpoint"]


def test_a_study_that_others_are_at_says_so(command: Command) -> None:
    file = command.file(STUDY.replace(f"trials: 2, epochs: {EPOCHS}", "trials: 3, epochs: 900"))
    first = command.start("run", file)
    wait_for_reports(command, first, 2)
    status = command.json("status", "s")
    assert (status["workers"], status["in_training"], status["running"]) == (1, 1, 1)
    assert "no worker is there" not in command.run("status", "s").stdout
    second = command.start("run", file)
    deadline = time.monotonic() + 90
    while command.json("status", "s")["workers"] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.3)  # to ask costs a process
    command.run("stop", "s")
    for running in (first, second):
        _, said = running.communicate(timeout=60)
        assert running.returncode == 0, said
        assert ("others hold trials of it" in said) == (running is second)
    assert "no worker is there" not in command.run("status", "s").stdout  # and nobody need be


def test_a_study_is_paused_and_stopped_under_a_worker(command: Command) -> None:
    command.env["HPSEARCH_LEASE_S"] = "1"  # so that its worker hears of it within a third
    file = command.file(STUDY.replace(f"trials: 2, epochs: {EPOCHS}", "trials: 3, epochs: 900"))
    running = command.start("run", file)
    wait_for_reports(command, running, 2)
    command.run("pause", "s")
    said, _ = running.communicate(timeout=60)
    assert "is paused: 0 of 3" in said
    assert "hpsearch resume s" in said
    (first,) = trials(command)
    assert first.state is optuna.trial.TrialState.RUNNING

    command.run("resume", "s")
    running = command.start("run", file)
    wait_for_reports(command, running, len(first.intermediate_values) + 2)
    command.run("stop", "s")
    said, _ = running.communicate(timeout=60)
    assert "is stopped" in said
    (again,) = trials(command)
    assert (again.state.name, again.user_attrs["reason"]) == ("PRUNED", "stopped")
    assert again.user_attrs["attempts"] == 2
    epochs = again.last_step
    assert list(again.intermediate_values) == list(range(1, epochs + 1))
    assert again.value == again.intermediate_values[epochs]


def test_a_study_deleted_under_a_worker_does_not_harm_it(command: Command) -> None:
    command.run("submit", command.file(STUDY))
    small = digits("t", parameters="{}", budget="{trials: 1, epochs: 1}")
    working = command.start("worker")
    wait_for_reports(command, working, 2)
    command.run("submit", command.file(small, "t.yaml"))
    command.run("delete", "s", "--yes")
    wait_until(command, lambda ledger: ledger.study("t").ended, working)
    working.terminate()
    working.communicate(timeout=30)
    assert working.returncode == 0
