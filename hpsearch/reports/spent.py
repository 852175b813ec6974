"""What a study took, and what pruning, early stopping and training many at once have saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.store.values import Hold

__all__ = ["Spent", "Together", "spent", "together"]


@dataclass(frozen=True)
class Together:
    """How many trials were under way at the same time, waiting for no worker."""

    trials_s: float
    """Seconds in which each was under way, added up."""
    any_s: float
    """Seconds in which any was."""
    most: int
    """Trials at the same time, at most."""
    of_one: int
    """Of one worker."""
    workers: int
    """Workers at the same time, at most."""

    @property
    def mean(self) -> float:
        """Trials at the same time, the mean over the work; never more than `most`."""
        return self.trials_s / self.any_s if self.any_s > 0 else 0.0


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
    together: Together
    """How many trials were under way at the same time."""
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


def spent(snapshot: Snapshot, trained_s: Mapping[int, float], holds: Sequence[Hold]) -> Spent:
    """What the study took.

    Args:
        snapshot: The study.
        trained_s: Seconds of training by trial number.
        holds: When workers held its tickets.
    """
    study = snapshot.study
    ended = [trial for trial in snapshot.trials if trial.state in ("COMPLETE", "PRUNED")]
    missing = {trial.number: _missing(snapshot, trial) for trial in ended}
    by_state = {
        state: sum(missing[trial.number] for trial in ended if trial.state == state)
        for state in ("COMPLETE", "PRUNED")
    }
    # Own training code is given short trials ahead of time, which wait for their turn.
    places = None if snapshot.spec.train is None else snapshot.spec.resources.per_gpu
    return Spent(
        tickets=study.tickets,
        ended=study.ended,
        hours=study.hours,
        work_s=study.active_s,
        training_s=sum(trained_s.values()),
        together=together(holds, places),
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


def together(holds: Sequence[Hold], places: int | None = None) -> Together:
    """How many trials were under way at the same time.

    Args:
        holds: When workers held tickets.
        places: The most that a worker trains at a time, whatever it holds; None: all that it holds.
    """
    moments = [(h.begun_s, 1, h.worker) for h in holds] + [(h.ended_s, -1, h.worker) for h in holds]
    tickets: Counter[str] = Counter()
    trials_s = any_s = now = 0.0
    running = most = of_one = workers = 0
    # One that ends in the moment in which another begins is not beside it.
    for moment, change, worker in sorted(moments):
        trials_s += running * (moment - now)
        any_s += (moment - now) if running else 0.0
        now = moment
        running -= _taken(tickets[worker], places)
        tickets[worker] += change
        running += _taken(tickets[worker], places)
        if not tickets[worker]:
            del tickets[worker]
        most, workers = max(most, running), max(workers, len(tickets))
        of_one = max(of_one, _taken(tickets[worker], places))
    return Together(trials_s, any_s, most, of_one, workers)


def _taken(count: int, places: int | None) -> int:
    return count if places is None else min(count, places)
