"""The data of a study on a worker's device, the same as on every other worker's."""

from __future__ import annotations

from pathlib import Path

from hpsearch.errors import DataError
from hpsearch.sources.dataset import Dataset
from hpsearch.sources.opening import check_continues, open_data
from hpsearch.spec import StudySpec
from hpsearch.store.values import Study
from hpsearch.worker.context import Context

__all__ = ["agreed_data"]


def agreed_data(context: Context, study: Study, spec: StudySpec) -> Dataset:
    """Open it, and follow what the first worker decided of it.

    Raises DataError where it is missing, does not suit, or is not what others train on; and for a
    table of hpsearch 0.1, whose trials nobody can continue.
    """
    check_continues(spec)
    dataset = open_data(spec, Path(study.base), context.device, study.data)
    first = context.patiently(lambda: context.ledger.record_data(study.study_id, dataset.record))
    for part in ("fingerprint", "split"):
        if first.get(part) != dataset.record[part]:
            raise DataError(
                f"the data of study {study.name!r} is not what it was when the study began: its "
                f"{part} differs; put the same data here, or start a study under another name"
            )
    if first.get("decided") != dataset.record.get("decided"):  # another worker was first just now
        dataset = open_data(spec, Path(study.base), context.device, first)
    return dataset
