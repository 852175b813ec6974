"""What a long study costs its next worker: `python -m benchmarks.growth`.

Fills a database with a study of many finished trials, then lets hpsearch and plain Optuna in turn
read it and propose one more, each in a fresh process. Both read the same rows.

    python -m benchmarks.growth                                  SQLite, 10,000 trials, 5 rounds
    python -m benchmarks.growth --storage postgresql://...       an empty database of that kind
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.trial import TrialState

from hpsearch.api import submit
from hpsearch.search import Search
from hpsearch.search.distributions import distribution
from hpsearch.spec import StudySpec, load
from hpsearch.stages.stage import Stage
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from hpsearch.store.optuna_private import models
from hpsearch.store.values import Lease

RESULTS = Path(__file__).parent / "results"

STUDY = """\
name: growth
data: {source: digits}
network: {family: mlp}
metric: accuracy
parameters:
  architecture:
    depth: {min: 1, max: 4}
  learning_rate:
    lr: {min: 1e-4, max: 1e-1, log: true}
  regularization:
    dropout: {min: 0.0, max: 0.5}
    weight_decay: {min: 1e-6, max: 1e-2, log: true}
  optimizer:
    optimizer: {values: [sgd, adam, adamw]}
search: {sampler: tpe, pruner: asha, seed: 0}
budget: {trials: 1000000, epochs: 10}
"""
EPOCHS = 10
NAME = "growth"

Rows = dict[type, list[dict[str, Any]]]


def fill(url: str, trials: int) -> None:
    """Make the study and `trials` finished trials of it, as hpsearch's workers leave them."""
    database = Database(url)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "growth.yaml"
        file.write_text(STUDY, encoding="utf-8")
        spec = load(file)
        study, _ = submit.submit(Ledger(database), spec, Path(folder))
    random_ = random.Random(0)
    for first in range(0, trials, 1000):
        numbers = range(first, min(first + 1000, trials))
        rows = _rows(spec, study.study_id, numbers, random_)
        database.write(partial(_insert, rows=rows))
    if database.backend == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as plain:
            plain.execute(sa.text(f"SELECT setval('trials_trial_id_seq', {trials})"))
            plain.execute(sa.text("ANALYZE"))  # as its autovacuum does within a minute


def _insert(connection: sa.Connection, rows: Rows) -> None:
    for model, written in rows.items():
        connection.execute(sa.insert(model.__table__), written)  # type: ignore[attr-defined]


def _rows(spec: StudySpec, study_id: int, numbers: range, random_: random.Random) -> Rows:
    rows: Rows = {
        models.TrialModel: [],
        models.TrialParamModel: [],
        models.TrialIntermediateValueModel: [],
        models.TrialUserAttributeModel: [],
        models.TrialSystemAttributeModel: [],
        models.TrialValueModel: [],
    }
    start = datetime.now(UTC).replace(tzinfo=None)
    for number in numbers:
        _add_trial(rows, spec, study_id, number, start + timedelta(seconds=number), random_)
    return rows


def _add_trial(
    rows: Rows,
    spec: StudySpec,
    study_id: int,
    number: int,
    start: datetime,
    random_: random.Random,
) -> None:
    trial_id = number + 1
    state = TrialState.PRUNED if number % 3 else TrialState.COMPLETE
    rows[models.TrialModel].append(
        {"trial_id": trial_id, "number": number, "study_id": study_id, "state": state,
         "datetime_start": start, "datetime_complete": start + timedelta(seconds=9)}
    )  # fmt: skip
    for parameter in spec.space:
        domain = distribution(parameter)
        rows[models.TrialParamModel].append(
            {"trial_id": trial_id, "param_name": parameter.name,
             "param_value": _draw(domain, random_),
             "distribution_json": distribution_to_json(domain)}
        )  # fmt: skip
    curve = [1 - math.exp(-epoch / 3) - random_.random() / 9 for epoch in range(1, EPOCHS + 1)]
    finite = models.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    rows[models.TrialIntermediateValueModel] += [
        {"trial_id": trial_id, "step": epoch, "intermediate_value": value,
         "intermediate_value_type": finite}
        for epoch, value in enumerate(curve, 1)
    ]  # fmt: skip
    metrics = {name: random_.random() for name in ("train_loss", "loss", "accuracy", "f1")}
    user = {"ticket": number, "stage": "joint", "sampler": "tpe", "attempts": 1,
            "worker": f"host-{number % 32}-cpu", "metrics": metrics}  # fmt: skip
    if state is TrialState.PRUNED:
        user["reason"] = "pruned by asha after epoch 9"
    system = {f"completed_rung_{rung}": curve[3**rung - 1] for rung in range(3)}
    for model, attrs in (
        (models.TrialUserAttributeModel, user),
        (models.TrialSystemAttributeModel, system),
    ):
        rows[model] += [
            {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
            for key, value in attrs.items()
        ]
    rows[models.TrialValueModel].append(
        {"trial_id": trial_id, "objective": 0, "value": curve[-1],
         "value_type": models.TrialValueModel.TrialValueType.FINITE}
    )  # fmt: skip


def _draw(domain: optuna.distributions.BaseDistribution, random_: random.Random) -> float:
    if isinstance(domain, optuna.distributions.CategoricalDistribution):
        return random_.randrange(len(domain.choices))
    assert isinstance(
        domain, (optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution)
    )
    if isinstance(domain, optuna.distributions.IntDistribution):
        return random_.randint(domain.low, domain.high)
    if domain.log:
        return math.exp(random_.uniform(math.log(domain.low), math.log(domain.high)))
    return random_.uniform(domain.low, domain.high)


# --- what is measured, each in a process of its own -------------------------------------------


def hpsearch_proposal(url: str) -> None:
    """As a worker begins: read the study, propose."""
    database = Database(url)
    ledger = Ledger(database, make=False)
    (study,) = ledger.studies()
    mirror = Mirror(database, study.study_id, study.name, study.direction)
    mirror.refresh()
    lease = Lease(study.study_id, 1_000_000, 1, "growth", draw_index=1_000_000)
    spec = StudySpec.from_document(study.document)
    search = Search(spec, mirror)
    search.enter([Stage.from_json(stage, spec.space) for stage in ledger.stages(study.study_id)])
    search.propose([lease])


def optuna_proposal(url: str) -> None:
    """As Optuna's tutorial has it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.load_study(study_name=NAME, storage=url, sampler=optuna.samplers.TPESampler())
    trial = study.ask()
    trial.suggest_int("depth", 1, 4)
    trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True)
    trial.suggest_categorical("optimizer", ["sgd", "adam", "adamw"])


SIDES: dict[str, Callable[[str], None]] = {"hpsearch": hpsearch_proposal, "optuna": optuna_proposal}


def measure(side: str, url: str) -> dict[str, float]:
    """Seconds to the first proposal, by the clock and of a core; MB at most above the imports'."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak so far
    before, started, cpu = _status_mb("VmRSS"), time.monotonic(), time.process_time()
    SIDES[side](url)
    return {
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - cpu,
        "mb": _status_mb("VmHWM") - before,
    }


def _status_mb(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) / 1024


def compare(url: str, rounds: int) -> dict[str, Any]:
    """Both sides in turn, `rounds` times."""
    raw: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side, measured in raw.items():
            command = [sys.executable, "-m", "benchmarks.growth", "--side", side, "--storage", url]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            measured.append(json.loads(done.stdout.splitlines()[-1]))
    medians = {
        side: {key: statistics.median(one[key] for one in measured) for key in measured[0]}
        for side, measured in raw.items()
    }
    return {"medians": medians, "raw": raw}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--storage", help="an empty database; default: SQLite in a new folder")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measure(options.side, options.storage)))
        return
    with tempfile.TemporaryDirectory() as folder:
        url = options.storage or f"sqlite:///{folder}/growth.db"
        fill(url, options.trials)
        found = compare(url, options.rounds)
    report(sa.make_url(url).get_backend_name(), options.trials, found)


def report(backend: str, trials: int, found: dict[str, Any]) -> None:
    """Print the medians, and add the figures to the results beside those of other databases."""
    ours, theirs = found["medians"]["hpsearch"], found["medians"]["optuna"]
    print(f"{trials:,} finished trials on {backend}: until a fresh process has proposed one more")
    for side, medians in found["medians"].items():
        print(f"  {side:9} {medians['seconds']:6.2f} s {medians['mb']:6.0f} MB")
    print(
        f"  ratio     {theirs['seconds'] / ours['seconds']:6.1f}   {theirs['mb'] / ours['mb']:6.1f}"
    )
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / "growth.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    results[f"{backend}-{trials}"] = {
        **found,
        "machine": {"cpus": os.cpu_count(), "system": platform.platform()},
        "versions": {name: version(name) for name in ("hpsearch", "optuna", "sqlalchemy")},
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    file.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
