"""The main facts of a study as plain values: what a report carries for programs, and what every
other way to ask hpsearch or Optuna has to agree with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hpsearch._version import __version__
from hpsearch.reports.answer import answer, measured_on

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.reports.spent import Spent

__all__ = ["facts", "plain"]


def facts(snapshot: Snapshot, spent: Spent) -> dict[str, Any]:
    """The facts of a study, all of them JSON."""
    study, spec, data = snapshot.study, snapshot.spec, snapshot.study.data or {}
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
    values = {
        "study": study.name,
        "uid": study.uid,
        "digest": study.digest,
        "state": study.state,
        "metric": snapshot.metric,
        "direction": snapshot.direction,
        "measured_on": measured_on(snapshot),
        "answer": asdict(answer(snapshot)),
        "best": _trial(snapshot.best),
        "network": _trial(snapshot.network),
        "final": snapshot.verdict,
        "trials": {name: snapshot.count(state) for name, state in states.items()},
        "searched": list(spec.space.names),
        "stages": [asdict(stage) for stage in snapshot.stages],
        "spent": asdict(spent),
        "seed": spec.search.seed,
        "data": {key: data[key] for key in ("fingerprint", "split", "rows") if key in data} or None,
        "damaged": len(snapshot.damaged),
        "hpsearch": __version__,
    }
    made: dict[str, Any] = plain(values)
    return made


def _trial(trial: Trial | None) -> dict[str, Any] | None:
    """A trial by what Optuna knows of it: number, value and parameters."""
    if trial is None:
        return None
    return {
        "trial": trial.number, "value": trial.value, "epoch": trial.best_epoch,
        "params": dict(trial.params), "metrics": dict(trial.metrics),
    }  # fmt: skip


def plain(value: Any) -> Any:
    """The same as JSON has it: numbers that are not finite are text, as in Optuna's tables."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
