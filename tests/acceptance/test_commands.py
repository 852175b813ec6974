"""Every verb does what it says, for people and as JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.acceptance.conftest import STUDIES, Command, digits

LR = "{learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true}}}"
STUDY = digits(parameters=LR)
FAILING = digits(
    parameters="{optimizer: {loss: {values: [cross_entropy, bce]}}}", sampler="grid",
    budget="{epochs: 1}",
)  # fmt: skip


def test_run_shows_progress_and_the_result_within_80_columns(command: Command) -> None:
    done = command.run("run", command.file(STUDY))
    assert len(re.findall(r"^\d/4 trial \d complete accuracy", done.stderr, re.M)) == 4
    assert "4 of 4 trials (4 complete)" in done.stdout
    for step in ("hpsearch trials s", "hpsearch dashboard", "hpsearch extend s --trials 20"):
        assert step in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    again = command.run("run", command.folder / "study.yaml")
    assert "is done" in again.stderr
    assert again.stdout == done.stdout
    assert (
        "--storage 'sqlite:///a b.db'"
        in command.run("run", command.file(FAILING), "--storage", "sqlite:///a b.db").stdout
    ), "the next command would look into another database"


def test_submit_leaves_the_work_to_workers(command: Command) -> None:
    assert "created, 4 trials" in command.run("submit", command.file(STUDY)).stdout
    assert command.json("submit", command.folder / "study.yaml")["new"] is False
    assert command.json("status")[0]["ended"] == 0
    command.run("worker", "--until-done")
    status = command.json("status", "s")
    assert (status["state"], status["complete"]) == ("done", 4)
    assert status["data"]["rows"]["test"] > 0


def test_a_worker_serves_studies_by_priority(command: Command) -> None:
    for name, priority in (("low", 0), ("high", 1)):
        file = command.file(STUDY.replace("name: s", f"name: {name}"))
        command.run("submit", file, "--priority", priority)
    command.run("worker", "--until-done")
    ends = {n: [t["ended"] for t in command.json("trials", n)] for n in ("low", "high")}
    assert max(ends["high"]) < min(ends["low"])


def test_overrides_are_part_of_the_study(command: Command) -> None:
    command.run(
        "submit", command.file(STUDY), "--trials", 7, "--epochs", 3, "--hours", 2, "--sampler",
        "qmc", "--pruner", "median", "--seed", 5, "--set", "name=t", "--set",
        "parameters.learning_rate.lr.max=0.05",
    )  # fmt: skip
    assert command.json("status", "t")["budget"] == {"trials": 7, "epochs": 3, "hours": 2.0}


def test_looking_at_a_finished_study(command: Command) -> None:
    command.run("run", command.file(STUDY))
    assert re.search(r"s +done +4/4", command.run("status").stdout)
    table = command.run("trials", "s", "--last", 2).stdout
    assert table.count("COMPLETE") == 2
    assert max(map(len, table.splitlines())) <= 80
    best = command.json("best", "s")
    assert best["value"] == max(t["value"] for t in command.json("trials", "s"))
    assert f"trial {best['number']}" in command.run("best", "s").stdout
    assert Path(best["checkpoint"]).is_file()
    top = command.json("trials", "s", "--top", 2)
    assert top[0]["number"] == best["number"]
    assert len(top) == 2
    assert "4 of 4" in command.run("watch", "s").stdout


def test_export_writes_what_trials_says(command: Command) -> None:
    command.run("run", command.file(STUDY))
    trials = command.json("trials", "s")
    rows = list(csv.DictReader(io.StringIO(command.run("export", "s").stdout)))
    assert [float(r["params.lr"]) for r in rows] == [t["params"]["lr"] for t in trials]
    command.run("export", "s", "-o", "t.json")
    assert json.loads((command.folder / "t.json").read_text()) == trials
    said = command.run("export", "s", "-o", "no/such/t.csv", code=1).stderr
    assert "no/such/t.csv" in said


def test_pause_resume_stop_and_extend(command: Command) -> None:
    command.run("submit", command.file(STUDY))
    command.run("pause", "s")
    command.run("worker", "s", "--until-done")
    assert command.json("status", "s")["issued"] == 0
    assert command.json("resume", "s")["state"] == "open"
    command.run("worker", "s", "--until-done")
    assert "study 's' is done" in command.run("pause", "s", code=5).stderr
    assert command.json("extend", "s", "--trials", 2)["trials"] == 6
    command.run("stop", "s")
    command.run("worker", "s", "--until-done")
    assert command.json("status", "s")["ended"] == 4
    command.run("run", command.folder / "study.yaml")
    assert command.json("status", "s")["ended"] == 6
    assert "nothing to add" in command.run("extend", "s", code=2).stderr


def test_retry_runs_failed_trials_again(command: Command) -> None:
    done = command.run("run", command.file(FAILING))
    assert "1 failed" in done.stdout
    assert "hpsearch retry s --failed" in done.stdout
    assert "1 trials will run again" in command.run("retry", "s", "--failed").stdout
    command.run("run", command.folder / "study.yaml")
    failed = [t for t in command.json("trials", "s") if t["state"] == "FAIL"]
    assert [t["params"] for t in failed] == [{"loss": "bce"}] * 2
    assert "bce" in failed[0]["reason"]
    assert "--failed" in command.run("retry", "s", code=2).stderr


def test_delete_asks_first(command: Command) -> None:
    command.run("run", command.file(STUDY))
    checkpoints = command.folder / "checkpoints"
    assert list(checkpoints.rglob("*.pt"))
    command.run("delete", "s", code=1, stdin="n\n")
    assert command.json("status", "s")["ended"] == 4
    command.run("delete", "s", stdin="y\n")
    assert command.json("status") == []
    assert not list(checkpoints.rglob("*.pt"))
    command.run("run", command.file(STUDY))
    command.run("delete", "s", "--yes")


def test_check_says_what_would_be_searched(command: Command) -> None:
    text = command.run("check", STUDIES / "digits.yaml").stdout
    assert "60 trials of at most 27 epochs" in text
    assert "when optimizer is sgd" in text
    assert max(map(len, text.splitlines())) <= 80
    facts = command.json("check", command.file(FAILING))
    assert (facts["grid_cells"], facts["trials"]) == (2, 2)


def test_the_database_verbs(command: Command) -> None:
    assert "not made yet" in command.run("db", "check").stdout
    assert "is ready" in command.run("db", "init").stdout
    assert command.json("db", "check")["state"] == "ready"


def test_doctor_finds_this_machine_in_order(command: Command) -> None:
    found = {f["subject"]: f for f in command.json("doctor")}
    assert found["torch"]["works"]
    assert found["database"]["works"]
    assert found["device cpu"]["works"]
    assert "fashion_mnist" in command.run("doctor").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(command: Command, shell: str) -> None:
    # As the line in a shell's start-up file asks for it; --install-completion writes that line.
    command.env["_HPSEARCH_COMPLETE"] = f"source_{shell}"
    assert "_HPSEARCH_COMPLETE=complete" in command.run().stdout


def test_help_names_environment_variables_and_exit_codes(command: Command) -> None:
    assert "HPSEARCH_STORAGE" in command.run("run", "--help").stdout
    assert "130: interrupted" in command.run("--help").stdout
    assert command.run("--version").stdout.startswith("hpsearch ")
