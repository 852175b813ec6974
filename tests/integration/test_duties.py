"""What one process at a time does for a study, and what it reads: on each database."""

from __future__ import annotations

import pytest

from hpsearch.runner.epoch import Epoch
from hpsearch.store.engine import Database
from hpsearch.store.frozen import empty
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Duty, Study, Write
from tests.studies import A_STUDY


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger(Database(url))


@pytest.fixture
def study(ledger: Ledger) -> Study:
    return ledger.create(A_STUDY)[0]


def test_one_worker_at_a_time_has_a_duty(ledger: Ledger, study: Study) -> None:
    assert ledger.take_duty(study, "post", "a", "on the way") == 1
    assert ledger.take_duty(study, "post", "b") is None
    assert ledger.take_duty(study, "other", "b") == 1
    assert ledger.take_duty(study, "post", "a") == 1  # renewed
    assert ledger.duties(study.study_id) == [
        Duty("other", "b", None), Duty("post", "a", "on the way"),
    ]  # fmt: skip


def test_the_fence_tells_whether_another_may_have_had_it(ledger: Ledger, study: Study) -> None:
    ledger.take_duty(study, "post", "a")
    ledger.drop_duty(study, "post", "b")  # who does not have it
    assert ledger.take_duty(study, "post", "b") is None
    ledger.drop_duty(study, "post", "a", "all there")
    assert ledger.duties(study.study_id) == [Duty("post", None, "all there")]
    assert ledger.take_duty(study, "post", "a") == 2
    ledger.drop_duty(study, "post", "a")
    assert ledger.take_duty(study, "post", "b") == 3


def test_a_lease_runs_out(ledger: Ledger, study: Study) -> None:
    Ledger(ledger.database, lease_s=-1.0).take_duty(study, "post", "a")
    assert ledger.take_duty(study, "post", "b") == 2
    assert ledger.take_duty(study, "post", "a") is None


@pytest.mark.mariadb
@pytest.mark.parametrize("signs_on", [True, False])
def test_a_lease_is_as_long_as_its_holder_s_whoever_asks(
    ledger: Ledger, study: Study, signs_on: bool
) -> None:
    patient = Ledger(ledger.database, lease_s=120.0)
    if signs_on:  # who exports a study does not
        patient.sign_on("a", "host", 1, "cpu")
    patient.take_duty(study, "post", "a")
    assert [duty.worker for duty in ledger.duties(study.study_id)] == ["a"]
    assert ledger.take_duty(study, "post", "b") is None


def test_a_worker_that_signs_off_or_has_died_tests_nothing_any_more(
    ledger: Ledger, study: Study
) -> None:
    for duty in ("test 7", "post"):
        ledger.take_duty(study, duty, "a")
    ledger.take_duty(study, "test 8", "b")
    ledger.sign_off("a", lost="was killed")
    holders = {duty.name: duty.worker for duty in ledger.duties(study.study_id)}
    assert holders == {"post": "a", "test 7": None, "test 8": "b"}


def test_nobody_has_a_duty_of_a_study_that_is_gone(ledger: Ledger, study: Study) -> None:
    ledger.take_duty(study, "post", "a")
    ledger.delete(study.name)
    again = ledger.create(A_STUDY)[0]  # on SQLite of the same id
    assert ledger.duties(again.study_id) == []
    assert ledger.take_duty(study, "post", "a") is None
    ledger.drop_duty(study, "post", "a")


def test_epochs_are_read_with_their_times(ledger: Ledger, study: Study) -> None:
    ledger.sign_on("w", "host", 1, "cpu")
    leases = ledger.claim("w", study.study_id, 2)
    begun = [(lease, empty(0, -1, {"ticket": lease.number})) for lease in leases]
    rows = ledger.begin(begun)
    for lease, row in zip(leases, rows, strict=True):
        reports = [Epoch(n, 0.5, {"loss": n / 2, "odd": float("nan")}, 1.5) for n in (1, 2, 3)]
        assert not ledger.record([Write(lease, row[0], reports=reports)])
    found = ledger.courses(study.study_id, {0: 0, 1: 2, 9: 0})
    assert [e.epoch for e in found[0]] == [1, 2, 3]
    assert [e.epoch for e in found[1]] == [3]
    assert found[9] == []
    assert found[0][1].metrics["loss"] == 1.0
    assert found[0][2].at_s - found[0][0].at_s == pytest.approx(3.0, abs=1e-5)
    assert (
        ledger.courses(study.study_id, {1: 0})[1][2] == found[1][0]
    )  # anyone who asks, and whenever
