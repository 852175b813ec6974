"""Settings that can never be trained together, whatever rows the data has.

One form of rules for all who look at settings: study files, workers, and training itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from hpsearch.spec.settings import LOSSES, Task, Value

__all__ = [
    "LOSS", "RULES", "SMOOTHING", "WEIGHTS", "Rule", "SettingsError", "check", "loss_name",
]  # fmt: skip

Settings = Mapping[str, Value]


class SettingsError(ValueError):
    """Settings that can never be trained; the message says why."""


@dataclass(frozen=True)
class Rule:
    """Something that settings must agree on."""

    wanted: Mapping[str, str]
    """What each of the settings should be instead, the one most likely to be changed first."""
    breach: Callable[[Settings, Task | None, int | None], str]
    """(all settings of a candidate, the task, the number of classes) -> why it can never be
    trained, or nothing. What is not known yet is None, and no reason."""


def check(
    settings: Settings, rules: Iterable[Rule], task: Task | None, classes: int | None
) -> None:
    """SettingsError where a candidate of these settings breaks a rule: it can never be trained."""
    for rule in rules:
        if why := rule.breach(settings, task, classes):
            raise SettingsError(why)


def loss_name(name: str | None, task: Task, classes: int) -> str:
    """The loss to use: `name`, or by the task where that is None. SettingsError for a bad match."""
    if why := LOSS.breach({"loss": name}, task, classes):
        raise SettingsError(why)
    if name is not None:
        return name
    if task == "regression":
        return "mse"
    return "bce" if classes == 2 else "cross_entropy"


def _of_loss(settings: Settings, task: Task | None, classes: int | None) -> str:
    name = settings["loss"]
    if name is None or task is None:
        return ""
    tasks = LOSSES[str(name)]
    if task not in tasks:
        return f"the loss {name} is for {' and '.join(tasks)}, not for {task}"
    if name == "bce" and classes not in (None, 2):
        return f"the loss bce is for two classes and there are {classes}"
    return ""


def _of_smoothing(settings: Settings, task: Task | None, classes: int | None) -> str:
    name = _loss_of_numbers(settings, task)
    if settings["label_smoothing"] and name:
        return f"label_smoothing is for classes; the loss {name} is for numbers"
    return ""


def _of_weights(settings: Settings, task: Task | None, classes: int | None) -> str:
    weighted = settings["class_weight"] != "none"
    return "class_weight is for classes" if weighted and _loss_of_numbers(settings, task) else ""


def _loss_of_numbers(settings: Settings, task: Task | None) -> str | None:
    """The loss, where it is known to be one for numbers."""
    name = settings["loss"] or ("mse" if task == "regression" else None)
    return str(name) if name is not None and "regression" in LOSSES[str(name)] else None


LOSS = Rule({"loss": "a loss of the task"}, _of_loss)
SMOOTHING = Rule(
    {"label_smoothing": "0, as the loss is for numbers", "loss": "a loss of classes, as labels are "
     "smoothed"},
    _of_smoothing,
)  # fmt: skip
WEIGHTS = Rule(
    {"class_weight": "none, as the loss is for numbers",
     "loss": "a loss of classes, as these are weighted"},
    _of_weights,
)  # fmt: skip
RULES = (LOSS, SMOOTHING, WEIGHTS)
"""Those of training. A family can have more of its own."""
