"""The process is killed before and after every single write of the ledger, one after another."""

from __future__ import annotations

import inspect
import itertools
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from hpsearch.code import Manifest
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.values import Ending, Lease, Study, Write
from tests.acceptance.chaos import conftest as chaos
from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.harness import Crew, Hook, Worker, connected, study
from tests.acceptance.chaos.hooks import Doom
from tests.acceptance.chaos.invariants import assert_invariants
from tests.conftest import Servers

TRIALS, EPOCHS, SLOTS = 5, 3, 5
STUDY = study(trials=TRIALS, epochs=EPOCHS, limit=60)
AT_ONCE = 6
"""Points under way at the same time: most of each is the wait for a lease to run out."""

MakeCrew = Callable[..., Crew]


class Copies:
    """A crew whose database is copied for each fault point."""

    def __init__(self, make_crew: MakeCrew, servers: Servers, backend: str, folder: Path) -> None:
        self._make, self._servers, self._backend = make_crew, servers, backend
        self._folder = folder
        self.template = self.empty()

    def empty(self) -> Crew:
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        return self._make(self._servers.bare_database(self._backend, folder))

    def copy(self) -> Crew:
        crew = self._make(self._copied_url())
        kept = Path(self.template.env["HPSEARCH_CHECKPOINTS"])
        if kept.exists():
            shutil.copytree(kept, crew.env["HPSEARCH_CHECKPOINTS"])
        return crew

    def _copied_url(self) -> str:
        source = sa.make_url(self.template.url)
        name = f"c{uuid.uuid4().hex[:12]}"
        if self._backend == "sqlite":
            target = self._folder / f"{name}.db"
            with connected(self.template.url) as connection:
                connection.exec_driver_sql(f"VACUUM INTO '{target}'")
            with connected(f"sqlite:///{target}") as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # VACUUM leaves that out
            return f"sqlite:///{target}"
        admin = source.set(database="postgres")
        engine = sa.create_engine(admin, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            # The processes that were killed may not have been noticed yet.
            query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
            connection.execute(sa.text(query), {"name": source.database})
            connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE {source.database}"))
        return source.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def copies(backend: str, make_crew: MakeCrew, servers: Servers, tmp_path: Path) -> Copies:
    return Copies(make_crew, servers, backend, tmp_path)


on = partial(chaos.on, name="backend")
"""Each point takes seconds: one database every time, the other every night."""
_NIGHTLY = pytest.mark.nightly


def leave_a_mess(crew: Crew) -> None:
    """Three workers have died: one's checkpoint is lost, one's report, one had no trial yet."""
    crew.submit(STUDY)
    crew.prefix, crew.env["HPSEARCH_LEASE_S"] = "dead", "100"
    for doom in (
        Doom("reporting", "after", 1),
        Doom("reporting", "before", 1),
        Doom("claiming", "after claim", 1),
    ):
        crew.worker(partial(hooks.doomed, doom), *LIVES["works to the end"]).ends(-9)
    for lost in Path(crew.env["HPSEARCH_CHECKPOINTS"]).rglob("0.*"):
        lost.unlink()
    _write(crew, "UPDATE hpsearch_studies SET data = NULL")  # so that it is written again
    _write(crew, "UPDATE hpsearch_leases SET until = until - 1000, taken_at = taken_at - 100")


def stack(crew: Crew) -> None:
    """From now on all tickets are trained at once, those that lost their worker after an epoch."""
    _write(
        crew,
        f"""UPDATE hpsearch_studies SET document =
        replace(document, '"stack": "off"', '"stack": {SLOTS}')""",
    )


def _write(crew: Crew, statement: str) -> None:
    with connected(crew.url) as connection:
        connection.execute(sa.text(statement))
        connection.commit()


def dump(crew: Crew) -> dict[str, list[str]]:
    """All rows of all tables."""
    with connected(crew.url) as connection:
        return {
            table: sorted(map(str, connection.execute(sa.text(f"SELECT * FROM {table}"))))
            for table in sa.inspect(connection).get_table_names()
        }


T = TypeVar("T")


def batches(points: Iterable[T]) -> Iterable[tuple[T, ...]]:
    iterator = iter(points)
    while batch := tuple(itertools.islice(iterator, AT_ONCE)):
        yield batch


def points_of(crew: Crew) -> list[str]:
    return list(dict.fromkeys((crew.folder / "points").read_text().splitlines()))


# --- a worker's own writes ----------------------------------------------------------------------

LIVES: dict[str, tuple[Hook, ...]] = {
    "works to the end": (hooks.report_at_once, partial(hooks.pace, 0.2)),
    "is told to leave": (partial(hooks.pace, 0.2), partial(hooks.terminate_in, 2, TRIALS - 1)),
}


@on("postgresql")
@pytest.mark.parametrize(
    ("alone", "every"),
    [(False, 12), pytest.param(False, 1, marks=_NIGHTLY), pytest.param(True, 1, marks=_NIGHTLY)],
)
def test_a_worker_dies_at_any_of_its_writes(alone: bool, every: int, copies: Copies) -> None:
    """At one of so many in turn by day, at each at night."""
    leave_a_mess(copies.template)
    if not alone:
        stack(copies.template)
    seen: set[str] = set()
    for life in LIVES.values():
        first = copies.copy()
        first.worker(partial(hooks.note_points, first.folder / "points"), *life).ends()
        new = [point for point in points_of(first) if point not in seen]
        seen.update(new)
        new = new[::every]
        for _ in range(3):  # threads may meet in another order than they did the first time
            new = [p for batch in batches(new) for p in _kill_and_finish(copies, batch, life)]
        assert not new, f"never reached again: {new}"
    verbs = {point.split()[0] for point in seen}
    assert verbs >= {
        "sign_on", "record_data", "claim", "begin", "record", "renew", "release", "sign_off"
    }  # fmt: skip
    assert len(seen) > 40, sorted(seen)


def _kill_and_finish(copies: Copies, points: tuple[str, ...], life: tuple[Hook, ...]) -> list[str]:
    """Kill a worker at each point and let another one finish; the points that were not reached."""
    crews = {point: copies.copy() for point in points}
    for point, crew in crews.items():
        crew.worker(partial(hooks.die_at, point), *life)
    missed = [point for point, crew in crews.items() if crew.workers[0].wait() == 0]
    for point, crew in crews.items():
        assert point in missed or crew.workers[0].wait() == -9, (point, crew.workers[0].said)
        crew.worker()
    for point, crew in crews.items():
        try:
            crew.finish()
            assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
            assert not crew.trouble()
        except AssertionError as error:
            raise AssertionError(f"killed at {point!r}: {error}") from error
    return missed


# --- writes of commands ---------------------------------------------------------------------------


def call(verb: str, *args: Any) -> None:
    """In a process of its own: one verb of the ledger; a function asks it for that argument."""
    ledger = Ledger(Database(os.environ["HPSEARCH_STORAGE"]))
    known = [arg(ledger) if callable(arg) else arg for arg in args]
    getattr(ledger, verb)(*known)


def the_study(ledger: Ledger) -> Study:
    return ledger.study("s")


def create(folder: Path) -> None:
    """In a process of its own: make the tables, and a study in them."""
    crew = Crew(folder, os.environ["HPSEARCH_STORAGE"])
    crew.submit(STUDY)


def as_it_is(_crew: Crew) -> None:
    """The mess is what the verb needs."""


def fail_a_trial(crew: Crew) -> None:
    (ticket,) = crew.rows("SELECT trial_id FROM hpsearch_tickets WHERE number = 0")
    ending = Ending(TrialState.FAIL, None, "error: made for a test")
    assert not crew.ledger.record([Write(Lease(1, 0, 1, "dead0"), ticket.trial_id, ending=ending)])


def stop_before_a_worker_dies(crew: Crew) -> None:
    _write(crew, "UPDATE hpsearch_leases SET until = until + 1000")
    crew.ledger.set_state("s", "stopped")
    _write(crew, "UPDATE hpsearch_leases SET until = until - 1000")


def nobody_has_looked(crew: Crew) -> None:
    _write(crew, "UPDATE hpsearch_studies SET sanity = NULL")


@dataclass(frozen=True)
class Scenario:
    """A command that dies at any of its writes and is given again."""

    verb: str
    args: tuple[Any, ...]
    prepare: Callable[[Crew], None] = as_it_is
    trials: int = TRIALS
    """In the budget once it has been done."""


HELD = Lease(1, 0, 1, "dead0")
CODE = Manifest({"nets.py": "0" * 64})
FINE = {"suspect": None, "said": "", "stops": False}
SCENARIOS = {
    "release": Scenario("release", ([HELD],)),
    "sign_off": Scenario("sign_off", ("dead0",)),
    "sweep": Scenario("sweep", (), stop_before_a_worker_dies),
    "pause": Scenario("set_state", ("s", "paused")),
    "stop": Scenario("set_state", ("s", "stopped")),
    "schedule": Scenario("schedule", ("s", 3, 2)),
    "extend": Scenario("extend", ("s", 2), trials=TRIALS + 2),
    "retry": Scenario("retry_failed", ("s",), fail_a_trial, trials=TRIALS + 1),
    "delete": Scenario("delete", ("s",)),
    "sanity": Scenario("record_sanity", (the_study, FINE), nobody_has_looked),
}


@on("sqlite")
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=_NIGHTLY)])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_command_dies_at_any_of_its_writes(name: str, every: int, copies: Copies) -> None:
    """At its last, after the commit, and at each third before it by day; at each at night."""
    scenario = SCENARIOS[name]
    leave_a_mess(copies.template)
    scenario.prepare(copies.template)
    body = partial(call, scenario.verb, *scenario.args)
    points = points_of_body(copies.copy(), scenario.verb, body)
    for batch in batches(points[::-1][::every]):
        crews = {point: copies.copy() for point in batch}
        die_and_do_again(crews, lambda _crew: body)
        for point, crew in crews.items():
            _finish(crew, scenario, point)


@on("postgresql")
@pytest.mark.parametrize(
    ("verb", "every"),
    [("__init__", 4), ("create", 2), pytest.param("__init__", 1, marks=_NIGHTLY),
     pytest.param("create", 1, marks=_NIGHTLY)],
)  # fmt: skip
def test_a_study_is_made_by_a_process_that_dies(verb: str, every: int, copies: Copies) -> None:
    """Also while it makes the tables, which `__init__` does where they are missing."""
    first = copies.empty()
    points = points_of_body(first, verb, partial(create, first.folder))
    for batch in batches(points[::-1][::every]):  # the last one, after the commit, among them
        crews = {point: copies.empty() for point in batch}
        if verb == "create":
            for crew in crews.values():
                assert crew.ledger  # makes the tables
        die_and_do_again(crews, lambda crew: partial(create, crew.folder), always=True)
        for point, crew in crews.items():
            assert dump(crew).keys() == dump(first).keys(), point
            if verb == "create" or point == points[-1]:
                crew.worker().ends()
                assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)


@on("sqlite")
def test_a_study_s_code_is_replaced_by_a_process_that_dies(copies: Copies) -> None:
    copies.template.submit(STUDY)
    body = partial(call, "replace_code", the_study, CODE)
    points = points_of_body(copies.copy(), "replace_code", body)
    for batch in batches(points):
        crews = {point: copies.copy() for point in batch}
        die_and_do_again(crews, lambda _crew: body)
        for point, crew in crews.items():
            (row,) = crew.rows("SELECT code FROM hpsearch_studies")
            assert row.code == CODE.digest, point


def points_of_body(crew: Crew, verb: str, body: Hook) -> list[str]:
    note = partial(hooks.note_points, crew.folder / "points")
    done = crew.process("first", hooks=[note], body=body)
    done.ends()
    points = [p for p in points_of(crew) if p.split()[0] in (verb, f"_{verb}")]
    assert points[-1].endswith(" done"), points
    return points


def die_and_do_again(
    crews: dict[str, Crew], bodies: Callable[[Crew], Hook], *, always: bool = False
) -> None:
    """Nothing has happened where it died before the commit; then the same again must do it."""
    before = {point: dump(crew) for point, crew in crews.items()}
    for point, crew in crews.items():
        crew.process("dies", hooks=[partial(hooks.die_at, point)], body=bodies(crew))
    again: list[Worker] = []
    for point, crew in crews.items():
        assert crew.workers[-1].wait() == -9, (point, crew.workers[-1].said)
        is_done = point.endswith(" done")
        assert (dump(crew) == before[point]) is not is_done, point
        if always or not is_done:
            again.append(crew.process("again", body=bodies(crew)))
    for process in again:
        process.ends()


def _finish(crew: Crew, scenario: Scenario, point: str) -> None:
    if scenario.verb == "delete":
        left = {t: rows for t, rows in dump(crew).items() if rows}
        assert set(left) <= {
            "alembic_version",
            "version_info",
            "hpsearch_schema",
            "hpsearch_workers",
        }
        return
    (row,) = crew.rows("SELECT state FROM hpsearch_studies")
    if row.state == "stopped":
        assert not crew.rows("SELECT 1 FROM trials WHERE state = 'RUNNING'"), point
    if row.state != "open":
        crew.ledger.set_state("s", "open")
    crew.worker().ends()
    assert_invariants(
        crew, trials=scenario.trials, epochs=EPOCHS, states=("COMPLETE", "PRUNED", "FAIL")
    )


def test_no_verb_is_forgotten() -> None:
    """Each method of the ledger that writes is killed by a test above."""
    writing = {
        name
        for name, method in inspect.getmembers(Ledger, inspect.isfunction)
        if hasattr(method, "__wrapped__") and not name.startswith("_")
    }
    by_workers = {"sign_on", "record_data", "claim", "begin", "record", "renew"}
    in_test_stages = {"open_stage", "begin_verdict", "end_verdict", "end_finish", "finish_again"}
    # Each is taken, lost and taken again in test_duties, test_pictures and test_transfer.
    one_statement = {
        "add_known", "take_duty", "drop_duty", "claim_pictures", "record_pictures", "serve",
    }  # fmt: skip
    assert by_workers <= writing
    known = by_workers | in_test_stages | one_statement | {"create", "replace", "replace_code"}
    assert writing - known <= {s.verb for s in SCENARIOS.values()}
