"""What MLflow has of a study: all, and each once, no matter who delivers and whatever broke off
before.

Here into MLflow's own stores, without a server; `acceptance/chaos/test_tracking.py` has one.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from hpsearch.errors import ConflictError, TrackingError
from hpsearch.runner.epoch import Epoch
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Ending, Lease, Study, Write
from hpsearch.tracking.courier import Courier, TakenError, export
from hpsearch.tracking.facts import STUDY, TICKET, Point
from hpsearch.tracking.runs import Runs
from hpsearch.tracking.target import Target
from tests.searched import searched

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

Content = dict[str, dict[str, Any]]


@pytest.fixture(params=["file", pytest.param("sqlite", marks=pytest.mark.nightly)])
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Target:
    """Each of MLflow's stores; its file store keeps whatever comes, twice if it comes twice."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uris = {"file": f"file://{tmp_path}/mlruns", "sqlite": f"sqlite:///{tmp_path}/mlflow.db"}
    return Target(uris[request.param], "shoes")


@pytest.fixture
def made(sqlite_url: str, tmp_path: Path) -> tuple[Ledger, Study]:
    """Three trials that are complete and one in training, of two epochs each."""
    return searched(sqlite_url, tmp_path, trials=3)


def delivered(made: tuple[Ledger, Study], target: Target, worker: str = "w") -> Content:
    """What is there after a delivery by a worker that has just begun, run by run."""
    courier = Courier(*made, target, worker)
    courier.round()
    courier.leave(None)
    return content(target, made[1])


def content(target: Target, study: Study) -> Content:
    runs = Runs(target)
    found: Content = {}
    for run in runs.of_study(study.uid):
        assert run.tags["mlflow.runName"] not in found, "a run is there twice"
        rows = [
            (key, one.step, one.value, one.timestamp) for key in run.metrics
            for one in runs.client.get_metric_history(run.run_id, key)
        ]  # fmt: skip
        found[run.tags["mlflow.runName"]] = {
            "id": run.run_id, "tags": run.tags, "params": run.params, "status": run.status,
            "rows": sorted(rows),
        }  # fmt: skip
    return found


def write(ledger: Ledger, study: Study, number: int, **values: Any) -> None:
    """Write something of a trial that is in training."""
    (trial_id,) = [row.trial_id for row in _tickets(ledger, number)]
    assert not ledger.record([Write(Lease(study.study_id, number, 1, "w-1"), trial_id, **values)])


def _tickets(ledger: Ledger, number: int) -> Any:
    import sqlalchemy as sa

    from hpsearch.store.tables import tickets

    with ledger.database.read() as connection:
        return connection.execute(sa.select(tickets).where(tickets.c.number == number)).all()


def test_all_is_there_and_each_once(made: tuple[Ledger, Study], target: Target) -> None:
    ledger, study = made
    first = delivered(made, target)
    assert {name: run["status"] for name, run in first.items()} == {
        "s": "RUNNING", "trial 0": "FINISHED", "trial 1": "FINISHED", "trial 2": "FINISHED",
        "trial 3": "RUNNING",
    }  # fmt: skip
    trial = first["trial 2"]
    assert trial["params"] == {"lr": "0.003", "depth": "3"}
    assert trial["tags"][STUDY] == study.uid
    assert trial["tags"]["mlflow.parentRunId"] == first["s"]["id"]
    said = {"ticket": "2", "stage": "joint", "sampler": "random", "worker": "w-1"}
    assert said.items() <= trial["tags"].items()
    steps = [(key, step, value) for key, step, value, _ in trial["rows"]]
    assert steps == [("accuracy", 1, 0.02), ("accuracy", 2, 0.02), ("best_accuracy", 2, 0.02)]
    assert trial["rows"][1][3] - trial["rows"][0][3] == pytest.approx(100, abs=1)  # ms
    assert [row[:3] for row in first["s"]["rows"]] == [
        ("best_accuracy", 0, 0.0), ("best_accuracy", 0, 0.01), ("best_accuracy", 0, 0.02),
    ]  # fmt: skip
    assert delivered(made, target, "another") == first
    write(ledger, study, 3, reports=[Epoch(3, 0.5, {"accuracy": 0.5, "loss": float("inf")}, 0.1)])
    later = delivered(made, target)
    assert len(later["trial 3"]["rows"]) == 4
    write(ledger, study, 3, ending=Ending(TrialState.PRUNED, 0.5, "worse than others"))
    over = delivered(made, target)
    assert (over["trial 3"]["status"], over["s"]["status"]) == ("KILLED", "FINISHED")
    assert over["trial 3"]["tags"]["reason"] == "worse than others"
    assert over["trial 3"]["rows"] == later["trial 3"]["rows"]
    assert delivered(made, target, "another") == over


def test_what_was_broken_off_is_brought_to_its_end(
    made: tuple[Ledger, Study], target: Target
) -> None:
    """As of a worker that was killed: a run without metrics, one with half, one that is there
    twice."""
    ledger, study = made
    courses = ledger.courses(study.study_id, {0: 0, 1: 0})
    runs = Runs(target)
    for number in (0, 1, 1):
        tags = {STUDY: study.uid, TICKET: str(number), "mlflow.runName": f"trial {number}"}
        run = runs.create(f"trial {number}", 1, tags)
        half = courses[1][:1] if number else []
        points = [Point("accuracy", e.metrics["accuracy"], round(e.at_s * 1000), 1) for e in half]
        runs.add(run.run_id, points)
    found = delivered(made, target)
    assert len(found) == 5
    counts = Counter((name, *row[:2]) for name, run in found.items() for row in run["rows"])
    of_trials = {place: count for place, count in counts.items() if place[0] != "s"}
    assert set(of_trials.values()) == {1}
    assert sum(of_trials.values()) == 4 * 2 + 3
    assert found["trial 1"]["tags"]["mlflow.parentRunId"] == found["s"]["id"]


def test_a_trial_that_begins_again_has_the_curve_of_its_last_run(
    made: tuple[Ledger, Study], target: Target
) -> None:
    ledger, study = made
    before = delivered(made, target)["trial 3"]
    again = [Epoch(1, 0.7, {"accuracy": 0.7}, 0.3)]
    write(ledger, study, 3, kept=0, reports=again, user_attrs={"attempts": 2})
    after = delivered(made, target)["trial 3"]
    assert after["id"] != before["id"]
    assert [row[:3] for row in after["rows"]] == [("accuracy", 1, 0.7)]


def test_only_one_delivers_at_a_time(made: tuple[Ledger, Study], target: Target) -> None:
    ledger, study = made
    first, second = (Courier(*made, target, worker) for worker in ("a", "b"))
    first.round()
    with pytest.raises(TakenError):
        second.round()
    with pytest.raises(ConflictError, match=r"a is delivering study 's' to MLflow at .* just now"):
        export(ledger, "s", target, "me", None, None)
    first.leave("done")
    assert export(ledger, "s", target, "me", None, None).ended == 3
    assert [duty.worker for duty in ledger.duties(study.study_id)] == [None]


def test_a_server_that_is_not_there_is_one_line(made: tuple[Ledger, Study]) -> None:
    away = Target("http://user:geheim-1@127.0.0.1:1", "shoes")
    with pytest.raises(TrackingError) as raised:
        Courier(*made, away, "w").round()
    assert str(raised.value) == "MLflow at http://127.0.0.1:1 does not answer: connection refused"
