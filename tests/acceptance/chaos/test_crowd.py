"""Many workers at once: on a database that has no tables yet, and on one study."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.acceptance.chaos.conftest import MakeCrew
from tests.acceptance.chaos.harness import Crew, study, until
from tests.acceptance.chaos.invariants import assert_invariants
from tests.conftest import BACKENDS, Servers


@pytest.mark.parametrize("backend", BACKENDS)
def test_sixteen_workers_start_on_an_empty_database(
    backend: str, make_crew: MakeCrew, servers: Servers, tmp_path: Path
) -> None:
    crew = make_crew(servers.new_database(backend, tmp_path), 30.0)
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


def test_thirty_two_workers_share_four_hundred_trials(crew: Crew) -> None:
    crew.lease_s, crew.env["HPSEARCH_LEASE_S"] = 30.0, "30"
    crew.submit(study(trials=400, epochs=1, limit=60))
    for _ in range(32):
        crew.worker()
    crew.finish(240)
    assert_invariants(crew, trials=400, epochs=1)
    assert {lease.fence for lease in crew.leases()} == {1}
    assert len({lease.worker for lease in crew.leases()}) > 8
    assert not crew.trouble()
