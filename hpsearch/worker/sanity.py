"""Before the first trial of a study: does its default configuration learn anything at all?

The first worker at a study looks; several may at the same time. The outcome is in the database once
the look is over, so that one that dies during it leaves nothing.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from hpsearch.errors import CodeError, DataError
from hpsearch.preflight.data_check import check_measured, check_settings
from hpsearch.preflight.one_batch import learn_one_batch
from hpsearch.preflight.overfit_check import examine
from hpsearch.preflight.own_code import check_own_code
from hpsearch.sources.dataset import Dataset
from hpsearch.spec import StudySpec
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.settings import RECIPE
from hpsearch.spec.task import TASKS
from hpsearch.stages.candidates import example_of
from hpsearch.stages.results import default_point
from hpsearch.store.values import BATCH, CODE, Study, refusal
from hpsearch.worker.context import Context

__all__ = ["assure"]

_log = logging.getLogger(__name__)


def assure(context: Context, study: Study, spec: StudySpec, dataset: Dataset) -> None:
    """Stop a study in which nothing can be learnt, and raise DataError with the reason; CodeError
    where that is code that is not hpsearch's.

    One that was opened again after that is looked at again.
    """
    passed = study.sanity is not None and not study.sanity["stops"]
    if study.issued or passed:
        return
    outcome = _unsuitable(study, spec, dataset) or _broken(context, study, spec, dataset)
    if outcome is None and spec.search.sanity:
        outcome = _looked_at(context, study, spec, dataset)
    if outcome is None:
        return
    recorded = context.patiently(lambda: context.ledger.record_sanity(study, outcome))
    if recorded is None:  # by now it is deleted, or stopped: it has no tickets to give
        return
    if recorded["stops"]:
        raise refusal(recorded)
    if recorded["suspect"]:
        _log.warning("study %s: %s", study.name, recorded["said"])


def _unsuitable(study: Study, spec: StudySpec, dataset: Dataset) -> dict[str, Any] | None:
    """The outcome where the study searches what can never be trained on its data, or by a metric
    that cannot be measured there."""
    suspect = "settings"
    try:
        check_settings(spec, dataset.task, len(dataset.classes))
        suspect = "data"
        check_measured(spec, dataset.record)
    except DataError as error:
        return {"suspect": suspect, "said": _refusal(study, f": {error}. Fix that"), "stops": True}
    return None


def _broken(
    context: Context, study: Study, spec: StudySpec, dataset: Dataset
) -> dict[str, Any] | None:
    """The outcome where the study's own code, or that of an installed package, fails or gives what
    cannot be trained."""
    if not (spec.code or FAMILIES.brought(spec.family) or TASKS.brought(dataset.task)):
        return None
    default = example_of(spec, default_point(spec), "sanity")
    try:
        check_own_code(default, dataset, context.device)
    except CodeError as error:
        sentence = (
            f"study {study.name!r} is stopped before its first trial: {error}; fix that, and "
            "run it again"
        )
        return {"suspect": CODE, "said": sentence, "stops": True}
    return None


def _looked_at(
    context: Context, study: Study, spec: StudySpec, dataset: Dataset
) -> dict[str, Any] | None:
    """The outcome of a look at the default configuration; None where it was interrupted."""
    default = example_of(spec, default_point(spec), "sanity")
    outcome = examine(default, dataset, context.device, context.stop.is_set)
    batch = None
    if spec.search.strategy == RECIPE and outcome.suspect != "data":
        batch = learn_one_batch(default, dataset, context.device, context.stop.is_set)
    if context.stop.is_set():
        return None
    if outcome.suspect != "data":  # other configurations of the study may do better
        own = {} if batch is None else {BATCH: asdict(batch)}
        return {**asdict(outcome), **own, "stops": False}
    why = f"; suspect the data: {outcome.said}. Set search.sanity: false, or fix that"
    return {**asdict(outcome), "said": _refusal(study, why), "stops": True}


def _refusal(study: Study, why: str) -> str:
    return (
        f"study {study.name!r} is stopped before its first trial{why}, and run or submit it again"
    )
