"""What somebody who follows a study wants to see of it now.

How that is drawn is another's business: a terminal, a notebook and a stream of events show the same
`View`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.insight.words import rate_first
from hpsearch.spec.settings import EARLY, FINAL, HEART, JOINT, RECIPE, REGULARISE, TUNE
from hpsearch.stages import outline
from hpsearch.store.values import lacking

if TYPE_CHECKING:
    from hpsearch.forecast.pace import Span
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.store.values import Worker

__all__ = ["Leader", "Row", "StageNow", "View", "closing", "view"]

_RECIPE = ("one batch", HEART, REGULARISE, TUNE)
"""The steps of the recipe; the first takes no trial."""


@dataclass(frozen=True)
class StageNow:
    """The stage that new trials belong to."""

    name: str
    number: int
    """Its place among all stages of the study, from 1, the finish included."""
    of: int
    sampler: str
    """What draws in it, such as `tpe`; "" where nothing is drawn."""


@dataclass(frozen=True)
class Row:
    """A trial under way."""

    number: int
    stage: str
    epoch: int
    """Epochs finished."""
    epochs: int
    """The most that it runs."""
    value: float | None
    """The metric after its last epoch."""
    params: Mapping[str, Any]
    """What its stage searches, the learning rate first."""


@dataclass(frozen=True)
class Leader:
    """The best trial so far."""

    number: int
    value: float
    epoch: int
    """The epoch that gave the value."""
    epochs: int
    """Epochs finished."""
    is_running: bool
    params: Mapping[str, Any]
    """All that is searched, the learning rate first."""
    curve: tuple[float, ...]
    """The metric after each of its epochs."""


@dataclass(frozen=True)
class View:
    """A study as it is now."""

    study: str
    state: str
    """open, paused, stopped or done."""
    metric: str
    direction: str
    """maximize or minimize."""
    stage: StageNow | None
    """None once the study has ended, or before anything is known of its stages."""
    trials: int
    """The budget, a finish included."""
    ended: int
    complete: int
    pruned: int
    failed: int
    running: int
    workers: int
    """Workers that are there and may serve it."""
    closing: str
    """What workers still do for a study that is done."""
    best: Leader | None
    rise: tuple[float, ...]
    """The best value so far after each trial of the search that completed, in the order of their
    ends."""
    rows: tuple[Row, ...]
    """Trials under way."""
    failure: str | None
    """Why the last trial that failed did: `trial 7: out of memory`."""
    seconds: float
    """Seconds in which any worker had a trial of it."""
    left_s: Span | None
    """Seconds that it still takes; None while that cannot be told."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def view(
    snapshot: Snapshot, workers: Sequence[Worker] = (), left_s: Span | None = None, *,
    pictures: bool = True,
) -> View:  # fmt: skip
    """What to show of a study.

    Args:
        snapshot: The study and its trials.
        workers: All that have signed on to its database, of any study.
        left_s: The time left, such as a `Countdown` has it, which moves without jumps.
        pictures: Whether its workers draw pictures in the end.
    """
    study = snapshot.study
    counts = {state: snapshot.count(state) for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")}
    return View(
        study=study.name,
        state=study.state,
        metric=snapshot.metric,
        direction=snapshot.direction,
        stage=_stage(snapshot),
        trials=study.tickets,
        ended=study.ended,
        complete=counts["COMPLETE"],
        pruned=counts["PRUNED"],
        failed=counts["FAIL"],
        running=counts["RUNNING"],
        workers=sum(w.is_there and not lacking(w.serves, study) for w in workers),
        closing=closing(snapshot, pictures=pictures),
        best=_leader(snapshot),
        rise=_rise(snapshot),
        rows=tuple(_row(snapshot, trial) for trial in snapshot.running),
        failure=_failure(snapshot),
        seconds=study.active_s,
        left_s=left_s,
    )


def closing(snapshot: Snapshot, *, pictures: bool = True) -> str:
    """What workers still do for a study that is done; "" while it is not, or where that is
    nothing."""
    if snapshot.study.state != "done":
        return ""
    draws = ["drawing pictures"] if pictures and snapshot.spec.train is None else []
    track = ["delivering to MLflow"] if snapshot.spec.track is not None else []
    return " and ".join([*draws, *track])


def _stage(snapshot: Snapshot) -> StageNow | None:
    opened = [stage for stage in snapshot.opened if stage["name"] != EARLY]
    if not opened or snapshot.study.state in ("done", "stopped"):
        return None
    stage = opened[-1]
    names = _stages(snapshot)
    number = names.index(stage["name"]) + 1 if stage["name"] in names else len(names)
    return StageNow(stage["name"], number, len(names), _sampler(snapshot, stage))


def _stages(snapshot: Snapshot) -> Sequence[str]:
    """All stages of the study by name, in their order."""
    spec = snapshot.spec
    is_recipe = spec.search.strategy == RECIPE
    names = _RECIPE if is_recipe else [planned.name for planned in outline.outline(spec)]
    return [*names, *([FINAL] if snapshot.study.final else [])]


def _sampler(snapshot: Snapshot, stage: Mapping[str, Any]) -> str:
    """What draws in a stage: what its last trial was drawn by, as `bayesian` leaves it open."""
    named = dict.fromkeys(stage.get("samplers", {}).values())
    last = next((t for t in reversed(snapshot.trials) if t.stage == stage["name"]), None)
    drawn = last.sampler if last is not None and named else ""
    return drawn or " + ".join(named)


def _row(snapshot: Snapshot, trial: Trial) -> Row:
    drawn: set[str] = set()
    for stage in snapshot.opened:
        if stage["name"] == trial.stage:
            drawn |= set(stage.get("domains", ()))
    shown = {k: v for k, v in trial.params.items() if k in drawn} or trial.params
    epochs = int(trial.params.get("epochs", snapshot.epochs))
    name = "" if trial.stage == JOINT else trial.stage
    return Row(trial.number, name, trial.epoch, epochs, trial.value, rate_first(shown))


def _leader(snapshot: Snapshot) -> Leader | None:
    trial = snapshot.leader
    if trial is None or trial.value is None:
        return None
    running = trial.state == "RUNNING"
    curve = tuple(trial.curve.values())
    params = rate_first(trial.params)
    return Leader(
        trial.number, trial.value, trial.best_epoch, trial.epoch, running, params, curve
    )  # fmt: skip


def _rise(snapshot: Snapshot) -> tuple[float, ...]:
    complete = [
        t for t in snapshot.trials if t.state == "COMPLETE" and t.stage != FINAL and t.ended
    ]
    best, rise = None, []
    for trial in sorted(complete, key=lambda t: (t.ended, t.number)):
        if snapshot.is_better(trial, best):
            best = trial
        if best is not None and best.value is not None:
            rise.append(best.value)
    return tuple(rise)


def _failure(snapshot: Snapshot) -> str | None:
    failed = [trial for trial in snapshot.trials if trial.state == "FAIL"]
    if not failed:
        return None
    return f"trial {failed[-1].number}: {failed[-1].reason or 'no reason was recorded'}"
