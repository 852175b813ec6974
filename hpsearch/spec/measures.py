"""What networks are measured by, metric and loss, beside the task and what is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.code import is_reference
from hpsearch.spec.faults import listed, show
from hpsearch.spec.source import SOURCES
from hpsearch.spec.space import Choices
from hpsearch.spec.task import LOSS, TASKS, possible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.spec.faults import Faults
    from hpsearch.spec.models import MetricSpec
    from hpsearch.spec.parameters import Draft
    from hpsearch.spec.source import DataSpec
    from hpsearch.spec.task import Task

__all__ = ["check_labelled", "check_loss", "check_metric", "check_scales"]


def check_metric(data: DataSpec, metric: object, named: MetricSpec | None, faults: Faults) -> None:
    """Note a metric that the task does not have, one with the wrong direction, and none where no
    default is known."""
    if metric is None and SOURCES[data.source].target is None:
        expected = f"accuracy, auroc, rmse, ...: required with source {data.source}"
        faults.add(("metric",), expected, "nothing")
    fitting = {m.name: m for task in possible(data.task) for m in task.metrics}
    if named is not None and named.name in fitting:
        better = fitting[named.name].direction
        if named.direction != better:
            expected = f"{better}, as {named.name} is better so"
            faults.add(("metric", "direction"), expected, show(named.direction))
    elif isinstance(metric, str) and metric not in fitting and _is_metric(metric):
        why = f"as the task is {data.task}" if data.task else "as data.task names no other task"
        beside = [("data", "task")]
        faults.add(("metric",), f"{listed(fitting)}, {why}", show(metric), beside=beside)


def check_labelled(data: DataSpec, metric: object, faults: Faults) -> None:
    """Note a metric that tells strange rows from normal ones where all are normal."""
    if data.task is None or TASKS[data.task].target != "inputs" or data.normal:
        return
    named = TASKS[data.task].metric(metric) if isinstance(metric, str) else None
    if named is not None and named.varied:
        usual = TASKS[data.task].usual_metric(labelled=False).name
        expected = f"{usual}, or the classes of data.normal beside it, which {metric} takes"
        faults.add(("metric",), expected, show(metric), beside=[("data", "task")])


def _is_metric(name: str) -> bool:
    """Whether it is one of any task; that it is none at all is a fault of its own."""
    return any(task.metric(name) for task in TASKS.all().values())


def check_loss(data: DataSpec, drafts: Mapping[str, Draft], faults: Faults) -> None:
    """Note losses that the task does not have."""
    draft = drafts.get("loss")
    if data.task is None or draft is None or not isinstance(draft.domain, Choices):
        return
    fitting = [loss.name for loss in TASKS[data.task].losses]
    own = TASKS[data.task].around is None
    named = [v for v in draft.domain.values if v is not None and not (own and is_reference(v))]
    wrong = [value for value in named if value not in fitting]
    for value in wrong:
        expected = f"{listed(fitting)}, as the task is {data.task}"
        faults.add(draft.path, expected, show(value), beside=[("data", "task")])


def check_scales(
    data: DataSpec | None,
    content: Mapping[str, object],
    drafts: Mapping[str, Draft],
    faults: Faults,
) -> None:
    """Note what is searched and makes losses that cannot be compared by the metric `loss`."""
    if content.get("metric") != LOSS:
        return
    tasks = possible(data.task if data else None)
    _check_rescaled(tasks, drafts, faults)
    draft = drafts.get("loss")
    if draft is None or not isinstance(draft.domain, Choices):
        return
    names = [str(v) for v in draft.domain.values if v is not None]
    usual = bool(draft.when) or None in draft.domain.values
    for task in tasks:
        losses = [task.loss(name) for name in names]
        losses += [task.losses[0]] if usual else []
        scales = {name: name for name in names if is_reference(name)}
        if losses.count(None) > len(scales):
            continue  # another task is meant, or that is a fault of its own
        for loss in losses:
            if loss is not None:
                scales.setdefault(loss.scale or loss.name, loss.name)
        if len(scales) > 1:
            expected = f"{_without_loss(task)}, as losses of different scales are searched"
            got = f'"loss", which cannot compare {", ".join(scales.values())}'
            faults.add(("metric",), expected, got, beside=[draft.path])


def _check_rescaled(tasks: Sequence[Task], drafts: Mapping[str, Draft], faults: Faults) -> None:
    """Note settings that are searched, under whose values losses are of different scales."""
    for task in tasks:
        for setting in task.settings:
            draft = drafts.get(setting.name)
            if setting.rescales and draft is not None and draft.domain and not draft.constant:
                expected = f"{_without_loss(task)}, as {setting.name} is searched"
                got = f'"loss", which cannot be compared between values of {setting.name}'
                faults.add(("metric",), expected, got, beside=[draft.path])


def _without_loss(task: Task) -> str:
    """The task's metrics other than the loss, in words."""
    return listed(metric.name for metric in task.metrics if metric.name != LOSS)
