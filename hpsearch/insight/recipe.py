"""What the steps of the recipe have come to, and what each of them cost: a pure function of a
study's trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpsearch.spec.settings import HEART, REGULARISE, TUNE
from hpsearch.stages import recipe

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial

__all__ = ["Step", "steps"]

_STEPS = (HEART, REGULARISE, TUNE)


@dataclass(frozen=True)
class Step:
    """A step of the recipe that takes trials, and has begun."""

    name: str
    """by heart, regularise or fine-tune."""
    trials: int
    """That it has begun."""
    seconds: float
    """Of training, over all workers."""
    over: bool
    """Whether no trial of it is still to come or under way."""
    trial: int | None
    """Its winner: of the least training loss where it learns by heart, else of the best value; None
    before one of its trials is complete."""
    value: float | None
    """The winner's, of the study's metric."""
    before: float | None
    """What the step began from: the value of the winner by heart, or the best one before the step;
    None: there was none."""
    train_loss: float | None = None
    """Of the winner, where it learns by heart."""
    guess: float | None = None
    """The training loss of a network that has learnt nothing, where it learns by heart."""
    learnt: bool | None = None
    """Whether the training rows are known by heart; None where that is not asked, or not known."""


def steps(snapshot: Snapshot, spent_s: Mapping[int, float]) -> tuple[Step, ...]:
    """The steps that have begun, in their order.

    Args:
        snapshot: The study.
        spent_s: Seconds of training of its trials, by their numbers.
    """
    begun, study = [name for name in _STEPS if _of(snapshot, name)], snapshot.study
    ended = study.state in ("done", "stopped") or study.finish == "open"
    done = list[Step]()
    for name in begun:
        own = _of(snapshot, name)
        seconds = sum(spent_s.get(trial.number, 0.0) for trial in own)
        step = Step(name, len(own), seconds, ended or name != begun[-1], None, None, None)
        if name == HEART:
            done.append(_by_heart(snapshot, own, step))
        else:
            done.append(_searched(snapshot, own, step, done))
    return tuple(done)


def _of(snapshot: Snapshot, name: str) -> Sequence[Trial]:
    return [trial for trial in snapshot.trials if trial.stage == name]


def _by_heart(snapshot: Snapshot, own: Sequence[Trial], step: Step) -> Step:
    complete = [t for t in own if t.state == "COMPLETE" and t.train_loss is not None]
    winner = min(complete, key=lambda t: (t.train_loss, t.ticket), default=None)
    if winner is None or winner.train_loss is None:
        return step
    guess = snapshot.guessed(winner)
    assert snapshot.task is not None  # of own training code there is no recipe
    learnt = recipe.is_learnt(snapshot.task.target, winner.train_loss, guess)
    return replace(
        step, trial=winner.number, value=winner.value, train_loss=winner.train_loss, guess=guess,
        learnt=learnt,
    )  # fmt: skip


def _searched(
    snapshot: Snapshot, own: Sequence[Trial], step: Step, earlier: Sequence[Step]
) -> Step:
    if step.name == REGULARISE:
        before = next((one.value for one in earlier if one.name == HEART), None)
    else:
        names = {one.name for one in earlier}
        leader = _best(snapshot, [trial for trial in snapshot.trials if trial.stage in names])
        before = leader.value if leader else None
    winner = _best(snapshot, own)
    if winner is None:
        return replace(step, before=before)
    return replace(step, trial=winner.number, value=winner.value, before=before)


def _best(snapshot: Snapshot, trials: Sequence[Trial]) -> Trial | None:
    complete = [t for t in trials if t.state == "COMPLETE" and t.value is not None]
    sign = 1 if snapshot.direction == "maximize" else -1
    return max(complete, key=lambda t: (sign * (t.value or 0.0), -t.number), default=None)
