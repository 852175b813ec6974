"""What settings have to agree on with the task that is learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.code import is_reference
from hpsearch.spec.conflicts import Rule
from hpsearch.spec.task import TASKS, having

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.spec.settings import Setting, Value
    from hpsearch.spec.task import Task

__all__ = ["LOSS_RULE", "rules_of"]


def rules_of(tasks: Sequence[Task]) -> tuple[Rule, ...]:
    """What settings must agree on: the loss is one of the task, and so is a setting that means
    something to some of the tasks alone."""
    settings = dict.fromkeys(setting for task in tasks for setting in task.settings)
    return LOSS_RULE, *(_ownership(setting, tasks) for setting in settings)


def _of_loss(settings: Mapping[str, Value], task: str | None, classes: int | None) -> str:
    name = settings["loss"]
    return "" if task is None else TASKS[task].refusal(None if name is None else str(name), classes)


LOSS_RULE = Rule({"loss": "a loss of the task"}, _of_loss)
"""That the loss is one of the task, and for so many classes."""


def _ownership(setting: Setting, tasks: Sequence[Task]) -> Rule:
    """That a setting stays at its default where another task is learnt, by name or by its loss."""
    owners = [task for task in tasks if setting in task.settings]
    whose = " or ".join(task.name for task in owners)

    def breach(settings: Mapping[str, Value], task: str | None, classes: int | None) -> str:
        if settings[setting.name] == setting.default:
            return ""
        name = settings["loss"]
        if name is None and task is not None and (loss := TASKS[task].usual_loss(classes)):
            name = loss.name
        if is_reference(name):
            return f"{setting.name} does nothing to {name}, a loss of the study's own code"
        if name is None or any(owner.loss(str(name)) for owner in owners):
            return ""
        return f"{setting.name} is for {whose}; the loss {name} is for {having(str(name))}"

    default = setting.default if isinstance(setting.default, str) else f"{setting.default:g}"
    return Rule(
        {setting.name: f"{default}, as the loss is for another task",
         "loss": f"a loss of {whose}, as {setting.name} is set"},
        breach,
    )  # fmt: skip
