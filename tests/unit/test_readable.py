"""How optuna-dashboard shows the attributes of trials; in the database they stay as they are."""

from __future__ import annotations

from pathlib import Path

from hpsearch.dashboard.readable import ReadableStorage, arranged
from hpsearch.store.storage import BatchedStorage
from tests.searched import searched


def test_results_come_first_and_bookkeeping_is_one_entry() -> None:
    attrs = {
        "attempts": 1, "best_epoch": 7, "metrics": {"accuracy": 0.9000000358, "loss": 0.3},
        "reason": "x", "sampler": "tpe", "stack": "a stack of 4", "stage": "polish",
        "ticket": 3, "worker": "w",
    }  # fmt: skip
    shown = arranged(attrs)
    assert list(shown) == ["reason", "best_epoch", "accuracy", "loss", "stage", "sampler",
                           "hpsearch"]  # fmt: skip
    assert shown["accuracy"] == 0.9
    assert shown["hpsearch"] == {"attempts": 1, "stack": "a stack of 4", "ticket": 3, "worker": "w"}


def test_attributes_of_others_stay_as_they_are() -> None:
    assert arranged({"metrics": {"a": 1}, "z": 2}) == {"metrics": {"a": 1}, "z": 2}
    damaged = arranged({"ticket": 1, "stage": "joint", "metrics": "nonsense"})
    assert damaged == {"stage": "joint", "hpsearch": {"ticket": 1}}


def test_nothing_of_it_is_written(sqlite_url: str, tmp_path: Path) -> None:
    ledger, study = searched(sqlite_url, tmp_path)
    readable, plain = ReadableStorage(ledger.database), BatchedStorage(ledger.database)
    (shown, *_), (kept, *_) = (
        storage.get_all_trials(study.study_id) for storage in (readable, plain)
    )
    assert "ticket" in kept.user_attrs
    assert "ticket" not in shown.user_attrs
    assert readable.get_trial(kept._trial_id).user_attrs == kept.user_attrs
    assert readable.get_best_trial(study.study_id).number == 11
