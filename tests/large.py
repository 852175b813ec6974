"""A study of very many trials that has ended, as workers leave one, without any training.

`python -m tests.large sqlite:///large.db` makes one of 10,000 trials, in about half a minute.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.trial import TrialState, create_trial

from hpsearch.api.submit import submit
from hpsearch.runner.epoch import Epoch
from hpsearch.search.distributions import distribution
from hpsearch.spec import StudySpec, load
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Ending, Lease, Study, Write

__all__ = ["large"]

_STUDY = """\
name: {name}
data: {{source: digits}}
network: {{family: mlp}}
metric: accuracy
parameters:
  architecture:
    depth: {{min: 1, max: 4}}
  learning_rate:
    lr: {{min: 1e-4, max: 1e-1, log: true}}
  regularization:
    dropout: {{min: 0.0, max: 0.5}}
    weight_decay: {{min: 1e-6, max: 1e-2, log: true}}
  optimizer:
    optimizer: {{values: [sgd, adam, adamw]}}
search: {{sampler: random, pruner: asha, seed: 0}}
budget: {{trials: {trials}, epochs: {epochs}}}
"""
_BATCH = 500
_EPOCHS = 10
_DATA: dict[str, Any] = {
    "fingerprint": "digits", "rows": {"train": 1077, "validation": 360, "test": 360},
    "classes": [str(digit) for digit in range(10)], "shape": [64], "notes": [],
    "baseline": {"name": "the most frequent class", "values": {"accuracy": 0.1}},
}  # fmt: skip


def large(url: str, trials: int = 10_000, name: str = "large") -> tuple[Ledger, Study]:
    """A study that is done: a third of its trials complete after ten epochs, one in a hundred
    failed, the others pruned after the first or the third."""
    ledger, random_ = Ledger(Database(url)), random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "study.yaml"
        file.write_text(_STUDY.format(name=name, trials=trials, epochs=_EPOCHS), encoding="utf-8")
        spec = load(file)
        study, _ = submit(ledger, spec, Path(folder))
    ledger.record_data(study.study_id, _DATA)
    ledger.sign_on("w-1", "host", 1, "cpu")
    while leases := ledger.claim("w-1", study.study_id, _BATCH):
        ledger.renew("w-1", [])
        begun = ledger.begin([(lease, _drawn(spec, lease, random_)) for lease in leases])
        ledger.record(
            [
                _ended(lease, b[0], b[1], random_)
                for lease, b in zip(leases, begun, strict=True)
                if b
            ]
        )
    ledger.sign_off("w-1")
    return ledger, ledger.study(name)


def _drawn(spec: StudySpec, lease: Lease, random_: random.Random) -> Any:
    distributions = {p.name: distribution(p) for p in spec.space}
    params = {p.name: p.domain.at(random_.random()) for p in spec.space}
    attrs = {"ticket": lease.number, "stage": "joint", "sampler": "random", "attempts": 1,
             "worker": "w-1"}  # fmt: skip
    return create_trial(
        state=TrialState.RUNNING, params=params, distributions=distributions, user_attrs=attrs
    )


def _ended(lease: Lease, trial_id: int, number: int, random_: random.Random) -> Write:
    if number % 100 == 99:
        ending = Ending(TrialState.FAIL, None, "settings: a batch of 4096 rows does not fit")
        return Write(lease, trial_id, ending=ending)
    length = {0: 1, 1: 3}.get(number % 3, _EPOCHS)
    reach = 0.9 + random_.random() / 11
    curve = [round(reach * (1 - 0.6 ** (epoch + 1)), 5) for epoch in range(length)]
    metrics = {"accuracy": curve[-1], "loss": 1 - curve[-1], "train_loss": 1 - curve[-1]}
    attrs: dict[str, Any] = {"metrics": metrics, "best_epoch": length, "parameters": 9_000}
    if length == _EPOCHS:
        ending = Ending(TrialState.COMPLETE, curve[-1])
    else:
        ending = Ending(TrialState.PRUNED, curve[-1], f"pruned by asha after epoch {length}")
    reports = [
        Epoch(epoch, value, {"accuracy": value, "loss": 1 - value, "train_loss": 1 - value}, 0.1)
        for epoch, value in enumerate(curve, 1)
    ]
    return Write(lease, trial_id, reports=reports, user_attrs=attrs, ending=ending)


def _main(words: Sequence[str]) -> None:
    large(words[0], int(words[1]) if len(words) > 1 else 10_000)


if __name__ == "__main__":
    _main(sys.argv[1:])
