"""The data of a study on a worker's device, the same as on every other worker's."""

from __future__ import annotations

from pathlib import Path

from hpsearch.checkpoints.places import data_settings
from hpsearch.errors import DataError
from hpsearch.preflight.data_check import check_task
from hpsearch.sources.dataset import Dataset, load
from hpsearch.spec import StudySpec
from hpsearch.store.values import Study
from hpsearch.worker.context import Context

__all__ = ["material"]


def material(context: Context, study: Study, spec: StudySpec) -> Dataset:
    """Load it. DataError where it is missing, does not suit, or is not what others train on."""
    dataset = load(data_settings(spec, Path(study.base)), context.device)
    check_task(spec, dataset.task)
    _agree(context, study, dataset)
    return dataset


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
