"""Studies as they stand after a search, without any training: the trials are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import TrialState, create_trial

from hpsearch.api.submit import submit
from hpsearch.runner.epoch import Epoch
from hpsearch.search.distributions import distribution
from hpsearch.spec import load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Ending, Study, Write

__all__ = ["DATA", "DIGITS", "OWN", "Played", "played"]

DIGITS = """\
name: {name}
data: {{source: digits}}
network: {{family: mlp}}
parameters:
  architecture: {{depth: {{min: 1, max: 3}}}}
  learning_rate: {{lr: {{min: 0.001, max: 1, log: true}}}}
  optimizer: {{optimizer: {{values: [sgd, adam]}}, momentum: {{min: 0.5, max: 0.99, when: {{optimizer: sgd}}}}}}
search: {{sampler: random}}
budget: {{trials: {trials}, epochs: 3}}
"""  # noqa: E501
OWN = """\
name: {name}
train: {{function: "train.py:train"}}
metric: {{name: "val/f1 <b>", direction: minimize}}
parameters:
  lr: {{min: 0.001, max: 1, log: true}}
  widths: {{values: [[8, 8], [16]]}}
budget: {{trials: {trials}, epochs: 3}}
"""
DATA: Mapping[str, Any] = {
    "fingerprint": "f" * 64, "split": "a" * 64, "classes": ["no", "<i>yes</i>"], "notes": [],
    "rows": {"train": 1000, "validation": 300, "test": 300}, "shape": [64],
    "baseline": {"name": "majority class no", "values": {"accuracy": 0.25}},
}  # fmt: skip


@dataclass(frozen=True)
class Played:
    """One trial."""

    params: Mapping[str, Any]
    curve: Sequence[float]
    state: str = "COMPLETE"
    reason: str | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    first_s: float = 0.1
    """Of its first epoch; others take 0.1 s."""


def played(
    url: str, folder: Path, text: str, trials: Sequence[Played], *, name: str = "s",
    data: Mapping[str, Any] | None = None, more: int = 0,
) -> tuple[Ledger, Study]:  # fmt: skip
    """The study of a file, with these trials: each has the value of the best of its curve where it
    completed, else of the last.

    Args:
        url: A database without a study of that name.
        folder: Where its file and `train.py` are written.
        text: The file, with places for `name` and `trials`.
        trials: What became of its tickets.
        name: Of the study.
        data: What a worker found of its data; None: nobody has read it.
        more: Tickets that nobody has begun.
    """
    file = folder / f"{name}.yaml"
    budget = len(trials) + more
    file.write_text(text.format(name=name, trials=budget), encoding="utf-8")
    (folder / "train.py").write_text("def train(run): ...\n")
    spec, ledger = load(file), Ledger(Database(url))
    study, _ = submit(ledger, spec, folder)
    if data is not None:
        ledger.record_data(study.study_id, data)
    worker = f"w-{name}"
    ledger.sign_on(worker, "host", 1, "cpu")
    distributions = {p.name: distribution(p) for p in spec.space}
    for one in trials:
        (lease,) = ledger.claim(worker, study.study_id, 1)
        attrs = {"ticket": lease.number, "stage": "joint", "sampler": "random", "attempts": 1,
                 "worker": worker}  # fmt: skip
        proposal = create_trial(
            state=TrialState.RUNNING, params=dict(one.params), user_attrs=attrs,
            distributions={key: distributions[key] for key in one.params},
        )  # fmt: skip
        (begun,) = ledger.begin([(lease, proposal)])
        assert begun is not None
        ledger.record([_write(one, lease, begun[0], spec.metric, spec.direction)])
    return ledger, ledger.study(name)


def _write(one: Played, lease: Any, trial_id: int, metric: str, direction: str) -> Write:
    reports = [
        Epoch(epoch, value, {metric: value, "train_loss": 1 / epoch},
              0.1 if epoch > 1 else one.first_s)
        for epoch, value in enumerate(one.curve, 1)
    ]  # fmt: skip
    best = (max if direction == "maximize" else min)(one.curve, default=None)
    attrs: dict[str, Any] = dict(one.attrs)
    ending = None
    if one.state != "RUNNING":
        value = best if one.state == "COMPLETE" else one.curve[-1] if one.curve else None
        ending = Ending(TrialState[one.state], value, one.reason)
        if best is not None:
            attrs["best_epoch"] = list(one.curve).index(best) + 1
            attrs["metrics"] = {metric: best, "train_loss": 1 / attrs["best_epoch"]}
    return Write(lease, trial_id, reports=reports, user_attrs=attrs, ending=ending)
