"""Own training code, a function and a command, under everything that can happen to it: budgets are
exact, a function's curve has no hole, a command's epochs are there once and at most one missing for
each kill, and no process is left alive."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import MakeCrew
from tests.acceptance.chaos.harness import Crew, Worker, until
from tests.acceptance.chaos.invariants import assert_invariants
from tests.conftest import Servers

DOORS = ("function", "command")
EPOCHS, PACE_S = 4, 0.06

FUNCTION = f"""
import os, time

def train(run):
    seen = run.save(seen=[])["seen"]
    for epoch in run.epochs():
        with open("begun", "a") as begun:
            begun.write(f"{{os.getpid()}} {{run.seed}} {{epoch}}\\n")
        time.sleep({PACE_S})
        seen.append(epoch)
        run.report(score=epoch + run.x, epochs=len(seen))
"""

COMMAND = f"""
import json, os, sys, time
x, seed = float(sys.argv[1]), sys.argv[2]
state = os.path.join(os.environ["HPSEARCH_CHECKPOINT_DIR"], "epoch")
done = int(open(state).read()) if os.path.exists(state) else 0
for epoch in range(done + 1, {EPOCHS} + 1):
    with open("begun", "a") as begun:
        begun.write(f"{{os.getpid()}} {{seed}} {{epoch}}\\n")
    time.sleep({PACE_S})
    with open(state + ".new", "w") as file:
        file.write(str(epoch))
    os.replace(state + ".new", state)
    print(json.dumps({{"epoch": epoch, "score": epoch + x, "epochs": epoch}}), flush=True)
"""


def study(door: str, trials: int, *, pruner: str = "none", more: str = "") -> str:
    words = [sys.executable, "script.py", "{x}", "{seed}"]
    train = {"function": "{function: 'train.py:train'}",
             "command": f"{{command: {json.dumps(words)}}}"}[door]  # fmt: skip
    return f"""
name: s
train: {train}
metric: {{name: score, direction: maximize}}
parameters: {{x: {{min: 0.0, max: 1.0}}}}
search: {{sampler: random, pruner: {pruner}, sanity: false}}
budget: {{trials: {trials}, epochs: {EPOCHS}}}
retry: {{crash: 50}}
{more}
"""


class Own:
    """A crew that runs own training code."""

    def __init__(self, crew: Crew, door: str) -> None:
        self.crew, self.door = crew, door
        (crew.folder / "train.py").write_text(FUNCTION)
        (crew.folder / "script.py").write_text(COMMAND)
        self.words = ("--until-done", "--code", str(crew.folder), "--allow-commands")
        self.hooks: list[hooks.Hook] = [hooks.report_at_once]
        """Of each of its workers."""

    def worker(self, *hooked: hooks.Hook) -> Worker:
        return self.crew.worker(*self.hooks, *hooked, args=self.words)

    def below(self, worker: Worker) -> list[psutil.Process]:
        """The processes in which own code runs for a worker, and what these have started."""
        try:
            below = psutil.Process(worker.pid).children(recursive=True)
            return [process for process in below if process.ppid() != worker.pid]
        except psutil.Error:
            return []

    def begun(self) -> list[tuple[int, int]]:
        """(seed, epoch) of each epoch that own code has begun."""
        file = self.crew.folder / "begun"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(seed), int(epoch)) for _, seed, epoch in map(str.split, lines)]

    def at_work(self, worker: Worker) -> bool:
        """Whether a trial of this worker has reported."""
        query = "SELECT count(*) FROM hpsearch_epochs"
        return bool(self.crew.held(worker)) and self.crew.rows(query)[0][0] > 0

    def curves(self) -> list[list[int]]:
        """Of each trial what its code said of each of its epochs: how many it has trained."""
        rows = self.crew.rows(
            "SELECT trial_id, epoch, metrics FROM hpsearch_epochs ORDER BY trial_id, epoch"
        )
        return [
            [int(json.loads(row.metrics)["epochs"]) for row in of_trial]
            for _, of_trial in itertools.groupby(rows, lambda row: row.trial_id)
        ]

    def check(self, trials: int, *, kills: int = 0, failed: int = 0) -> None:
        """All that has to be true once the study has ended.

        Args:
            trials: The budget.
            kills: How often a worker was killed: each may cost a command an epoch.
            failed: The most trials that may have failed, as their own process was killed.
        """
        assert_invariants(self.crew, trials=trials, epochs=EPOCHS, states=STATES,
                          whole=self.door == "function")  # fmt: skip
        states = Counter(row.state for row in self.crew.rows("SELECT state FROM trials"))
        assert states["FAIL"] <= failed
        missing = 0
        for curve in self.curves():
            assert curve == sorted(set(curve)), "an epoch is there twice"
            missing += curve[-1] - len(curve)
        assert missing <= (kills if self.door == "command" else 0)
        assert not alive(self.crew.folder)


STATES = ("COMPLETE", "PRUNED", "FAIL")


def alive(folder: Path) -> list[psutil.Process]:
    """Processes of own code in that folder which still run."""
    found = []
    file = folder / "begun"
    for pid in {int(line.split()[0]) for line in file.read_text().splitlines()}:
        try:
            process = psutil.Process(pid)
            ours = process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            continue
        found += [process] if ours else []
    return found


@pytest.fixture
def own(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers,
        make_crew: MakeCrew) -> Own:  # fmt: skip
    """For (door, backend)."""
    door, backend = request.param
    return Own(make_crew(servers.new_database(backend, tmp_path), 1.5), door)


BOTH = [("function", "sqlite"), ("command", "postgresql")]
"""Of the four what runs every time; the others at night."""
OTHERS = [("function", "postgresql"), ("command", "sqlite")]
DAILY = [*BOTH, *(pytest.param(pair, marks=pytest.mark.nightly) for pair in OTHERS)]


def kills(
    own: Own, count: int, draw: random.Random, left: Callable[[], int] = lambda: 1
) -> Counter[str]:
    """Kill workers, children and both at moments of chance; a new worker follows each.

    `left` sees to it that trials are left for them, and is asked before each.
    """
    hit: Counter[str] = Counter()
    kinds = list(itertools.islice(itertools.cycle(("worker", "child", "both")), count))
    draw.shuffle(kinds)
    for kind in kinds:
        assert left()
        time.sleep(draw.uniform(0.05, 0.4))
        victims = until(lambda: targets(own) if left() else [], what="a worker at work")
        worker, below = draw.choice(victims)
        if kind != "worker":  # the child, or the command that it has started
            _kill(draw.choice(below).pid)
        if kind != "child":
            _kill(worker.pid)
            worker.wait()
            own.worker()
        hit[kind] += 1
    return hit


def targets(own: Own) -> list[tuple[Worker, Sequence[psutil.Process]]]:
    """Workers at work with the processes of their own code; those that have none are left out."""
    busy = [(worker, own.below(worker)) for worker in own.crew.workers if worker.alive]
    return [(worker, below) for worker, below in busy if below]


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def assert_exact_whoever_dies(
    own: Own, trials: int, count: int, seed: int, *, grows: bool = False
) -> None:
    """Kill so often, and look whether the budget was spent to the trial.

    Args:
        own: The crew.
        trials: The budget.
        count: Kills.
        seed: Of when and who.
        grows: Whether as many trials are added as often as less than that are left, until the last
            kill: the study comes to no end before it, however fast its trials are.
    """
    own.crew.submit(study(own.door, trials))
    ledger = own.crew.ledger

    def left() -> int:
        now = ledger.study("s")
        if grows and now.left < trials:
            now = ledger.extend("s", trials)
        return now.left or now.tickets - now.ended

    for _ in range(4):
        own.worker()
    until(lambda: any(own.at_work(worker) for worker in own.crew.workers), what="a report")
    hit = kills(own, count, random.Random(seed), left)
    trials = ledger.study("s").tickets
    survivors = [worker for worker in own.crew.workers if worker.alive]
    codes = {worker.name: worker.wait(120) for worker in survivors}
    assert set(codes.values()) <= {0}, {w.name: w.said for w in survivors if codes[w.name]}
    own.check(trials, kills=hit["worker"] + hit["both"] + hit["child"],
              failed=hit["child"] + hit["both"])  # fmt: skip


@pytest.mark.parametrize("own", BOTH, indirect=True, ids="-".join)
def test_a_budget_is_exact_whoever_dies(own: Own) -> None:
    assert_exact_whoever_dies(own, trials=12, count=3, seed=0, grows=True)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("own", [*BOTH, *OTHERS], indirect=True, ids="-".join)
def test_a_budget_of_thirty_is_exact_after_twenty_kills(own: Own) -> None:
    assert_exact_whoever_dies(own, trials=30, count=20, seed=1)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("own", [BOTH[0], OTHERS[0]], indirect=True, ids="-".join)
def test_a_budget_of_short_trials_is_exact_after_twenty_kills(own: Own) -> None:
    """Each worker has some at hand, however slow this machine is."""
    own.hooks.append(hooks.have_some_at_hand)
    file = own.crew.folder / "train.py"
    file.write_text(file.read_text().replace(f"sleep({PACE_S})", "sleep(0.001)"))
    assert_exact_whoever_dies(own, trials=200, count=20, seed=2, grows=True)
    # PostgreSQL's clock goes on between the rows of one claim.
    claims = Counter((lease.worker, round(lease.taken_at, 3)) for lease in own.crew.leases())
    assert max(claims.values()) > 1, "no worker had any at hand"


@pytest.mark.parametrize("own", DAILY, indirect=True)
def test_a_worker_frozen_past_its_lease(own: Own) -> None:
    """Its child waits to be told; another worker has the trial, and what comes late is refused."""
    own.crew.submit(study(own.door, 4))
    frozen = own.worker(partial(hooks.freeze_after, "record"))
    until(lambda: frozen.frozen, what="the first worker to freeze")
    (held,) = own.crew.held(frozen)
    other = own.worker()
    until(partial(own.crew.leases, number=held.number, fence=2), what="the ticket's next")
    frozen.send(signal.SIGCONT)
    own.crew.finish()
    own.check(4, kills=1)
    assert {lease.worker for lease in own.crew.leases(number=held.number, fence=2)} == {other.name}
    assert "has another holder" in frozen.said


@pytest.mark.parametrize("own", DAILY, indirect=True)
def test_pause_stop_and_extend(own: Own) -> None:
    own.crew.submit(study(own.door, 8))
    workers = [own.worker() for _ in range(2)]
    until(lambda: any(own.at_work(worker) for worker in workers), what="a report")
    own.crew.ledger.set_state("s", "paused")
    for worker in workers:
        worker.ends()
    assert not alive(own.crew.folder)
    assert {lease.ending for lease in own.crew.leases()} <= {"returned", "ended"}
    own.crew.ledger.set_state("s", "open")
    workers = [own.worker() for _ in range(2)]
    begun = len(own.begun())
    until(lambda: len(own.begun()) > begun, what="one more epoch")
    own.crew.ledger.set_state("s", "stopped")
    for worker in workers:
        worker.ends()
    assert not alive(own.crew.folder)
    own.crew.ledger.extend("s", 2)
    own.crew.ledger.set_state("s", "open")
    own.worker().ends()
    own.check(10, kills=2)  # of two that were paused one may be missing its last report


@pytest.mark.parametrize("own", DAILY, indirect=True)
def test_what_is_pruned_ends_within_an_epoch(own: Own) -> None:
    own.crew.submit(study(own.door, 9, pruner="asha"))
    own.worker().ends()
    trials = own.crew.rows(
        "SELECT t.state, count(e.epoch) AS epochs FROM trials AS t "
        "LEFT JOIN hpsearch_epochs AS e ON e.trial_id = t.trial_id GROUP BY t.trial_id, t.state "
        "ORDER BY t.trial_id"
    )
    begun = Counter(seed for seed, _ in own.begun())
    trained = dict(zip(dict.fromkeys(seed for seed, _ in own.begun()), trials, strict=True))
    pruned = [seed for seed, trial in trained.items() if trial.state == "PRUNED"]
    assert pruned
    late = 1 if own.door == "command" else 0  # which does not wait while its report is judged
    assert all(begun[seed] <= trained[seed].epochs + late for seed in pruned)
    own.check(9)


LINGERS = """
if [ "$2" ]; then setsid sleep 600 & fi
sleep 601 &
echo '{"score": 1, "epochs": 1}'
sleep 602
"""


@pytest.fixture
def lingering(make_crew: MakeCrew, sqlite_url: str) -> Own:
    """A command that leaves processes everywhere, in a session of their own too."""
    own = Own(make_crew(sqlite_url), "command")
    (own.crew.folder / "script.sh").write_text(LINGERS)
    own.crew.submit(study("command", 4).replace(sys.executable, "bash").replace(
        '"script.py", "{x}"', '"script.sh", "{x}"'))  # fmt: skip
    return own


@pytest.mark.parametrize("how", ["ctrl-c", pytest.param("kill", marks=pytest.mark.nightly)])
def test_no_process_is_left_in_the_table(lingering: Own, how: str) -> None:
    own = lingering
    file = own.crew.folder / "study.yaml"
    run = own.crew.process("run", ["run", str(file), "--workers", "2"])
    sleeps = until(lambda: _sleeping(run, 6), what="two trials with their processes")
    if how == "ctrl-c":
        run.send(signal.SIGINT)
        run.ends(130)
    else:
        everything = psutil.Process(run.pid).children(recursive=True)
        workers = [p for p in everything if _is_worker(p) and not _is_worker(p.parent())]
        assert len(workers) == 2
        for worker in workers:
            _kill(worker.pid)  # and not what it forks from, a copy of it by the same name
        run.send(signal.SIGINT)
        run.wait()
    until(lambda: not [p for p in sleeps if _runs(p)], what="all of them to end")


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _sleeping(run: Worker, count: int) -> list[psutil.Process]:
    try:
        below = psutil.Process(run.pid).children(recursive=True)
        found = [p for p in below if p.name() == "sleep"]
    except psutil.NoSuchProcess:  # one of them ended while its name was read
        return []
    return found if len(found) >= count else []


def _is_worker(process: psutil.Process) -> bool:
    return "worker" in " ".join(process.cmdline())
