"""No ticket is issued before its stage is open, and a stage is opened once."""

from __future__ import annotations

import threading
from dataclasses import replace

import optuna
import pytest
from optuna.trial import TrialState

from hpsearch.errors import ConflictError
from hpsearch.spec.settings import EARLY
from hpsearch.store.engine import Database
from hpsearch.store.frozen import empty
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import NOT_BEGUN, STOPPED, TESTING, Ending, Lease, State, Study, Write
from tests.studies import A_STUDY


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger(Database(url))


def a_stage(name: str, first: int, count: int | None) -> dict:
    return {"name": name, "first": first, "count": count}


def a_study(ledger: Ledger, budget: int = 10, *, early: bool = False) -> Study:
    study, _ = ledger.create(
        replace(A_STUDY, tickets=budget, stage=a_stage("warmup", 0, 3), early=early)
    )
    return study


def finish(ledger: Ledger, leases: list[Lease], state: TrialState = TrialState.COMPLETE) -> None:
    begun = [(lease, empty(lease.number, -1, {"ticket": lease.number})) for lease in leases]
    for lease, row in zip(leases, ledger.begin(begun), strict=True):
        assert row is not None
        assert not ledger.record([Write(lease, row[0], ending=Ending(state, 0.5))])


def claim(ledger: Ledger, study: Study, up_to: int = 9) -> list[Lease]:
    ledger.sign_on("w", "host", 1, "cpu")
    return ledger.claim("w", study.study_id, up_to)


def names(ledger: Ledger, study: Study) -> list[str]:
    return [stage["name"] for stage in ledger.stages(study.study_id)]


def open_stage(ledger: Ledger, study: Study, number: int, stage: dict) -> None:
    ledger.open_stage(ledger.study("s"), number, stage)


def test_tickets_end_with_the_stage(ledger: Ledger) -> None:
    study = a_study(ledger)
    assert [lease.number for lease in claim(ledger, study)] == [0, 1, 2]
    assert claim(ledger, study) == []
    assert ledger.upcoming(study.study_id, 9) == []
    assert ledger.waiting() == []


def test_the_next_stage_waits_for_the_last_trial(ledger: Ledger) -> None:
    study = a_study(ledger)
    leases = claim(ledger, study)
    finish(ledger, leases[:2])
    open_stage(ledger, study, 1, a_stage("polish", 3, None))
    assert names(ledger, study) == ["warmup"]
    finish(ledger, leases[2:])
    assert [s.name for s in ledger.waiting()] == ["s"]
    open_stage(ledger, study, 1, a_stage("polish", 3, None))
    assert names(ledger, study) == ["warmup", "polish"]
    assert [lease.number for lease in claim(ledger, study)] == list(range(3, 10))


def is_over(ledger: Ledger, study: Study) -> bool:
    found = ledger.between_stages(study)
    assert found is not None
    return found[1]


def open_early(ledger: Ledger, number: int, first: int, *, more: bool = True) -> None:
    ledger.open_stage(ledger.study("s"), number, a_stage(EARLY, first, 1), early=more)


@pytest.mark.mariadb
def test_an_early_ticket_waits_for_no_stage_and_no_stage_for_it(ledger: Ledger) -> None:
    study = a_study(ledger, early=True)
    leases = claim(ledger, study)
    assert [s.name for s in ledger.waiting()] == ["s"]
    open_stage(ledger, study, 1, a_stage("polish", 3, None))
    assert names(ledger, study) == ["warmup"], "its trials are under way"
    open_early(ledger, 1, 3)
    (early,) = claim(ledger, study)
    assert (early.number, early.draw_index, early.opened) == (3, 3, 4)
    finish(ledger, leases[1:])
    assert not is_over(ledger, study)
    finish(ledger, leases[:1])
    assert is_over(ledger, study)
    open_stage(ledger, study, 2, a_stage("architecture", 4, 2))
    assert names(ledger, study) == ["warmup", EARLY, "architecture"]
    late = claim(ledger, study)
    assert [lease.number for lease in late] == [4, 5]
    finish(ledger, late)
    assert is_over(ledger, study), "the early ticket is under way still"
    ledger.release([early], lost="worker w was killed")
    assert is_over(ledger, study), "and may be given back"
    finish(ledger, claim(ledger, study))
    open_stage(ledger, study, 3, a_stage("polish", 6, None))
    finish(ledger, claim(ledger, study))
    assert ledger.study("s").state == "done"


@pytest.mark.mariadb
def test_early_tickets_end_with_their_share(ledger: Ledger) -> None:
    study = a_study(ledger, early=True)
    claim(ledger, study)
    open_early(ledger, 1, 3, more=False)
    open_early(ledger, 2, 4)
    assert names(ledger, study) == ["warmup", EARLY], "one is left to issue"
    claim(ledger, study)
    assert ledger.waiting() == [], "nobody has to look again and again"
    open_early(ledger, 2, 4)
    assert names(ledger, study) == ["warmup", EARLY]


def test_a_study_of_before_has_no_early_tickets(ledger: Ledger) -> None:
    study = a_study(ledger)
    claim(ledger, study)
    open_early(ledger, 1, 3)
    assert names(ledger, study) == ["warmup"]


@pytest.mark.mariadb
def test_a_stage_waits_for_a_ticket_that_was_given_back(ledger: Ledger) -> None:
    study = a_study(ledger, early=True)
    leases = claim(ledger, study)
    finish(ledger, leases[1:])
    ledger.release(leases[:1])
    assert not is_over(ledger, study)
    open_stage(ledger, study, 1, a_stage("polish", 3, None))
    assert names(ledger, study) == ["warmup"]


def test_a_finish_waits_for_early_tickets_too(ledger: Ledger) -> None:
    study, _ = ledger.create(
        replace(A_STUDY, tickets=8, stage=a_stage("warmup", 0, 3), early=True,
                final={"top": 1, "seeds": 2})
    )  # fmt: skip
    leases = claim(ledger, study)
    open_early(ledger, 1, 3, more=False)
    early = claim(ledger, study)
    finish(ledger, leases)
    open_stage(ledger, study, 2, a_stage("final", 4, 4))
    assert names(ledger, study) == ["warmup", EARLY]
    finish(ledger, early)
    open_stage(ledger, study, 2, a_stage("final", 4, 4))
    assert names(ledger, study)[-1] == "final"


@pytest.mark.mariadb
def test_one_worker_does_not_get_a_whole_stage(ledger: Ledger) -> None:
    study, _ = ledger.create(replace(A_STUDY, tickets=20, stage=a_stage("warmup", 0, 4)))
    for worker in ("w", "other"):
        ledger.sign_on(worker, "host", 1, "cpu")
    taken = [len(ledger.claim("w", study.study_id, up_to)) for up_to in (1, 3, 3, 3)]
    assert taken == [1, 1, 0, 0], "its half, however often it asks"
    assert len(ledger.claim("other", study.study_id, 3)) == 1
    assert len(ledger.claim("other", study.study_id, 3)) == 1


@pytest.mark.mariadb
def test_a_worker_that_is_busy_with_another_study_is_left_nothing(ledger: Ledger) -> None:
    study, _ = ledger.create(replace(A_STUDY, tickets=20, stage=a_stage("warmup", 0, 4)))
    another, _ = ledger.create(replace(A_STUDY, name="another"))
    for worker in ("w", "other"):
        ledger.sign_on(worker, "host", 1, "cpu")
    assert ledger.claim("other", another.study_id, 1)
    assert [len(ledger.claim("w", study.study_id, 9)) for _ in range(2)] == [4, 0]


def test_a_stage_of_another_first_ticket_is_not_opened(ledger: Ledger) -> None:
    study = a_study(ledger)
    finish(ledger, claim(ledger, study))
    open_stage(ledger, study, 1, a_stage("polish", 4, None))
    open_stage(ledger, study, 2, a_stage("polish", 3, None))
    assert names(ledger, study) == ["warmup"]


@pytest.mark.mariadb
def test_of_many_workers_one_opens_the_stage(ledger: Ledger, url: str) -> None:
    study = a_study(ledger)
    finish(ledger, claim(ledger, study))
    ready = threading.Barrier(8)

    def open_it(number: int) -> None:
        mine = Ledger(Database(url))
        ready.wait()
        open_stage(mine, study, 1, a_stage(f"of-{number}", 3, 2))

    workers = [threading.Thread(target=open_it, args=(i,)) for i in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(names(ledger, study)) == 2
    assert [lease.number for lease in claim(ledger, study)] == [3, 4]


def test_a_retry_belongs_to_the_stage_of_what_it_runs_again(ledger: Ledger) -> None:
    study = a_study(ledger)
    leases = claim(ledger, study)
    finish(ledger, leases[:1], TrialState.FAIL)
    finish(ledger, leases[1:])
    assert ledger.retry_failed("s") == 1
    assert not is_over(ledger, study), "its result may be the best"
    (again,) = claim(ledger, study)
    assert (again.draw_index, again.retry_of) == (0, 0)
    finish(ledger, [again])
    open_stage(ledger, study, 1, a_stage("polish", 3, None))
    leases = claim(ledger, study)
    assert [lease.draw_index for lease in leases] == list(range(3, 10))
    finish(ledger, leases)
    assert ledger.study("s").state == "done"


def test_a_ticket_that_killed_its_workers_names_its_stage(ledger: Ledger) -> None:
    study = a_study(ledger)
    for _ in range(3):
        held = [lease for lease in claim(ledger, study) if lease.number == 0]
        ledger.release(held, lost="worker w was killed")
    claim(ledger, study)
    (trial,) = optuna.load_study(study_name="s", storage=ledger.database.url).trials
    assert (trial.state, trial.user_attrs["stage"]) == (TrialState.FAIL, "warmup")


def test_a_deleted_study_leaves_no_stage(ledger: Ledger) -> None:
    study = a_study(ledger)
    ledger.delete("s")
    assert ledger.stages(study.study_id) == []


def test_more_trials_go_to_the_stages_to_come(ledger: Ledger) -> None:
    study = a_study(ledger)
    ledger.extend("s", 5)
    assert len(claim(ledger, study)) == 3


# --- a finish ---------------------------------------------------------------------------------


def with_finish(ledger: Ledger, hours: float | None = None) -> Study:
    """Three tickets of search and up to four of a finish."""
    stage, final = a_stage("joint", 0, 3), {"top": 1, "seeds": 2}
    study, _ = ledger.create(replace(A_STUDY, tickets=7, hours=hours, stage=stage, final=final))
    return study


def in_finish(ledger: Ledger, count: int = 2) -> tuple[Study, list[Lease]]:
    study = with_finish(ledger)
    finish(ledger, claim(ledger, study))
    open_stage(ledger, study, 1, a_stage("final", 3, count))
    return study, claim(ledger, study)


def test_a_finish_needs_no_more_tickets_than_it_has(ledger: Ledger) -> None:
    _study, leases = in_finish(ledger)
    assert [lease.number for lease in leases] == [3, 4]
    assert ledger.study("s").tickets == 5
    assert ledger.begin_verdict(ledger.study("s")) is None, "its trials are under way"


def test_a_study_is_done_once_the_verdict_is_there(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    finish(ledger, leases)
    assert ledger.study("s").state == "open"
    assert [s.name for s in ledger.waiting()] == ["s"], "somebody has to look at the test part"
    assert claim(ledger, study) == []
    number = ledger.begin_verdict(ledger.study("s"))
    assert ledger.verdicts(study.study_id) == []
    assert ledger.begin_verdict(ledger.study("s")) == number == 1, "anyone who began has died"
    ledger.end_verdict(ledger.study("s"), 1, {"test": 0.5})
    ledger.end_verdict(ledger.study("s"), 1, {"test": 0.6})
    assert ledger.verdicts(study.study_id) == [{"test": 0.5}]
    assert (ledger.study("s").state, ledger.study("s").finish) == ("done", "done")
    assert ledger.waiting() == []


@pytest.mark.mariadb
def test_hours_end_the_search_and_not_the_finish(ledger: Ledger) -> None:
    study = with_finish(ledger, hours=1.0)
    (lease,) = claim(ledger, study, up_to=1)
    spend = "UPDATE hpsearch_studies SET active_s = 3600"
    ledger.database.write(lambda connection: connection.exec_driver_sql(spend))
    finish(ledger, [lease])
    assert claim(ledger, study) == []
    (waiting,) = ledger.waiting()
    assert waiting.awaits_stage
    open_stage(ledger, study, 1, a_stage("final", 1, 2))
    leases = claim(ledger, study)
    assert [lease.number for lease in leases] == [1, 2]
    finish(ledger, leases)
    assert ledger.begin_verdict(ledger.study("s")) == 1
    ledger.end_verdict(ledger.study("s"), 1, {})
    assert ledger.study("s").state == "done"


@pytest.mark.mariadb
def test_another_finish_is_another_use(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    with pytest.raises(ConflictError, match="has to come to its end first"):
        ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    with pytest.raises(ConflictError, match="in its finish"):
        ledger.extend("s", 1)
    finish(ledger, leases)
    ledger.end_verdict(
        ledger.study("s"), ledger.begin_verdict(ledger.study("s")) or 0, {"test": 0.5}
    )
    ledger.extend("s", 2)
    open_stage(ledger, study, 2, a_stage("polish", 5, None))
    finish(ledger, claim(ledger, study))
    assert ledger.study("s").state == "done"
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    open_stage(ledger, study, 3, a_stage("final", 7, 2))
    finish(ledger, claim(ledger, study))
    assert ledger.begin_verdict(ledger.study("s")) == 2


def test_a_failed_training_of_a_finish_can_be_run_again(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    finish(ledger, leases[:1], TrialState.FAIL)
    finish(ledger, leases[1:])
    ledger.retry_failed("s")
    assert ledger.begin_verdict(ledger.study("s")) is None
    finish(ledger, claim(ledger, study))
    assert ledger.begin_verdict(ledger.study("s")) == 1


def test_tickets_are_dealt_in_order_where_hours_may_end_the_search(ledger: Ledger) -> None:
    """The finish follows whatever the search has come to, without a gap."""
    study = with_finish(ledger, hours=1.0)
    ledger.sign_on("w", "host", 1, "cpu")
    assert [h.number for h in ledger.claim("w", study.study_id, 1, wanted=[2])] == [0]


def test_a_study_whose_last_trial_ended_while_it_was_stopped_is_done(ledger: Ledger) -> None:
    study, _ = ledger.create(replace(A_STUDY, tickets=1))
    leases = claim(ledger, study)
    ledger.set_state("s", "stopped")
    finish(ledger, leases)
    assert ledger.set_state("s", "open").state == "done"


@pytest.mark.parametrize("added", [(5, None), (0, 2.0)])
def test_a_stage_thought_of_before_something_was_added_is_not_opened(
    ledger: Ledger, added: tuple[int, float | None]
) -> None:
    study = with_finish(ledger, hours=1.0)
    (lease,) = claim(ledger, study, up_to=1)
    finish(ledger, [lease])
    spend = "UPDATE hpsearch_studies SET active_s = 3600"
    if added[1] is not None:
        ledger.database.write(lambda connection: connection.exec_driver_sql(spend))
    else:
        finish(ledger, claim(ledger, study))
    before = ledger.study("s")
    assert before.awaits_stage
    ledger.extend("s", *added)
    ledger.open_stage(before, 1, a_stage("final", before.drawn, 2))
    assert names(ledger, study) == ["joint"]


def test_a_finish_asked_for_while_the_last_is_judged_is_not_lost(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    finish(ledger, leases)
    number = ledger.begin_verdict(ledger.study("s"))
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    ledger.end_verdict(ledger.study("s"), number or 0, {"test": 0.5})
    assert (ledger.study("s").finish, ledger.study("s").state) == ("due", "open")
    assert ledger.verdicts(study.study_id) == [{"test": 0.5}], "somebody has looked"


def test_a_finish_without_a_verdict_can_be_begun_again(ledger: Ledger) -> None:
    """One of its networks is lost."""
    study, leases = in_finish(ledger)
    finish(ledger, leases)
    assert ledger.begin_verdict(ledger.study("s")) == 1
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    open_stage(ledger, study, 2, a_stage("final", 5, 2))
    finish(ledger, claim(ledger, study))
    assert ledger.begin_verdict(ledger.study("s")) == 1, "nobody has seen what the test part gave"


def test_a_second_retry_after_a_small_finish_has_a_number_of_its_own(ledger: Ledger) -> None:
    study = with_finish(ledger)
    first = claim(ledger, study)
    finish(ledger, first[:1], TrialState.FAIL)
    finish(ledger, first[1:])
    ledger.retry_failed("s")
    finish(ledger, claim(ledger, study), TrialState.FAIL)
    open_stage(ledger, study, 1, a_stage("final", 3, 2))
    finish(ledger, claim(ledger, study))
    assert ledger.retry_failed("s") == 1
    (again,) = claim(ledger, study)
    assert again.retry_of == 7


def test_hours_alone_are_not_added_where_no_trial_is_left(ledger: Ledger) -> None:
    study = with_finish(ledger, hours=1.0)
    finish(ledger, claim(ledger, study))
    open_stage(ledger, study, 1, a_stage("final", 3, 1))
    finish(ledger, claim(ledger, study))
    ledger.end_verdict(ledger.study("s"), ledger.begin_verdict(ledger.study("s")) or 0, {})
    with pytest.raises(ConflictError, match="add --trials N"):
        ledger.extend("s", 0, 1.0)


# --- a finish that is stopped, or comes to nothing --------------------------------------------


def stop_worker(ledger: Ledger, leases: list[Lease], reason: str = STOPPED) -> None:
    """A worker that saw its study stopped ends what it trains."""
    begun = [(lease, empty(lease.number, -1, {"ticket": lease.number})) for lease in leases]
    rows = ledger.begin(begun)
    endings = [Write(h, row[0], ending=Ending(TrialState.PRUNED, 0.4, reason))
               for h, row in zip(leases, rows, strict=True) if row]  # fmt: skip
    assert not ledger.record(endings)


def begin(ledger: Ledger, leases: list[Lease]) -> None:
    assert all(ledger.begin([(h, empty(h.number, -1, {"ticket": h.number})) for h in leases]))


def draws(ledger: Ledger, study: Study) -> set[tuple[int, int | None]]:
    return {(lease.draw_index, lease.retry_of) for lease in claim(ledger, study)}


def test_what_was_stopped_of_a_finish_is_begun_again(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    finish(ledger, leases[:1])
    ledger.set_state("s", "stopped")
    stop_worker(ledger, leases[1:])
    assert ledger.begin_verdict(ledger.study("s")) is None, "a training is missing"
    ledger.set_state("s", "open")
    (again,) = claim(ledger, study)
    assert (again.draw_index, again.retry_of) == (leases[1].draw_index, leases[1].number)
    finish(ledger, [again])
    assert ledger.begin_verdict(ledger.study("s")) == 1


def test_a_worker_that_ends_what_was_stopped_only_after_the_resume(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    ledger.set_state("s", "stopped")
    ledger.set_state("s", "open")
    stop_worker(ledger, leases)
    assert ledger.begin_verdict(ledger.study("s")) is None
    assert draws(ledger, study) == {(lease.draw_index, lease.number) for lease in leases}


def test_what_is_stopped_twice_is_begun_a_third_time(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    finish(ledger, leases[:1])
    left = leases[1:]
    for _ in range(2):
        ledger.set_state("s", "stopped")
        stop_worker(ledger, left)
        ledger.set_state("s", "paused")
        ledger.set_state("s", "open")
        before, left = left, claim(ledger, study)
        assert [(h.draw_index, h.retry_of) for h in left] == [(4, before[0].number)]
    finish(ledger, left)
    assert ledger.begin_verdict(ledger.study("s")) == 1


def test_what_a_dead_worker_had_is_begun_again_too(ledger: Ledger) -> None:
    """Nobody is there to end it: stop does that itself."""
    study, leases = in_finish(ledger)
    begin(ledger, leases)
    ledger.sign_off("w", lost="it was killed")
    ledger.set_state("s", "stopped")
    ledger.set_state("s", "open")
    assert draws(ledger, study) == {(lease.draw_index, lease.number) for lease in leases}


def test_of_the_search_what_was_stopped_stays_so(ledger: Ledger) -> None:
    study = with_finish(ledger)
    leases = claim(ledger, study)
    finish(ledger, leases[:2])
    ledger.set_state("s", "stopped")
    stop_worker(ledger, leases[2:])
    ledger.set_state("s", "open")
    assert ledger.study("s").awaits_stage
    open_stage(ledger, study, 1, a_stage("final", 3, 2))
    assert draws(ledger, study) == {(3, None), (4, None)}


def test_of_the_search_what_was_stopped_before_it_began_is_issued_again(ledger: Ledger) -> None:
    study = with_finish(ledger)
    leases = claim(ledger, study)
    finish(ledger, leases[:1])
    ledger.set_state("s", "stopped")
    stop_worker(ledger, leases[1:2])
    stop_worker(ledger, leases[2:], NOT_BEGUN)
    assert ledger.set_state("s", "open").issued == len(leases) + 1
    assert draws(ledger, study) == {(leases[2].draw_index, leases[2].number)}
    ledger.set_state("s", "stopped")
    assert ledger.set_state("s", "open").issued == len(leases) + 1, "once"


@pytest.mark.mariadb
def test_what_was_stopped_before_it_began_is_issued_again_though_its_end_comes_after_the_resume(
    ledger: Ledger,
) -> None:
    study, _ = ledger.create(replace(A_STUDY, tickets=3))
    leases = claim(ledger, study)
    finish(ledger, leases[:1])
    ledger.set_state("s", "stopped")
    ledger.set_state("s", "open")
    stop_worker(ledger, leases[1:2])
    stop_worker(ledger, leases[2:], NOT_BEGUN)
    assert ledger.study("s").state == "open", "a trial has not been trained"
    (again,) = claim(ledger, study)
    assert (again.draw_index, again.retry_of) == (leases[2].draw_index, leases[2].number)
    finish(ledger, [again])
    assert ledger.study("s").state == "done"


def test_a_diverged_training_of_a_finish_is_not_run_again(ledger: Ledger) -> None:
    _study, leases = in_finish(ledger)
    finish(ledger, leases, TrialState.PRUNED)
    ledger.set_state("s", "stopped")
    assert ledger.set_state("s", "open").issued == 5
    assert ledger.begin_verdict(ledger.study("s")) == 1


@pytest.mark.parametrize("state", ["stopped", "paused"])
def test_neither_verdict_nor_finish_begins_while_a_study_is_put_down(
    ledger: Ledger, state: State
) -> None:
    study = with_finish(ledger)
    finish(ledger, claim(ledger, study))
    ledger.set_state("s", state)
    open_stage(ledger, study, 1, a_stage("final", 3, 2))
    assert names(ledger, study) == ["joint"]
    ledger.set_state("s", "open")
    open_stage(ledger, study, 1, a_stage("final", 3, 2))
    finish(ledger, claim(ledger, study))
    ledger.set_state("s", state)
    assert ledger.begin_verdict(ledger.study("s")) is None
    ledger.end_finish(ledger.study("s"))
    with pytest.raises(ConflictError, match="resume s continues with it"):
        ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    ledger.set_state("s", "open")
    assert ledger.begin_verdict(ledger.study("s")) == 1


def test_a_verdict_that_has_begun_counts_whoever_stops_the_study_meanwhile(
    ledger: Ledger,
) -> None:
    _study, leases = in_finish(ledger)
    finish(ledger, leases)
    number = ledger.begin_verdict(ledger.study("s"))
    ledger.set_state("s", "stopped")
    ledger.end_verdict(ledger.study("s"), number or 0, {"test": 0.5})
    assert (ledger.study("s").state, ledger.study("s").finish) == ("stopped", "done")
    assert ledger.set_state("s", "open").state == "done"


def test_a_finish_that_came_to_nothing_is_no_use_of_the_test_part(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    finish(ledger, leases, TrialState.PRUNED)
    assert ledger.end_finish(ledger.study("s"))
    assert (ledger.study("s").state, ledger.study("s").finish) == ("done", "done")
    assert ledger.verdicts(study.study_id) == []
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    open_stage(ledger, study, 2, a_stage("final", 5, 2))
    finish(ledger, claim(ledger, study))
    assert ledger.begin_verdict(ledger.study("s")) == 1


def test_an_empty_verdict_of_an_earlier_program_does_not_count(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    finish(ledger, leases)
    ledger.end_verdict(ledger.study("s"), ledger.begin_verdict(ledger.study("s")) or 0, {})
    assert ledger.verdicts(study.study_id) == []
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    open_stage(ledger, study, 2, a_stage("final", 5, 2))
    finish(ledger, claim(ledger, study))
    assert ledger.begin_verdict(ledger.study("s")) == 1


def test_a_finish_does_not_come_to_nothing_while_a_retry_waits(ledger: Ledger) -> None:
    _study, leases = in_finish(ledger)
    finish(ledger, leases, TrialState.FAIL)
    seen = ledger.study("s")
    ledger.retry_failed("s")
    assert not ledger.end_finish(seen)
    assert ledger.study("s").finish == "open"


def test_what_failed_in_a_finish_that_has_ended_is_not_retried(ledger: Ledger) -> None:
    """No verdict would come of it: another finish is what helps."""
    study, leases = in_finish(ledger)
    finish(ledger, leases[:1], TrialState.FAIL)
    finish(ledger, leases[1:])
    ledger.end_verdict(
        ledger.study("s"), ledger.begin_verdict(ledger.study("s")) or 0, {"test": 0.5}
    )
    assert ledger.retry_failed("s") == 0
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    open_stage(ledger, study, 2, a_stage("final", 5, 2))
    finish(ledger, claim(ledger, study), TrialState.FAIL)
    assert ledger.retry_failed("s") == 2
    assert draws(ledger, study) == {(5, 5), (6, 6)}


def test_what_was_stopped_of_a_finish_before_is_not_begun_again(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    stop_worker(ledger, leases)  # as by an earlier program
    ledger.database.write(
        lambda connection: connection.exec_driver_sql(
            "DELETE FROM hpsearch_tickets WHERE retry_of IS NOT NULL"
        )
    )
    ledger.database.write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE hpsearch_studies SET finish = 'done', state = 'done', issued = 5, tickets = 5"
        )
    )
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    open_stage(ledger, study, 2, a_stage("final", 5, 2))
    ledger.set_state("s", "stopped")
    ledger.set_state("s", "open")
    assert draws(ledger, study) == {(5, None), (6, None)}


def test_a_verdict_is_of_the_study_that_was_seen(ledger: Ledger) -> None:
    """SQLite gives the id of a deleted study to the next one."""
    _, leases = in_finish(ledger)
    finish(ledger, leases)
    seen = ledger.study("s")
    assert ledger.begin_verdict(seen) == 1
    ledger.delete("s")
    study, leases = in_finish(ledger)
    finish(ledger, leases)
    assert ledger.current(seen) is None
    ledger.end_verdict(seen, 1, {"test": 0.5})
    ledger.end_finish(seen)
    assert ledger.begin_verdict(seen) is None
    assert ledger.verdicts(study.study_id) == []
    assert ledger.study("s").awaits_verdict


def test_a_retry_that_comes_while_the_test_part_is_used_asks_for_no_second_verdict(
    ledger: Ledger,
) -> None:
    study = with_finish(ledger)
    first = claim(ledger, study)
    finish(ledger, first[:1], TrialState.FAIL)
    finish(ledger, first[1:])
    open_stage(ledger, study, 1, a_stage("final", 3, 2))
    finish(ledger, claim(ledger, study))
    seen = ledger.study("s")
    number = ledger.begin_verdict(seen)
    assert ledger.retry_failed("s") == 1
    ledger.end_verdict(seen, number or 0, {"test": 0.5})
    finish(ledger, claim(ledger, study))
    assert (ledger.study("s").state, ledger.study("s").finish) == ("done", "done")
    assert ledger.begin_verdict(ledger.study("s")) is None


def test_a_late_verdict_does_not_end_the_finish_after_it(ledger: Ledger) -> None:
    study, leases = in_finish(ledger)
    finish(ledger, leases)
    seen = ledger.study("s")
    number = ledger.begin_verdict(seen)
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    open_stage(ledger, study, 2, a_stage("final", 5, 2))
    finish(ledger, claim(ledger, study))
    ledger.end_verdict(seen, number or 0, {"test": 0.5})
    assert ledger.study("s").awaits_verdict
    assert ledger.begin_verdict(ledger.study("s")) == 2


@pytest.mark.mariadb
def test_a_finish_has_a_use_of_its_own_while_another_worker_is_at_the_one_before(
    ledger: Ledger,
) -> None:
    study, leases = in_finish(ledger)
    finish(ledger, leases)
    first = ledger.study("s")
    ledger.take_duty(first, f"{TESTING}{first.opened}", "slow")
    assert ledger.begin_verdict(first) == 1
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    open_stage(ledger, study, 2, a_stage("final", 5, 2))
    finish(ledger, claim(ledger, study))
    second = ledger.study("s")
    ledger.take_duty(second, f"{TESTING}{second.opened}", "other")
    assert ledger.begin_verdict(second) == 2
    assert ledger.begin_verdict(second) == 2, "its answer was lost, or its worker has died"
    ledger.end_verdict(first, 1, {"test": 0.5})
    assert ledger.study("s").awaits_verdict
    ledger.end_verdict(second, 2, {"test": 0.6})
    assert ledger.verdicts(study.study_id) == [{"test": 0.5}, {"test": 0.6}]
    assert (ledger.study("s").state, ledger.study("s").finish) == ("done", "done")


@pytest.mark.mariadb
@pytest.mark.parametrize("state", [TrialState.PRUNED, TrialState.FAIL])
def test_no_finish_of_a_search_in_which_nothing_completed(
    ledger: Ledger, state: TrialState
) -> None:
    """The default settings alone would be trained: what completed in a finish does not count."""
    study = with_finish(ledger)
    finish(ledger, claim(ledger, study), state)
    open_stage(ledger, study, 1, a_stage("final", 3, 2))
    finish(ledger, claim(ledger, study))
    ledger.finish_again("s", 4, {"top": 1, "seeds": 2})  # its file's: one of its networks is lost
    open_stage(ledger, study, 2, a_stage("final", 5, 2))
    finish(ledger, claim(ledger, study))
    ledger.end_verdict(ledger.study("s"), ledger.begin_verdict(ledger.study("s")) or 0, {"a": 1})
    with pytest.raises(ConflictError, match="hpsearch extend s --trials N"):
        ledger.finish_again("s", 4, {"top": 1, "seeds": 2})
    assert (ledger.study("s").state, ledger.study("s").finish) == ("done", "done")
    ledger.extend("s", 1)
    open_stage(ledger, study, 3, a_stage("polish", 7, None))
    finish(ledger, claim(ledger, study))
    assert ledger.finish_again("s", 4, {"top": 1, "seeds": 2}).finish == "due"
