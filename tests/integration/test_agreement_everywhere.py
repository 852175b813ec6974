"""Whoever is asked for the best trial of a study names the same one, with the same value and the
same parameters: the commands, the report, the dashboard, MLflow and Optuna."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from typer.testing import CliRunner

import hpsearch as hp
from hpsearch.cli import app
from hpsearch.errors import NotFoundError
from hpsearch.insight.reader import Reader
from hpsearch.store.ledger import Ledger
from hpsearch.store.storage import open_storage
from hpsearch.store.values import Study
from hpsearch.tracking import facts
from hpsearch.tracking.courier import Courier
from hpsearch.tracking.runs import Runs
from hpsearch.tracking.target import Target
from tests.integration.player import Player
from tests.large import large
from tests.later import Later
from tests.played import DATA, DIGITS, OWN, Played, played

optuna_dashboard = Later("optuna_dashboard")

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

Named = tuple[int, float, dict[str, Any]] | None
"""The best trial: number, value, parameters; None: there is none."""

STAGED = """\
name: s
data: {source: digits}
network: {family: mlp}
parameters:
  architecture: {depth: {min: 1, max: 3, default: 1}}
  learning_rate: {lr: {min: 0.001, max: 1, log: true, default: 0.01}}
search: {strategy: staged, sampler: random}
budget: {trials: 8, epochs: 2}
final: {top: 2, seeds: 3}
"""


def staged(url: str, folder: Path) -> tuple[Ledger, Study]:
    """With a finish, whose trainings are better than any trial of the search."""
    player = Player(url, folder, STAGED)
    player.luck, player.reports = 0.5, True
    player.play()
    assert player.trials("final")
    return player.ledger, player.study


def pruned(url: str, folder: Path) -> tuple[Ledger, Study]:
    """The best value belongs to a trial that was pruned, which is no result."""
    adam = {"depth": 1, "lr": 0.01, "optimizer": "adam"}
    sgd = {"depth": 2, "lr": 0.1, "optimizer": "sgd", "momentum": 0.9}
    return played(url, folder, DIGITS, [
        Played(adam, (0.5, 0.7, 0.6)), Played(sgd, (0.9,), "PRUNED", "pruned by asha"),
        Played(sgd, (0.6, 0.7)), Played(adam, (0.1,), "PRUNED", "diverged"),
    ], data=DATA)  # fmt: skip


def failed(url: str, folder: Path) -> tuple[Ledger, Study]:
    params = {"depth": 1, "lr": 0.01, "optimizer": "adam"}
    return played(url, folder, DIGITS, [Played(params, (0.4,), "FAIL", "<b>out of memory</b>")] * 3)


def own(url: str, folder: Path) -> tuple[Ledger, Study]:
    """Own training code, a metric that shrinks, and a list of sizes."""
    return played(url, folder, OWN, [
        Played({"lr": 0.1, "widths": "8-8"}, (0.5, 0.2, 0.3)),
        Played({"lr": 0.2, "widths": "16"}, (0.5, 0.4)),
        Played({"lr": 0.3, "widths": "16"}, (0.1,), "RUNNING"),
    ])  # fmt: skip


STUDIES: dict[str, Callable[[str, Path], tuple[Ledger, Study]]] = {
    "staged": staged, "pruned": pruned, "failed": failed, "own": own,
    "large": lambda url, _: large(url, name="s"),
}  # fmt: skip


@pytest.fixture(params=[
    pytest.param(name, marks=[pytest.mark.nightly] if name == "large" else []) for name in STUDIES
])  # fmt: skip
def study(
    request: pytest.FixtureRequest, sqlite_url: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Ledger, Study]:  # fmt: skip
    monkeypatch.setenv("HPSEARCH_STORAGE", sqlite_url)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    return STUDIES[request.param](sqlite_url, tmp_path)


def command(*words: str) -> Any:
    """What a command prints as JSON; None where there is nothing yet."""
    result = CliRunner().invoke(app, [*words, "--json"])
    if type(result.exception).__name__ == "NotFoundError":
        return None
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)


def row(found: Any) -> Named:
    return found and (found["number"], found["value"], found["params"])


def of_best() -> Named:
    found = command("best", "s")
    return row(found)


def of_python() -> Named:
    try:
        found = hp.Study.load("s").best
    except NotFoundError:
        return None
    return found.number, found.value, dict(found.trial.params)


def of_status() -> Named:
    return row(command("status", "s")["best"])


def of_trials() -> Named:
    """The first of the best, but for the trainings of a finish."""
    searched = [one for one in command("trials", "s", "--top", "99999") if one["stage"] != "final"]
    return row(searched[0]) if searched else None


def of_report() -> Named:
    best = command("report", "s")["best"]
    return best and (best["trial"], best["value"], best["params"])


def of_page() -> Named:
    """What the page carries for programs, which is what it says in words."""
    CliRunner().invoke(app, ["report", "s"], catch_exceptions=False)
    page = Path("s.html").read_text(encoding="utf-8")
    (content,) = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', page)
    told = json.loads(content)
    assert unescape(told["answer"]["headline"]) in unescape(page)
    best = told["best"]
    return best and (best["trial"], best["value"], best["params"])


def of_optuna(url: str) -> Named:
    found = optuna.load_study(study_name="s", storage=url)
    try:
        best = found.best_trial
    except ValueError:
        return None
    return best.number, best.value or 0.0, dict(best.params)


def of_dashboard(ledger: Ledger, study: Study) -> Named:
    environ: dict[str, Any] = {
        "PATH_INFO": f"/api/studies/{study.study_id}", "wsgi.input": io.BytesIO(),
    }  # fmt: skip
    setup_testing_defaults(environ)
    application = optuna_dashboard.wsgi(open_storage(ledger.database))
    body = b"".join(application(environ, lambda status, *_: None))
    trials = json.loads(body)["best_trials"]
    if not trials:
        return None
    (best,) = trials
    params = {p["name"]: p["param_external_value"] for p in best["params"]}
    return best["number"], best["values"][0], params


def of_mlflow(ledger: Ledger, study: Study, folder: Path) -> Named:
    """The trial that the study's run names, as its own run has it."""
    target = Target(f"file://{folder}/mlruns", "s")
    courier = Courier(ledger, study, target, "w")
    courier.round()
    courier.leave(None)
    runs = {run.tags.get("trial"): run for run in Runs(target).of_study(study.uid)}
    number = runs[None].tags.get("best_trial")
    if number is None:
        return None
    run, metric = runs[number], study.document["metric"]
    name = metric if isinstance(metric, str) else metric["name"]
    key = re.sub(r"[^\w\-. :/]", "_", f"best_{name}")
    data = Runs(target).client.get_run(run.run_id).data
    return int(number), data.metrics[key], dict(data.params)


def of_facts(ledger: Ledger, study: Study) -> Named:
    """The same as MLflow is to have it: to bring it 10,000 runs takes a quarter of an hour."""
    snapshot = Reader(ledger, study.name).snapshot()
    number = facts.of_study(snapshot).tags.get("best_trial")
    if number is None:
        return None
    trial = snapshot.trials[int(number)]
    epochs = ledger.courses(study.study_id, {trial.number: 0})[trial.number]
    found = facts.of_trial(snapshot, trial, epochs)
    (value,) = [p.value for p in found.points if p.key == f"best_{snapshot.metric}"]
    return trial.number, value, dict(found.params)


def test_all_name_the_same_best_trial(
    study: tuple[Ledger, Study], sqlite_url: str, tmp_path: Path
) -> None:
    ledger, kept = study
    expected = of_optuna(sqlite_url)
    asked: dict[str, Named] = {
        "best": of_best(), "status": of_status(), "trials": of_trials(), "report": of_report(),
        "page": of_page(), "python": of_python(),
    }  # fmt: skip
    handed = command("best", "s")
    if expected is None and handed is not None:
        raise AssertionError("a network is handed over, but Optuna knows of no best trial")
    assert asked == dict.fromkeys(asked, expected)
    texts = expected and (
        expected[0], expected[1], {key: str(value) for key, value in expected[2].items()}
    )  # fmt: skip
    assert of_dashboard(ledger, kept) == texts
    many = kept.tickets > 1_000
    brought = of_facts(ledger, kept) if many else of_mlflow(ledger, kept, tmp_path)
    assert (brought and brought[:2]) == (texts and texts[:2])
    assert brought is None or texts is None or texts[2].items() <= brought[2].items()
