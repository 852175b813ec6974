"""Optuna, its dashboard and hpsearch name the same best trial, and the metric by its name."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState, create_trial
from typer.testing import CliRunner

from hpsearch.cli import app
from hpsearch.runner.epoch import Epoch
from hpsearch.spec.settings import FINAL
from hpsearch.store import trials
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.storage import open_storage
from hpsearch.store.values import Ending, Study, Write
from tests.later import Later
from tests.searched import DISTRIBUTIONS, searched
from tests.studies import A_STUDY

optuna_dashboard = Later("optuna_dashboard")


def finished(ledger: Ledger, study: Study, values: tuple[float, ...]) -> None:
    """Trainings of a finish, as a worker writes them."""
    ledger.extend("s", len(values))
    for value in values:
        (lease,) = ledger.claim("w-1", study.study_id)
        trial = create_trial(
            state=TrialState.RUNNING, params={"lr": 0.002, "depth": 1}, distributions=DISTRIBUTIONS,
            user_attrs={"ticket": lease.number, "stage": FINAL, "sampler": "none"},
            system_attrs={trials.CONSTRAINTS: list(trials.INFEASIBLE)},
        )  # fmt: skip
        (begun,) = ledger.begin([(lease, trial)])
        assert begun is not None
        report = Epoch(1, value, {"accuracy": value}, 0.1)
        ending = Ending(TrialState.COMPLETE, value)
        ledger.record([Write(lease, begun[0], reports=[report], ending=ending)])


def dashboards(database: Database, study_id: int) -> Any:
    """What the dashboard's page is given of a study."""
    found: list[str] = []
    environ: dict[str, Any] = {"PATH_INFO": f"/api/studies/{study_id}", "wsgi.input": io.BytesIO()}
    setup_testing_defaults(environ)
    application = optuna_dashboard.wsgi(open_storage(database))
    body = b"".join(application(environ, lambda status, *_: found.append(status)))
    assert found == ["200 OK"]
    return json.loads(body)


@pytest.mark.parametrize("values", [(0.99,), (0.99, 0.01, 0.98), ()])
def test_all_name_the_same_best_trial(
    sqlite_url: str, tmp_path: Path, values: tuple[float, ...]
) -> None:
    ledger, study = searched(sqlite_url, tmp_path, running=0)
    finished(ledger, study, values)
    shown = dashboards(ledger.database, study.study_id)
    ours = CliRunner().invoke(app, ["best", "s", "--json", "--storage", sqlite_url])
    theirs = optuna.load_study(study_name="s", storage=sqlite_url)
    assert [trial["number"] for trial in shown["best_trials"]] == [11]
    assert json.loads(ours.stdout)["number"] == 11
    assert theirs.best_trial.number == 11
    assert len(theirs.trials) == 12 + len(values)


def test_the_metric_has_its_name(sqlite_url: str, tmp_path: Path) -> None:
    ledger, study = searched(sqlite_url, tmp_path, trials=2)
    assert optuna.load_study(study_name="s", storage=sqlite_url).metric_names == ["accuracy"]
    assert dashboards(ledger.database, study.study_id)["objective_names"] == ["accuracy"]


def test_the_metric_of_own_code_has_its_name(sqlite_url: str) -> None:
    document = {"metric": {"name": "val_acc", "direction": "maximize"}}
    Ledger(Database(sqlite_url)).create(replace(A_STUDY, document=document))
    assert optuna.load_study(study_name="s", storage=sqlite_url).metric_names == ["val_acc"]


@pytest.mark.parametrize("before", [None, '["my own name"]'])
def test_a_study_made_before_gets_it_once(url: str, tmp_path: Path, before: str | None) -> None:
    ledger, _ = searched(url, tmp_path, trials=1)
    other = optuna.create_study(study_name="other", storage=url)
    with ledger.database.engine.begin() as connection:
        gone = "DELETE FROM study_system_attributes WHERE key = 'study:metric_names'"
        if ledger.database.backend == "mysql":
            gone = gone.replace("key", "`key`")
        if before is None:
            connection.execute(sa.text(gone))
        else:
            trials.name_metrics(connection, {1: "my own name"})
    for _ in range(2):
        ledger.name_metrics()
    expected = ["accuracy"] if before is None else ["my own name"]
    assert optuna.load_study(study_name="s", storage=url).metric_names == expected
    assert optuna.load_study(study_name="other", storage=url).metric_names is None
    assert other.metric_names is None


def test_a_damaged_document_names_nothing_and_stops_nobody(sqlite_url: str, tmp_path: Path) -> None:
    ledger, _ = searched(sqlite_url, tmp_path, trials=1)
    searched(sqlite_url, tmp_path, "other", trials=1)
    with ledger.database.engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM study_system_attributes"))
        connection.execute(sa.text("UPDATE hpsearch_studies SET document = '{' WHERE study_id = 1"))
    ledger.name_metrics()
    assert optuna.load_study(study_name="s", storage=sqlite_url).metric_names is None
    assert optuna.load_study(study_name="other", storage=sqlite_url).metric_names == ["accuracy"]
