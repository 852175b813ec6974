"""The data that a study names, opened in one place. PyTorch is loaded where it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch import urls
from hpsearch.errors import DataError
from hpsearch.sources.table.reading import ReadOptions
from hpsearch.sources.table.rules import Override, Overrides
from hpsearch.spec import versions
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

    from hpsearch.sources.dataset import Dataset, Part
    from hpsearch.sources.split import DataSettings
    from hpsearch.sources.table.look import Look
    from hpsearch.spec import DataSpec, StudySpec

__all__ = ["check_task", "data_settings", "look", "open_data", "open_test_part"]


def data_settings(spec: StudySpec, base: Path) -> DataSettings:
    """Which data the study names; `base` is its file's folder."""
    from hpsearch.sources.split import DataSettings

    data = spec.data
    first = spec.version == versions.FIRST
    return DataSettings(
        source="csv" if first and data.source == "table" else data.source,
        path=base / data.path if data.path else None,
        target=data.target,
        task=data.task,
        root=base / urls.local(data.root) if data.root else None,
        validation=data.validation,
        test=data.test or 0.0,
        seed=data.seed,
        limit=data.limit,
        ignore=tuple(data.ignore),
        reading=_options(data),
        overrides=_overrides(data),
        by=data.split.by if data.split else None,
        group=data.split.group if data.split else None,
        test_path=base / data.test_path if data.test_path else None,
        every_class=not first,
    )


def _options(data: DataSpec) -> ReadOptions:
    return ReadOptions(data.header, data.names)


def _overrides(data: DataSpec) -> Overrides:
    columns = {name: Override(**dict(column)) for name, column in data.columns.items()}
    groups = (data.split.group,) if data.split and data.split.group else ()
    return Overrides(columns, (*data.ignore, *groups), data.missing, data.decimal, data.thousands)


def look(spec: StudySpec, base: Path) -> Look | None:
    """What a study's table shows at a glance; None where the data is no table.

    Raises DataError where it is missing, cannot be read, or lacks a column that the study names.
    """
    data = spec.data
    if data.path is None or data.target is None:
        return None
    from hpsearch.sources.table.look import look

    split = (data.split.by or data.split.group) if data.split else None
    others = [base / data.test_path] if data.test_path else []
    return look(
        base / data.path, data.target, data.task, _options(data), _overrides(data), split, others
    )


def open_data(
    spec: StudySpec,
    base: Path,
    device: torch.device,
    record: Mapping[str, Any] | None = None,
) -> Dataset:
    """The training and the validation part of a study's data, on `device`.

    Args:
        spec: The study.
        base: Its file's folder.
        device: Where the rows lie after that.
        record: What the study's first worker found of the data; None: there was none so far.

    Raises DataError where the data is missing or not as it should be, or where it is for a task
    that the study's metric does not measure.
    """
    from hpsearch.sources.dataset import load

    dataset = load(data_settings(spec, base), device, (record or {}).get("decided"))
    check_task(spec, dataset.task)
    return dataset


def open_test_part(spec: StudySpec, base: Path, dataset: Dataset, device: torch.device) -> Part:
    """The rows that no search has seen, on `device`, prepared as those of `dataset` were.

    Raises DataError where there are none, or where the data has changed since.
    """
    from hpsearch.sources.dataset import test_part

    return test_part(data_settings(spec, base), dataset, dataset.record, device)


def check_task(spec: StudySpec, task: str) -> None:
    """DataError where the metric is none of this task, which may be known only from the target."""
    if TASKS[task].metric(spec.metric) is None:
        fitting = ", ".join(metric.name for metric in TASKS[task].metrics)
        raise DataError(
            f"the metric of study {spec.name!r} is {spec.metric}, and by its target "
            f"{spec.data.target!r} the table is for {task}; "
            f"set metric to one of {fitting}, or set data.task"
        )
