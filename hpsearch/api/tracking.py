"""What of a study MLflow will get."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hpsearch.errors import HpsearchError, StudyFileError, TrackingError

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study
    from hpsearch.tracking.courier import Exported
    from hpsearch.tracking.target import Target

__all__ = ["catch_up", "export", "standing", "tracking_trouble"]


def export(
    ledger: Ledger, name: str, uri: str | None, checkpoints: str | None, code: Path | None
) -> tuple[Target, Exported]:
    """Bring a study to MLflow: where that is, and what is there then.

    Args:
        ledger: Where it is kept.
        name: Its name.
        uri: MLflow's; None: HPSEARCH_MLFLOW, else the study's.
        checkpoints: Where checkpoints lie, if an option or the environment says so.
        code: The folder of the study's own code.

    Raises StudyFileError where nothing names an MLflow, TrackingError where it does not answer.
    """
    from hpsearch.fleet import new_name
    from hpsearch.tracking import courier
    from hpsearch.tracking.target import target_of

    study = ledger.study(name)
    target = target_of(study.document, study.base, uri)
    if target is None:
        raise StudyFileError(
            f"which MLflow: --uri http://HOST:5000, or HPSEARCH_MLFLOW; study {name!r} names none"
        )
    by = f"export-{new_name()}"
    return target, courier.export(ledger, name, target, by, checkpoints, code)


def standing(ledger: Ledger, study: Study) -> list[str]:
    """How much of a study is in MLflow, a line for each that it was to be brought to."""
    from hpsearch.tracking.target import DUTY

    duties = ledger.duties(study.study_id)
    return [duty.said for duty in duties if duty.name.startswith(DUTY) and duty.said]


def tracking_trouble(spec: StudySpec, base: Path) -> str | None:
    """Why MLflow will get nothing, where that can be seen now: the search continues without."""
    from hpsearch.tracking.target import MISSING, installed, probe, target_of

    target = target_of(spec.document, base)
    if target is None:
        return None
    try:
        if not installed():
            raise TrackingError(MISSING)
        probe(target)
    except HpsearchError as error:
        return f"warning: {error}; the search continues, and what MLflow misses it gets later"
    return None


def catch_up(ledger: Ledger, study: Study, checkpoints: str | None, code: Path | None) -> None:
    """Bring what MLflow lacks where the last worker died before it could, if MLflow answers."""
    from hpsearch.fleet import new_name
    from hpsearch.tracking import courier
    from hpsearch.tracking.target import installed, probe, target_of

    target = target_of(study.document, study.base)
    if target is None or not installed():
        return
    with suppress(HpsearchError):  # a study's duties say what is known of it
        probe(target)
        courier.export(ledger, study.name, target, f"run-{new_name()}", checkpoints, code)
