"""The data of a study on a worker's device, the same as on every other worker's."""

from __future__ import annotations

from pathlib import Path

from hpsearch.errors import DataError
from hpsearch.sources.dataset import Dataset
from hpsearch.sources.opening import open_data
from hpsearch.spec import StudySpec
from hpsearch.store.values import Study
from hpsearch.worker.context import Context

__all__ = ["agreed_data"]


def agreed_data(context: Context, study: Study, spec: StudySpec) -> Dataset:
    """Open it. DataError where it is missing, does not suit, or is not what others train on."""
    dataset = open_data(spec, Path(study.base), context.device)
    _agree(context, study, dataset)
    return dataset


def _agree(context: Context, study: Study, dataset: Dataset) -> None:
    """All workers of a study must train on the same rows, split in the same way."""
    ours = dataset.record
    first = context.patiently(lambda: context.ledger.record_data(study.study_id, ours))
    for part in ("fingerprint", "split"):
        if first.get(part) != ours[part]:
            raise DataError(
                f"the data of study {study.name!r} is not what it was when the study began: its "
                f"{part} differs; put the same data here, or start a study under another name"
            )
