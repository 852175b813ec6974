"""Many workers at once: on a database that has no tables yet, and on one study, also in stacks."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import MakeCrew, on
from tests.acceptance.chaos.harness import Crew, study, until
from tests.acceptance.chaos.invariants import assert_invariants
from tests.conftest import Servers


@pytest.mark.parametrize(
    "backend", ["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.nightly)]
)
def test_sixteen_workers_start_on_an_empty_database(
    backend: str, make_crew: MakeCrew, servers: Servers, tmp_path: Path
) -> None:
    crew = make_crew(servers.bare_database(backend, tmp_path), 30.0)
    workers = [crew.worker(args=()) for _ in range(16)]
    until(lambda: _signed_on(crew) == 16, 120, what="sixteen workers to sign on")
    for worker in workers:
        worker.send(signal.SIGTERM)
    crew.finish()
    assert not crew.trouble()
    (left,) = crew.rows("SELECT count(*) FROM hpsearch_workers WHERE stopped_at IS NULL")
    assert left[0] == 0


def _signed_on(crew: Crew) -> int:
    """None yet, where the tables are being made."""
    assert all(worker.alive for worker in crew.workers), crew.trouble()
    try:
        (row,) = crew.rows("SELECT count(*) FROM hpsearch_workers")
    except Exception:
        return 0
    return int(row[0])


@pytest.mark.parametrize(
    ("crew", "workers"),
    [
        pytest.param("sqlite", 12, marks=pytest.mark.nightly),
        ("postgresql", 12),
        pytest.param("sqlite", 32, marks=pytest.mark.nightly),
        pytest.param("postgresql", 32, marks=pytest.mark.nightly),
    ],
    indirect=["crew"],
)
def test_many_workers_share_two_hundred_trials(crew: Crew, workers: int) -> None:
    crew.lease_s, crew.env["HPSEARCH_LEASE_S"] = 30.0, "30"
    crew.submit(study(trials=200, epochs=1, limit=60))
    for _ in range(workers):
        crew.worker()
    crew.finish(240)
    assert_invariants(crew, trials=200, epochs=1)
    assert {lease.fence for lease in crew.leases()} == {1}
    assert len({lease.worker for lease in crew.leases()}) > 8
    assert not crew.trouble()


# --- stacks ---------------------------------------------------------------------------------------

SLOTS, RATES = 8, "{learning_rate: {lr: {min: 1.0e-4, max: 1.0, log: true}}}"


def trials(crew: Crew) -> dict[int, optuna.trial.FrozenTrial]:
    found = optuna.load_study(study_name="s", storage=crew.url).trials
    return {trial.user_attrs["ticket"]: trial for trial in found}


def most_at_once(leases: list[Any]) -> int:
    """How many leases were there together at most."""
    begun, ended = sorted(x.taken_at for x in leases), sorted(x.ended_at for x in leases)
    return max(sum(b <= at for b in begun) - sum(e < at for e in ended) for at in begun)


def test_stacks_draw_the_same_trials_however_many_share_them(
    make_crew: MakeCrew, tmp_path: Path
) -> None:
    drawn = []
    for workers in (1, 3):
        crew = make_crew(f"sqlite:///{tmp_path}/{workers}.db", 30.0)
        crew.submit(study(parameters=RATES, trials=40, epochs=2, stack=SLOTS))
        for _ in range(workers):
            crew.worker(partial(hooks.pace, 0.1))
        crew.finish()
        assert_invariants(crew, trials=40, epochs=2)
        assert len({lease.worker for lease in crew.leases()}) == workers
        drawn.append({ticket: trial.params for ticket, trial in trials(crew).items()})
    assert drawn[0] == drawn[1]


@on("postgresql")
def test_slots_that_a_pruner_frees_are_filled_and_every_trial_is_exact(crew: Crew) -> None:
    """No more than may run in parallel, and those never fewer for long."""
    crew.lease_s, crew.env["HPSEARCH_LEASE_S"] = 30.0, "30"
    text = study(parameters=RATES, trials=40, epochs=9, stack=SLOTS, pruner="asha")
    crew.submit(text, max_parallel=SLOTS + 2)
    for _ in range(2):
        crew.worker(partial(hooks.pace, 0.1))
    crew.finish()
    assert_invariants(crew, trials=40, epochs=9, states=("COMPLETE", "PRUNED"))
    pruned = [t for t in trials(crew).values() if t.state.name == "PRUNED"]
    assert {t.last_step for t in pruned} <= {1, 3}
    assert len(pruned) > 10
    leases = crew.leases()
    assert SLOTS < most_at_once(leases) <= SLOTS + 2
    for worker in crew.workers:
        # A slot that is free is filled while the end of what was in it is on its way.
        own = [x for x in leases if x.worker == worker.name]
        assert most_at_once(own) <= SLOTS + SLOTS // 4
    assert any(
        one.worker == next_.worker and one.taken_at < next_.taken_at < one.ended_at
        for one in leases for next_ in leases
    ), "no slot was filled"  # fmt: skip
    assert not crew.trouble()


@on("sqlite")
def test_a_study_of_a_higher_priority_comes_next_once_stacks_have_drained(crew: Crew) -> None:
    crew.lease_s, crew.env["HPSEARCH_LEASE_S"] = 30.0, "30"
    crew.submit(study(parameters=RATES, trials=60, epochs=9, stack=SLOTS, pruner="asha"))
    crew.worker(partial(hooks.pace, 0.1))
    until(lambda: crew.ended() > SLOTS, what="slots that were filled again")
    crew.submit(study(name="urgent", trials=4, epochs=1, stack=SLOTS), priority=5)
    since = crew.now()
    crew.finish()
    (urgent,) = {lease.study_id for lease in crew.leases()} - {1}
    last = max(lease.taken_at for lease in crew.leases(study_id=urgent))
    # One claim may have been under way.
    late = [lease for lease in crew.leases(study_id=1) if lease.taken_at > since + 0.2]
    assert late, "the first study was over too soon"
    assert min(lease.taken_at for lease in late) > last


@on("postgresql")
def test_two_workers_share_the_few_tickets_of_a_study(crew: Crew) -> None:
    crew.lease_s, crew.env["HPSEARCH_LEASE_S"] = 30.0, "30"
    for _ in range(2):
        crew.worker(partial(hooks.pace, 1.5), args=())
    until(lambda: _signed_on(crew) == 2, what="two workers to sign on")
    crew.submit(study(parameters=RATES, trials=SLOTS, epochs=2, stack=SLOTS))
    until(lambda: crew.ended() == SLOTS, what="the end of the study")
    for worker in crew.workers:
        worker.send(signal.SIGTERM)
    crew.finish()
    shares = [len(crew.leases(worker=worker.name)) for worker in crew.workers]
    assert min(shares) >= SLOTS // 4, shares
