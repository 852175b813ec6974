"""The ledger's promises, each on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from hpsearch.errors import ConflictError, NotFoundError
from hpsearch.runner.epoch import Epoch
from hpsearch.store import ticket_rows
from hpsearch.store.engine import Database, now
from hpsearch.store.ledger import Ledger
from hpsearch.store.tables import leases
from hpsearch.store.values import UNTRAINABLE, Ending, Key, Known, Lease, Serves, Study, Write
from tests.studies import A_STUDY

T = TypeVar("T")


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger(Database(url))


def a_study(
    ledger: Ledger, tickets: int = 4, hours: float | None = None, name: str = "s", **more: Any
) -> Study:
    study, _ = ledger.create(replace(A_STUDY, name=name, tickets=tickets, hours=hours, **more))
    return study


def a_proposal(ticket: int, lr: float = 0.1) -> optuna.trial.FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING,
        params={"lr": lr, "optimizer": "sgd"},
        distributions={
            "lr": FloatDistribution(1e-4, 1.0, log=True),
            "optimizer": CategoricalDistribution(["sgd", "adam"]),
        },
        user_attrs={"ticket": ticket, "stage": "joint", "sampler": "random"},
        system_attrs={"note": {"a": 1}},
    )


def begin(ledger: Ledger, lease: Lease) -> int:
    (begun,) = ledger.begin([(lease, a_proposal(lease.number))])
    assert begun is not None
    return begun[0]


def finish(ledger: Ledger, lease: Lease, value: float = 0.5) -> set[Key]:
    trial_id = lease.trial_id if lease.trial_id is not None else begin(ledger, lease)
    report = Epoch(1, value, {"accuracy": value}, 0.1)
    return ledger.record(
        [Write(lease, trial_id, reports=[report], ending=Ending(TrialState.COMPLETE, value))]
    )


def fail(ledger: Ledger, lease: Lease, reason: str) -> None:
    ending = Ending(TrialState.FAIL, None, reason)
    ledger.record([Write(lease, begin(ledger, lease), ending=ending)])


def optuna_trials(ledger: Ledger, name: str = "s") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=ledger.database.url).trials


@pytest.mark.mariadb
def test_a_name_is_taken_once(ledger: Ledger) -> None:
    first = a_study(ledger)
    again, new = ledger.create(replace(A_STUDY, digest="other", tickets=9))
    assert (again, new) == (first, False)


def test_a_name_that_optuna_has_is_refused(ledger: Ledger) -> None:
    optuna.create_study(study_name="s", storage=ledger.database.url)
    with pytest.raises(ConflictError, match="hpsearch did not make"):
        a_study(ledger)


def test_an_unknown_study_is_named_with_the_known_ones(ledger: Ledger) -> None:
    a_study(ledger)
    with pytest.raises(NotFoundError, match=r"no study 'x'.*studies: s"):
        ledger.study("x")


def test_tickets_never_exceed_the_budget(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=3)
    numbers = [h.number for _ in range(4) for h in ledger.claim("w", study.study_id, 2)]
    assert numbers == [0, 1, 2]


@pytest.mark.mariadb
def test_many_claimers_share_the_budget_exactly(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=40)
    barrier = threading.Barrier(8)

    def claim_all(worker: int) -> list[int]:
        mine = Ledger(Database(ledger.database.url))
        barrier.wait()
        found: list[int] = []
        while leases := mine.claim(f"w{worker}", study.study_id, 1):
            found += [h.number for h in leases]
        return found

    with ThreadPoolExecutor(8) as pool:
        claimed = [n for numbers in pool.map(claim_all, range(8)) for n in numbers]
    assert sorted(claimed) == list(range(40))


@pytest.mark.mariadb
def test_a_trial_appears_whole_and_optuna_reads_it(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    begin(ledger, lease)
    (trial,) = optuna_trials(ledger)
    assert trial.state is TrialState.RUNNING
    assert trial.params == {"lr": 0.1, "optimizer": "sgd"}
    assert trial.user_attrs == {"ticket": 0, "stage": "joint", "sampler": "random"}
    assert trial.system_attrs == {"note": {"a": 1}}


@pytest.mark.mariadb
def test_reports_and_the_end_are_what_optuna_reads(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    trial_id = begin(ledger, lease)
    reports = [Epoch(e, e / 10, {"accuracy": e / 10}, 0.1) for e in (1, 2, 3)]
    attrs, notes = {"metrics": {"f1": 1}}, {"rung": 0.2}
    first = Write(lease, trial_id, reports=reports[:2], user_attrs=attrs, system_attrs=notes)
    ledger.record([first])
    pruned = Ending(TrialState.PRUNED, 0.3, "pruned by asha")
    ledger.record([Write(lease, trial_id, reports=reports[2:], ending=pruned)])
    (trial,) = optuna_trials(ledger)
    assert trial.intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}
    assert (trial.state, trial.value) == (TrialState.PRUNED, 0.3)
    assert trial.user_attrs["reason"] == "pruned by asha"
    assert trial.system_attrs["rung"] == 0.2
    assert trial.datetime_complete >= trial.datetime_start


@pytest.mark.mariadb
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_values_that_are_not_finite_come_back_as_they_went(ledger: Ledger, value: float) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    report = Epoch(1, value, {}, 0.1)
    ledger.record([Write(lease, begin(ledger, lease), reports=[report])])
    (trial,) = optuna_trials(ledger)
    assert str(trial.intermediate_values[1]) == str(value)


@pytest.mark.mariadb
def test_the_same_report_twice_is_one_report(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    trial_id = begin(ledger, lease)
    for value in (0.1, 0.2):
        ledger.record([Write(lease, trial_id, reports=[Epoch(1, value, {}, 0.1)])])
    assert optuna_trials(ledger)[0].intermediate_values == {1: 0.2}


@pytest.mark.mariadb
def test_a_late_holder_is_refused(url: str) -> None:
    ledger = Ledger(Database(url), lease_s=0.05)
    study = a_study(ledger, tickets=1)
    late = ledger.claim("late", study.study_id)[0]
    trial_id = begin(ledger, late)
    late = replace(late, trial_id=trial_id)
    taken = claim_until_taken_over(ledger, study)
    assert (taken.number, taken.fence, taken.trial_id) == (0, 2, trial_id)
    assert finish(ledger, late) == {late.key}
    assert optuna_trials(ledger)[0].state is TrialState.RUNNING
    assert finish(ledger, taken, 0.9) == set()
    (trial,) = optuna_trials(ledger)
    assert (trial.value, trial.user_attrs["attempts"]) == (0.9, 2)
    assert finish(ledger, late) == {late.key}, "nor may it write after the end"


def test_a_worker_that_takes_its_own_ticket_again_has_only_the_new_hold(url: str) -> None:
    ledger = Ledger(Database(url), lease_s=0.05)
    study = a_study(ledger, tickets=1)
    first = ledger.claim("next", study.study_id)[0]
    trial_id = begin(ledger, first)
    second = claim_until_taken_over(ledger, study)
    assert ledger.record([Write(first, trial_id), Write(second, trial_id)]) == {first.key}


def claim_until_taken_over(ledger: Ledger, study: Study) -> Lease:
    """The study's only ticket, as soon as the database's clock says that it is free."""
    return until(lambda: next(iter(ledger.claim("next", study.study_id)), None))


def until(look: Callable[[], T | None], timeout_s: float = 30) -> T:
    """The first thing that is found."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
    pytest.fail("it never came")


def test_a_holder_that_is_late_for_a_trial_not_begun_is_refused(url: str) -> None:
    ledger = Ledger(Database(url), lease_s=0.05)
    study = a_study(ledger, tickets=1)
    late = ledger.claim("late", study.study_id)[0]
    claim_until_taken_over(ledger, study)
    assert ledger.begin([(late, a_proposal(0))]) == [None]
    assert optuna_trials(ledger) == []


@pytest.mark.mariadb
def test_renewing_keeps_a_lease(url: str) -> None:
    ledger = Ledger(Database(url), lease_s=60)
    study = a_study(ledger, tickets=1)
    lease = ledger.claim("w", study.study_id)[0]
    alive, known = ledger.renew("w", [lease.key])
    assert (alive, known[study.study_id].state) == ({lease.key}, "open")
    assert ledger.claim("other", study.study_id) == []


def test_a_ticket_given_back_is_the_next_one_taken(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    trial_id = begin(ledger, lease)
    ledger.release([lease])
    again = ledger.claim("other", study.study_id)[0]
    assert (again.number, again.trial_id, again.fence) == (0, trial_id, 2)
    assert ledger.record([Write(lease, trial_id)]) == {lease.key}


def test_signing_off_gives_everything_back(ledger: Ledger) -> None:
    study = a_study(ledger)
    ledger.sign_on("w", "host", 1, "cpu")
    ledger.claim("w", study.study_id, 3)
    ledger.sign_off("w")
    assert [h.number for h in ledger.claim("other", study.study_id, 4)] == [0, 1, 2, 3]
    assert ledger.workers()[0].stopped_at is not None


def test_a_study_is_done_when_its_last_ticket_ends(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=2)
    first, second = ledger.claim("w", study.study_id, 2)
    finish(ledger, first)
    assert ledger.study("s").state == "open"
    fail(ledger, second, "error: x")
    assert ledger.study("s").state == "done"


def test_extend_opens_a_done_study(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=1)
    finish(ledger, ledger.claim("w", study.study_id)[0])
    assert ledger.extend("s", 2).state == "open"
    assert [h.number for h in ledger.claim("w", study.study_id, 9)] == [1, 2]


def test_a_grid_is_not_extended_beyond_its_cells(ledger: Ledger) -> None:
    a_study(ledger, tickets=3)
    assert ledger.extend("s", 1, limit=4).tickets == 4
    with pytest.raises(ConflictError, match="grid of 4"):
        ledger.extend("s", 1, limit=4)


def test_a_failed_trial_is_retried_once_with_its_own_draw(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=3)
    first, second = ledger.claim("w", study.study_id, 2)
    fail(ledger, first, "out_of_memory")
    finish(ledger, second)
    assert ledger.to_retry(study) == 1
    assert (ledger.retry_failed("s"), ledger.retry_failed("s")) == (1, 0)
    assert ledger.to_retry(study) == 0
    retry, fresh = ledger.claim("w", study.study_id, 9)
    assert (retry.number, retry.draw_index, retry.retry_of) == (3, 0, 0)
    assert (fresh.number, fresh.draw_index, fresh.retry_of) == (2, 2, None), "no draw is left out"


def test_what_can_never_be_trained_is_not_retried(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=3)
    first, second = ledger.claim("w", study.study_id, 2)
    never, ending = {UNTRAINABLE: True}, Ending(TrialState.FAIL, None, "settings: x")
    ledger.record([Write(first, begin(ledger, first), user_attrs=never, ending=ending)])
    assert ledger.to_retry(study) == ledger.retry_failed("s") == 0
    fail(ledger, second, "out_of_memory")
    assert ledger.retry_failed("s") == 1


def test_a_paused_study_gives_no_tickets(ledger: Ledger) -> None:
    study = a_study(ledger)
    ledger.set_state("s", "paused")
    assert ledger.claim("w", study.study_id) == []
    ledger.set_state("s", "open")
    assert len(ledger.claim("w", study.study_id)) == 1


def test_stopping_ends_what_nobody_holds(ledger: Ledger) -> None:
    study = a_study(ledger)
    held, returned = ledger.claim("w", study.study_id, 2)
    trial_id = begin(ledger, returned)
    ledger.record([Write(returned, trial_id, reports=[Epoch(1, 0.7, {}, 0.1)])])
    begin(ledger, held)
    ledger.release([returned])
    ledger.set_state("s", "stopped")
    by_ticket = {t.user_attrs["ticket"]: t for t in optuna_trials(ledger)}
    assert by_ticket[held.number].state is TrialState.RUNNING, "its worker ends it"
    ended = by_ticket[returned.number]
    assert (ended.state, ended.value) == (TrialState.PRUNED, 0.7)
    assert ended.user_attrs["reason"] == "stopped"


@pytest.mark.mariadb
def test_a_stopped_study_ends_the_trials_of_dead_workers(url: str) -> None:
    ledger = Ledger(Database(url), lease_s=0.05)
    study = a_study(ledger)
    begin(ledger, ledger.claim("dead", study.study_id)[0])
    ledger.set_state("s", "stopped")

    def ended() -> TrialState | None:
        ledger.sweep()
        state = optuna_trials(ledger)[0].state
        return state if state.is_finished() else None

    assert until(ended) is TrialState.PRUNED


def test_what_is_given_back_in_a_stopped_study_ends(ledger: Ledger) -> None:
    study = a_study(ledger)
    first, second = ledger.claim("w", study.study_id, 2)
    begin(ledger, first)
    begin(ledger, second)
    ledger.set_state("s", "stopped")
    ledger.release([first])
    assert [t.state.name for t in optuna_trials(ledger)] == ["PRUNED", "RUNNING"]
    ledger.sign_off("w")
    assert [t.state.name for t in optuna_trials(ledger)] == ["PRUNED", "PRUNED"]


@pytest.mark.mariadb
def test_hours_run_only_while_somebody_works(url: str) -> None:
    ledger = Ledger(Database(url), lease_s=30)
    study = a_study(ledger, tickets=9, hours=1e-9)
    lease = ledger.claim("w", study.study_id)[0]
    ledger.renew("w", [lease.key])
    ledger.renew("w", [lease.key])
    assert 0 < ledger.study("s").active_s < 30
    assert ledger.claim("w", study.study_id) == [], "the hours are spent"
    assert ledger.study("s").state == "open", "one trial is still under way"
    finish(ledger, lease)
    assert ledger.study("s").state == "done"


def later(ledger: Ledger, seconds: float) -> float:
    """Let that time go by for the studies' clock; what it shows before anything happens."""
    passed = f"UPDATE hpsearch_studies SET active_at = active_at - {seconds}"
    ledger.database.write(lambda connection: connection.exec_driver_sql(passed))
    return ledger.study("s").active_s


@pytest.mark.parametrize("given_back", [False, True])
def test_work_is_timed_to_its_end_and_no_further(ledger: Ledger, given_back: bool) -> None:
    study = a_study(ledger, tickets=2)
    lease = ledger.claim("w", study.study_id)[0]
    assert later(ledger, 20) == 0
    if given_back:
        ledger.release([lease])
    else:
        finish(ledger, lease)
    worked = later(ledger, 20)
    assert 20 <= worked < 30, "the end of the work, which no renewal counts, is counted"
    lease = ledger.claim("w", study.study_id)[0]
    assert ledger.study("s").active_s == worked, "nobody was at it"
    later(ledger, 20)
    ledger.claim("other", study.study_id)
    assert 20 <= ledger.study("s").active_s - worked < 30, "the first worker was"


def test_a_study_that_has_spent_its_hours_is_not_extended_in_vain(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=2, hours=1.0)
    finish(ledger, ledger.claim("w", study.study_id)[0])
    spend = "UPDATE hpsearch_studies SET active_s = 7200"
    ledger.database.write(lambda connection: connection.exec_driver_sql(spend))
    for trials, hours in ((5, None), (5, 1.0), (0, 0.5)):
        with pytest.raises(ConflictError, match=r"spent its 1 hours.*more than 1$"):
            ledger.extend("s", trials, hours)
    assert (ledger.study("s").tickets, ledger.study("s").hours) == (2, 1.0)
    ledger.extend("s", 0, 1.5)
    assert len(ledger.claim("w", study.study_id)) == 1


def test_what_the_first_worker_found_about_the_data_stays(ledger: Ledger) -> None:
    study = a_study(ledger)
    assert ledger.record_data(study.study_id, {"fingerprint": "a"}) == {"fingerprint": "a"}
    assert ledger.record_data(study.study_id, {"fingerprint": "b"}) == {"fingerprint": "a"}


@pytest.mark.mariadb
def test_a_deleted_study_leaves_nothing_behind(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    finish(ledger, lease)
    ledger.delete("s")
    assert ledger.studies() == []
    assert optuna.get_all_study_names(ledger.database.url) == []
    assert ledger.record([Write(lease, 1, ending=Ending(TrialState.FAIL))]) == {lease.key}
    fresh = a_study(ledger)
    assert fresh.uid != study.uid
    new = ledger.claim("other", fresh.study_id)[0]
    assert new.number == 0
    begin(ledger, new)
    assert ledger.record([Write(lease, 1, ending=Ending(TrialState.FAIL))]) == {lease.key}
    assert optuna_trials(ledger)[0].state is TrialState.RUNNING, "a holder of the old study wrote"


@pytest.mark.mariadb
def test_a_study_deleted_with_optuna_leaves_nothing_to_its_successor(ledger: Ledger) -> None:
    study = a_study(ledger)
    finish(ledger, ledger.claim("w", study.study_id)[0])
    optuna.delete_study(study_name="s", storage=ledger.database.url)
    assert ledger.studies() == []
    assert ledger.claim("w", study.study_id) == []
    optuna.create_study(study_name="foreign", storage=ledger.database.url)
    assert ledger.studies() == [], "its id is taken for ours"
    optuna.delete_study(study_name="foreign", storage=ledger.database.url)
    fresh = a_study(ledger)
    assert (fresh.issued, ledger.claim("w", fresh.study_id)[0].number) == (0, 0)


def test_nothing_is_written_into_a_study_that_optuna_deleted(ledger: Ledger) -> None:
    study = a_study(ledger)
    begun, claimed = ledger.claim("w", study.study_id, 2)
    trial_id = begin(ledger, begun)
    optuna.delete_study(study_name="s", storage=ledger.database.url)
    report = Epoch(1, 0.5, {}, 0.1)
    ending = Ending(TrialState.COMPLETE, 0.5)
    for write in (Write(begun, trial_id, reports=[report]), Write(begun, trial_id, ending=ending)):
        assert ledger.record([write]) == {begun.key}
    assert ledger.begin([(claimed, a_proposal(1))]) == [None]
    again = a_study(ledger)
    lease = ledger.claim("w2", again.study_id)[0]
    assert finish(ledger, lease) == set()
    assert [t.intermediate_values for t in optuna_trials(ledger)] == [{1: 0.5}]


def test_a_trial_that_begins_again_has_only_its_new_reports(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    trial_id = begin(ledger, lease)
    old = [Epoch(epoch, 0.1, {}, 0.1) for epoch in (1, 2, 3)]
    notes = {"completed_rung_0": 0.1, "tpe": 1}
    ledger.record([Write(lease, trial_id, reports=old, system_attrs=notes)])
    new = Epoch(1, 0.2, {}, 0.1)
    ledger.record([Write(lease, trial_id, kept=0, reports=[new])])
    (trial,) = optuna_trials(ledger)
    assert trial.intermediate_values == {1: 0.2}
    assert trial.system_attrs == {"note": {"a": 1}, "tpe": 1}


def test_a_trial_that_goes_back_to_an_epoch_keeps_what_came_before(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    trial_id = begin(ledger, lease)
    old = [Epoch(epoch, 0.1, {}, 0.1) for epoch in (1, 2, 3)]
    ledger.record([Write(lease, trial_id, reports=old, system_attrs={"completed_rung_0": 0.1})])
    ledger.record([Write(lease, trial_id, kept=2)])
    (trial,) = optuna_trials(ledger)
    assert trial.intermediate_values == {1: 0.1, 2: 0.1}
    assert trial.system_attrs["completed_rung_0"] == 0.1, "the pruner has judged that epoch"


def test_writes_of_one_hold_are_written_in_their_order(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    trial_id = begin(ledger, lease)
    writes = [
        Write(lease, trial_id, kept=0, user_attrs={"a": 1, "b": 1}),
        Write(lease, trial_id, reports=[Epoch(1, 0.1, {}, 0.1)], user_attrs={"b": 2}),
        Write(lease, trial_id, reports=[Epoch(2, 0.2, {}, 0.1)]),
        Write(lease, trial_id, reports=[Epoch(2, 0.2, {}, 0.1)]),  # the last epoch again
        Write(lease, trial_id, ending=Ending(TrialState.COMPLETE, 0.2)),
    ]
    assert ledger.record(writes) == set()
    (trial,) = optuna_trials(ledger)
    assert (trial.state, trial.intermediate_values) == (TrialState.COMPLETE, {1: 0.1, 2: 0.2})
    assert (trial.user_attrs["a"], trial.user_attrs["b"]) == (1, 2)


# --- answers that were lost on the way: the verb is called again ----------------------------------


def test_a_trial_is_begun_once(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    first = ledger.begin([(lease, a_proposal(lease.number))])
    assert ledger.begin([(lease, a_proposal(lease.number))]) == first != [None]
    assert len(optuna_trials(ledger)) == 1


@pytest.mark.mariadb
def test_an_end_that_is_written_already_is_not_refused(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    trial_id = begin(ledger, lease)
    end = Write(lease, trial_id, ending=Ending(TrialState.COMPLETE, 0.5))
    assert ledger.record([end]) == ledger.record([end]) == set()
    assert ledger.study("s").ended == 1
    late = Write(lease, trial_id, reports=[Epoch(1, 0.1, {}, 0.1)])
    assert ledger.record([late]) == {lease.key}


def test_an_end_after_giving_back_is_refused(ledger: Ledger) -> None:
    study = a_study(ledger)
    lease = ledger.claim("w", study.study_id)[0]
    trial_id = begin(ledger, lease)
    ledger.release([lease])
    assert ledger.record([Write(lease, trial_id, ending=Ending(TrialState.COMPLETE, 0.5))])
    assert optuna_trials(ledger)[0].state is TrialState.RUNNING


@pytest.mark.mariadb
@pytest.mark.parametrize("has_begun", [True, False])
def test_what_a_worker_does_not_know_of_is_given_back_and_no_loss(
    ledger: Ledger, has_begun: bool
) -> None:
    """The answer to its claim was lost on the way, or it could not give it back."""
    study = a_study(ledger, tickets=3, crash_limit=1)
    known, unknown = ledger.claim("w", study.study_id, 2)
    trial_id = begin(ledger, unknown) if has_begun else None
    assert ledger.renew("w", [known.key])[0] == {known.key}
    (third,) = ledger.claim("next", study.study_id, 3)
    assert third.number not in (known.number, unknown.number), "it may be about to learn of it"
    for lease in (known, unknown):
        let_run_out(ledger, lease, 10.0)
    alive, studies = ledger.renew("w", [known.key])
    assert (alive, [*studies]) == ({known.key}, [study.study_id])
    (again,) = ledger.claim("next", study.study_id, 3)
    assert (again.number, again.fence, again.crashes) == (unknown.number, 2, 0)
    assert again.trial_id == trial_id
    assert finish(ledger, replace(unknown, trial_id=trial_id or 1)) == {unknown.key}


@pytest.mark.mariadb
def test_what_a_worker_has_ended_it_does_not_take_over_from_itself(ledger: Ledger) -> None:
    study = a_study(ledger)
    ended, unknown = ledger.claim("w", study.study_id, 2)
    begin(ledger, ended)
    for lease in (ended, unknown):
        let_run_out(ledger, lease, -1.0)
    again = ledger.claim("w", study.study_id, 4, own={ended.key})
    assert [(lease.number, lease.crashes) for lease in again] == [(unknown.number, 1)]
    assert not finish(ledger, ended), "its end was on its way"


# --- workers that die -----------------------------------------------------------------------------


def lose(ledger: Ledger, study: Study, name: str, epoch: int | None = None) -> Lease | None:
    """A worker takes the ticket, perhaps finishes an epoch, and is seen to die."""
    ledger.sign_on(name, "host", 1, "cpu")
    leases = ledger.claim(name, study.study_id)
    for lease in leases:
        trial_id = lease.trial_id or begin(ledger, lease)
        if epoch is not None:
            report = Epoch(epoch, 0.5, {}, 0.1)
            ledger.record([Write(lease, trial_id, reports=[report])])
    ledger.sign_off(name, lost=f"{name} was killed by signal 9")
    return leases[0] if leases else None


def test_a_ticket_that_takes_one_worker_after_another_fails(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=1)
    for name in ("a", "b", "c"):
        assert lose(ledger, study, name)
    assert lose(ledger, study, "d") is None
    (trial,) = optuna_trials(ledger)
    assert trial.state is TrialState.FAIL
    assert trial.user_attrs["reason"] == (
        "lost its worker 3 times in a row without a new epoch; last: c was killed by signal 9"
    )
    assert ledger.study("s").state == "done"


def test_losses_with_a_new_epoch_between_them_do_not_count(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=1)
    for epoch in range(1, 7):
        assert lose(ledger, study, f"w{epoch}", epoch)
    for name in ("x", "y"):
        assert lose(ledger, study, name, epoch=6), "an epoch that was known is no progress"
    assert lose(ledger, study, "last") is None
    assert optuna_trials(ledger)[0].state is TrialState.FAIL


def test_a_ticket_that_lost_its_worker_is_leased_by_itself_until_a_new_epoch(
    ledger: Ledger,
) -> None:
    study_id = a_study(ledger, tickets=6).study_id
    assert len(ledger.claim("a", study_id, 4)) == 4
    ledger.sign_off("a", lost="a was killed by signal 9")
    assert ledger.suspects(study_id) == dict.fromkeys(range(4), True)

    (first,) = ledger.claim("b", study_id, 4)
    assert (first.number, first.crashes) == (0, 1)
    assert [h.number for h in ledger.claim("c", study_id, 4, beside=True)] == [4, 5]
    assert not ledger.claim("c", study_id, 4, beside=True), "one of the suspects joined others"
    report = Epoch(1, 0.5, {}, 0.1)
    ledger.record([Write(first, begin(ledger, first), reports=[report])])
    assert ledger.suspects(study_id) == dict.fromkeys(range(1, 4), True)

    ledger.release([first])
    assert [h.number for h in ledger.claim("b", study_id, 4)] == [1], "a suspect comes first"
    assert ledger.suspects(study_id) == {1: False, 2: True, 3: True}
    assert [h.number for h in ledger.claim("c", study_id, 4, beside=True)] == [0]


def test_giving_back_is_no_loss(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=1)
    for _ in range(5):
        (lease,) = ledger.claim("w", study.study_id)
        ledger.release([lease])
    assert ledger.claim("w", study.study_id)


@pytest.mark.mariadb
def test_leases_that_run_out_count_and_the_next_ticket_comes(url: str) -> None:
    ledger = Ledger(Database(url), lease_s=0.02)
    study = a_study(ledger, tickets=2)
    deadline = time.monotonic() + 20
    while (leases := ledger.claim("w", study.study_id)) and leases[0].number == 0:
        assert time.monotonic() < deadline
        time.sleep(0.03)
    (trial,) = optuna_trials(ledger)
    assert (trial.state, trial.params) == (TrialState.FAIL, {}), "it never had parameters"
    assert "worker w fell silent" in trial.user_attrs["reason"]
    assert leases[0].number == 1


@pytest.mark.mariadb
def test_a_lease_that_runs_out_while_another_is_taken_over_has_one_owner(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes over looks twice at what is free; a slow database lies between the looks."""
    study = a_study(ledger)
    _, second = ledger.claim("w", study.study_id, 2)
    let_run_out(ledger, second, -1.0)
    lose = ticket_rows.lose

    def lose_slowly(connection: sa.Connection, *what: Any) -> None:
        lose(connection, *what)
        connection.execute(sa.update(leases).where(leases.c.number == 0).values(until=now() - 1))

    monkeypatch.setattr(ticket_rows, "lose", lose_slowly)
    (taken,) = ledger.claim("next", study.study_id)
    assert taken.number == second.number
    with ledger.database.read() as connection:
        query = sa.select(leases.c.number).where(leases.c.ended_at.is_(None))
        assert sorted(connection.execute(query).scalars()) == [0, 1], "two leases on one ticket"


def let_run_out(ledger: Ledger, lease: Lease, seconds: float) -> None:
    of_hold = (leases.c.number == lease.number) & (leases.c.fence == lease.fence)
    ledger.database.write(
        lambda c: c.execute(sa.update(leases).where(of_hold).values(until=now() + seconds))
    )


@pytest.mark.mariadb
def test_workers_are_listed_with_what_they_do(url: str) -> None:
    ledger = Ledger(Database(url), lease_s=60)
    study = a_study(ledger)
    for name in ("busy", "idle", "left"):
        ledger.sign_on(name, "host", 7, "cuda:0 (NVIDIA H100)")
    Ledger(ledger.database, lease_s=1e-6).sign_on("lost", "host", 7, "cpu")
    lease, _ = ledger.claim("busy", study.study_id, 2)
    report = Epoch(3, 0.5, {}, 0.1)
    ledger.record([Write(lease, begin(ledger, lease), reports=[report])])
    ledger.sign_off("left")
    found = {w.worker: w for w in ledger.workers()}
    assert {name: w.state for name, w in found.items()} == {
        "busy": "working", "idle": "idle", "left": "left", "lost": "lost",
    }  # fmt: skip
    assert [(w.study, w.trial, w.epoch) for w in found["busy"].work] == [
        ("s", 0, 3), ("s", None, 0),
    ]  # fmt: skip


# --- which study is served ------------------------------------------------------------------------


def test_studies_come_by_priority_which_can_be_changed(ledger: Ledger) -> None:
    a_study(ledger, name="low")
    a_study(ledger, name="high", priority=5)
    assert [s.name for s in ledger.studies()] == ["high", "low"]
    assert [s.name for s in ledger.waiting()] == ["high", "low"]
    ledger.schedule("low", priority=6)
    assert [s.name for s in ledger.waiting()] == ["low", "high"]
    assert [s.name for s in ledger.waiting(Serves(("high",)))] == ["high"]


def test_workers_are_shared_evenly_within_a_priority(ledger: Ledger) -> None:
    a_study(ledger, tickets=100, name="huge")
    a_study(ledger, tickets=3, name="small")
    served = []
    for worker in range(8):
        study = ledger.waiting()[0]
        served.append(study.name)
        ledger.claim(f"w{worker}", study.study_id)
    assert served == ["huge", "small"] * 3 + ["huge"] * 2


def test_workers_are_shared_evenly_however_many_tickets_each_has_at_hand(ledger: Ledger) -> None:
    short, long = a_study(ledger, tickets=100, name="short"), a_study(ledger, name="long")
    ledger.claim("w0", short.study_id, ahead=16)
    for worker in ("w1", "w2"):
        ledger.claim(worker, long.study_id)
    assert [s.name for s in ledger.waiting()] == ["short", "long"]
    assert [s.name for s in ledger.waiting(but="w0")] == ["short", "long"]


def test_tickets_at_hand_are_for_studies_without_limits(ledger: Ledger) -> None:
    a_study(ledger, tickets=100, name="free")
    a_study(ledger, tickets=100, name="narrow", max_parallel=9)
    a_study(ledger, tickets=100, name="timed", hours=1.0)
    a_study(ledger, tickets=100, name="delicate", crash_limit=1)
    counts = {s.name: len(ledger.claim("w", s.study_id, ahead=4)) for s in ledger.waiting()}
    assert counts == {"free": 5, "narrow": 1, "timed": 1, "delicate": 1}
    ledger.schedule("free", max_parallel=90)
    assert len(ledger.claim("w", ledger.study("free").study_id, ahead=4)) == 1


def test_one_worker_serves_studies_in_turn(ledger: Ledger) -> None:
    for name in ("a", "b", "c"):
        a_study(ledger, tickets=2, name=name)
    served = []
    while waiting := ledger.waiting():
        served.append(waiting[0].name)
        finish(ledger, ledger.claim("w", waiting[0].study_id)[0])
    assert served == ["a", "b", "c"] * 2


@pytest.mark.mariadb
def test_no_more_trials_run_in_parallel_than_may(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=9, max_parallel=2)
    first, _ = ledger.claim("w", study.study_id, 5)
    assert ledger.claim("w", study.study_id) == []
    assert ledger.waiting() == []
    finish(ledger, first)
    assert len(ledger.claim("w", study.study_id, 5)) == 1
    ledger.schedule("s", max_parallel=4)
    assert len(ledger.claim("w", study.study_id, 9)) == 2
    ledger.schedule("s", max_parallel=0)
    assert len(ledger.claim("w", study.study_id, 9)) == 4


@pytest.mark.mariadb
def test_only_studies_with_a_ticket_to_give_are_waiting(url: str) -> None:
    ledger = Ledger(Database(url), lease_s=60)
    study = a_study(ledger, tickets=1)
    a_study(ledger, name="paused")
    ledger.set_state("paused", "paused")
    (lease,) = ledger.claim("w", study.study_id)
    assert ledger.waiting() == []
    ledger.database.write(
        lambda c: c.exec_driver_sql("UPDATE hpsearch_leases SET until = until - 100")
    )
    assert [s.name for s in ledger.waiting()] == ["s"], "a lease that ran out is on offer"
    ledger.renew("w", [lease.key])
    assert ledger.waiting() == []
    ledger.release([lease])
    assert [s.name for s in ledger.waiting()] == ["s"]


FINE = {"suspect": None, "said": "", "stops": False}
BROKEN = {"suspect": "data", "said": "all alike", "stops": True}


def test_a_study_in_which_nothing_can_be_learnt_is_stopped(ledger: Ledger) -> None:
    study = a_study(ledger)
    assert ledger.record_sanity(study, BROKEN) == BROKEN
    assert ledger.study("s").refused == "all alike"
    assert ledger.waiting() == []
    ledger.set_state("s", "open")  # somebody thinks otherwise
    assert ledger.record_sanity(study, FINE) == FINE
    assert ledger.record_sanity(study, BROKEN) == FINE, "another worker has passed it"
    assert (ledger.study("s").state, ledger.study("s").refused) == ("open", None)


def test_a_look_at_a_study_that_somebody_stops_or_deletes_meanwhile_is_no_finding(
    ledger: Ledger,
) -> None:
    study = a_study(ledger)
    ledger.set_state("s", "stopped")
    assert ledger.record_sanity(study, BROKEN) is None
    assert ledger.study("s").refused is None, "it was somebody who stopped it"
    ledger.delete("s")
    assert ledger.record_sanity(study, BROKEN) is None
    another = a_study(ledger, name="another")  # SQLite gives it the same id
    assert ledger.record_sanity(study, BROKEN) is None
    assert ledger.study("another").state == "open"
    assert ledger.record_sanity(another, FINE) == FINE


OWN = {"suspect": "code", "said": "its code fails", "stops": True}


def test_a_study_that_was_refused_is_replaced_while_nothing_of_it_counts(ledger: Ledger) -> None:
    """One of own training code, two trials of which had begun."""
    document = {"metric": "wrong", "train": {"function": "train.py:train"}}
    old = a_study(ledger, document=document, priority=3, max_parallel=2)
    new = replace(A_STUDY, digest="e", document={**document, "metric": "right"}, tickets=7)
    first, second = ledger.claim("w", old.study_id, 2)
    failed = Write(first, begin(ledger, first), ending=Ending(TrialState.FAIL, reason="no metric"))
    begin(ledger, second)
    ledger.record([failed])
    assert ledger.replace(old, new) is None, "it was not refused"
    ledger.record_sanity(old, OWN)
    assert ledger.replace(old, new) is None, "a worker holds a trial of it"
    ledger.release([second])
    made = ledger.replace(old, new)
    assert made is not None
    assert made == ledger.study("s")
    assert (made.state, made.tickets, made.issued, made.digest) == ("open", 7, 0, "e")
    assert (made.priority, made.max_parallel, made.sanity) == (3, 2, None)
    assert made.uid != old.uid
    assert ledger.replace(old, new) is None, "somebody else has replaced it"
    assert [lease.number for lease in ledger.claim("w", made.study_id, 1)] == [0]


def test_a_refused_study_that_has_something_is_not_replaced(ledger: Ledger) -> None:
    old = a_study(ledger, document={"metric": "wrong", "train": {}})
    ledger.record_sanity(old, OWN)
    ledger.add_known(old, [Known({"lr": 0.1}, 0.5, "elsewhere")])
    assert ledger.replace(old, A_STUDY) is None
    assert ledger.study("s").uid == old.uid


def test_a_replacement_that_fails_leaves_the_study_as_it_was(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = a_study(ledger)
    ledger.record_sanity(old, BROKEN)

    def broken(*_: object) -> None:
        raise OSError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr("hpsearch.store.stage_rows.add", broken)
        with pytest.raises(OSError, match="killed here"):
            ledger.replace(old, replace(A_STUDY, digest="e"))
    assert ledger.study("s") == replace(old, state="stopped", sanity=BROKEN)
    assert ledger.replace(old, replace(A_STUDY, digest="e")) is not None


def test_a_study_that_has_begun_is_not_stopped_by_a_late_look(ledger: Ledger) -> None:
    study = a_study(ledger)
    ledger.claim("w", study.study_id)
    assert ledger.record_sanity(study, BROKEN)["stops"] is False
    assert ledger.study("s").state == "open"
