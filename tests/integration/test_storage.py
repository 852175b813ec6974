"""Optuna's storage interface over the same tables: Optuna's own suite, and what is ours in it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState

import hpsearch
from hpsearch.errors import ConflictError, SchemaError, StorageError
from hpsearch.store.engine import Database
from hpsearch.store.optuna_private import models
from hpsearch.store.storage import BatchedStorage, at, open_storage
from tests.conftest import BACKENDS, Servers
from tests.played import Played, played
from tests.zygote import Job, Process, program

pytestmark = pytest.mark.mariadb

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module", params=BACKENDS)
def emptied(
    request: pytest.FixtureRequest, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Database:
    """A database with tables, for a whole suite: to make one takes longer than most tests."""
    folder = tmp_path_factory.mktemp("contract")
    database = Database(servers.new_database(request.param, folder))
    open_storage(database)
    return database


class TestOptunasContract(StorageTestCase):
    @pytest.fixture
    def storage(self, emptied: Database) -> Iterator[BatchedStorage]:
        storage = open_storage(emptied)
        assert isinstance(storage, BatchedStorage)
        yield storage
        storage.close()
        tables = reversed(models.BaseModel.metadata.sorted_tables)
        data = [t for t in tables if t.name not in ("version_info", "alembic_version")]

        def clear(connection: sa.Connection) -> None:
            for table in data:
                connection.execute(sa.delete(table))

        emptied.write(clear)


def count(database: Database, happening: str) -> list[str]:
    """A list that grows with each commit or statement of a database."""
    seen: list[str] = []
    sa.event.listen(database.engine, happening, lambda *args: seen.append(str(args[2:3])))
    return seen


def wait_until(happened: Callable[[], object], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def reports(url: str) -> list[dict[int, float]]:
    """What another handle sees of the first study's trials."""
    return [t.intermediate_values for t in open_storage(Database(url)).get_all_trials(1)]


def script(url: str, body: str) -> Job:
    """The command of a process with a storage `s`; the study 1 is there."""
    code = f"""
import sys, time, optuna
from hpsearch.store.engine import Database
from hpsearch.store.storage import open_storage
from optuna.trial import TrialState
s = open_storage(Database({url!r}))
{body}
"""
    return program(code)


def opened(url: str) -> tuple[Database, BatchedStorage]:
    """A handle, and a study of the id 1."""
    database = Database(url)
    storage = open_storage(database)
    assert isinstance(storage, BatchedStorage)
    assert storage.create_new_study([StudyDirection.MINIMIZE], "study") == 1
    return database, storage


def test_reports_of_all_trials_are_one_transaction(url: str) -> None:
    database, storage = opened(url)
    ids = [storage.create_new_trial(1) for _ in range(4)]
    commits = count(database, "commit")
    for step in range(10):
        for trial_id in ids:
            storage.set_trial_intermediate_value(trial_id, step, step / 8)
    expected = {step: step / 8 for step in range(10)}
    assert [t.intermediate_values for t in storage.get_all_trials(1)] == [expected] * 4
    wait_until(lambda: reports(url) == [expected] * 4)
    assert len(commits) == 1


def test_the_end_of_a_trial_takes_its_reports_along(url: str) -> None:
    database, storage = opened(url)
    template = optuna.trial.create_trial(
        state=TrialState.RUNNING, params={"x": 1.0}, user_attrs={"a": [1]},
        distributions={"x": FloatDistribution(0, 2)}, intermediate_values={1: 0.5},
    )  # fmt: skip
    commits = count(database, "commit")
    trial_id = storage.create_new_trial(1, template)
    storage.set_trial_intermediate_value(trial_id, 2, float("inf"))
    storage.set_trial_intermediate_value(trial_id, 3, 0.25)
    storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.25])
    assert len(commits) == 2
    (seen,) = open_storage(Database(url)).get_all_trials(1)
    assert (seen.params, seen.user_attrs, seen.value) == ({"x": 1.0}, {"a": [1]}, 0.25)
    assert seen.intermediate_values == {1: 0.5, 2: float("inf"), 3: 0.25}


def test_a_trial_of_a_script_is_two_transactions(url: str) -> None:
    """Its beginning, and its end with all that has come to it; what is asked is few statements."""
    database, storage = opened(url)
    study = optuna.load_study(study_name="study", storage=storage)

    def objective(trial: optuna.Trial) -> float:
        x, kind = trial.suggest_float("x", -1, 1), trial.suggest_categorical("kind", ["a", None])
        trial.set_user_attr("kind", kind)
        trial.report(x, 1)
        return x

    study.optimize(objective, n_trials=1)
    commits, statements = count(database, "commit"), count(database, "before_cursor_execute")
    study.optimize(objective, n_trials=4)
    assert len(commits) == 4 * 2
    sent = [s for s in statements if "BEGIN" not in s]
    # MariaDB says in a second statement which number an insert has got.
    assert len(sent) <= 4 * (11 if database.backend != "mysql" else 12), sent
    theirs = optuna.load_study(study_name="study", storage=database.url).trials
    assert list(map(repr, theirs)) == list(map(repr, study.trials))


def test_what_a_column_may_not_hold_is_refused_at_once_and_harms_nothing(
    servers: Servers, tmp_path: Path
) -> None:
    """It does not wait with what others have, which could then never be written."""
    database, storage = opened(servers.new_database("postgresql", tmp_path))
    trial_id, other = storage.create_new_trial(1), storage.create_new_trial(1)
    storage.set_trial_user_attr(other, "well", 1)
    with pytest.raises(StorageError):
        storage.set_trial_user_attr(trial_id, "x" * 3000, 1)
    with pytest.raises(StorageError):
        storage.set_trial_user_attr(trial_id, "a\0b", 1)
    storage.set_trial_user_attr(trial_id, "long", "x" * 100_000)
    storage.remove_session()
    found = open_storage(Database(database.url)).get_all_trials(1)
    assert [t.user_attrs for t in found] == [{"long": "x" * 100_000}, {"well": 1}]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are copied")
def test_copies_of_a_process_share_a_storage(url: str) -> None:
    """A script makes it, forks, and each copy runs trials; what runs here stays here's."""
    _, storage = opened(url)
    study = optuna.load_study(study_name="study", storage=storage)
    mine = study.ask()
    mine.report(0.5, 1)

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1)

    pids = []
    for _ in range(2):
        if (pid := os.fork()) == 0:
            try:
                study.optimize(objective, n_trials=3)
                os._exit(0)
            finally:
                os._exit(1)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0, 0]
    study.tell(mine, 1.0)
    found = study.trials
    assert [t.number for t in found] == list(range(7))
    assert {t.state for t in found} == {TrialState.COMPLETE}
    assert found[0].intermediate_values == {1: 0.5}


def test_the_public_name_of_it(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = optuna.create_study(storage=hpsearch.storage(sqlite_url))
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    monkeypatch.setenv("HPSEARCH_STORAGE", sqlite_url)
    assert [s.study_name for s in hpsearch.storage().get_all_studies()] == [study.study_name]
    made = optuna.create_study(storage=hpsearch.storage(f"sqlite:///{tmp_path}/new.db"))
    assert made.trials == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("journal.log", "looks like sqlite:///journal.log"),
        ("sqlite://", "a database in memory lives in one process only"),
        ("oracle://scott@there/db", "database 'oracle' is not supported"),
        ("sqlite:////nowhere/at/all/study.db", "check that the folder exists"),
        ("postgresql://u:secret@127.0.0.1:1/db", "check that it runs"),
        ("postgresql://u:secret@127.0.0.1:port/db", "the database URL cannot be read"),
        (Path("study.db"), "the database is a URL, such as sqlite:///hpsearch.db; got a "),
    ],
)
def test_a_url_that_is_none_is_one_line(url: str, words: str) -> None:
    with pytest.raises(StorageError) as caught:
        hpsearch.storage(url)
    said = str(caught.value)
    assert words in said
    assert "secret" not in said
    assert "\n" not in said


def test_a_killed_process_loses_at_most_a_second_of_reports(sqlite_url: str) -> None:
    opened(sqlite_url)
    job = script(sqlite_url, """
trial_id = s.create_new_trial(1)
for step in range(10_000):
    s.set_trial_intermediate_value(trial_id, step, step)
    print(step, flush=True)
    time.sleep(0.02)
""")  # fmt: skip
    with Process(job, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said = [(int(line), time.monotonic()) for line in islice(process.stdout, 120)]
        process.kill()
        killed_at = time.monotonic()
    (found,) = reports(sqlite_url)
    due = [step for step, at in said if at < killed_at - 1.5]  # half a second for a busy machine
    assert len(due) > 10
    assert list(found) == list(range(len(found)))
    assert len(found) >= len(due)


def test_a_process_that_ends_has_written_its_reports(sqlite_url: str) -> None:
    opened(sqlite_url)
    body = "s.set_trial_intermediate_value(s.create_new_trial(1), 7, 0.5)"
    assert Process(script(sqlite_url, body)).wait() == 0
    assert reports(sqlite_url) == [{7: 0.5}]


def test_reports_outlive_a_database_that_is_away(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    database, storage = opened(sqlite_url)
    trial_id = storage.create_new_trial(1)
    file = Path(database.file or "")
    database.engine.dispose()
    file.rename(file.with_suffix(".away"))
    file.mkdir()  # which SQLite cannot open
    storage.set_trial_intermediate_value(trial_id, 1, 0.5)
    wait_until(lambda: "reports are kept" in caplog.text)
    file.rmdir()
    file.with_suffix(".away").rename(file)
    wait_until(lambda: reports(sqlite_url) == [{1: 0.5}])


def test_processes_see_each_others_trials(url: str) -> None:
    _, storage = opened(url)
    asked = storage.create_new_trial(1)
    job = script(url, f"""
s.set_trial_state_values({asked}, TrialState.COMPLETE, [3.0])
new = s.create_new_trial(1)
s.set_trial_user_attr(new, "who", "another")
s.set_trial_intermediate_value(new, 1, 0.5)
""")  # fmt: skip
    assert Process(job).wait() == 0
    told, new = storage.get_all_trials(1)
    assert (told.state, told.value) == (TrialState.COMPLETE, 3.0)
    assert (new.number, new.state, new.user_attrs) == (1, TrialState.RUNNING, {"who": "another"})
    assert new.intermediate_values == {1: 0.5}
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_user_attr(asked, "late", 1)


def test_what_others_add_to_a_running_trial_is_there_when_it_ends(url: str) -> None:
    """A form of the dashboard, say."""
    mine, theirs = opened(url)[1], BatchedStorage(Database(url))
    study = optuna.load_study(study_name="study", storage=mine)
    trial = study.ask()
    theirs.set_trial_user_attr(trial._trial_id, "note", "by hand")
    study.tell(trial, 1.0)
    assert study.trials[0].user_attrs == {"note": "by hand"}
    assert study.trials[0].value == 1.0


def test_a_running_trial_is_read_again_only_when_something_came_to_it(url: str) -> None:
    database, storage = opened(url)
    optunas = optuna.storages.RDBStorage(database.url)
    trial_id = optunas.create_new_trial(1)
    optunas.set_trial_user_attr(trial_id, "note", "old")
    for _ in range(2):
        storage.get_all_trials(1)
    statements = count(database, "before_cursor_execute")
    assert storage.get_all_trials(1)[0].user_attrs == {"note": "old"}
    # The study, its new trials with the unfinished ones, their marks; no parts of any trial.
    assert len([s for s in statements if "SELECT" in s]) == 1
    optunas.set_trial_user_attr(trial_id, "note", "new")
    assert storage.get_all_trials(1)[0].user_attrs == {"note": "new"}
    optunas.set_trial_intermediate_value(trial_id, 1, float("nan"))
    assert list(storage.get_all_trials(1)[0].intermediate_values) == [1]
    optunas.set_trial_state_values(trial_id, TrialState.PRUNED)
    assert storage.get_trial(trial_id).state is TrialState.PRUNED


def test_a_study_that_got_the_id_of_a_deleted_one_is_another(sqlite_url: str) -> None:
    _, storage = opened(sqlite_url)
    storage.create_new_trial(1)
    assert len(storage.get_all_trials(1)) == 1
    other = open_storage(Database(sqlite_url))
    other.delete_study(1)
    with pytest.raises(KeyError):
        storage.get_all_trials(1)
    assert other.create_new_study([StudyDirection.MAXIMIZE], "study") == 1
    other.set_trial_user_attr(other.create_new_trial(1), "of", "the second")
    other.remove_session()
    (trial,) = storage.get_all_trials(1)
    assert trial.user_attrs == {"of": "the second"}
    assert storage.get_study_directions(1) == [StudyDirection.MAXIMIZE]


@pytest.mark.parametrize("pruner", ["halving", pytest.param("median", marks=pytest.mark.nightly)])
def test_a_search_goes_as_on_optunas_own_storage(sqlite_url: str, pruner: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -1, 1)
        kind = trial.suggest_categorical("kind", ["a", "b"])
        for step in range(1, 10):
            trial.report((x - 0.3) ** 2 + (kind == "a") / step, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x**2

    def searched(name: str, storage: BaseStorage) -> list[object]:
        study = optuna.create_study(
            study_name=name, storage=storage, sampler=optuna.samplers.TPESampler(seed=1),
            pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1)
            if pruner == "halving" else optuna.pruners.MedianPruner(n_startup_trials=2),
        )  # fmt: skip
        study.enqueue_trial({"x": 0.5})
        study.optimize(objective, n_trials=15)
        return [(t.number, t.state, t.params, t.values, t.intermediate_values, t.system_attrs)
                for t in study.trials]  # fmt: skip

    ours = searched("ours", open_storage(Database(sqlite_url)))
    assert ours == searched("theirs", optuna.storages.RDBStorage(sqlite_url))
    assert optuna.load_study(study_name="ours", storage=sqlite_url).trials[3].params


def test_tables_of_an_unknown_revision_are_left_to_optuna(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    database, _ = opened(sqlite_url)
    monkeypatch.setattr("hpsearch.store.tables.KNOWN_REVISIONS", frozenset())
    storage = open_storage(database)
    assert isinstance(storage, optuna.storages.RDBStorage)
    assert "does not know" in caplog.text
    study = optuna.load_study(study_name="study", storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert len(study.trials) == 2


def test_tables_that_optuna_does_not_know_either_are_an_error(sqlite_url: str) -> None:
    database, _ = opened(sqlite_url)
    revise = sa.text("UPDATE alembic_version SET version_num = 'v99.0.0.a'")
    database.write(lambda connection: connection.execute(revise))
    with pytest.raises(SchemaError, match="optuna"):
        open_storage(database)


def test_a_step_that_no_column_holds_is_refused(sqlite_url: str) -> None:
    _, storage = opened(sqlite_url)
    with pytest.raises(StorageError, match="step"):
        storage.set_trial_intermediate_value(storage.create_new_trial(1), 2**31, 0.5)


def test_a_study_of_hpsearch_is_read_and_copied_but_not_changed(
    sqlite_url: str, tmp_path: Path
) -> None:
    """A trial that somebody adds would be its best one, and no part of its budget."""
    ledger, kept = played(
        sqlite_url, tmp_path,
        "name: {name}\ntrain: {{function: 'train.py:train'}}\nmetric: {{name: loss, direction: "
        "minimize}}\nparameters: {{lr: {{min: 0.0, max: 1.0}}}}\n"
        "budget: {{trials: {trials}, epochs: 2}}\n",
        [Played({"lr": 0.25}, [0.5, 0.25]), Played({"lr": 0.5}, [0.5], state="RUNNING")],
    )  # fmt: skip
    storage = at(sqlite_url)
    study = optuna.load_study(study_name="s", storage=storage)
    for change in (
        study.ask,
        lambda: study.add_trial(optuna.trial.create_trial(value=-1.0)),
        lambda: study.enqueue_trial({"lr": 0.1}),
        lambda: study.tell(1, 0.0),
        lambda: study.set_user_attr("hpsearch", "x"),
        lambda: optuna.delete_study(study_name="s", storage=storage),
    ):
        with pytest.raises(ConflictError, match="study 's' is hpsearch's, and "):
            change()
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"]
    assert ledger.study("s") == kept
    optuna.copy_study(
        from_study_name="s", from_storage=storage, to_storage=storage, to_study_name="copy"
    )
    copy = optuna.load_study(study_name="copy", storage=storage)
    copy.add_trial(optuna.trial.create_trial(value=-1.0))
    assert copy.best_value == -1.0
    optuna.delete_study(study_name="copy", storage=storage)
