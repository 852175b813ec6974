"""What the ledger asks of a database: counted, so that no machine's speed is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import event

from hpsearch.runner.epoch import Epoch
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.optuna_tables import TRIALS
from hpsearch.store.tables import leases, studies, tickets
from hpsearch.store.values import Ending, Lease, Serves, Study, Write
from tests.integration.test_ledger import a_proposal, a_study

pytestmark = pytest.mark.mariadb

REPORTS = [Epoch(epoch, epoch / 10, {"accuracy": 0.5}, 0.1) for epoch in range(1, 11)]
NOTES = {"completed_rung_0": 0.1, "completed_rung_1": 0.3}


# --- statements and commits -------------------------------------------------------------------


@dataclass
class Count:
    statements: int = 0
    commits: int = 0


@contextmanager
def counted(database: Database) -> Iterator[Count]:
    count = Count()

    def statement(_c: Any, _cursor: Any, text: str, *_: Any) -> None:
        count.statements += not text.startswith("BEGIN")  # as PostgreSQL's, in the first statement

    def commit(_connection: Any) -> None:
        count.commits += 1

    event.listen(database.engine, "before_cursor_execute", statement)
    event.listen(database.engine, "commit", commit)
    yield count
    event.remove(database.engine, "before_cursor_execute", statement)
    event.remove(database.engine, "commit", commit)


def five_parameters(lease: Lease) -> FrozenTrial:
    return create_trial(
        state=TrialState.RUNNING,
        params=dict.fromkeys("abcde", 0.5),
        distributions={name: FloatDistribution(0, 1) for name in "abcde"},
        user_attrs={"ticket": lease.number, "stage": "joint", "sampler": "random", "attempts": 1},
        system_attrs={"note": 1},
    )


def run(ledger: Ledger, study: Study, stack: int) -> None:
    """A whole study whose training takes no time."""
    while ledger.waiting():
        leases = ledger.claim("w", study.study_id, stack)
        begun = ledger.begin([(lease, five_parameters(lease)) for lease in leases])
        ending = Ending(TrialState.PRUNED, 1.0, "pruned by asha after epoch 10")
        ledger.record([
            Write(lease, trial[0], reports=REPORTS, user_attrs={"metrics": {}},
                  system_attrs=NOTES, ending=ending)
            for lease, trial in zip(leases, begun, strict=True) if trial is not None
        ])  # fmt: skip


@pytest.mark.parametrize(("stack", "statements", "commits"), [(1, 25, 3), (16, 2, 0.25)])
def test_a_trial_takes_few_statements_and_commits(
    url: str, stack: int, statements: float, commits: float
) -> None:
    ledger = Ledger(Database(url))
    study = a_study(ledger, tickets=32)
    with counted(ledger.database) as count:
        run(ledger, study, stack)
    assert ledger.study("s").state == "done"
    assert count.commits / 32 <= commits
    assert count.statements <= statements * 32 + 1, "one more to see that it is done"


# --- growth -----------------------------------------------------------------------------------


def test_a_long_study_costs_no_more_than_a_short_one(url: str) -> None:
    """At 10 tickets and at 100,000, of which most have ended or none: rows and steps counted."""
    ledger = Ledger(Database(url))
    _rest(ledger.database)
    made = [a_study(ledger, name=name, tickets=100_100) for name in ("ended", "empty")]
    short = a_study(ledger, name="short", tickets=110)
    end(ledger.database, made[0], 100_000)
    end(ledger.database, short, 10)
    _analyze(ledger.database)
    reference, *others = (costs(ledger, study) for study in (short, *made))
    for cost in others:
        for verb, effort in cost.items():
            assert effort <= 2 * reference[verb], (verb, reference, others)


def end(database: Database, study: Study, count: int) -> None:
    """Tickets that have ended, each with its lease and trial: doubled until there are enough."""
    of_study = {"study_id": study.study_id, "number": 0}
    first: dict[sa.Table, dict[str, Any]] = {
        tickets: {"state": "ended", "fence": 1, "origin": 0, "reached": 1, "crashes": 0},
        leases: {"fence": 1, "worker": "w", "taken_at": 1, "until": 2, "ended_at": 2},
        TRIALS: {"state": TrialState.COMPLETE},
    }

    def fill(connection: sa.Connection) -> None:
        for table, values in first.items():
            connection.execute(sa.insert(table).values(**of_study, **values))
            for have in [2**i for i in range(count.bit_length()) if 2**i < count]:
                kept = [c for c in table.c if c.name in {*of_study, *values}]
                copy = sa.select(*(c + have if c.name == "number" else c for c in kept))
                copy = copy.where(table.c.study_id == study.study_id, table.c.number < count - have)
                connection.execute(sa.insert(table).from_select([c.name for c in kept], copy))
        done = dict.fromkeys(("issued", "drawn", "ended", "floor", "floor_origin"), count)
        ours = studies.c.study_id == study.study_id
        connection.execute(sa.update(studies).where(ours).values(**done))

    database.write(fill)


def _rest(database: Database) -> None:
    """PostgreSQL leaves these tables alone: the snapshot that its own ANALYZE takes, when it comes
    to it, keeps index entries of rows that are gone, which then are read and counted."""
    if database.backend == "postgresql":
        with database.engine.begin() as connection:
            for table in (studies, tickets, leases, TRIALS):
                off = f"ALTER TABLE {table.name} SET (autovacuum_enabled = false)"
                connection.execute(sa.text(off))


def _analyze(database: Database) -> None:
    """As the server does by itself sooner or later."""
    word = {"sqlite": "ANALYZE", "mysql": "ANALYZE TABLE"}.get(database.backend, "ANALYZE")
    with database.engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        for table in (studies, tickets, leases, TRIALS):
            connection.execute(sa.text(f"{word} {table.name}"))


def costs(ledger: Ledger, study: Study) -> dict[str, int]:
    """What each verb makes the database do, where a worker has begun."""
    held: list[Lease] = []
    begun: list[Any] = []

    def claim() -> None:
        held[:] = ledger.claim("w", study.study_id, 8)

    def begin() -> None:
        begun[:] = ledger.begin([(lease, a_proposal(lease.number)) for lease in held])

    def record() -> None:
        ending = Ending(TrialState.COMPLETE, 0.5)
        assert len(held) == 8
        ledger.record([Write(h, b[0], reports=REPORTS[:1], ending=ending)
                       for h, b in zip(held, begun, strict=True)])  # fmt: skip

    verbs: dict[str, Callable[[], Any]] = {
        "claim": claim,
        "waiting": lambda: ledger.waiting(Serves((study.name,))),
        "upcoming": lambda: ledger.upcoming(study.study_id, 16),
        "begin": begin,
        "record": record,
    }
    for verb in verbs.values():
        verb()  # the database has what it needs in memory
    return {name: _effort(ledger.database, verb) for name, verb in verbs.items()}


def _effort(database: Database, body: Callable[[], Any]) -> int:
    """Steps of SQLite's machine; elsewhere the rows and index entries that were read."""
    if database.backend == "sqlite":
        return _steps(database, body)
    before, again = _reads(database), _reads(database)
    body()
    return _reads(database) - again - (again - before)


def _steps(database: Database, body: Callable[[], Any]) -> int:
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    with database.engine.connect() as connection:  # the pool gives the same one to `body`
        driver: Any = connection.connection.driver_connection
    driver.set_progress_handler(step, 1)
    body()
    driver.set_progress_handler(None, 1)
    return steps


def _reads(database: Database) -> int:
    with database.engine.connect() as connection:
        if database.backend == "mysql":
            rows = connection.execute(sa.text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
            return sum(int(row[1]) for row in rows)
        connection.execute(sa.text("SELECT pg_stat_force_next_flush()"))
        connection.commit()
        tables = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
        entries = "SELECT sum(idx_tup_read) FROM pg_stat_user_indexes"
        return sum(int(connection.execute(sa.text(q)).scalar_one()) for q in (tables, entries))
