"""The first minute: a study file from data, from a script, from another tool; then a search."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.acceptance.conftest import Command

SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
args = parser.parse_args()
for epoch in range(3):
    print(f"epoch {epoch}: val loss {abs(args.lr - 0.02) + 1 / (epoch + 1):.6f}", flush=True)
"""
LOOP = """
def train(run):
    for epoch in run.epochs():
        run.report(loss=(run.lr - 0.01) ** 2 + run.dropout / epoch)
"""
SWEEP = """
program: train.py
method: random
metric: {name: val_loss, goal: minimize}
parameters: {lr: {distribution: log_uniform_values, min: 1e-3, max: 1e-1}}
run_cap: 2
"""


def churn(folder: Path) -> None:
    draw = random.Random(0)
    with (folder / "churn.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "plan", "tenure", "calls", "churned"])
        for i in range(400):
            calls = draw.randrange(6)
            churned = "yes" if calls > 3 and draw.random() < 0.5 else "no"
            row = (9000 + 7 * i % 3001, draw.choice("ab"), draw.randrange(70), calls, churned)
            writer.writerow(row)


def test_a_table_becomes_a_study_that_runs(command: Command) -> None:
    churn(command.folder)
    said = command.run("init", "churn.csv", "--target", "churned").stderr
    assert "churn.yaml is written: " in said
    assert "trials for the best auroc, about " in said
    file = command.folder / "churn.yaml"
    text = file.read_text()
    assert "one epoch of one trial alone takes" in text, "a few steps were timed"
    assert (command.folder / "study.schema.json").is_file()
    assert "is there already" in command.run("init", "churn.csv", code=5).stderr
    assert file.read_text() == text
    command.run("run", file, "--trials", 2, "--epochs", 1, "--set", "final=")
    assert command.json("status", "churn")["complete"] == 2


def test_files_that_are_there_are_left_alone(command: Command) -> None:
    churn(command.folder)
    table = (command.folder / "churn.csv").read_text()
    said = command.run("init", "churn.csv", "-o", "churn.csv", "--force", "--untimed", code=5)
    assert "churn.csv is the data" in said.stderr
    assert (command.folder / "churn.csv").read_text() == table
    command.run("init", "churn.csv", "-o", "s.yaml", "--untimed")
    command.run("init", "churn.csv", "-o", "s.yaml", "--untimed", "--force", "--target", "calls")
    written = YAML(typ="safe").load((command.folder / "s.yaml").read_text())
    assert (written["data"]["target"], written["metric"]) == ("calls", "accuracy")
    printed = command.run("init", "churn.csv", "-o", "-", "--untimed").stdout
    assert YAML(typ="safe").load(printed)["metric"] == "auroc"
    again = ("init", "churn.csv", "-o", "s.yaml", "--force")
    command.run("submit", "s.yaml", "--set", "name=other")
    command.run(*again, "--untimed")  # the database has no study of that name
    command.run("submit", "s.yaml")
    refused = command.run(*again, code=5).stderr
    assert "timing" not in refused, "refused before anything that takes time"
    assert "the file of study 'churn' until `hpsearch delete churn`" in refused
    command.run("delete", "churn", "--yes")
    command.run(*again, "--untimed")


def test_without_data_it_takes_what_is_there(command: Command) -> None:
    said = command.run("init", code=2).stderr
    assert "nothing here looks like data" in said
    assert "train.py " in said
    churn(command.folder)
    assert "found churn.csv" in command.run("init", "--untimed").stderr
    command.file(LOOP, "train.py")
    said = command.run("init", code=2).stderr
    assert "  hpsearch init churn.csv\n  hpsearch init train.py" in said


@pytest.mark.nightly
def test_own_loops_and_scripts_become_studies_that_run(command: Command) -> None:
    command.file(LOOP, "train.py")
    command.run("init", "train.py", "-o", "loop.yaml")
    command.run("run", "loop.yaml", "--set", "name=loop", "--trials", 2, "--epochs", 2)
    assert command.json("status", "loop")["complete"] >= 1
    command.file(SCRIPT, "train.py")
    command.run("init", "train.py", "-o", "script.yaml")
    command.run("run", "script.yaml", "--set", "name=script", "--trials", 2)
    best = command.json("status", "script")["best"]
    assert best["epoch"] == 3
    assert best["value"] == pytest.approx(abs(best["params"]["lr"] - 0.02) + 1 / 3, abs=1e-5)


def test_an_example_comes_with_its_code(command: Command) -> None:
    command.run("init", "--example", "own-loop")
    assert {"own-loop.yaml", "loop.py", "study.schema.json"} <= {
        path.name for path in command.folder.iterdir()
    }
    command.run("check", "own-loop.yaml")
    assert "did you mean own-loop" in command.run("init", "--example", "ownloop", code=6).stderr
    listed = command.run("init", "--list").stdout
    assert "digits" in listed
    assert max(map(len, listed.splitlines())) <= 80


@pytest.mark.nightly
def test_a_sweep_is_imported_and_run_and_its_trials_are_knowledge(command: Command) -> None:
    command.file(SCRIPT.replace("val loss", "val_loss ="), "train.py")
    command.file(SWEEP, "sweep.yaml")
    said = command.run("check", "sweep.yaml", code=2).stderr
    assert "expected a study file; got a W&B sweep: hpsearch import sweep.yaml" in said
    said = command.run("import", "sweep.yaml", "-o", "study.yaml").stderr
    assert "no counterpart: budget.epochs" in said
    pattern = r"train.metrics='val_loss\s*=\s*(?P<val_loss>[0-9.]+)'"
    command.run("run", "study.yaml", "--set", pattern, "--set", "search.sampler=tpe")
    assert command.json("status", "sweep")["complete"] == 2
    changed = ["--set", pattern, "--set", "search.sampler=tpe", "--set", "name=again"]
    command.run("submit", "study.yaml", *changed)
    first = command.json("import-trials", "again", "--from", command.url, "--study", "sweep")
    assert (first["fitting"], first["new"]) == (2, 2)
    before = command.json("status", "again")
    again = command.run("import-trials", "again", "--from", command.url, "--study", "sweep")
    assert "2 of them it knew before" in again.stdout
    after = command.json("status", "again")
    assert (after["ended"], after["best"], after["known"]) == (before["ended"], None, 2)
    assert "the samplers also know 2 trials" in command.run("status", "again").stdout
