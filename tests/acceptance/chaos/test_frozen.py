"""A worker that stands still past its lease: it comes back late, and nothing is counted twice."""

from __future__ import annotations

import signal
from functools import partial

import pytest

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import MakeCrew, on
from tests.acceptance.chaos.harness import Crew, study, until
from tests.acceptance.chaos.invariants import assert_invariants
from tests.conftest import Servers

TRIALS, EPOCHS, SLOTS = 9, 4, 3
STUDY = study(trials=TRIALS, epochs=EPOCHS)


@pytest.mark.parametrize("slots", [SLOTS, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_frozen_worker_is_refused_and_goes_on_with_new_work(slots: int, crew: Crew) -> None:
    crew.submit(study(trials=TRIALS, epochs=EPOCHS, stack=slots if slots > 1 else "off"))
    slow = partial(hooks.pace, 0.3)  # so that there is work left when it comes back
    note = hooks.report_at_once, partial(hooks.note_epochs, crew.epochs), slow
    frozen = crew.worker(*note, partial(hooks.freeze_in, 2))
    until(lambda: frozen.frozen, what="the first worker to freeze")
    before = [lease.number for lease in crew.held(frozen)]
    assert len(before) == slots
    other = crew.worker(*note)
    taken = [
        until(partial(crew.leases, number=n, fence=2), what="the ticket's next")[0] for n in before
    ]
    assert {lease.worker for lease in taken} == {other.name}
    until(lambda: (before[-1], 2) in crew.begun(), what="the next to continue")

    woken_at = crew.now()
    frozen.send(signal.SIGCONT)
    crew.finish()
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
    after = crew.leases(worker=frozen.name)
    assert {lease.ending for lease in after if lease.number in before and lease.fence == 1} == {
        "lost"
    }
    assert [lease for lease in after if lease.taken_at > woken_at], "it got no new work"
    assert "has another holder" in frozen.said
    # The epoch in which it froze, once more; perhaps the one whose report it had not delivered.
    assert crew.repeated() <= 2 * slots


def test_a_worker_frozen_in_a_transaction_does_not_stop_the_others(
    make_crew: MakeCrew, servers: Servers, tmp_path: object
) -> None:
    """Its server gives up on it and on its locks after 15 s."""
    crew = make_crew(servers.new_database("postgresql", tmp_path))  # type: ignore[arg-type]
    crew.submit(STUDY)
    frozen = crew.worker(partial(hooks.freeze_at_commit, "begin"))
    until(lambda: frozen.frozen, what="the first worker to freeze")
    other = crew.worker()
    other.ends()
    assert crew.ended() == TRIALS
    frozen.send(signal.SIGCONT)
    frozen.ends()
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)


@on("postgresql")
def test_a_worker_takes_over_from_itself(crew: Crew) -> None:
    """The end of its trial is so long on the way that its lease has run out meanwhile."""
    crew.submit(study(trials=2, epochs=2))
    crew.worker(partial(hooks.slow_endings, 3.0))
    crew.finish()
    assert_invariants(crew, trials=2, epochs=2)
