"""The data of a study on a worker's device, the same as on every other worker's."""

from __future__ import annotations

from pathlib import Path

from hpsearch.catalog import METRICS
from hpsearch.errors import DataError
from hpsearch.places import data_settings
from hpsearch.spec import StudySpec
from hpsearch.store.values import Study
from hpsearch.training.data import Dataset, load
from hpsearch.worker.context import Context

__all__ = ["check_metric", "material"]


def material(context: Context, study: Study, spec: StudySpec) -> Dataset:
    """Load it. DataError where it is missing, does not suit, or is not what others train on."""
    dataset = load(data_settings(spec, Path(study.base)), context.device)
    check_metric(spec, dataset)
    _agree(context, study, dataset)
    return dataset


def check_metric(spec: StudySpec, dataset: Dataset) -> None:
    """DataError where they do not suit: the task of a table may be known only from its target."""
    if dataset.task not in METRICS[spec.metric].tasks:
        fitting = ", ".join(n for n, m in METRICS.items() if dataset.task in m.tasks)
        raise DataError(
            f"the metric of study {spec.name!r} is {spec.metric}, and by its target "
            f"{spec.data.target!r} the table is for {dataset.task}; "
            f"set metric to one of {fitting}, or set data.task"
        )


def _agree(context: Context, study: Study, dataset: Dataset) -> None:
    """All workers of a study must train on the same rows, split in the same way."""
    found = dataset.record
    kept = context.patiently(lambda: context.ledger.record_data(study.study_id, found))
    for part in ("fingerprint", "split"):
        if kept.get(part) != found[part]:
            raise DataError(
                f"the data of study {study.name!r} is not what it was when the study began: its "
                f"{part} differs; put the same data here, or start a study under another name"
            )
