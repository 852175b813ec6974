"""A study as it stands after a search, without any training: rows that the ledger itself writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from hpsearch.api.submit import submit
from hpsearch.runner.epoch import Epoch
from hpsearch.spec import load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Ending, Study, Write

DISTRIBUTIONS = {
    "lr": FloatDistribution(0.001, 1.0, log=True),
    "depth": IntDistribution(1, 3),
}


def searched(
    url: str, folder: Path, name: str = "s", trials: int = 12, running: int = 1
) -> tuple[Ledger, Study]:
    """A study on digits with so many complete trials, the last with the best value, and more that
    are still in training."""
    file = folder / f"{name}.yaml"
    file.write_text(
        f"name: {name}\ndata: {{source: digits}}\nnetwork: {{family: mlp}}\n"
        "parameters: {learning_rate: {lr: {min: 0.001, max: 1, log: true}},"
        " architecture: {depth: {min: 1, max: 3}}}\n"
        f"search: {{sampler: random}}\nbudget: {{trials: {trials + running}, epochs: 2}}\n"
    )
    ledger = Ledger(Database(url))
    study, _ = submit(ledger, load(file), folder)
    ledger.sign_on("w-1", "host", 1, "cpu")
    for number in range(trials + running):
        (lease,) = ledger.claim("w-1", study.study_id)
        params: dict[str, Any] = {"lr": 0.001 * (number + 1), "depth": 1 + number % 3}
        attrs = {"ticket": lease.number, "stage": "joint", "sampler": "random", "attempts": 1,
                 "worker": "w-1"}  # fmt: skip
        proposal = create_trial(
            state=TrialState.RUNNING, params=params, distributions=DISTRIBUTIONS, user_attrs=attrs
        )
        (begun,) = ledger.begin([(lease, proposal)])
        assert begun is not None
        value = number / 100
        reports = [Epoch(epoch, value, {"accuracy": value}, 0.1) for epoch in (1, 2)]
        ending = Ending(TrialState.COMPLETE, value) if number < trials else None
        metrics = {"accuracy": value, "loss": 1 - value, "train_loss": 1 - value}
        ledger.record(
            [
                Write(
                    lease, begun[0], reports=reports, user_attrs={"metrics": metrics}, ending=ending
                )
            ]
        )
    return ledger, study
