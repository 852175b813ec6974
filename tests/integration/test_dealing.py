"""Tickets for a whole stack: dealt in any order, in fair shares, begun and recorded at once."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.code import Manifest
from hpsearch.runner.epoch import Epoch
from hpsearch.store import dealing
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Ending, Lease, Serves, Study, Write
from tests.integration.test_ledger import a_proposal, a_study, fail, finish, optuna_trials


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger(Database(url))


def numbers(leases: Iterable[Lease]) -> list[int]:
    return [lease.number for lease in leases]


def rows(ledger: Ledger, query: str) -> list[Any]:
    with ledger.database.read() as connection:
        return list(connection.execute(sa.text(query)))


# --- in any order -----------------------------------------------------------------------------


@pytest.mark.mariadb
def test_wanted_numbers_come_first_then_the_lowest(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=9)
    assert ledger.upcoming(study.study_id, 3) == [(0, 0), (1, 1), (2, 2)]
    leases = ledger.claim("w", study.study_id, 4, wanted=[7, 3, 3, 99, -1])
    assert [(h.number, h.draw_index) for h in leases] == [(7, 7), (3, 3), (0, 0), (1, 1)]
    assert ledger.upcoming(study.study_id, 9) == [(n, n) for n in (2, 4, 5, 6, 8)]
    assert numbers(ledger.claim("w", study.study_id, 2, wanted=[3, 4])) == [4, 2]
    found = ledger.study("s")
    assert (found.issued, found.floor) == (6, 5), "no row for what was passed over"
    assert numbers(ledger.claim("w", study.study_id, 9)) == [5, 6, 8]
    assert ledger.upcoming(study.study_id, 9) == []
    assert ledger.claim("w", study.study_id) == []


def test_a_ticket_given_back_comes_before_a_wanted_one(ledger: Ledger) -> None:
    study = a_study(ledger)
    ledger.release(ledger.claim("w", study.study_id))
    assert numbers(ledger.claim("w", study.study_id, 2, wanted=[2])) == [0, 2]


def test_retries_and_more_tickets_leave_origins_as_they_are(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=6)
    early = ledger.claim("w", study.study_id, 2, wanted=[4, 1])
    for lease in early:
        fail(ledger, lease, "error: x")
    assert ledger.retry_failed("s") == 2
    ledger.extend("s", 3)
    assert ledger.upcoming(study.study_id, 9) == [
        (0, 0), (2, 2), (3, 3), (5, 5), (8, 6), (9, 7), (10, 8)
    ]  # fmt: skip
    leases = ledger.claim("w", study.study_id, 9, wanted=[9])
    assert [(h.number, h.draw_index, h.retry_of) for h in leases] == [
        (6, 1, 1), (7, 4, 4), (9, 7, None), (0, 0, None), (2, 2, None), (3, 3, None), (5, 5, None),
        (8, 6, None), (10, 8, None),
    ]  # fmt: skip
    fail(ledger, leases[0], "error: again")
    assert ledger.retry_failed("s") == 1
    (again,) = ledger.claim("w", study.study_id, 9)
    assert (again.number, again.draw_index, again.retry_of) == (11, 1, 6)


def test_no_ticket_is_passed_over_for_ever(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dealing, "REACH", 4)
    study = a_study(ledger, tickets=100)
    dealt = [
        *itertools.chain.from_iterable(
            numbers(ledger.claim("w", study.study_id, wanted=range(1, 100))) for _ in range(6)
        )
    ]
    assert dealt == [1, 2, 3, 4, 0, 5]


def test_more_retries_in_a_row_than_the_reach(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dealing, "REACH", 2)
    study = a_study(ledger, tickets=9)
    for lease in ledger.claim("w", study.study_id, 9):
        fail(ledger, lease, "error: x")
    assert ledger.retry_failed("s") == 9
    ledger.extend("s", 2)
    assert ledger.upcoming(study.study_id, 2) == [(18, 9), (19, 10)]
    assert numbers(ledger.claim("w", study.study_id, 12)) == [*range(9, 20)]


def test_many_workers_with_wishes_share_a_study_exactly(ledger: Ledger) -> None:
    """Beside them trials fail, are retried, and the budget grows."""
    study = a_study(ledger, tickets=48)
    barrier = threading.Barrier(5)

    def work(worker: int) -> list[Lease]:
        mine, taken = Ledger(Database(ledger.database.url)), []
        mine.sign_on(f"w{worker}", "host", 1, "cpu")
        barrier.wait()
        while leases := claim(mine, worker):
            for lease in leases:
                if lease.number % 7 == 0 and lease.retry_of is None:
                    fail(mine, lease, "error: x")
                else:
                    finish(mine, lease)
            taken += leases
        return taken

    def claim(mine: Ledger, worker: int) -> list[Lease]:
        coming = mine.upcoming(study.study_id, 12)
        wanted = [number for number, draw_index in coming if draw_index % 4 == worker]
        return mine.claim(f"w{worker}", study.study_id, 3, wanted)

    def steer() -> None:
        barrier.wait()
        for _ in range(4):
            ledger.retry_failed("s")
            ledger.extend("s", 3)

    with ThreadPoolExecutor(5) as pool:
        steering = pool.submit(steer)
        taken = [lease for leases in pool.map(work, range(4)) for lease in leases]
        steering.result()
    ledger.extend("s", 1)
    ledger.retry_failed("s")
    taken += work_alone(ledger, study)
    found = ledger.study("s")
    assert sorted(numbers(taken)) == list(range(found.tickets))
    assert (found.issued, found.ended, found.state) == (found.tickets, found.tickets, "done")
    retries = {lease.number: lease.retry_of for lease in taken if lease.retry_of is not None}
    origins = {h.number: h.draw_index for h in taken}
    for number, draw_index in origins.items():
        if number in retries:
            assert draw_index == origins[retries[number]]
        else:
            assert draw_index == number - sum(retry < number for retry in retries)
    drawn = [draw_index for number, draw_index in origins.items() if number not in retries]
    assert sorted(drawn) == list(range(48 + 4 * 3 + 1)), "each cell of a grid once"
    assert sorted(t.number for t in optuna_trials(ledger)) == list(range(found.tickets))


def work_alone(ledger: Ledger, study: Study) -> list[Lease]:
    taken = []
    while leases := ledger.claim("last", study.study_id, 5):
        taken += leases
        for lease in leases:
            finish(ledger, lease)
    return taken


# --- fair shares ------------------------------------------------------------------------------


def test_no_worker_takes_more_than_its_share_of_what_is_left(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=8)
    for worker in "abcd":
        ledger.sign_on(worker, "host", 1, "cpu")
    taken = [len(ledger.claim(worker, study.study_id, 16)) for worker in "abcdab"]
    assert taken == [2, 2, 1, 1, 1, 1]


def test_workers_that_left_or_are_lost_have_no_share(url: str) -> None:
    ledger = Ledger(Database(url))
    study = a_study(ledger, tickets=8)
    for worker in ("here", "too", "left"):
        ledger.sign_on(worker, "host", 1, "cpu")
    ledger.sign_off("left")
    Ledger(ledger.database, lease_s=1e-6).sign_on("lost", "host", 1, "cpu")
    assert len(ledger.claim("here", study.study_id, 16)) == 4


def test_only_workers_that_serve_a_study_have_a_share_of_it(ledger: Ledger) -> None:
    document = {"network": {"family": "m_p"}, "data": {"source": "digits"}}
    study = a_study(ledger, tickets=8, document=document)
    able = frozenset({"family m_p", "source digits"})
    serve = {
        "mine": Serves(("other", "s"), able),
        "any": Serves(),
        "other study": Serves(("other",), able),
        "other family": Serves(has=able - {"family m_p"} | {"family mlp"}),
        "no source": Serves(has=frozenset({"family m_p"})),
    }
    for worker, serves in serve.items():
        ledger.sign_on(worker, "host", 1, "cpu", serves)
    assert len(ledger.claim("mine", study.study_id, 16, needs=study.needs)) == 4


def test_a_study_that_needs_what_a_worker_does_not_have_is_left_to_others(ledger: Ledger) -> None:
    for name in ("mlp", "resnet"):
        document = {"network": {"family": name}, "data": {"source": "digits"}}
        a_study(ledger, name=name, document=document, priority=len(name))
    a_study(ledger, name="damaged", document={"network": [], "data": {"source": 3}})
    serves = Serves(has=frozenset({"family mlp", "source digits"}))
    assert [s.name for s in ledger.waiting()] == ["resnet", "mlp", "damaged"]
    assert [s.name for s in ledger.waiting(serves)] == ["mlp", "damaged"]
    outlook = ledger.outlook(serves)
    assert [s.name for s in outlook.waiting] == [s.name for s in outlook.open] == ["mlp", "damaged"]
    assert [(s.name, serves.lacks(s)) for s in outlook.others] == [("resnet", ("family resnet",))]
    assert not ledger.outlook(Serves(("mlp",), serves.has)).others


def test_other_code_that_is_accepted_is_for_workers_that_have_it(ledger: Ledger) -> None:
    old, new = Manifest({"train.py": "a"}), Manifest({"train.py": "b"})
    seen = a_study(ledger, tickets=4, code=old)
    assert len(ledger.claim("old", seen.study_id, 1, needs=seen.needs)) == 1
    assert ledger.replace_code(seen, new) == ledger.current(seen), "a study that has begun"
    assert ledger.code(seen) == old
    now = ledger.replace_code(seen, new, accept=True)
    assert now is not None
    assert (now.code, ledger.code(now), now.state) == (new.digest, new, "open")
    assert ledger.claim("old", seen.study_id, 1, needs=seen.needs) == []
    assert len(ledger.claim("new", now.study_id, 1, needs=now.needs)) == 1


def test_what_was_given_back_is_no_part_of_a_share(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=6)
    ledger.sign_on("a", "host", 1, "cpu")
    ledger.release(ledger.claim("a", study.study_id, 6))
    ledger.sign_on("b", "host", 1, "cpu")
    assert len(ledger.claim("b", study.study_id, 16)) == 6


def test_a_worker_asks_as_if_its_own_tickets_were_not_under_way(ledger: Ledger) -> None:
    big, small = a_study(ledger, tickets=100, name="big"), a_study(ledger, tickets=9, name="small")
    ledger.claim("other", small.study_id)
    ledger.claim("w", big.study_id, 16)
    assert [s.name for s in ledger.waiting()] == ["small", "big"]
    assert [s.name for s in ledger.waiting(but="w")] == ["big", "small"]
    assert [s.name for s in ledger.waiting(Serves(("small",)), but="w")] == ["small"]


# --- many at once -------------------------------------------------------------------------------


@pytest.mark.mariadb
def test_many_at_once_leave_the_same_rows_as_one_by_one(url: str) -> None:
    ledger = Ledger(Database(url))
    together, single = a_study(ledger, name="together"), a_study(ledger, name="single")
    live(ledger, together, lambda verb, items: verb(items))
    live(ledger, single, lambda verb, items: [verb([item]) for item in items])
    found = [content(ledger, study) for study in (together, single)]
    assert found[0] == found[1]
    assert len(found[0]) > 40


def live(ledger: Ledger, study: Study, deliver: Callable[[Any, list[Any]], Any]) -> None:
    """Four trials: one is taken over and begins again, two end, one is given back."""
    leases = ledger.claim("w", study.study_id, 4)
    deliver(
        ledger.begin,
        [(lease, a_proposal(lease.number, 0.1 + lease.number / 10)) for lease in leases],
    )
    ids = {t.user_attrs["ticket"]: t._trial_id for t in optuna_trials(ledger, study.name)}

    def write(lease: Lease, **what: Any) -> Write:
        return Write(lease, ids[lease.number], **what)

    for epoch in (1, 2):
        notes = {"completed_rung_0": epoch}
        report = Epoch(epoch, epoch / 7, {"f1": 0.5}, 0.25)
        again = Epoch(1, 0.125, {}, 0.5)
        writes = [write(h, reports=[again, report], system_attrs=notes) for h in leases]
        deliver(ledger.record, [*writes, write(leases[3], user_attrs={"x": [epoch]})])
    deliver(ledger.release, leases[2:])
    taken = ledger.claim("next", study.study_id, 2)
    deliver(ledger.record, [write(h, kept=kept) for kept, h in enumerate(taken)])
    deliver(ledger.record, [
        write(leases[0], ending=Ending(TrialState.COMPLETE, float("inf"))),
        write(leases[1], ending=Ending(TrialState.PRUNED, None, "pruned")),
        write(leases[2], ending=Ending(TrialState.COMPLETE, 1.0)),  # taken over
        write(taken[0], reports=[Epoch(1, float("nan"), {}, 0.5)]),
    ])  # fmt: skip
    deliver(lambda h: ledger.release(h, "killed"), taken[1:])


def content(ledger: Ledger, study: Study) -> list[str]:
    """All that the database has of a study, without ids and times."""
    of_study = f"WHERE study_id = {study.study_id}"
    trials = f"SELECT trial_id FROM trials {of_study}"
    number = "(SELECT number FROM trials WHERE trials.trial_id = t.trial_id) AS of_trial"
    queries = [
        f"SELECT state, issued, drawn, floor, ended FROM hpsearch_studies {of_study}",
        f"SELECT t.number, t.state, fence, worker, origin, reached, crashes, lost, {number} "
        f"FROM hpsearch_tickets t {of_study}",
        f"SELECT number, fence, worker, ending FROM hpsearch_leases {of_study}",
        f"SELECT number, state, datetime_complete IS NULL AS under_way FROM trials {of_study}",
    ]
    for table, columns in {
        "trial_params": "param_name, param_value, distribution_json",
        "trial_values": "value, value_type",
        "trial_intermediate_values": "step, intermediate_value, intermediate_value_type",
        "trial_user_attributes": "t.key, value_json",
        "trial_system_attributes": "t.key, value_json",
        "hpsearch_epochs": "epoch, metrics, seconds",
    }.items():
        queries.append(f"SELECT {number}, {columns} FROM {table} t WHERE trial_id IN ({trials})")
    return sorted(f"{i} {row}" for i, query in enumerate(queries) for row in rows(ledger, query))


@pytest.mark.mariadb
def test_begin_answers_each_hold_for_itself(ledger: Ledger) -> None:
    study = a_study(ledger)
    first, second, third = ledger.claim("w", study.study_id, 3)
    (known,) = ledger.begin([(first, a_proposal(0))])
    ledger.release([second])
    begun = ledger.begin([(lease, a_proposal(lease.number)) for lease in (third, second, first)])
    assert begun[1:] == [None, known]
    assert ledger.begin([(third, a_proposal(2))]) == begun[:1]
    assert ledger.begin([]) == []
    assert [t.user_attrs["ticket"] for t in optuna_trials(ledger)] == [0, 2]


@pytest.mark.mariadb
def test_each_trial_keeps_its_own_parameters(ledger: Ledger) -> None:
    study = a_study(ledger)
    leases = ledger.claim("w", study.study_id, 4)[::-1]
    begun = ledger.begin(
        [(lease, a_proposal(lease.number, 0.1 * lease.number + 0.1)) for lease in leases]
    )
    found = {t._trial_id: t for t in optuna_trials(ledger)}
    for lease, trial in zip(leases, begun, strict=True):
        assert trial is not None
        assert found[trial[0]].number == trial[1]
        assert found[trial[0]].params["lr"] == pytest.approx(0.1 * lease.number + 0.1)


@pytest.mark.mariadb
def test_trials_are_numbered_without_gaps_beside_optuna_s_own(ledger: Ledger) -> None:
    study = a_study(ledger, tickets=4)
    theirs = optuna.load_study(study_name="s", storage=ledger.database.url)
    for _ in range(2):
        theirs.enqueue_trial({"lr": 0.5})
        leases = ledger.claim("w", study.study_id, 2)
        ledger.begin([(lease, a_proposal(lease.number)) for lease in leases])
    assert [t.number for t in optuna_trials(ledger)] == list(range(6))
    assert ["ticket" in t.user_attrs for t in optuna_trials(ledger)] == [False, True, True] * 2


def test_a_database_that_does_not_tell_the_ids_it_gave(sqlite_url: str) -> None:
    """As MySQL, which has no RETURNING."""
    ledger = Ledger(Database(sqlite_url))
    study = a_study(ledger)
    ledger.database.engine.dialect.insert_executemany_returning = False
    leases = ledger.claim("w", study.study_id, 3)
    begun = ledger.begin([(lease, a_proposal(lease.number)) for lease in leases])
    assert begun == [(t._trial_id, t.number) for t in optuna_trials(ledger)]
    assert [t.user_attrs["ticket"] for t in optuna_trials(ledger)] == numbers(leases)


@pytest.mark.mariadb
def test_an_answer_to_many_writes_is_lost(ledger: Ledger) -> None:
    study = a_study(ledger)
    leases = ledger.claim("w", study.study_id, 3)
    begun = ledger.begin([(lease, a_proposal(lease.number)) for lease in leases])
    report = Epoch(1, 0.5, {}, 0.1)
    ending = Ending(TrialState.COMPLETE, 0.5)
    writes = [
        Write(lease, trial[0], reports=[report], ending=ending)
        for lease, trial in zip(leases, begun, strict=True)
        if trial is not None
    ]
    assert ledger.record(writes[:2]) == set()
    assert ledger.record(writes) == set()
    assert ledger.study("s").ended == 3
    assert ledger.record([Write(leases[0], writes[0].trial_id, reports=[report])]) == {
        leases[0].key
    }
