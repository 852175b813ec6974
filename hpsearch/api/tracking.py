"""What of a study MLflow will get."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hpsearch.errors import HpsearchError, TrackingError

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = ["catch_up", "tracking_trouble"]


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
