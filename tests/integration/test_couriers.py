"""Who brings a study to MLflow once it is over, and for how long that is waited for.

Couriers here are small programs in the place of `tracking.courier`, and MLflow is a port.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch.errors import TrackingError
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Study
from hpsearch.tracking import courier
from hpsearch.tracking.target import Target, target_of
from hpsearch.worker import couriers
from hpsearch.worker.context import Options
from hpsearch.worker.couriers import Couriers
from tests.searched import searched

LONG_S = 60.0

Make = Callable[..., Couriers]


@pytest.fixture
def study(sqlite_url: str, tmp_path: Path) -> tuple[Ledger, Study]:
    """A study that is over."""
    ledger, study = searched(sqlite_url, tmp_path, trials=3, running=0)
    current = ledger.current(study)
    assert current is not None
    assert current.state == "done"
    return ledger, study


@pytest.fixture
def target(study: tuple[Ledger, Study], monkeypatch: pytest.MonkeyPatch) -> Target:
    """An MLflow that answers nothing: each test says what asking it comes to."""
    monkeypatch.setenv("HPSEARCH_MLFLOW", "http://127.0.0.1:1")
    found = target_of(study[1].document, study[1].base)
    assert found is not None
    return found


@pytest.fixture
def make(
    study: tuple[Ledger, Study], target: Target, tmp_path: Path, sqlite_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Make]:  # fmt: skip
    """Couriers of a worker whose processes run a program."""
    made: list[Couriers] = []

    def make(program: str = "", name: str = "w") -> Couriers:
        monkeypatch.setattr(couriers, "python", lambda _module: [sys.executable, "-c", program])
        monkeypatch.setattr(couriers, "_LOOK_S", 0.02)
        made.append(Couriers(study[0], Options(sqlite_url, name)))
        return made[-1]

    yield make
    for one in made:
        one.leave(5.0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The answers of MLflow, last one first: "" where it is well; the last is given for good."""
    answers = [""]

    def probe(_target: Target) -> None:
        if said := answers.pop() if len(answers) > 1 else answers[0]:
            raise TrackingError(said)

    monkeypatch.setattr(couriers, "probe", probe)
    return answers


def over(workers: Couriers) -> None:
    """Let it be known that all is over before anything is started."""
    workers._finishing_since = time.monotonic()


def delivering(ledger: Ledger, study: Study, target: Target, sqlite_url: str) -> str:
    """A program that says of the study that all is there."""
    said = courier.whole(target, 3, 0)
    return (
        "import sys; from hpsearch.store.engine import Database; from hpsearch.store.ledger import "
        f"Ledger; ledger = Ledger(Database({sqlite_url!r}), make=False); "
        f"ledger.drop_duty(ledger.study({study.name!r}), {target.duty!r}, 'w', {said!r})"
    )


def test_what_is_missing_is_brought_before_a_worker_leaves(
    study: tuple[Ledger, Study], target: Target, make: Make, asked: list[str], sqlite_url: str
) -> None:
    asked += ["", "away", "away"]
    workers = make(delivering(*study, target, sqlite_url))
    over(workers)
    workers.serve(study[1])
    workers.finish(LONG_S, threading.Event())
    (duty,) = study[0].duties(study[1].study_id)
    assert duty.said == courier.whole(target, 3, 0)
    assert not workers._studies
    assert len(asked) == 1


def test_one_that_has_all_is_left_alone(
    study: tuple[Ledger, Study], target: Target, make: Make, asked: list[str]
) -> None:
    ledger, one = study
    ledger.take_duty(one, target.duty, "before", courier.whole(target, 3, 0))
    ledger.drop_duty(one, target.duty, "before")
    asked[:] = ["nobody asks"]
    workers = make("raise SystemExit('started')")
    over(workers)
    workers.serve(one)
    workers.finish(LONG_S, threading.Event())
    assert not workers._studies


def test_an_mlflow_that_stays_away_is_given_up(
    study: tuple[Ledger, Study], make: Make, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(couriers, "AWAY_S", 0.0)
    asked[:] = ["away"]
    workers = make("raise SystemExit('started')")
    over(workers)
    workers.serve(study[1])
    workers.finish(LONG_S, threading.Event())
    assert not workers._studies
    assert [duty.worker for duty in study[0].duties(study[1].study_id)] == [None]


def test_another_is_waited_for_and_replaced_when_it_dies(
    study: tuple[Ledger, Study], target: Target, make: Make, asked: list[str], sqlite_url: str
) -> None:
    ledger, one = study
    dead = Ledger(ledger.database, lease_s=0.3)
    dead.take_duty(one, target.duty, "dead")
    workers = make(delivering(*study, target, sqlite_url))
    over(workers)
    workers.serve(one)
    workers.finish(LONG_S, threading.Event())
    assert [duty.said for duty in ledger.duties(one.study_id)] == [courier.whole(target, 3, 0)]


def test_who_is_to_leave_does_not_wait(
    study: tuple[Ledger, Study], target: Target, make: Make
) -> None:
    ledger, one = study
    ledger.take_duty(one, target.duty, "another")
    stop = threading.Event()
    stop.set()
    workers = make()
    workers.serve(one)
    workers.finish(LONG_S, stop)
    assert workers._studies


class _Parent:
    """A worker that waits for its courier."""

    leaves = False
    waiting_s: float | None = 1.0

    def wait(self, _timeout_s: float) -> None:
        pass


@pytest.mark.parametrize(("failures", "whole"), [(0, True), (3, True), (1000, False)])
def test_a_courier_that_is_waited_for_tries_again_for_a_while(
    monkeypatch: pytest.MonkeyPatch, failures: int, whole: bool, caplog: pytest.LogCaptureFixture
) -> None:
    parent, rounds, left = _Parent(), [0], list[Any]()

    class Fake:
        def round(self) -> Any:
            rounds[0] += 1
            parent.waiting_s = float(rounds[0])
            if rounds[0] <= failures:
                raise TrackingError("away")
            return type("S", (), {"study": type("T", (), {"state": "done"})})

        def explained(self, error: TrackingError) -> str:
            return f"{error}: 3 missing"

        def said(self, _snapshot: Any) -> str:
            return "all there"

        report = leave = left.append

    assert courier._work(Fake(), parent) is whole  # type: ignore[arg-type]
    assert rounds[0] == (failures + 1 if whole else courier.AWAY_S)
    assert left[-1] == ("all there" if whole else "away: 3 missing")
    assert caplog.text.count("waiting up to 20 s for MLflow") == (failures > 0)


def test_a_courier_says_how_much_is_missing(
    study: tuple[Ledger, Study], target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        away = Target(f"http://127.0.0.1:{free.getsockname()[1]}", "shoes")
    one = courier.Courier(*study, away, "w")
    with pytest.raises(TrackingError) as raised:
        one.round()
    assert one.explained(raised.value) == (
        f"MLflow at {away.name} does not answer: connection refused; up to 3 of 3 trials are "
        "missing there, and hpsearch export s --to mlflow brings them"
    )
