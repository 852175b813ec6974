"""What a study took, and what pruning, early stopping and training many at once have saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial

__all__ = ["Spent", "spent"]


@dataclass(frozen=True)
class Spent:
    """What a study took so far."""

    tickets: int
    """Trials of its budget, a finish's among them."""
    ended: int
    hours: float | None
    """Of work that it may take; None: no limit."""
    work_s: float
    """Seconds in which any worker held a trial."""
    training_s: float
    """Seconds of training of all trials; in a stack each has an equal share of the epoch."""
    durations_s: float
    """Seconds from the beginning of each ended trial to its end, added up."""
    at_once: float | None
    """Trials under way at the same time, the mean over the work; None before one has ended."""
    most_at_once: int
    epochs: int
    """Epochs trained."""
    whole: int
    """Epochs that the ended trials would have taken without pruning and early stopping."""
    pruned: int
    """Epochs that pruned trials did not train."""
    stopped: int
    """Epochs that completed trials did not train, since they had stopped improving."""

    @property
    def pruned_share(self) -> float:
        """What pruning saved, as a share of `whole`."""
        return self.pruned / self.whole if self.whole else 0.0

    @property
    def stopped_share(self) -> float:
        """What early stopping saved, as a share of `whole`."""
        return self.stopped / self.whole if self.whole else 0.0


def spent(snapshot: Snapshot, trained_s: Mapping[int, float]) -> Spent:
    """What the study took.

    Args:
        snapshot: The study.
        trained_s: Seconds of training by trial number.
    """
    study = snapshot.study
    ended = [trial for trial in snapshot.trials if trial.state in ("COMPLETE", "PRUNED")]
    missing = {trial.number: _missing(snapshot, trial) for trial in ended}
    by_state = {
        state: sum(missing[trial.number] for trial in ended if trial.state == state)
        for state in ("COMPLETE", "PRUNED")
    }
    timed = [t for t in snapshot.trials if t.started is not None and t.ended is not None]
    durations = sum((t.ended - t.started).total_seconds() for t in timed if t.ended and t.started)
    return Spent(
        tickets=study.tickets,
        ended=study.ended,
        hours=study.hours,
        work_s=study.active_s,
        training_s=sum(trained_s.values()),
        durations_s=durations,
        at_once=durations / study.active_s if timed and study.active_s > 0 else None,
        most_at_once=_most(timed),
        epochs=sum(trial.epoch for trial in snapshot.trials),
        whole=sum(trial.epoch + missing[trial.number] for trial in ended),
        pruned=by_state["PRUNED"],
        stopped=by_state["COMPLETE"],
    )


def _missing(snapshot: Snapshot, trial: Trial) -> int:
    """Epochs that an ended trial was spared; none of one that diverged, or was stopped by hand."""
    pruned = trial.reason is None or trial.reason.startswith("pruned by")
    if trial.state == "PRUNED" and not pruned:
        return 0
    return max(_limit(snapshot, trial) - trial.epoch, 0)


def _limit(snapshot: Snapshot, trial: Trial) -> int:
    """The most epochs of a trial: a searched `epochs` is its own."""
    own = trial.params.get("epochs", snapshot.spec.space.constants.get("epochs"))
    return own if isinstance(own, int) else snapshot.epochs


def _most(timed: Sequence[Trial]) -> int:
    """How many trials were under way at the same time at most."""
    moments = [(t.started, 1) for t in timed] + [(t.ended, -1) for t in timed]
    running = most = 0
    # One that ends in the moment in which another begins is not beside it.
    for _, change in sorted(moments, key=lambda moment: (moment[0], moment[1])):
        running += change
        most = max(most, running)
    return most
