"""Whether a study's data suits it, before there is a study that could not be worked on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.catalog import METRICS
from hpsearch.conflicts import NORM, RULES, SMOOTHING
from hpsearch.errors import DataError
from hpsearch.spec.impossible import combinations, never

if TYPE_CHECKING:
    from hpsearch.catalog import Task
    from hpsearch.spec import StudySpec

__all__ = ["check_settings", "check_table", "check_task", "warnings"]

_MOST_BYTES = 64 << 20
"""Of a table that is read for this alone: some seconds. Of a larger one the workers say it."""


def check_table(spec: StudySpec, base: Path) -> None:
    """Read a study's table, if it has one here: DataError where it is no data for this search.

    `base` is the folder of the study file.
    """
    data = spec.data
    path = base / (data.path or "")
    if data.target is None or not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return
    from hpsearch.training.tables import load_table

    raw = load_table(path, data.target, data.task, data.ignore)
    check_task(spec, raw.task)
    check_settings(spec, raw.task, len(raw.classes))


def check_task(spec: StudySpec, task: Task) -> None:
    """DataError where the metric is none of this task, which may be known only from the target."""
    if task not in METRICS[spec.metric].tasks:
        fitting = ", ".join(n for n, m in METRICS.items() if task in m.tasks)
        raise DataError(
            f"the metric of study {spec.name!r} is {spec.metric}, and by its target "
            f"{spec.data.target!r} the table is for {task}; "
            f"set metric to one of {fitting}, or set data.task"
        )


def check_settings(spec: StudySpec, task: Task, classes: int) -> None:
    """DataError where values that are searched can never be trained on this target."""
    for rule in RULES:
        if found := never(spec.space, spec.family, rule, task, classes):
            whose = f"by its target {spec.data.target!r} " if spec.data.target else ""
            raise DataError(
                f"{whose}the data of study {spec.name!r} is for {task}, where {found.name} "
                f"{found.values} can never be trained: {found.why}; change {found.name}"
            )


def warnings(spec: StudySpec) -> list[str]:
    """Combinations of searched values that can never be trained: each such trial is lost."""
    found = combinations(spec.space, spec.family, (SMOOTHING, NORM), spec.data.task, None)
    return [str(combination) for combination in found]
