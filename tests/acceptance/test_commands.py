"""Every verb does what it says, for people and as JSON."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.acceptance.conftest import HPSEARCH, STUDIES, Command, digits, wait_until
from tests.conftest import Servers

LR = "{learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true}}}"
STUDY = digits(parameters=LR)
FAILING = digits(
    parameters="{architecture: {widths: {values: [[8], [1099511627776]]}}}", sampler="grid",
    budget="{epochs: 1}",
)  # fmt: skip


def test_run_shows_progress_and_the_result_within_80_columns(command: Command) -> None:
    done = command.run("run", command.file(STUDY))
    assert len(re.findall(r"^[\d:]+ \d/4 trial \d complete accuracy", done.stderr, re.M)) == 4
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


def test_a_sqlite_database_is_one_file_when_all_have_left(command: Command) -> None:
    """People copy it, and not the log beside it."""
    file = command.file(STUDY)
    for words in (
        ["submit", file], ["worker", "s", "--until-done"], ["extend", "s", "--trials", 2],
        ["run", command.folder / "study.yaml"], ["status", "s"],
    ):  # fmt: skip
        command.run(*words)
        assert not Path(f"{command.folder}/study.db-wal").exists(), words


@pytest.mark.parametrize("verb", [["status"], ["worker", "--until-done"]])
def test_output_that_is_closed_is_no_error(command: Command, verb: list[str]) -> None:
    command.run("submit", command.file(STUDY))
    words = shlex.join([*HPSEARCH, *verb])
    done = subprocess.run(
        ["/bin/sh", "-c", f"{words} >&-"], cwd=command.folder, env=command.env, check=False,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_who_serves_names_the_database(command: Command) -> None:
    for verb in ("worker", "fleet"):
        said = command.run(verb, "--until-done").stderr
        assert re.search(rf"^{verb}.* serves sqlite:///\S+study.db, 0 open studies$", said, re.M)
        assert "no open study yet" not in said, "it has been named"
    command.run("submit", command.file(STUDY))
    said = command.run("worker", "s", "--name", "w", "--until-done").stderr
    assert said.startswith(f"worker w on cpu serves {command.url}, 1 open study\n")
    said = command.run("worker", "s", "--until-done").stderr
    assert "study s is done: nothing is left to train" in said
    command.run("extend", "s", "--trials", 1)
    for verb, state in (("pause", "paused"), ("stop", "stopped")):
        command.run(verb, "s")
        said = command.run("worker", "s", "--until-done").stderr
        assert f"study s is {state}; to open it: " in said
        assert "resume s" in said
        assert "no open study yet" not in said
    del command.env["HPSEARCH_STORAGE"]
    said = command.run("worker", "--until-done").stderr
    assert "hpsearch.db, 0 open studies" in said
    assert "no open study yet; HPSEARCH_STORAGE names" in said
    assert "start workers: " in command.run("submit", command.folder / "study.yaml").stdout
    assert "no open study yet" not in command.run("worker", "--until-done").stderr


@pytest.mark.parametrize("verb", ["worker", "fleet"])
def test_ctrl_c_of_a_service_is_no_failure(command: Command, verb: str) -> None:
    running = command.start(verb)
    assert running.stderr is not None
    while "worker " not in (line := running.stderr.readline()) or "serves" not in line:
        assert line, "it ended"
    wait_until(command, lambda ledger: any(w.state == "idle" for w in ledger.workers()), running)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 0


def test_checkpoints_that_each_machine_keeps_by_itself_are_told(
    make_command: Callable[[str], Command], servers: Servers, tmp_path: Path
) -> None:
    command = make_command(servers.new_database("postgresql", tmp_path))
    file = command.file(STUDY)
    silent = ["--set", "name=t", "--set", "checkpoints=/c"]
    assert "each machine" not in command.run("submit", file).stderr
    assert "each machine" not in command.run("worker", "t", "--until-done", code=6).stderr
    command.run("pause", "s")
    del command.env["HPSEARCH_CHECKPOINTS"]
    assert command.run("submit", file).stderr.startswith("each machine keeps its own checkpoints")
    assert "each machine" not in command.run("submit", file, *silent).stderr
    command.run("pause", "t")
    command.run("resume", "s")
    command.run("stop", "s")
    said = command.run("fleet", "--workers", 2, "--until-done").stderr
    assert said.count("each machine keeps its own checkpoints") == 1
    done = command.run("submit", file).stdout
    assert "start workers: " in done
    assert "hpsearch fleet, with HPSEARCH_STORAGE set as here" in done.replace("-m ", "")
    found = {f["subject"]: f for f in command.json("doctor")}
    assert "each machine by itself" in found["checkpoints"]["said"]
    assert not found["checkpoints"]["works"]


def test_a_study_that_is_there_is_scheduled_as_said(command: Command) -> None:
    file = command.file(STUDY)
    command.run("submit", file, "--max-parallel", 3)
    assert "from now on" not in command.run("submit", file, "--max-parallel", 3).stderr
    said = command.run("submit", file, "--priority", 5).stderr
    assert said == "study s has priority 5, at most 3 trials at once from now on\n"
    assert "any number of" in command.run("submit", file, "--max-parallel", 0).stderr
    assert "priority -1," in command.run("run", file, "--priority", -1).stderr
    status = command.json("status", "s")
    assert (status["priority"], status["max_parallel"]) == (-1, None)
    assert "from now on" not in command.run("submit", file).stderr
    assert command.json("status", "s")["priority"] == -1


def test_schedule_says_and_changes_what_workers_a_study_gets(command: Command) -> None:
    command.run("submit", command.file(STUDY))
    assert "priority 0, any number of trials" in command.run("schedule", "s").stdout
    assert "prio" not in command.run("status").stdout
    changed = command.json("schedule", "s", "--priority", 7, "--max-parallel", 2)
    assert (changed["priority"], changed["max_parallel"]) == (7, 2)
    assert command.json("schedule", "s") == changed
    table = command.run("status").stdout
    assert re.search(r"state +prio +trials", table)
    assert re.search(r"s +open +7 +0/4", table)
    assert max(map(len, table.splitlines())) <= 80
    for option in ("--priority", "--max-parallel"):
        for verb in (["schedule", "s"], ["submit", command.folder / "study.yaml"]):
            said = command.run(*verb, option, 10**20, code=2).stderr
            assert f"{10**20} is beyond 1,000,000" in re.sub(r"[\s│]+", " ", said)


def test_workers_with_long_names_take_a_line_each(command: Command) -> None:
    command.run("submit", command.file(STUDY.replace("name: s", "name: a-study-with-a-long-name")))
    ledger = Ledger(Database(command.url))
    pods = [f"hpsearch-worker-6d4b9c7f8-{end}" for end in ("x2x9z", "abcde")]
    for pod, device in zip(pods, ("cpu, x86_64", "cuda:0, NVIDIA H100, 80 GiB"), strict=True):
        ledger.sign_on(pod, pod, 123456, device)
        ledger.claim(pod, ledger.studies()[0].study_id)
    lines = command.run("workers").stdout.rstrip().splitlines()
    assert len(lines) == 3 + len(pods)
    assert max(map(len, lines)) <= 80
    gpu, cpu = lines[3:]
    assert re.match(r" *hpse\S*…\S*abcde +123456 +cuda:0 H100 +working +a-st\S*… +-", gpu), gpu
    assert re.match(r" *hpse\S*…\S*x2x9z +123456 +cpu +working", cpu), cpu
    command.env["COLUMNS"] = "150"
    assert pods[0] in command.run("workers").stdout


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


def test_a_budget_that_has_grown_is_named_where_a_file_says_another(command: Command) -> None:
    file = command.file(STUDY)
    command.run("submit", file)
    command.run("extend", "s", "--trials", 3)
    said = command.run("submit", file, "--trials", 9, code=5).stderr
    assert "7 trials by now (hpsearch extend s --trials 2), and run it as it was made (" in said
    said = command.run("submit", file, "--epochs", 9, code=5).stderr
    assert "hpsearch extend" not in said


def test_the_best_of_none_is_said_in_words(command: Command) -> None:
    command.run("submit", command.file(STUDY))
    assert "no trial has completed so far" in command.run("trials", "s", "--top", 3).stderr


def test_looking_at_a_finished_study(command: Command) -> None:
    done = command.run("run", command.file(STUDY), "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(e["number"] for e in events if e["event"] == "trial") == [0, 1, 2, 3]
    assert events[-1]["event"] == "result"
    best = command.json("best", "s")
    assert (events[-1]["best"]["number"], events[-1]["complete"]) == (best["number"], 4)
    assert re.search(r"s +done +4/4", command.run("status").stdout)
    table = command.run("trials", "s", "--last", 2).stdout
    assert table.count("COMPLETE") == 2
    assert max(map(len, table.splitlines())) <= 80
    assert best["value"] == max(t["value"] for t in command.json("trials", "s"))
    said = command.run("best", "s").stdout
    assert f"trial {best['number']}" in said
    assert f"  a network of {best['parameters']:,} parameters\n" in said
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
    command.run("export", "s", "-o", "new/folder/t.csv")
    assert len((command.folder / "new/folder/t.csv").read_text().splitlines()) == len(rows) + 1
    said = command.run("export", "s", "-o", "t.json/t.csv", code=1).stderr
    assert "t.json" in said
    assert "--force" in command.run("export", "s", "-o", "t.json", code=5).stderr
    command.run("export", "s", "-o", "t.json", "--force")
    said = command.run("export", "s", "-o", "study.yaml", "--force", code=5).stderr
    assert (
        "study.yaml is the file of study 's' until `hpsearch delete s`, and never written over"
        in said
    )
    assert (command.folder / "study.yaml").read_text() == STUDY


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
    assert "1 trial failed; trial 1: out_of_memory" in done.stdout
    assert "hpsearch retry s --failed" in done.stdout
    assert "1 failed trial will run again" in command.run("retry", "s", "--failed").stdout
    command.run("run", command.folder / "study.yaml")
    failed = [t for t in command.json("trials", "s") if t["state"] == "FAIL"]
    assert [t["params"] for t in failed] == [{"widths": "1099511627776"}] * 2
    assert failed[0]["reason"] == "out_of_memory"
    assert "--failed" in command.run("retry", "s", code=2).stderr


def test_delete_asks_first(command: Command) -> None:
    command.run("run", command.file(STUDY))
    checkpoints = command.folder / "checkpoints"
    assert list(checkpoints.rglob("*.pt"))
    asked = command.run("delete", "s", code=1, stdin="n\n").stderr
    assert f"with 4 trials and its checkpoints in {checkpoints}/s-" in asked
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
    assert text.splitlines()[-1] == ("parameters of a network: 2,410 to 152,330; by default 26,122")
    assert max(map(len, text.splitlines())) <= 80
    few = command.run("check", STUDIES / "digits-staged.yaml", "--trials", 10).stdout
    assert "too few trials for a stage of its own: batch_size, regularization, optimizer" in few
    facts = command.json("check", command.file(FAILING))
    assert (facts["grid_cells"], facts["trials"]) == (2, 2)
    assert facts["network_parameters"]["default"] > 0


def test_what_cannot_be_printed_is_said_in_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "hpsearch", "schema"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in done.stderr


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
    said = command.run("--help").stdout
    assert "130: interrupted" in said
    assert "ends with 0" in " ".join(said.split())
    for verb in ("run", "submit", "worker", "fleet", "trials", "schedule"):
        said = command.run(verb, "--help").stdout
        assert "[[" not in said
        assert "range" not in said
        assert "…" not in said
    assert command.run("--version").stdout.startswith("hpsearch ")
