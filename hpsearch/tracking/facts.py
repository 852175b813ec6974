"""What MLflow is to have of a study: a run for the study and one for each trial.

Pure functions of what the database has, so that anyone who delivers, and however often, delivers
the same. MLflow's SQL store keeps a metric's row once by key, step, time and value; its file store
keeps every row that comes. So times are the database's too, and `delivery` sends what is missing.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from hpsearch._version import __version__
from hpsearch.spec.family import FAMILIES

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.spec import StudySpec
    from hpsearch.store.values import TimedEpoch

__all__ = [
    "ENDED", "MODEL", "STUDY", "TICKET", "Facts", "Point", "of_study", "of_trial", "versions",
]  # fmt: skip

STUDY, TICKET = "hpsearch.study", "hpsearch.ticket"
"""Tags that a run is known by: the study's uid, and of a trial's run the number of its ticket."""

MODEL = "hpsearch.model"
"""Tag of a study's run: which network its files have."""

ENDED = frozenset({"FINISHED", "FAILED", "KILLED"})
"""MLflow's states of a run that has ended."""

_STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
_STUDY_STATUS = {"done": "FINISHED", "stopped": "KILLED"}

_ODD = re.compile(r"[^\w\-. :/]", re.ASCII)
"""What no name of a metric or a parameter can have in MLflow."""
_MOST_NAME, _MOST_VALUE = 250, 5000


@dataclass(frozen=True)
class Point:
    """One value of a metric."""

    key: str
    value: float
    at_ms: int
    """Milliseconds since 1970."""
    step: int
    """The epoch; 0 for what is measured once."""

    @property
    def place(self) -> tuple[str, int, int]:
        """All but the value, which a store may change: it has no infinity."""
        return self.key, self.at_ms, self.step


@dataclass(frozen=True)
class Facts:
    """What a run is to have."""

    name: str
    started_ms: int
    identity: Mapping[str, str]
    """The tags that it is known by."""
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: Sequence[Point] = field(repr=False)
    status: str
    """RUNNING, or one of `ENDED`."""
    ended_ms: int


def of_trial(snapshot: Snapshot, trial: Trial, epochs: Sequence[TimedEpoch]) -> Facts:
    """What the run of a trial is to have.

    Args:
        snapshot: Its study.
        trial: The trial.
        epochs: Its epochs, or those after some epoch.
    """
    points = [
        Point(_name(key), value, round(epoch.at_s * 1000), epoch.epoch)
        for epoch in epochs for key, value in epoch.metrics.items()
    ]  # fmt: skip
    points += _counting(snapshot, trial, epochs)
    settings = {**snapshot.spec.space.constants, **trial.params}
    values = {
        "state": trial.state, "stage": trial.stage, "sampler": trial.sampler,
        "worker": trial.worker, "attempts": trial.attempts, "reason": trial.reason,
        "diagnosis": snapshot.word(trial),
    }  # fmt: skip
    return Facts(
        name=f"trial {trial.number}",
        started_ms=_ms(trial.started),
        identity={STUDY: snapshot.study.uid, TICKET: str(trial.ticket)},
        params={_name(key): _text(value) for key, value in settings.items()},
        tags={**_texts(values), "ticket": str(trial.ticket), "trial": str(trial.number)},
        points=points,
        status=_STATUS.get(trial.state, "RUNNING"),
        ended_ms=_ms(trial.ended),
    )


def _counting(snapshot: Snapshot, trial: Trial, epochs: Sequence[TimedEpoch]) -> list[Point]:
    """The value that counts of a trial that completed: a table of runs shows the last of each
    metric."""
    if trial.state != "COMPLETE" or trial.value is None:
        return []
    key = _best(snapshot)
    at_s = [epoch.at_s for epoch in epochs if epoch.epoch == trial.best_epoch]
    return [Point(key, trial.value, round(one * 1000), trial.best_epoch) for one in at_s]


def of_study(snapshot: Snapshot) -> Facts:
    """What the run of a study is to have, of which at least one trial has begun."""
    study, spec = snapshot.study, snapshot.spec
    params = {
        **_subject(spec), "metric": spec.metric,
        "direction": spec.direction, "epochs": spec.budget.epochs, "seed": spec.search.seed,
        "strategy": spec.search.strategy, "pruner": spec.search.pruner.name,
        "sampler": "-".join(dict.fromkeys(spec.search.sampler.values())),
        **spec.space.constants,
    }  # fmt: skip
    counts = {name: snapshot.count(name.upper()) for name in ("complete", "pruned", "fail")}
    values = {
        "state": study.state, "trials": f"{study.ended} of {study.tickets}", **counts,
        "digest": study.digest, "searched": ", ".join(p.name for p in spec.space),
        "best_trial": snapshot.best and snapshot.best.number,
        "mlflow.note.content": _note(snapshot),
    }  # fmt: skip
    begun = [trial.started for trial in snapshot.trials if trial.started is not None]
    over = [trial.ended for trial in snapshot.trials if trial.ended is not None]
    return Facts(
        name=study.name,
        started_ms=_ms(min(begun, default=None)),
        identity={STUDY: study.uid},
        params={_name(key): _text(value) for key, value in params.items()},
        tags=_texts(values),
        points=[*_bests(snapshot), *_winner(snapshot)],
        status=_STUDY_STATUS.get(study.state, "RUNNING"),
        ended_ms=_ms(max(over, default=None)),
    )


def _subject(spec: StudySpec) -> dict[str, str]:
    """What is trained."""
    if spec.data is None:
        return {"train": "own code"}
    return {"network": FAMILIES[spec.family].name, "data": spec.data.source}


def versions() -> dict[str, str]:
    """Tags of a run when it is made: what is installed where it is delivered from."""
    return {
        "hpsearch": __version__, "torch": version("torch"), "python": platform.python_version(),
        "mlflow.source.name": "hpsearch", "mlflow.source.type": "LOCAL",
    }  # fmt: skip


def _bests(snapshot: Snapshot) -> list[Point]:
    """Each value of the search that was the best so far when its trial ended."""
    sign = 1 if snapshot.direction == "maximize" else -1
    ended = sorted(
        ((trial.ended, trial.number, trial.value) for trial in snapshot.searched
         if trial.ended is not None and trial.value is not None),
    )  # fmt: skip
    points: list[Point] = []
    for at, _, value in ended:
        if not points or sign * value > sign * points[-1].value:
            points.append(Point(_best(snapshot), value, _ms(at), 0))
    return points


def _winner(snapshot: Snapshot) -> list[Point]:
    """What the network gives that a study hands over which has ended."""
    network, verdict = snapshot.network, snapshot.verdict
    if network is None or snapshot.study.state not in _STUDY_STATUS:
        return []
    metrics = dict(network.metrics)
    if verdict is not None:
        metrics |= {f"test_{name}": value for name, value in (verdict.get("network") or {}).items()}
    return [
        Point(_name(key), float(value), _ms(network.ended), 0) for key, value in metrics.items()
    ]


def _note(snapshot: Snapshot) -> str:
    """What stands on the page of the run."""
    best = snapshot.network
    if best is None or best.value is None:
        return f"A search by hpsearch for the best validation {snapshot.metric}."
    return (
        f"A search by hpsearch. Best so far: trial {best.number}, validation {snapshot.metric} "
        f"{best.value:.4g} after epoch {best.best_epoch}."
    )


def _best(snapshot: Snapshot) -> str:
    return _name(f"best_{snapshot.metric}")


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: _text(value) for key, value in values.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        value = "-".join(map(str, value))
    return str(value)[:_MOST_VALUE]


def _name(key: str) -> str:
    return _ODD.sub("_", key)[:_MOST_NAME]


def _ms(at: datetime | None) -> int:
    """Of a time in the local zone, as trials have it."""
    return 0 if at is None else round(at.timestamp() * 1000)
