"""Before the first trial of a study: does its default configuration learn anything at all?

Whoever is first at a study looks; several may at the same time. What came of it is in the database
once the look is over, so that one who dies over it leaves nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from hpsearch.errors import DataError
from hpsearch.preflight.data_check import check_measured, check_settings
from hpsearch.preflight.overfit_check import Finding, examine
from hpsearch.sources.dataset import Dataset
from hpsearch.spec import StudySpec
from hpsearch.spec.family import FAMILIES
from hpsearch.stages import outline
from hpsearch.store.values import Study
from hpsearch.training.candidate import Candidate, derived_seed
from hpsearch.worker.context import Context

__all__ = ["assure"]

_log = logging.getLogger(__name__)


def assure(context: Context, study: Study, spec: StudySpec, dataset: Dataset) -> None:
    """Stop a study in which nothing can be learnt, and raise DataError with the reason.

    One that somebody has opened again after that is looked at again.
    """
    passed = study.sanity is not None and not study.sanity["stops"]
    if study.issued or passed:
        return
    outcome = _unsuitable(study, spec, dataset)
    if outcome is None and spec.search.sanity:
        outcome = _looked_at(context, study, spec, dataset)
    if outcome is None:
        return
    kept = context.patiently(lambda: context.ledger.record_sanity(study, outcome))
    if kept is None:  # by now it is gone, or stopped: its tickets are not to be had
        return
    if kept["stops"]:
        raise DataError(kept["said"])
    if kept["suspect"]:
        _log.warning("study %s: %s", study.name, kept["said"])


def _unsuitable(study: Study, spec: StudySpec, dataset: Dataset) -> dict[str, Any] | None:
    """The outcome where the study searches what can never be trained on its data, or by a metric
    that cannot be measured there."""
    suspect = "settings"
    try:
        check_settings(spec, dataset.task, len(dataset.classes))
        suspect = "data"
        check_measured(spec, dataset.record)
    except DataError as error:
        said = (
            f"study {study.name!r} is stopped before its first trial: {error}, and run it again "
            f"after hpsearch delete {study.name}"
        )
        return {"suspect": suspect, "said": said, "stops": True}
    return None


def _looked_at(
    context: Context, study: Study, spec: StudySpec, dataset: Dataset
) -> dict[str, Any] | None:
    """What a look at the default configuration comes to; None where it may have been broken off."""
    settings = spec.settings(outline.default_point(spec))
    seed = derived_seed(spec.search.seed, "sanity")
    found = examine(
        Candidate(-1, spec.family, settings, seed), dataset, context.device, context.stop.is_set
    )
    if context.stop.is_set():
        return None
    outcome = {"suspect": found.suspect, "said": found.said, "stops": False, "rate": found.rate}
    if found.certain and not _may_change(spec, found):
        outcome |= {"said": _refusal(study, found), "stops": True}
    return outcome


def _may_change(spec: StudySpec, found: Finding) -> bool:
    """Whether other configurations of the study have not got what is suspected."""
    searched = set(spec.space.names)
    if found.suspect == "network":
        return any(setting.name in searched for setting in FAMILIES[spec.family].settings)
    return found.suspect == "loss" and "loss" in searched


def _refusal(study: Study, found: Finding) -> str:
    return (
        f"study {study.name!r} is stopped before its first trial; suspect the {found.suspect}: "
        f"{found.said}. Mend that, or set search.sanity: false, and run it again after "
        f"hpsearch delete {study.name}"
    )
