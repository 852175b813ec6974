"""Hours of work and leases by the database's clock, which stands still, leaps and goes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Lease, Study
from tests.integration.test_ledger import a_study, begin, finish, optuna_trials


@dataclass
class Clock:
    """Of a database: seconds since 1970."""

    at: float = 1e9

    def passes(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(sqlite_url: str, clock: Clock) -> Iterator[Database]:
    """A SQLite database that goes by that clock."""

    def connected(connection, _record) -> None:
        connection.create_function("julianday", 1, lambda _: clock.at / 86400 + 2440587.5)

    sa.event.listen(sa.Engine, "connect", connected)
    yield Database(sqlite_url)
    sa.event.remove(sa.Engine, "connect", connected)


@pytest.fixture
def patient(database: Database) -> Ledger:
    """Of workers that hold tickets for 30 s."""
    return Ledger(database, lease_s=30.0)


@pytest.fixture
def hasty(database: Database, patient: Ledger) -> Ledger:
    """Of workers that hold tickets for 3 s."""
    return Ledger(database, lease_s=3.0)


@pytest.fixture
def study(patient: Ledger) -> Study:
    return a_study(patient, tickets=9, hours=1.0)


def claim(ledger: Ledger, study: Study, worker: str) -> Lease:
    ledger.sign_on(worker, "host", 1, "cpu")
    (lease,) = ledger.claim(worker, study.study_id)
    return lease


def worked(ledger: Ledger) -> float:
    return ledger.study("s").active_s


# What counts as work


def test_workers_of_different_leases_count_all_of_the_time(
    patient: Ledger, hasty: Ledger, study: Study, clock: Clock
) -> None:
    """Each renews when a third of its own lease has passed; for two minutes."""
    one, other = claim(patient, study, "patient"), claim(hasty, study, "hasty")
    for second in range(1, 121):
        clock.passes(1)
        if second % 10 == 0:
            patient.renew("patient", [one.key])
        if second % 4 == 0:  # a little late: a second after its own lease has run out
            hasty.renew("hasty", [other.key])
    assert worked(patient) == pytest.approx(120, abs=0.01)


def test_a_hasty_worker_beside_a_patient_one_counts_what_that_one_worked(
    patient: Ledger, hasty: Ledger, study: Study, clock: Clock
) -> None:
    claim(patient, study, "patient")
    clock.passes(20)
    claim(hasty, study, "hasty")
    assert worked(patient) == pytest.approx(20, abs=0.01)


def test_a_late_renewal_counts_the_lease(patient: Ledger, study: Study, clock: Clock) -> None:
    """A process was frozen: what it did before nobody knows, but no more than its lease."""
    lease = claim(patient, study, "w")
    clock.passes(500)
    assert patient.renew("w", [lease.key])[0] == {lease.key}
    assert worked(patient) == pytest.approx(30, abs=0.01)
    clock.passes(10)
    patient.renew("w", [lease.key])
    assert worked(patient) == pytest.approx(40, abs=0.01)


@pytest.mark.parametrize(("worked_s", "counted"), [(500, 500), (200, 200), (9000, 500), (5, 30)])
def test_a_worker_that_was_cut_off_counts_what_it_worked(
    patient: Ledger, study: Study, clock: Clock, worked_s: float, counted: float
) -> None:
    lease = claim(patient, study, "w")
    clock.passes(500)
    patient.renew("w", [lease.key], worked_s)
    assert worked(patient) == pytest.approx(counted, abs=0.01)


def test_what_a_dead_worker_leaves_counts_to_the_end_of_its_lease(
    patient: Ledger, study: Study, clock: Clock
) -> None:
    claim(patient, study, "dead")
    clock.passes(3000)
    lease = claim(patient, study, "next")
    assert worked(patient) == pytest.approx(30, abs=0.01)
    assert (lease.number, lease.fence) == (0, 2)


@pytest.mark.parametrize("left", [True, False])
def test_nobody_at_work_counts_nothing(
    patient: Ledger, study: Study, clock: Clock, left: bool
) -> None:
    lease = claim(patient, study, "w")
    clock.passes(7)
    patient.sign_off("w") if left else finish(patient, lease)
    for _ in range(3):
        clock.passes(100)
        patient.sweep()
    claim(patient, study, "next")
    assert worked(patient) == pytest.approx(7, abs=0.01)


def test_a_leap_of_the_clock_counts_no_more_than_a_lease(
    patient: Ledger, hasty: Ledger, study: Study, clock: Clock
) -> None:
    one = claim(patient, study, "patient")
    claim(hasty, study, "hasty")
    clock.passes(1e7)
    patient.renew("patient", [one.key])
    assert worked(patient) == pytest.approx(30, abs=0.01)


def test_what_is_left_of_the_hours_is_known_at_each_claim_and_renewal(
    patient: Ledger, study: Study, clock: Clock
) -> None:
    lease = claim(patient, study, "w")
    assert lease.left_s == pytest.approx(3600)
    for _ in range(4):
        clock.passes(25)
        _, known = patient.renew("w", [lease.key])
    assert known[study.study_id].left_s == pytest.approx(3500, abs=0.01)
    clock.passes(20)
    (other,) = patient.claim("w", study.study_id)
    assert other.left_s == pytest.approx(3480, abs=0.01)
    patient.extend("s", 0, hours=1.0)
    assert patient.renew("w", [lease.key])[1][study.study_id].left_s == pytest.approx(7080, abs=0.1)


# A clock that goes back


def test_a_ticket_of_a_dead_worker_is_free_though_the_clock_went_back(
    patient: Ledger, study: Study, clock: Clock
) -> None:
    lease = claim(patient, study, "dead")
    begin(patient, lease)
    clock.passes(-3600)
    assert [s.name for s in patient.waiting(but="next")] == ["s"]
    (again,) = patient.claim("next", study.study_id)
    assert (again.number, again.fence, again.crashes) == (0, 2, 1)
    clock.passes(5)
    patient.renew("next", [again.key])
    assert worked(patient) == pytest.approx(5, abs=0.01), "time that went back counts nothing"


def test_a_trial_of_a_stopped_study_ends_though_the_clock_went_back(
    patient: Ledger, study: Study, clock: Clock
) -> None:
    begin(patient, claim(patient, study, "dead"))
    patient.set_state("s", "stopped")
    clock.passes(-3600)
    patient.sweep()
    assert [t.state.name for t in optuna_trials(patient)] == ["PRUNED"]


def test_a_duty_of_a_dead_worker_is_free_though_the_clock_went_back(
    patient: Ledger, hasty: Ledger, study: Study, clock: Clock
) -> None:
    """By the length of its own lease, as a ticket is."""
    patient.sign_on("dead", "host", 1, "cpu")
    assert patient.take_duty(study, "post", "dead") == 1
    clock.passes(20)
    assert hasty.take_duty(study, "post", "next") is None, "it has 10 s left"
    clock.passes(-10)
    assert hasty.take_duty(study, "post", "next") is None, "it could have them after a renewal"
    clock.passes(-3600)
    assert hasty.take_duty(study, "post", "next") == 2


def test_a_dead_worker_takes_no_share_and_is_lost_though_the_clock_went_back(
    patient: Ledger, study: Study, clock: Clock
) -> None:
    patient.sign_on("dead", "host", 1, "cpu")
    patient.sign_on("w", "host", 2, "cpu")
    clock.passes(-3600)
    patient.renew("w", [])
    assert {w.worker: w.state for w in patient.workers()} == {"w": "idle", "dead": "lost"}
    assert len(patient.claim("w", study.study_id, 9)) == 9


def test_a_live_worker_keeps_its_ticket_when_the_clock_goes_back(
    patient: Ledger, hasty: Ledger, study: Study, clock: Clock
) -> None:
    """It renews before anybody asks; a step back of milliseconds frees nothing in any case."""
    one, other = claim(patient, study, "patient"), claim(hasty, study, "hasty")
    clock.passes(-0.5)
    assert patient.claim("next", study.study_id)[0].number == 2
    clock.passes(-3600)
    assert patient.renew("patient", [one.key])[0] == {one.key}
    assert hasty.renew("hasty", [other.key])[0] == {other.key}
    assert patient.claim("next", study.study_id, 1)[0].number not in (0, 1)
    clock.passes(2)
    patient.renew("patient", [one.key])
    assert worked(patient) == pytest.approx(2, abs=0.01)


def test_a_lease_is_late_by_its_own_length(
    patient: Ledger, hasty: Ledger, study: Study, clock: Clock
) -> None:
    """After ten seconds back the patient one may hold its ticket for 15 s more, which it may in any
    case; the hasty one for 13 s."""
    claim(patient, study, "patient")
    clock.passes(25)
    claim(hasty, study, "hasty")
    clock.passes(-10)
    assert patient.claim("next", study.study_id)[0].number == 1
