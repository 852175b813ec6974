"""What hpsearch 0.1.0 left behind: upgraded, read, continued, and put to use."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.acceptance.conftest import Command
from tests.old import EXPECTED, put

MOVED = {"checkpoint", "forecast"}
"""Where a file lies is another thing than what is in it; forecasts are no longer kept."""


def check_same(old: Any, new: Any, path: str = "", within: float = 1e-9) -> None:
    """All that was said before is said now; there may be more."""
    if isinstance(old, dict):
        for key in old.keys() - MOVED:
            assert key in new, f"{path}.{key}"
            check_same(old[key], new[key], f"{path}.{key}", within)
    elif isinstance(old, list):
        assert len(old) == len(new), path
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            check_same(one, other, f"{path}.{index}", within)
    else:
        expected = pytest.approx(old, rel=within, abs=within) if isinstance(old, float) else old
        assert new == expected, path


@pytest.fixture
def old(make_command: Callable[[str], Command], bare_url: str, tmp_path: Path) -> Command:
    put(bare_url, tmp_path)
    return make_command(bare_url)


@pytest.fixture
def upgraded(command: Command, tmp_path: Path) -> Command:
    """On SQLite."""
    put(command.url, tmp_path)
    command.run("db", "upgrade")
    return command


def test_an_old_database_is_upgraded_when_that_is_asked_for(old: Command) -> None:
    line = "hpsearch's schema 5, and this version knows 8; hpsearch db upgrade brings it up to date"
    for words in (["status"], ["run", "unfinished.yaml"], ["worker"], ["db", "check"],
                  ["db", "init"], ["best", "finished"], ["delete", "table", "--yes"]):  # fmt: skip
        assert line in " ".join(old.run(*words, code=3).stderr.split())
    finding = next(f for f in old_findings(old) if f["subject"] == "database")
    assert finding["works"] is False
    assert finding["fix"] == "run hpsearch db upgrade"
    done = old.run("db", "upgrade")
    assert "has schema 8 now, 5 before" in done.stdout
    copies = list(old.folder.glob("*.bak"))
    if old.url.startswith("sqlite"):
        assert [copy.name for copy in copies] == ["study.db.schema5.bak"]
        assert str(copies[0]) in done.stdout
    else:
        assert "keep a dump of it" in done.stderr
    assert old.run("db", "upgrade").stdout.endswith("is up to date: schema 8\n")
    assert list(old.folder.glob("*.bak")) == copies
    names = {study["name"]: study for study in old.json("status")}
    assert {name: study["state"] for name, study in names.items()} == {
        "finished": "done", "table": "done", "unfinished": "open",
    }  # fmt: skip
    assert set(optuna.get_all_study_names(old.url)) == set(names)


def old_findings(command: Command) -> list[dict[str, Any]]:
    return list(json.loads(command.run("doctor", "--json", code=1).stdout))


def test_where_there_is_no_database_that_is_said(
    make_command: Callable[[str], Command], bare_sqlite_url: str
) -> None:
    command = make_command(bare_sqlite_url)
    done = command.run("db", "upgrade", code=6)
    assert "there is nothing to upgrade; hpsearch db init makes them" in done.stderr
    assert not list(command.folder.glob("*.db"))


def test_a_live_worker_refuses_it(command: Command, tmp_path: Path) -> None:
    put(command.url, tmp_path)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("UPDATE hpsearch_workers SET stopped_at = NULL, lease_s = 1e12")
    done = command.run("db", "upgrade", code=5)
    assert "workers are signed on" in done.stderr
    assert "(process " in done.stderr
    assert not list(tmp_path.glob("*.bak"))


@pytest.mark.parametrize("name", ["finished", "table"])
def test_a_study_that_has_ended_reads_as_before(upgraded: Command, name: str) -> None:
    check_same(EXPECTED[f"trials {name}"], upgraded.json("trials", name))
    # What 0.1 called the best of a study with a finish is the network that it hands over.
    status, best = EXPECTED[f"status {name}"], upgraded.json("best", name)
    check_same({**status, "network": status["best"], "best": {}}, upgraded.json("status", name))
    check_same(EXPECTED[f"best {name}"], {**best, **best["network"]}, "best")
    exported = upgraded.run("export", name).stdout
    before, now = (
        list(csv.DictReader(text.splitlines())) for text in (EXPECTED[f"export {name}"], exported)
    )
    check_same(before, now, "export")


@pytest.mark.parametrize("name", ["finished", "table"])
def test_its_network_is_handed_over_as_before(upgraded: Command, name: str) -> None:
    upgraded.run("best", name, "--save", "anew")
    old, new = (
        json.loads((upgraded.folder / place / "config.json").read_text())
        for place in (f"{name}-network", "anew")
    )
    for config in (old, new):
        for key in ("versions", "commit", "date"):
            config["provenance"].pop(key)
        settings = config["data"]["settings"]  # 0.1 has the keys of all sources for each of them
        config["data"]["settings"] = {
            key: value for key, value in settings.items()
            if value is not None and value != [] and key not in ("path", "root", "test")
        }  # fmt: skip
        config["problem"]["preprocessing"].pop("kind")
    check_same(old, new, "config")
    weights = [
        (upgraded.folder / place / "model.safetensors").read_bytes()
        for place in (f"{name}-network", "anew")
    ]
    assert weights[0] == weights[1]


def test_an_old_network_predicts_as_before(command: Command, tmp_path: Path) -> None:
    put(command.url, tmp_path)
    found = command.json("predict", "table-network", "rows.csv")
    check_same(EXPECTED["predict"], found, "predict", within=1e-5)
    check_same(EXPECTED["test"], command.json("predict", "finished-network", "--test"), within=1e-5)


@pytest.mark.parametrize("again", ["run", "worker"])
def test_an_unfinished_study_goes_on_by_its_own_rules(upgraded: Command, again: str) -> None:
    """To its exact budget; trials in the middle continue where their checkpoints are."""
    check_same(EXPECTED["status unfinished"], upgraded.json("status", "unfinished"), "status")
    words = (
        ["run", "unfinished.yaml"] if again == "run" else ["worker", "unfinished", "--until-done"]
    )
    before = trained(upgraded)
    said = upgraded.run(*words).stderr
    assert trained(upgraded) == before
    trials = upgraded.json("trials", "unfinished")
    assert [trial["state"] for trial in trials] == ["COMPLETE"] * 7
    assert [list(map(int, trial["curve"])) for trial in trials] == [[1, 2, 3, 4]] * 7
    assert [trial["attempts"] for trial in trials] == [1, 1, 1, 2, 2, 2, 1]
    assert "cannot be used" not in said
    for one, other in zip(EXPECTED["trials unfinished"], trials, strict=True):
        assert one["params"] == other["params"]
        # The same numbers as without a stop, within what another processor makes of them.
        for epoch, value in one["curve"].items():
            assert other["curve"][epoch] == pytest.approx(value, abs=0.06)
    upgraded.run("run", "unfinished.yaml")
    assert len(upgraded.json("trials", "unfinished")) == 7


def trained(command: Command) -> list[Any]:
    """The study as it is kept, and its first two epochs with the time that each took: one that was
    trained again took another."""
    with sqlite3.connect(command.folder / "study.db") as connection:
        rows = connection.execute(
            "SELECT number, epoch, seconds, metrics FROM hpsearch_epochs JOIN trials USING "
            "(trial_id) JOIN studies USING (study_id) WHERE study_name = 'unfinished' AND "
            "(number < 3 OR (number < 6 AND epoch <= 2)) ORDER BY number, epoch"
        ).fetchall()
        assert len(rows) == 18
        kept = "SELECT digest, document FROM hpsearch_studies ORDER BY study_id"
        return [*connection.execute(kept).fetchall(), *rows]


@pytest.mark.parametrize("words", [("run", "table.yaml"), ("worker", "table", "--until-done")])
def test_a_table_that_is_not_finished_is_begun_anew(
    upgraded: Command, words: tuple[str, ...]
) -> None:
    """Its rows would be read by other rules than those of the trials that it has."""
    upgraded.run("final", "table", code=4)
    upgraded.run("extend", "table", "--trials", 20)
    before = upgraded.json("trials", "table")
    said = upgraded.run(*words, code=4).stderr
    assert "study 'table' was begun by hpsearch 0.1, which read tables by other rules" in said
    assert "to begin anew, run its file with --set name=NEW" in said
    assert upgraded.json("trials", "table") == before
    upgraded.run("run", "table.yaml", "--set", "name=anew", "--trials", 1, "--epochs", 1)


def test_another_file_of_that_name_is_refused_line_by_line(upgraded: Command) -> None:
    text = (upgraded.folder / "unfinished.yaml").read_text()
    file = upgraded.file(text.replace("epochs: 4", "epochs: 5"))
    done = upgraded.run("run", file, code=5)
    assert "budget.epochs: 4 in the database, 5 in the file" in done.stderr
    assert done.stderr.count("in the database") == 1
