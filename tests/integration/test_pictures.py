"""Who draws a study's pictures, and how Optuna's readers come to see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta
from optuna.trial import TrialState, create_trial

from hpsearch.pictures.album import Album
from hpsearch.pictures.drawing import artifact
from hpsearch.pictures.gallery import Kept
from hpsearch.runner.epoch import Epoch
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.storage import open_storage
from hpsearch.store.values import Ending, Study, Write
from tests.searched import DISTRIBUTIONS, searched


@pytest.fixture
def ended(url: str, tmp_path: Path) -> tuple[Ledger, Study]:
    """A study whose three trials have ended."""
    ledger, study = searched(url, tmp_path, trials=3, running=0)
    return ledger, ledger.study(study.name)


def test_one_worker_draws_and_after_a_while_another_one(ended: Any) -> None:
    ledger, study = ended
    assert study.state == "done"
    assert ledger.claim_pictures(study, "w-1", 60.0)
    assert not ledger.claim_pictures(study, "w-2", 60.0)
    assert ledger.claim_pictures(study, "w-1", 0.0)  # its own again; and it is killed
    assert ledger.claim_pictures(study, "w-2", 60.0)
    assert ledger.record_pictures(study, [], done=True)
    assert not ledger.claim_pictures(study, "w-2", 60.0)
    study = ledger.extend(study.name, 1, None, None, 0)
    assert not ledger.claim_pictures(study, "w-2", 60.0)  # it is open
    ledger.set_state(study.name, "stopped")
    assert ledger.claim_pictures(study, "w-2", 60.0)  # there may be another best trial


def test_pictures_are_artifacts_of_the_study_and_of_trials_that_have_ended(
    ended: Any, url: str
) -> None:
    ledger, study = ended
    storage = open_storage(Database(url))
    optunas = optuna.load_study(study_name=study.name, storage=storage)
    best = optunas.best_trial  # read before there is a picture, and read again after it
    assert get_all_artifact_meta(best, storage=storage) == []
    whole, own = Kept("importance", None), Kept("curves", best.number)
    assert ledger.record_pictures(study, [artifact(study, whole), artifact(study, own)])
    assert ledger.record_pictures(study, [artifact(study, own)], done=True)  # twice is once
    (of_study,) = get_all_artifact_meta(optunas)
    assert (of_study.filename, of_study.mimetype) == ("study-importance.png", "image/png")
    optunas.trials  # noqa: B018 -- which looks for news
    (of_trial,) = get_all_artifact_meta(optunas.best_trial, storage=storage)
    assert of_trial.filename == f"trial-{best.number}-curves.png"
    assert of_trial.artifact_id == own.artifact_id(study.uid)
    assert optunas.best_trial.params == best.params


def test_nothing_is_noted_of_a_study_that_is_gone(ended: Any) -> None:
    ledger, study = ended
    ledger.delete(study.name)
    assert not ledger.claim_pictures(study, "w-1", 60.0)
    assert not ledger.record_pictures(study, [artifact(study, Kept("curves", 0))])


def test_a_trial_without_pictures_is_said_to_be_what_it_is(sqlite_url: str, tmp_path: Path) -> None:
    ledger, study = searched(sqlite_url, tmp_path, trials=3, running=0)
    ledger.extend(study.name, 2)
    for epochs in (1, 2):
        (lease,) = ledger.claim("w-1", study.study_id)
        attrs = {"ticket": lease.number, "stage": "joint", "sampler": "random"}
        proposal = create_trial(
            state=TrialState.RUNNING, params={"lr": 0.5, "depth": 1}, distributions=DISTRIBUTIONS,
            user_attrs=attrs,
        )  # fmt: skip
        (begun,) = ledger.begin([(lease, proposal)])
        assert begun is not None
        reports = [Epoch(epoch, 0.1, {"accuracy": 0.1}, 0.1) for epoch in range(1, epochs + 1)]
        ending = Ending(TrialState.PRUNED, 0.1, f"pruned by asha after epoch {epochs}")
        ledger.record([Write(lease, begun[0], reports=reports, ending=ending)])

    album = Album(ledger, study.name)
    assert album.keep(3) == []
    assert album.why_none(3) == (
        "there is nothing to draw of trial 3 of study 's', which ended as PRUNED (pruned by asha "
        "after epoch 1) with 1 epoch: learning curves take two; hpsearch pictures s draws the best "
        "trial"
    )
    assert [row["title"] for row in album.keep(4)] == ["Learning curves, trial 4"]
    assert album.notes == [
        f"trial {number} is shown without its network: a study keeps those of its best trial and "
        "of its finish" for number in (3, 4)
    ]  # fmt: skip
