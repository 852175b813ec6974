"""MLflow's server, and workers, are killed in the middle of a study: all is there, and once."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import MakeCrew
from tests.acceptance.chaos.harness import Crew, Worker, study, until
from tests.acceptance.chaos.invariants import assert_invariants
from tests.later import Later
from tests.mlflow_server import MLflowServer

datasets = Later("sklearn.datasets")

pytestmark = [
    pytest.mark.nightly, pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own
]  # fmt: skip

WORKERS, TRIALS, EPOCHS, LEASE_S = 4, 24, 6, 6.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MLflowServer]:
    server = MLflowServer(tmp_path / "mlflow")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def client(server: MLflowServer) -> Any:
    from mlflow import MlflowClient, set_tracking_uri

    set_tracking_uri(server.url)
    return MlflowClient(tracking_uri=server.url)


def runs(client: Any) -> list[Any]:
    experiment = client.get_experiment_by_name("hpsearch")
    return client.search_runs([experiment.experiment_id]) if experiment else []


def reported(client: Any) -> int:
    return len([run for run in runs(client) if "accuracy" in run.data.metrics])


def courier_of(crew: Crew) -> Worker:
    """The worker that delivers."""

    def find() -> Worker | None:
        rows = crew.rows("SELECT worker FROM hpsearch_duties WHERE until IS NOT NULL")
        return next((w for w in crew.workers if rows and w.name == rows[0].worker), None)

    return until(find, what="a worker that delivers")


def rows_in(client: Any, run: Any) -> list[tuple[Any, ...]]:
    return [
        (run.data.tags["mlflow.runName"], key, one.step, one.value, one.timestamp)
        for key in run.data.metrics for one in client.get_metric_history(run.info.run_id, key)
    ]  # fmt: skip


def test_each_metric_is_there_once(
    server: MLflowServer, client: Any, make_crew: MakeCrew, sqlite_url: str, tmp_path: Path
) -> None:
    import mlflow

    crew = make_crew(sqlite_url, LEASE_S)
    crew.env["HPSEARCH_MLFLOW"] = server.url
    parameters = "{width: 16, depth: 1, lr: {min: 0.001, max: 0.1, log: true}}"
    crew.submit(study(trials=TRIALS, epochs=EPOCHS, parameters=parameters, limit=600))
    gate = tmp_path / "gate"
    pace, hold = partial(hooks.pace, 0.2), partial(hooks.hold_while, gate)
    workers = [crew.worker(pace, hold) for _ in range(WORKERS)]
    until(lambda: reported(client) >= 4, 180, what="trials with metrics in MLflow")
    server.kill()
    first = courier_of(crew)
    first.send(signal.SIGKILL)
    until(lambda: crew.ended() >= TRIALS // 3, 180, what="a third of the trials")
    gate.touch()  # a server takes longer to start than the rest of the study
    server.start()
    until(lambda: reported(client) >= TRIALS // 3, 180, what="what was missing")
    second = courier_of(crew)
    assert second is not first
    second.send(signal.SIGKILL)
    gate.unlink()
    for worker in workers:
        if worker not in (first, second):
            assert worker.wait(300) == 0, worker.said
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)

    found = runs(client)
    names = Counter(run.data.tags["mlflow.runName"] for run in found)
    assert names == {"s": 1, **{f"trial {n}": 1 for n in range(TRIALS)}}
    (parent,) = [run for run in found if run.data.tags["mlflow.runName"] == "s"]
    children = [run for run in found if run is not parent]
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    rows = [row for run in children for row in rows_in(client, run)]
    assert set(Counter(row[:3] for row in rows).values()) == {1}
    assert check_same(crew, client, rows)

    model = mlflow.pyfunc.load_model(f"runs:/{parent.info.run_id}/model")
    assert model.metadata.signature.inputs is not None
    images = datasets.load_digits().images[:50].reshape(-1, 1, 8, 8).astype(np.float64)
    predictions = model.predict(images)
    assert list(predictions.columns) == ["prediction", *(f"p({n})" for n in range(10))]
    right = (predictions.prediction == datasets.load_digits().target[:50].astype(str)).mean()
    assert right > 0.5


def check_same(crew: Crew, client: Any, rows: list[tuple[Any, ...]]) -> bool:
    """Whether MLflow has every epoch of the database, with its values, and no other."""
    query = (
        "SELECT t.number, e.epoch, e.metrics FROM hpsearch_epochs e JOIN trials t USING (trial_id)"
    )
    expected = {
        (f"trial {number}", key, epoch): value
        for number, epoch, metrics in crew.rows(query)
        for key, value in json.loads(metrics).items()
    }
    there = {row[:3]: row[3] for row in rows if row[1] != "best_accuracy"}
    assert len(expected) == TRIALS * EPOCHS * len({key for _, key, _ in expected})
    assert there == expected
    return True


def test_a_server_of_errors_costs_the_search_nothing(
    make_crew: MakeCrew, sqlite_url: str, tmp_path: Path
) -> None:
    """It is away from beginning to end: one line, and all is brought afterwards, once."""
    server = MLflowServer(tmp_path / "mlflow")
    crew = make_crew(sqlite_url, LEASE_S)
    crew.env["HPSEARCH_MLFLOW"] = server.url
    crew.submit(study(trials=4))
    worker = crew.worker()
    assert worker.wait(120) == 0, worker.said
    silent = f"MLflow at {server.url} does not answer: connection refused"
    assert worker.said.count(silent) == 1
    (duty,) = crew.rows("SELECT said, until FROM hpsearch_duties")
    missing = "up to 4 of 4 trials are missing there"
    assert duty.said == f"{silent}; {missing}, and hpsearch export s --to mlflow brings them"
    assert duty.until is None
    server.start()
    try:
        said = []
        for name in ("one", "two"):
            export = crew.process(name, ["export", "s", "--to", "mlflow"])
            export.ends()
            said.append(export.said)
        assert said[0] == said[1]
        assert f"MLflow at {server.url}, experiment hpsearch: 4 of 4 trials of s" in said[0]
    finally:
        server.kill()
