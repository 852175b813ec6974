"""Own training code whose trials are short: what a worker does for each, counted."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import torch
from optuna.trial import FrozenTrial, TrialState

from hpsearch.api.running import silence
from hpsearch.api.submit import submit
from hpsearch.children import runner
from hpsearch.children.process import Nursery
from hpsearch.code import Code, use
from hpsearch.errors import CodeError
from hpsearch.insight import reader as reading
from hpsearch.insight.reader import Reader
from hpsearch.search import Search
from hpsearch.spec import load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.tables import tickets
from hpsearch.store.values import Lease, Serves
from hpsearch.worker import keeper as keeping
from hpsearch.worker import outbox, study_session
from hpsearch.worker.context import Context, Options, Patience
from hpsearch.worker.couriers import Couriers
from hpsearch.worker.keeper import Keeper
from hpsearch.worker.loop import _Worker
from hpsearch.worker.runners import installed

LIMIT_S = 60.0

STUDY = """
name: s
train: {function: "train.py:train"}
metric: {name: score, direction: maximize}
parameters: {lr: {min: 0.1, max: 1.0}}
"""

SIMPLE = """
def train(run):
    for epoch in run.epochs():
        run.report(score=run.lr + epoch)
"""


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """One for all tests: a copy of this process."""
    made = Nursery("cpu")
    yield made
    made.close()


class Place:
    """A study in a SQLite database, and a worker in this process."""

    def __init__(self, folder: Path, url: str, nursery: Nursery) -> None:
        self.folder, self.url, self.nursery = folder / "code", url, nursery
        self.folder.mkdir()
        self.ledger = Ledger(Database(url), lease_s=30.0)

    def submit(self, budget: str, code: str = SIMPLE, sampler: str = "random") -> None:
        (self.folder / "train.py").write_text(code)
        search = f"search: {{sampler: {sampler}, pruner: none, seed: 1}}\n"
        (self.folder / "s.yaml").write_text(f"{STUDY}{search}budget: {{{budget}}}\n")
        submit(self.ledger, load(self.folder / "s.yaml"), self.folder)

    def work(self, name: str = "w") -> None:
        """Serve the study until there is nothing left to do."""
        code, keeper = Code.at(self.folder), Keeper(self.ledger, name)
        options = Options(self.url, name, studies=("s",), until_done=True, lease_s=30.0)
        serves = Serves(("s",), installed() | {f"code {code.manifest.digest}"})
        context = Context(
            self.ledger, name, torch.device("cpu"), options, keeper, Patience(9.0),
            threading.Event(), serves, code, self.nursery,
        )  # fmt: skip
        self.ledger.sign_on(name, "host", 1, "cpu", serves)
        keeper.start()
        worker = _Worker(context, Couriers(self.ledger, options))
        use(code)
        try:
            worker.work()
        finally:
            use(None)
            worker.close()
            keeper.stop()
            self.ledger.sign_off(name)

    @property
    def trials(self) -> list[FrozenTrial]:
        reader = Reader(self.ledger, "s")
        return reader.mirror(reader.snapshot().study).trials()

    def states(self) -> Counter[str]:
        """Tickets by state."""
        return Counter(row.state for row in self.tickets())

    def tickets(self) -> list[sa.Row]:
        with self.ledger.database.read() as connection:
            return list(connection.execute(sa.select(tickets).order_by(tickets.c.number)))


@pytest.fixture
def place(tmp_path: Path, sqlite_url: str, nursery: Nursery) -> Place:
    return Place(tmp_path, sqlite_url, nursery)


@pytest.fixture
def no_clock(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No trial is too long for others to wait behind it, and nothing is done for its time has
    come."""
    monkeypatch.setattr(study_session, "_STAY_S", 1e9)
    monkeypatch.setattr(study_session, "_WAIT_BEHIND_S", 1e9)
    monkeypatch.setattr(runner, "_AHEAD_S", 1e9)
    monkeypatch.setattr(keeping, "_GATHER_S", 1e9)
    return monkeypatch


def awaited(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def whole(place: Place, trials: int, epochs: int) -> None:
    """That each ticket became one trial, with each of its epochs once."""
    assert [t.state for t in place.trials] == [TrialState.COMPLETE] * trials
    assert all([*t.intermediate_values] == [*range(1, epochs + 1)] for t in place.trials)
    assert [row.number for row in place.tickets()] == [*range(trials)]


def test_one_short_trial_after_another_takes_few_transactions(
    place: Place, no_clock: pytest.MonkeyPatch
) -> None:
    calls = Counter[str]()
    for verb in ("claim", "begin", "record", "outlook"):
        no_clock.setattr(Ledger, verb, counting(calls, verb))
    place.submit("trials: 50, epochs: 3")
    place.work()
    whole(place, 50, 3)
    assert all(row.fence == 1 for row in place.tickets())
    # The first four are timed, one by one.
    assert calls["begin"] == 4 + 3
    assert calls["claim"] <= calls["begin"] + 2, "two find that there is no other"
    assert calls["record"] <= 4
    assert calls["outlook"] <= 4, "the loop over all studies has nothing to do between two trials"


def counting(calls: Counter[str], verb: str) -> Callable[..., Any]:
    call = getattr(Ledger, verb)

    def counted(*args: Any, **options: Any) -> Any:
        calls[verb] += 1
        return call(*args, **options)

    return counted


def test_what_has_ended_is_not_trained_again_where_its_lease_has_run_out(
    place: Place, no_clock: pytest.MonkeyPatch
) -> None:
    """A machine was asleep before its worker took the next tickets, and its clocks stood still."""
    claim = Ledger.claim

    def late(ledger: Ledger, *args: Any, **options: Any) -> list[Lease]:
        over = "UPDATE hpsearch_leases SET until = 0"
        ledger.database.write(lambda connection: connection.exec_driver_sql(over))
        return claim(ledger, *args, **options)

    no_clock.setattr(Ledger, "claim", late)
    place.submit("trials: 30, epochs: 2")
    place.work()
    whole(place, 30, 2)
    assert all(row.fence == 1 for row in place.tickets())


def test_a_limit_that_is_set_meanwhile_leaves_none_at_hand(
    place: Place, no_clock: pytest.MonkeyPatch
) -> None:
    claim, counts = Ledger.claim, list[int]()

    def limited(ledger: Ledger, *args: Any, **options: Any) -> list[Lease]:
        leases = claim(ledger, *args, **options)
        if len(leases) > 1:
            ledger.schedule("s", max_parallel=5)
        counts.append(len(leases))
        return leases

    no_clock.setattr(Ledger, "claim", limited)
    place.submit("trials: 40, epochs: 1")
    place.work()
    whole(place, 40, 1)
    assert [count for count in counts if count > 1] == [17]


def test_a_sampler_that_learns_draws_each_trial_after_the_one_before(
    place: Place, no_clock: pytest.MonkeyPatch
) -> None:
    drawn, propose = list[int](), Search.propose

    def noted(search: Search, leases: Sequence[Lease]) -> list[FrozenTrial]:
        drawn.append(len(leases))
        return propose(search, leases)

    no_clock.setattr(Search, "propose", noted)
    place.submit("trials: 15, epochs: 1", sampler="tpe")
    place.work()
    whole(place, 15, 1)
    assert [count for count in drawn if count] == [1] * 15


def test_what_waits_behind_a_long_trial_is_given_back(
    place: Place, tmp_path: Path, no_clock: pytest.MonkeyPatch
) -> None:
    no_clock.setattr(study_session, "_WAIT_BEHIND_S", 1.0)
    no_clock.setattr(keeping, "_GATHER_S", 0.1)
    place.submit("trials: 12, epochs: 2", f"""
import time
from pathlib import Path

FOLDER = Path({str(tmp_path)!r})

def train(run):
    for epoch in run.epochs():
        begun = FOLDER / "begun"
        begun.write_text(begun.read_text() + "x" if begun.exists() else "x")
        while len(begun.read_text()) == 11 and not (FOLDER / "go").exists():
            time.sleep(0.01)
        run.report(score=run.lr)
""")  # fmt: skip
    thread = threading.Thread(target=place.work)
    thread.start()
    awaited(lambda: place.states() == {"ended": 5, "leased": 1, "open": 6})
    (tmp_path / "go").write_text("")
    thread.join(LIMIT_S)
    assert not thread.is_alive()
    whole(place, 12, 2)
    assert max(row.crashes for row in place.tickets()) == 0
    assert {row.fence for row in place.tickets()} == {1, 2}


def test_a_report_counts_though_nothing_follows_it(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_SAVE_S", 1.0)
    monkeypatch.setattr(outbox, "_UNVOUCHED_S", 1.0)
    os.mkfifo(tmp_path / "go")
    place.submit("trials: 1, epochs: 2", f"""
def train(run):
    for epoch in run.epochs():
        if epoch == 2:
            open({str(tmp_path / "go")!r}).close()
        run.report(score=run.lr)
""")  # fmt: skip
    thread = threading.Thread(target=place.work)
    thread.start()
    try:
        awaited(lambda: any(t.intermediate_values for t in place.trials))
        reader = Reader(place.ledger, "s")
        assert silence(reader, reader.snapshot()) == []
        monkeypatch.setattr(reading, "_SILENT", 0)
        monkeypatch.setattr(reading, "_SILENT_S", 0.0)
        ((number, line),) = silence(reader, reader.snapshot())
        assert number == 0
        assert line.startswith("trial 0 has reported nothing for ")
    finally:
        (tmp_path / "go").write_text("")
        thread.join(LIMIT_S)
    whole(place, 1, 2)


def test_code_that_fails_again_and_again_costs_none_of_those_that_wait(
    place: Place, tmp_path: Path, no_clock: object
) -> None:
    place.submit("trials: 20, epochs: 1", f"""
from pathlib import Path

def train(run):
    begun = Path({str(tmp_path)!r}) / "begun"
    begun.write_text(begun.read_text() + "x" if begun.exists() else "x")
    if len(begun.read_text()) > 6:
        raise ValueError("no more")
    run.report(score=run.lr)
""")  # fmt: skip
    with pytest.raises(CodeError, match="fail here one after another"):
        place.work()
    states = [t.state for t in place.trials]
    assert states.count(TrialState.FAIL) == 3
    assert states.count(TrialState.COMPLETE) == 6
    assert [row.state for row in place.tickets()].count("leased") == 0
    assert max(row.crashes for row in place.tickets()) == 0, "they were not begun with"
