"""Rows that others wrote into a database: a line that says what is wrong, and never a traceback."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import optuna
import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool
from typer.testing import CliRunner, Result

from hpsearch.cli import app
from hpsearch.errors import DamagedError, HpsearchError
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from hpsearch.store.mirror import Mirror
from tests.searched import searched
from tests.unit.test_terminal import is_tame

READERS = (
    ("status",), ("status", "s"), ("trials", "s"), ("best", "s"), ("export", "s"),
    ("export", "s", "--format", "json"), ("next", "s"), ("workers", "--all"),
)  # fmt: skip
VALUES = ("x\x1b[2J", None, b"\xff\xfe", -1e300, '{"a": ["\\ud800"]}')


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that has been searched, with a finish and a stage noted by hand."""
    folder = tmp_path_factory.mktemp("intact")
    ledger, study = searched(f"sqlite:///{folder}/study.db", folder)
    ledger.record_data(
        study.study_id,
        {"rows": {"train": 9, "validation": 3, "test": 3}, "classes": ["a", "b"], "notes": []},
    )
    ledger.database.close()
    with sqlite3.connect(folder / "study.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return folder / "study.db"


@pytest.fixture
def file(intact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(intact, tmp_path / "study.db"))


def change(file: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    with connection:
        connection.execute(statement, values)
    connection.close()


def run(file: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--storage", f"sqlite:///{file}"])


def said(result: Result) -> str:
    """What goes wrong, as it is said; fails for anything but an expected error."""
    error = result.exception
    if error is None or isinstance(error, SystemExit):
        return ""
    assert isinstance(error, HpsearchError), repr(error)
    return str(error)


def columns(file: Path) -> Iterator[tuple[str, str]]:
    """Every column that a row might have been written to."""
    connection = sqlite3.connect(file)
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    for (table,) in connection.execute(query).fetchall():
        if table in ("alembic_version", "version_info"):
            continue
        for column in connection.execute(f"PRAGMA table_info({table})").fetchall():
            yield table, column[1]
    connection.close()


def _spoiled(file: Path, table: str, column: str, value: object) -> bool:
    """Whether the database took the value, in one row of the table."""
    try:
        change(file, f"UPDATE {table} SET {column} = ? WHERE rowid = "
                     f"(SELECT max(rowid) FROM {table})", value)  # fmt: skip
    except (sqlite3.IntegrityError, sqlite3.OperationalError):
        return False
    return True


def _reads(file: Path, words: tuple[str, ...]) -> set[tuple[str, str]]:
    """The columns that a command reads: a value in any other cannot concern it."""
    found: set[tuple[str, str]] = set()

    def note(action: int, table: str | None, column: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ:
            found.add((str(table), str(column)))
        return sqlite3.SQLITE_OK

    def watch(connection: Any, _record: object) -> None:
        connection.set_authorizer(note)

    event.listen(Pool, "connect", watch)
    try:
        result = run(file, *words)
    finally:
        event.remove(Pool, "connect", watch)
    assert result.exception is None, words
    return found


def _every(
    intact: Path, tmp_path: Path, values: Sequence[object], *turns: Sequence[tuple[str, ...]]
) -> int:
    """Try the values in each column, each with those readers of the next turn that read it."""
    tried = 0
    reads = {words: _reads(intact, words) for turn in turns for words in turn}
    for place, readers in zip(columns(intact), cycle(turns), strict=False):
        concerned = [words for words in readers if place in reads[words]]
        for value in values if concerned else ():
            file = Path(shutil.copy(intact, tmp_path / "study.db"))
            if not _spoiled(file, *place, value):
                continue
            tried += 1
            for words in concerned:
                result = run(file, *words)
                where = (place, value, words)
                error = result.exception
                assert error is None or isinstance(error, (SystemExit, HpsearchError)), (
                    where, repr(error),
                )  # fmt: skip
                # A table that goes into a file has its texts as they are.
                assert is_tame(result.stderr if words[0] == "export" else result.output), where
    return tried


def test_no_value_of_any_column_is_a_traceback(intact: Path, tmp_path: Path) -> None:
    assert _every(intact, tmp_path, VALUES[:1], *([reader] for reader in READERS[1:5])) > 30


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_no_value_of_any_column_is_a_traceback_in_any_command(
    intact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = partial(
        optuna.importance.FanovaImportanceEvaluator, n_trees=2
    )  # what it reads is the same
    monkeypatch.setattr(optuna.importance, "FanovaImportanceEvaluator", quick)
    readers = (*READERS, ("importance", "s"), ("trials", "s", "--json"), ("status", "--json"))
    assert _every(intact, tmp_path, VALUES, readers) > 200


LAST = "(SELECT max(trial_id) - 1 FROM trials)"
DAMAGES = {
    "state": ("UPDATE trials SET state = 'DONE' WHERE trial_id = " + LAST, "its state is 'DONE'"),
    "number": ("UPDATE trials SET number = 'x' WHERE trial_id = " + LAST, "its number is 'x'"),
    "time": ("UPDATE trials SET datetime_start = 'noon' WHERE trial_id = " + LAST, "noon"),
    "value": ("UPDATE trial_values SET value = 'x' WHERE trial_id = " + LAST, "its value is 'x'"),
    "no value": ("DELETE FROM trial_values WHERE trial_id = " + LAST, "COMPLETE without a value"),
    "report": (
        "UPDATE trial_intermediate_values SET intermediate_value = 'x' WHERE trial_id = " + LAST,
        "the value of a report is 'x'",
    ),
    "parameter": (
        "UPDATE trial_params SET param_value = 'x' WHERE trial_id = " + LAST,
        "parameter lr is 'x'",
    ),
    "distribution": (
        "UPDATE trial_params SET distribution_json = '{' WHERE trial_id = " + LAST,
        "trial 11: ",
    ),
    "attribute": (
        "UPDATE trial_user_attributes SET value_json = '{' WHERE key = 'stage' AND trial_id = "
        + LAST,
        "its attribute stage is no JSON",
    ),
    "attribute of another kind": (
        "UPDATE trial_user_attributes SET value_json = '3' WHERE key = 'stage' AND trial_id = "
        + LAST,
        "its attribute stage is 3",
    ),
    "metrics": (
        'UPDATE trial_user_attributes SET value_json = \'{"accuracy": "x"}\' '
        "WHERE key = 'metrics' AND trial_id = " + LAST,
        "its metric accuracy is 'x'",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_trial_that_cannot_be_read_is_named_and_the_others_are_listed(
    file: Path, damage: tuple[str, str]
) -> None:
    statement, words = damage
    change(file, statement)
    for verb in ("trials", "export"):
        result = run(file, verb, "s")
        assert isinstance(result.exception, DamagedError)
        assert result.exception.exit_code == 3
        assert "study 's' has trials that cannot be read" in said(result)
        assert words in said(result)
        assert "complete" in result.output.lower(), "the others"
    listed = json.loads(run(file, "trials", "s", "--json").output)
    assert len(listed) == 12
    assert json.loads(run(file, "best", "s", "--json").output)["value"] == 0.1
    assert said(run(file, "next", "s")).startswith("study 's' has trials that cannot be read")


def test_a_trial_of_optunas_own_in_a_study_counts_as_none_of_it(file: Path) -> None:
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{file}")
    study.enqueue_trial({"lr": 0.5, "depth": 1})
    study.ask()
    result = run(file, "trials", "s")
    assert said(result) == ""
    # The one whose worker has left: its lease may have run out by now.
    assert result.output.count("RUNNING") + result.output.count("WAITING") == 1


ROWS = {
    "document": ("UPDATE hpsearch_studies SET document = '{'", "study"),
    "state": ("UPDATE hpsearch_studies SET state = 'asleep'", "its state is 'asleep'"),
    "count": ("UPDATE hpsearch_studies SET tickets = 'many'", "its tickets is 'many'"),
    "hours": ("UPDATE hpsearch_studies SET hours = 'x'", "its hours is 'x'"),
    "overlap": ("UPDATE hpsearch_studies SET overlap = 'x'", "its overlap is 'x'"),
    "direction": ("UPDATE hpsearch_studies SET direction = 'up'", "its direction is 'up'"),
}


@pytest.mark.parametrize("damage", ROWS.values(), ids=ROWS)
def test_a_study_that_cannot_be_read_is_named_and_stops_no_other(
    file: Path, damage: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    ledger, _ = searched(f"sqlite:///{file}", file.parent, "other", trials=1)
    ledger.database.close()
    statement, words = damage
    change(file, f"{statement} WHERE study_id = 1")
    result = run(file, "trials", "s")
    assert words in said(result)
    assert "'s'" in said(result) or "study" in said(result)
    listed = run(file, "status")
    assert listed.exception is None
    assert "other" in listed.output
    assert "RUNNING" in run(file, "trials", "other").output


def test_a_worker_does_not_search_on_among_trials_that_it_cannot_read(file: Path) -> None:
    change(file, DAMAGES["value"][0])
    ledger = Ledger(Database(f"sqlite:///{file}"))
    mirror = Mirror(ledger.database, 1, "s", "maximize")
    with pytest.raises(DamagedError, match=r"study 's', trial 11: its value is 'x'"):
        mirror.refresh()
    ledger.database.close()


def test_a_name_that_breaks_out_of_a_comment_stays_in_it(file: Path) -> None:
    change(file, "UPDATE studies SET study_name = 's\nname: evil' WHERE study_id = 1")
    text: Any = run(file, "next", "s\nname: evil").output
    assert not any(line.startswith("name: evil") for line in text.splitlines())
