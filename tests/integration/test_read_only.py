"""A SQLite file that may only be read: an archive, a colleague's folder."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from tests.played import DATA, DIGITS, Played, played

PARAMS = {"depth": 1, "lr": 0.1, "optimizer": "adam"}
READING = ["status s", "trials s", "best s", "report s -o -", "export s", "workers"]
WRITING = ["extend s --trials 3", "schedule s --priority 3"]


def as_another(script: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user for whom permissions count, which the tests' own may not be."""
    user = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    user = user if os.getuid() == 0 else []
    if user and subprocess.run([*user, "true"], check=False, capture_output=True).returncode:
        pytest.skip("root writes everything, and user namespaces are not permitted here")
    return subprocess.run(
        [*user, sys.executable, "-c", textwrap.dedent(script)], check=True, text=True,
        capture_output=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


MODES = {"folder": (0o644, 0o555), "both": (0o444, 0o555), "file": (0o444, 0o755)}


def test_a_study_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    first = tmp_path / "folder"
    first.mkdir()
    trials = [Played(PARAMS, [0.5, 0.75]), Played({**PARAMS, "lr": 0.2}, [0.5, 0.6])]
    ledger, _ = played(f"sqlite:///{first}/a b.db", tmp_path, DIGITS, trials, data=DATA)
    ledger.database.close()
    assert [file.name for file in first.iterdir()] == ["a b.db"], "its log is in the file"
    for name in ("both", "file"):
        shutil.copytree(first, tmp_path / name)
    done = as_another(f"""
        import json, os, optuna, hpsearch
        from pathlib import Path
        from typer.testing import CliRunner
        from hpsearch.cli import app
        for name, (of_file, of_folder) in {MODES!r}.items():
            folder = Path({str(tmp_path)!r}, name)
            (folder / "a b.db").chmod(of_file)
            folder.chmod(of_folder)
            os.environ["HPSEARCH_STORAGE"] = f"sqlite:///{{folder / 'a b.db'}}"
            printed = {{}}
            for words in {READING + WRITING!r}:
                result = CliRunner().invoke(app, words.split())
                error = str(result.exception) if result.exception else ""
                printed[words] = result.exit_code, result.stdout, error
            best = optuna.load_study(study_name="s", storage=hpsearch.storage()).best_value
            print(json.dumps([name, printed, best, sorted(os.listdir(folder))]))
            folder.chmod(0o755)
    """)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [*MODES]
    for name, printed, best, files in lines:
        assert (best, files) == (0.75, ["a b.db"]), name
        for words in READING:
            assert printed[words][0] == 0, (name, words, printed[words])
        assert "0.75" in printed["best s"][1], name
        for words in WRITING:
            code, _, error = printed[words]
            assert code, (name, words)
            assert "attempt to write a readonly database; only reading is allowed" in error


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_file_is_taken_for_settled_only_where_it_keeps_a_log(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "x.db")) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.execute("CREATE TABLE t (a)")
    (tmp_path / "link.db").symlink_to(folder / "x.db")
    printed = as_another(f"""
        from pathlib import Path
        from hpsearch.store.sqlite_file import SQLiteFile
        folder = Path({str(folder)!r})
        (folder / "x.db").chmod(0o444)
        folder.chmod(0o555)
        for path in (folder / "x.db", folder.parent / "link.db"):
            print(SQLiteFile(path).settled() is not None)
        folder.chmod(0o755)
        (folder / "x.db-wal").touch()
        folder.chmod(0o555)
        print(SQLiteFile(folder.parent / "link.db").settled() is not None)
        folder.chmod(0o755)
    """).stdout
    assert printed.split() == [str(mode == "wal"), str(mode == "wal"), "False"]
