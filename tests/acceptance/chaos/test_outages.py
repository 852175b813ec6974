"""The database goes away under working workers, and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import MakeCrew
from tests.acceptance.chaos.harness import Crew, Worker, study, until
from tests.acceptance.chaos.invariants import assert_invariants
from tests.postgres import Postgres

WORKERS, LEASE_S, AWAY_S = 2, 30.0, 8.0
SLOTS = 3
TRIALS = WORKERS * SLOTS + 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    """One that may be harmed; it keeps what it has confirmed, whatever happens to it."""
    server = Postgres(tmp_path / "postgresql", "fsync=on")
    server.start()
    yield server
    server.stop()


def started(crew: Crew, epochs: int) -> list[Worker]:
    """Workers with a stack and some reports delivered each, and three trials more."""
    crew.submit(study(trials=TRIALS, epochs=epochs, stack=SLOTS))
    slow = partial(hooks.pace, 0.4)
    workers = [crew.worker(slow) for _ in range(WORKERS)]
    until(lambda: all(len(crew.held(w)) == SLOTS for w in workers), what="two stacks")
    until(lambda: crew.rows("SELECT 1 FROM hpsearch_epochs WHERE epoch >= 3"), what="reports")
    return workers


def assert_nothing_is_lost(crew: Crew, workers: list[Worker], epochs: int) -> None:
    for worker in workers:
        worker.ends()
    assert len(crew.workers) == WORKERS
    assert_invariants(crew, trials=TRIALS, epochs=epochs)
    assert {lease.fence for lease in crew.leases()} == {1}, "a trial changed hands"
    assert all("Traceback" not in worker.said for worker in workers)


def test_a_server_that_is_stopped_for_a_while_loses_nothing(
    server: Postgres, make_crew: MakeCrew
) -> None:
    """Both stacks report and end while it is away."""
    crew = make_crew(server.url, LEASE_S)
    workers = started(crew, epochs=15)
    server.stop()
    time.sleep(AWAY_S)  # the outage itself
    assert all(worker.alive for worker in workers)
    server.start()
    assert_nothing_is_lost(crew, workers, epochs=15)


def test_a_server_that_is_killed_loses_nothing(server: Postgres, make_crew: MakeCrew) -> None:
    crew = make_crew(server.url, LEASE_S)
    workers = started(crew, epochs=12)
    server.kill()
    server.start()
    assert_nothing_is_lost(crew, workers, epochs=12)
