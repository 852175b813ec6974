"""What commands do and say about MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.api import tracking
from hpsearch.api.tracking import catch_up, tracking_trouble
from hpsearch.insight.words import counted
from hpsearch.terminal import echo

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = ["catch_up", "export", "look", "standing"]


def export(
    ledger: Ledger, name: str, uri: str | None, checkpoints: str | None, code: Path | None
) -> None:
    """Bring a study to MLflow, and say what is there then."""
    from hpsearch.cli import show

    target, done = tracking.export(ledger, name, uri, checkpoints, code)
    echo(
        f"MLflow at {target.name}, experiment {target.experiment}: {done.ended:,} of "
        f"{counted(done.trials, 'trial')} of {name}"
    )
    if done.page is not None:
        show.note(done.page)


def look(spec: StudySpec, base: Path) -> None:
    """Warn where it can be seen now that MLflow will get nothing: the search continues without."""
    from hpsearch.cli import show

    if trouble := tracking_trouble(spec, base):
        show.note(trouble)


def standing(ledger: Ledger, study: Study) -> None:
    """How much of a study is in MLflow, where anything was to be brought there."""
    from hpsearch.cli import show

    for line in tracking.standing(ledger, study):
        show.note(line)
