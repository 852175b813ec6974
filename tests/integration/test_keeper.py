"""The worker's line to the database: leases, deliveries, what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from optuna.trial import TrialState

from hpsearch.runner.epoch import Epoch
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Ending, Lease, Study, Write
from hpsearch.worker.keeper import Keeper
from tests.integration.test_ledger import a_study, begin, optuna_trials


@pytest.fixture
def ledger(sqlite_url: str) -> Ledger:
    return Ledger(Database(sqlite_url), lease_s=4.0)


@pytest.fixture
def study(ledger: Ledger) -> Study:
    ledger.sign_on("w", "host", 1, "cpu")
    return a_study(ledger)


@pytest.fixture
def keeper(ledger: Ledger) -> Iterator[Keeper]:
    keeper = Keeper(ledger, "w")
    keeper.start()
    yield keeper
    keeper.stop()


def held(ledger: Ledger, study: Study, keeper: Keeper) -> tuple[Lease, int]:
    (lease,) = ledger.claim("w", study.study_id)
    keeper.watch(lease)
    return lease, begin(ledger, lease)


def soon(look: Callable[[], object], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def report(epoch: int) -> Epoch:
    return Epoch(epoch, epoch / 10, {}, 0.1)


def test_reports_are_delivered_in_their_order_without_being_waited_for(
    ledger: Ledger, study: Study, keeper: Keeper
) -> None:
    lease, trial_id = held(ledger, study, keeper)
    for epoch in (1, 2, 3):
        keeper.put([Write(lease, trial_id, reports=[report(epoch)])])
    soon(lambda: optuna_trials(ledger)[0].last_step == 3)
    keeper.put([Write(lease, trial_id, ending=Ending(TrialState.COMPLETE, 0.3))])
    assert keeper.flush(10)
    (trial,) = optuna_trials(ledger)
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.3)
    assert keeper.take_outcomes(study.study_id) == ({lease.key}, set())
    assert keeper.take_outcomes(study.study_id) == (set(), set()), "it is said once"


def test_a_lease_lives_as_long_as_its_trial(ledger: Ledger, study: Study, keeper: Keeper) -> None:
    lease, _ = held(ledger, study, keeper)
    until = time.monotonic() + 2 * ledger.lease_s
    while time.monotonic() < until:
        others = ledger.claim("other", study.study_id)
        assert lease.number not in [other.number for other in others]
        ledger.release(others)
        time.sleep(0.1)  # SQLite lets one write at a time: this is not to keep the keeper out
    keeper.forget(lease)
    soon(lambda: lease.number in [h.number for h in ledger.claim("other", study.study_id, 9)])


def test_a_ticket_with_another_holder_is_lost_and_its_writes_are_refused(
    ledger: Ledger, study: Study, keeper: Keeper
) -> None:
    lease, trial_id = held(ledger, study, keeper)
    ledger.sign_off("w", lost="somebody saw it die")
    (successor,) = ledger.claim("other", study.study_id)
    keeper.put([Write(lease, trial_id, reports=[report(1)], ending=Ending(TrialState.FAIL))])
    lost: set[Any] = set()

    def is_lost() -> bool:
        lost.update(keeper.take_outcomes(study.study_id)[1])
        return lost == {lease.key}

    soon(is_lost)
    (trial,) = optuna_trials(ledger)
    assert (trial.state, trial.intermediate_values) == (TrialState.RUNNING, {})
    assert ledger.record([Write(successor, trial_id, reports=[report(1)])]) == set()


def test_the_state_of_a_study_becomes_known(ledger: Ledger, study: Study, keeper: Keeper) -> None:
    held(ledger, study, keeper)
    assert keeper.state(study.study_id) == "open"
    ledger.set_state("s", "paused")
    soon(lambda: keeper.state(study.study_id) == "paused")


def test_what_ends_the_keeper_reaches_the_worker(
    ledger: Ledger, study: Study, keeper: Keeper
) -> None:
    """Without its keeper a worker would train on with leases that run out."""
    lease, trial_id = held(ledger, study, keeper)
    keeper.put([Write(lease, trial_id, user_attrs={"x": object()})])  # no JSON
    with pytest.raises(TypeError):
        soon(lambda: keeper.take_outcomes(study.study_id) is None)


def test_others_reports_are_fetched_while_they_are_followed(
    ledger: Ledger, study: Study, keeper: Keeper
) -> None:
    calls: list[int] = []
    keeper.follow(lambda: calls.append(1))
    soon(lambda: len(calls) > 1)
    keeper.follow(None)


def test_the_end_of_the_hours_is_known_between_renewals(ledger: Ledger, keeper: Keeper) -> None:
    """By what was left at the claim, and by each renewal from then on."""
    ledger.sign_on("w", "host", 1, "cpu")
    study = a_study(ledger, hours=1.0)
    lease, _ = held(ledger, study, keeper)
    assert not keeper.is_spent(study.study_id)
    spent = "UPDATE hpsearch_studies SET active_s = 3599"
    ledger.database.write(lambda connection: connection.exec_driver_sql(spent))
    soon(lambda: keeper.is_spent(study.study_id))
    ledger.extend("s", 0, hours=1.0)
    soon(lambda: not keeper.is_spent(study.study_id))
    keeper.forget(lease)
    other = a_study(ledger, name="t")
    assert not keeper.is_spent(other.study_id), "it counts no hours"


def test_a_duty_is_renewed_until_another_worker_has_it(
    ledger: Ledger, study: Study, keeper: Keeper
) -> None:
    with keeper.duty(study, "test 1") as is_ours:
        assert is_ours
        with keeper.duty(study, "test 1") as again:  # what its answer was lost of
            assert again
    assert ledger.take_duty(study, "test 1", "other") is not None
    with keeper.duty(study, "test 1") as is_ours:
        assert not is_ours
    ledger.drop_duty(study, "test 1", "other")
    with keeper.duty(study, "test 1"):
        assert keeper.has_duty
        ledger.drop_duty(study, "test 1", "w")  # as where its lease has run out
        ledger.take_duty(study, "test 1", "other")
        soon(lambda: not keeper.has_duty)  # it was asked for again
    assert [duty.worker for duty in ledger.duties(study.study_id)] == ["other"]
