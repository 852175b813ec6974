"""A study as `hpsearch status STUDY --json` prints it, and which studies there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.api.tracking import standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Worker

__all__ = ["detailed", "summarized"]


def summarized(snapshot: Snapshot, workers: Sequence[Worker]) -> dict[str, Any]:
    """A study in plain values, with how many workers are at it and how many trials they train
    now; `workers` are those of the database."""
    leased = [len(worker.of(snapshot.study.name)) for worker in workers]
    return {**snapshot.as_dict(), "workers": sum(map(bool, leased)), "in_training": sum(leased)}


def detailed(ledger: Ledger, snapshot: Snapshot) -> dict[str, Any]:
    """The same of one study, with how many trials of elsewhere it knows and what MLflow has."""
    study = snapshot.study
    return {
        **summarized(snapshot, ledger.workers()),
        "known": len(ledger.known(study.study_id)),
        "mlflow": standing(ledger, study),
    }
