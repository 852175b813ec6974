"""Any study that has ended can get a finish, and one with another number of trainings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from optuna.trial import TrialState

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.checkpoints.places import checkpoint_place
from hpsearch.errors import ConflictError
from hpsearch.insight.reader import Reader
from hpsearch.stages.stage import Stage
from hpsearch.store.ledger import Ledger
from hpsearch.store.storage import open_storage
from hpsearch.worker.staging import Staging
from tests.integration.player import Player

TEXT = """
name: s
data: {source: digits}
network: {family: mlp}
parameters: {architecture: {depth: {min: 1, max: 3}, width: {min: 4, max: 64}}}
search: {sampler: random, sanity: false%s}
budget: {trials: 6, epochs: 2%s}
"""
STAGED, JOINT = ", strategy: staged", ""


def verdicts(player: Player) -> list[dict]:
    return player.ledger.verdicts(player.study.study_id)


@pytest.mark.parametrize("strategy", [JOINT, STAGED])
def test_a_study_that_was_run_without_a_finish_gets_one(
    sqlite_url: str, tmp_path: Path, strategy: str
) -> None:
    player = Player(sqlite_url, tmp_path, TEXT % (strategy, ""))
    player.play()
    digest = player.study.digest
    player.finish_again(2, 2)
    player.play()
    (found,) = verdicts(player)
    assert (found["asked"], found["completed"], found["use"]) == (6, 6, 1)
    assert len(player.trials("final")) == 6
    assert player.study.digest == digest, "the same file continues with the same study"
    assert found["winner"] == max((t.params for t in player.trials("joint" if not strategy else
                                   None)), key=player.value)  # fmt: skip


def test_the_next_finish_may_have_other_numbers(sqlite_url: str, tmp_path: Path) -> None:
    player = Player(sqlite_url, tmp_path, TEXT % (JOINT, "") + "final: {top: 1, seeds: 2}\n")
    player.play()
    player.finish_again(3, 4)
    player.play()
    assert [found["asked"] for found in verdicts(player)] == [4, 16]
    assert json.loads(json.dumps(player.study.final)) == {"top": 3, "seeds": 4}


def test_it_is_searched_on_between_two_finishes(sqlite_url: str, tmp_path: Path) -> None:
    player = Player(sqlite_url, tmp_path, TEXT % (JOINT, ""))
    player.play()
    player.finish_again(1, 2)
    player.play()
    player.ledger.extend("s", 4)
    player.play()
    assert len(player.trials("joint")) == 10
    player.finish_again(1, 2)
    player.play()
    assert [found["use"] for found in verdicts(player)] == [1, 2]
    draws = [tuple(t.params.values()) for t in player.trials("joint")]
    assert len(set(draws)) == 10, "none is drawn twice"


def test_a_worker_that_knows_of_no_finish_draws_none_of_its_tickets(
    sqlite_url: str, tmp_path: Path
) -> None:
    """It had served the study before, and another worker has opened the finish since."""
    player = Player(sqlite_url, tmp_path, TEXT % (JOINT, ""))
    player.play()
    player.finish_again(1, 2)
    other = Ledger(player.ledger.database)
    Staging(other, player.study, player.spec, player.search, player.mirror).advance(idle=False)
    player.search.enter(player.search.stages[:1])
    assert [stage.name for stage in player.search.stages] == ["joint"]
    (lease,) = player.ledger.claim("w", player.study.study_id, 1)
    assert not player.staging.covers(lease)
    found = player.ledger.stages(player.study.study_id)
    player.search.enter([Stage.from_json(one, player.spec.space) for one in found])
    assert player.staging.covers(lease)


def test_nothing_is_learnt_from_a_finish_and_optuna_takes_none_of_it_for_the_best(
    sqlite_url: str, tmp_path: Path
) -> None:
    import optuna

    player = Player(sqlite_url, tmp_path, TEXT % (JOINT, ""))
    player.play()
    best = Reader(player.ledger, "s").snapshot().best
    player.luck = 0.5  # of those trained again
    player.finish_again(1, 2)
    player.play()
    snapshot = Reader(player.ledger, "s").snapshot()
    assert best is not None
    assert snapshot.best == best
    assert snapshot.network is not None
    assert snapshot.network.stage == "final"
    study = optuna.load_study(study_name="s", storage=sqlite_url)
    assert study.best_trial.number == best.number
    assert [trial.number for trial in study.best_trials] == [best.number]
    assert max(t.value for t in study.trials) > study.best_value
    shown = open_storage(player.ledger.database).get_best_trial(player.study.study_id)
    assert shown.number == best.number, "the dashboard's"
    assert len(player.mirror.get_all_trials(player.study.study_id)) == 6
    assert len(player.mirror.trials(TrialState.COMPLETE)) == 10


def test_hours_that_passed_trials_over_are_added_to_first(sqlite_url: str, tmp_path: Path) -> None:
    player = Player(sqlite_url, tmp_path, TEXT % (JOINT, ", hours: 1"))
    (lease,) = player.ledger.claim("w", player.study.study_id, 1, wanted=[3])
    player.train(lease)
    spend = "UPDATE hpsearch_studies SET active_s = %d"
    player.ledger.database.write(lambda c: c.exec_driver_sql(spend % 3600))
    player.play()
    with pytest.raises(ConflictError, match="hpsearch extend s --hours"):
        player.finish_again(1, 2)
    player.ledger.extend("s", 0, 1.0)
    player.play()
    player.finish_again(1, 2)
    player.play()
    assert len(verdicts(player)) == 1


def test_what_is_cleared_away_after_a_finish_is_not_the_network_that_it_hands_over(
    sqlite_url: str, tmp_path: Path
) -> None:
    place = tmp_path / "checkpoints"
    player = Player(sqlite_url, tmp_path, TEXT % (JOINT, "") + "final: {top: 1, seeds: 2}\n")
    player.play()
    reader = Reader(player.ledger, "s", str(place))
    snapshot = reader.snapshot()
    saved = Checkpoints(checkpoint_place(player.ledger.database, player.study, str(place)))
    for trial in snapshot.trials:
        saved.save(trial.ticket, {"epoch": 1}, 1)
    reader.tidy(snapshot)
    assert snapshot.handed is not None
    assert saved.numbers() == {snapshot.handed.ticket}
    assert snapshot.handed != snapshot.best


@pytest.mark.parametrize("strategy", [JOINT, STAGED])
def test_a_finish_that_has_not_begun_can_be_given_other_numbers(
    sqlite_url: str, tmp_path: Path, strategy: str
) -> None:
    player = Player(sqlite_url, tmp_path, TEXT % (strategy, ""))
    player.play()
    player.finish_again(1, 4)
    seen, known = player.study, len(player.ledger.stages(player.study.study_id))
    player.finish_again(3, 2)
    before = player.search.next_stage(seen.drawn, 0, spec=player.spec.with_final(seen.final))
    player.ledger.open_stage(seen, known, before.as_json())
    assert len(player.ledger.stages(player.study.study_id)) == known, "made of the numbers before"
    player.play()
    assert [found["asked"] for found in verdicts(player)] == [8]
    assert len(player.trials("final")) == 8
    assert player.study.final == {"top": 3, "seeds": 2}


@pytest.mark.parametrize("strategy", [JOINT, STAGED])
def test_while_it_is_searched_no_finish_is_given_other_numbers(
    sqlite_url: str, tmp_path: Path, strategy: str
) -> None:
    """Between two stages all tickets that were issued have ended, too."""
    player = Player(sqlite_url, tmp_path, TEXT % (strategy, "") + "final: {top: 1, seeds: 2}\n")
    for _ in range(6):
        with pytest.raises(ConflictError, match="wait for it"):
            player.finish_again(2, 2)
        player.step()
