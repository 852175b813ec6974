"""The database's file is taken away under those who work on it: they stop, and say so."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command, digits
from tests.acceptance.test_interruptions import wait_for_reports

ENDLESS = digits(parameters="{}", budget="{trials: 1, epochs: 100000}", stack="off")


def remove(file: Path) -> None:
    file.unlink()


def put_a_backup_over_it(file: Path) -> None:
    backup = file.with_name("backup.db")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    backup.rename(file)


@pytest.mark.parametrize(
    ("words", "act", "said"),
    [
        (("run", "study.yaml"), remove, "was removed or moved"),
        (("worker", "s"), put_a_backup_over_it, "was replaced by another file"),
        (("fleet", "--workers", "1"), put_a_backup_over_it, "was replaced by another file"),
    ],
)  # fmt: skip
def test_whoever_works_on_a_file_that_is_gone_stops(
    command: Command, words: tuple[str, ...], act: Callable[[Path], None], said: str
) -> None:
    command.env["HPSEARCH_LEASE_S"] = "3"
    command.run("submit", command.file(ENDLESS))
    running = command.start(*words)
    wait_for_reports(command, running, 2)
    file = command.folder / "study.db"
    act(file)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 3, err
    (line,) = [line for line in err.splitlines() if line.startswith("hpsearch: ")]
    assert re.match(rf"hpsearch: the database {re.escape(str(file))} {said}", line)
    assert "Traceback" not in err
    assert "is not signed off" not in err
    assert "next:" not in out
    if act is remove:
        assert not file.exists(), "no worker has begun anew"
