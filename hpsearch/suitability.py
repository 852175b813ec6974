"""Whether a study's data suits it, before there is a study that could not be worked on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.catalog import METRICS
from hpsearch.errors import DataError

if TYPE_CHECKING:
    from hpsearch.catalog import Task
    from hpsearch.spec import StudySpec

__all__ = ["check_table", "check_task"]

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

    check_task(spec, load_table(path, data.target, data.task, data.ignore).task)


def check_task(spec: StudySpec, task: Task) -> None:
    """DataError where the metric is none of this task, which may be known only from the target."""
    if task not in METRICS[spec.metric].tasks:
        fitting = ", ".join(n for n, m in METRICS.items() if task in m.tasks)
        raise DataError(
            f"the metric of study {spec.name!r} is {spec.metric}, and by its target "
            f"{spec.data.target!r} the table is for {task}; "
            f"set metric to one of {fitting}, or set data.task"
        )
