"""The steps of the recipe in words: what each reached, and its price."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hpsearch.insight.words import counted, duration, number, params
from hpsearch.spec.settings import HEART, REGULARISE, TUNE
from hpsearch.stages import recipe

if TYPE_CHECKING:
    from hpsearch.insight.recipe import Step
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.spec import StudySpec

__all__ = ["noted", "reached"]

_STEPS = ("one batch", HEART, REGULARISE, TUNE)
"""In their order."""

_ADVICE = "try a larger network or more epochs, and check the labels"


def noted(spec: StudySpec) -> Iterator[str]:
    """What the stages of a study do not show: the step before them, and those left out."""
    if spec.search.sanity:
        yield "step 1, one batch: learnt by heart before the first trial, in 10 s at most"
    else:
        yield "step 1, one batch, is skipped: search.sanity is false"
    lacking = {
        HEART: "nothing of the architecture and no rate is searched",
        REGULARISE: "no regularisation and no size of the network is searched",
        TUNE: "no rate, batch size or optimizer is searched",
    }
    for name, why in lacking.items():
        if not recipe.drawn(spec, name):
            yield f"step {_STEPS.index(name) + 1}, {name}, is skipped: {why}"


def reached(snapshot: Snapshot) -> Iterator[str]:
    """What each step that has begun came to so far, a line each."""
    from hpsearch.store.values import BATCH  # which loads Optuna

    batch = (snapshot.study.sanity or {}).get(BATCH)
    if batch is not None:
        yield f"1. {_batch(batch)}"
    for step in snapshot.recipe:
        words = _by_heart(snapshot, step) if step.name == HEART else _searched(snapshot, step)
        so_far = "" if step.over else " so far"
        price = f"{counted(step.trials, 'trial')}, {duration(step.seconds)} of training{so_far}"
        yield f"{_STEPS.index(step.name) + 1}. {step.name}: {words}; {price}"


def _batch(batch: Mapping[str, Any]) -> str:
    value = "" if batch["value"] is None else f", {batch['metric']} {number(batch['value'])}"
    outcome = "learnt by heart" if batch["learnt"] else "not learnt by heart"
    rate = "" if batch["rate"] == batch["own_rate"] else (
        f" at lr {number(batch['rate'])}, not at its own {number(batch['own_rate'])}")  # fmt: skip
    words = (
        f"one batch: {counted(batch['rows'], 'row')} {outcome}{rate}: loss {number(batch['loss'])}"
        f"{value} after {counted(batch['steps'], 'step')}; 0 trials, {duration(batch['seconds'])}"
    )
    if batch["learnt"]:
        return words
    guess = f"guessing gives {number(batch['guess'])}"
    return f"{words}; {guess}: check the labels and the loss, and try a larger network"


def _by_heart(snapshot: Snapshot, step: Step) -> str:
    if step.train_loss is None:
        return "none complete"
    which = f"trial {step.trial}, validation {snapshot.metric} {number(step.value)}"
    if step.learnt or not step.over:
        return f"training loss {number(step.train_loss)} ({which})"
    return (f"not reached, the training loss stays at {number(step.train_loss)}, guessing gives "
            f"{number(step.guess)} ({which}): {_ADVICE}")  # fmt: skip


def _searched(snapshot: Snapshot, step: Step) -> str:
    metric, value, before = f"validation {snapshot.metric}", step.value, step.before
    if value is None:
        return "none complete"
    trial = next(trial for trial in snapshot.trials if trial.number == step.trial)
    names = [parameter.name for parameter in recipe.drawn(snapshot.spec, step.name)]
    shown = {name: trial.params[name] for name in names if name in trial.params}
    which = f"trial {step.trial}: {params(shown)}"
    if before is None:
        return f"{metric} {number(value)} ({which})"
    gain = value - before if snapshot.direction == "maximize" else before - value
    if gain > 0:
        verb = "raised" if snapshot.direction == "maximize" else "lowered"
        return f"{metric} {verb} from {number(before)} to {number(value)} ({which})"
    return f"{metric} no better than {number(before)}: at best {number(value)} ({which})"
