"""What installed packages add is searched, handed over and used as ours is."""

from __future__ import annotations

import csv
import io
import site
from functools import partial

import numpy as np
import optuna
import pytest

from tests.acceptance.conftest import Command
from tests.acceptance.test_handover import table
from tests.plugins import install

STUDY = """
name: s
data: {source: csv, path: t.csv, target: price}
network: {family: toy}
metric: rmse
parameters:
  depth: {values: [shallow, deep]}
  units: {values: [1, 8]}
  noise: {values: [0.0, 0.25]}
  around: {values: [false, true], when: {units: 8}}
search: {sampler: grid, pruner: none, stack: 4}
budget: {epochs: 2}
"""


@pytest.fixture
def installed(command: Command) -> Command:
    """`hpsearch` where the packages are installed."""
    folder = command.folder / "site"
    install("toy_family", folder)
    install("toy_source", folder)
    install("toy_task", folder)
    command.hooks.append(partial(site.addsitedir, str(folder)))
    table(command.folder / "t.csv")
    return command


def test_a_search_of_a_family_of_another_package(installed: Command) -> None:
    command = installed
    command.run("run", command.file(STUDY))
    trials = command.json("trials", "s")
    assert len(trials) == 12
    by = {(t["params"]["depth"], t["params"]["units"], t["params"].get("around")): t
          for t in trials}  # fmt: skip
    failed = by["deep", 1, None]
    assert failed["state"] == "FAIL"
    assert "toy: a deep network needs 2 units or more" in failed["reason"]
    assert [t["state"] for t in trials].count("FAIL") == 2
    assert by["deep", 8, True]["state"] == by["shallow", 8, False]["state"] == "COMPLETE"
    ways = {
        (t.params["depth"], t.params["units"], t.params.get("around")): t.user_attrs["stack"]
        for t in optuna.load_study(study_name="s", storage=command.url).get_trials()
        if t.state.name == "COMPLETE"
    }
    assert "up to 4 at once: as the study says" in ways["shallow", 8, False]
    assert "up to 4 at once: as the study says" in ways["deep", 8, True]
    command.run("best", "s", "--save", "net")
    rows = list(csv.DictReader(io.StringIO(command.run("predict", "net", "t.csv").stdout)))
    assert len(rows) == 120
    command.hooks.clear()
    missing = command.run("predict", "net", "t.csv", code=8).stderr
    assert missing.count("\n") == 1
    assert "no family 'toy' here: install the package that has it" in missing


GRADES = """
name: g
data: {source: csv, path: g.csv, target: grade, task: grades}
network: {family: mlp}
metric: {name: distance, direction: minimize}
parameters:
  pull: {values: [0.0, 0.05]}
  lr: {values: [0.01, 0.03]}
  width: 16
search: {sampler: grid, pruner: none, stack: 4}
budget: {epochs: 8}
"""


def test_a_search_of_a_task_of_another_package(installed: Command) -> None:
    command = installed
    rows = [(at % 31, at % 7) for at in range(150)]
    lines = [f"{a},{b},{1 + (a > 9) + (a + b > 22)}" for a, b in rows]
    (command.folder / "g.csv").write_text("\n".join(["a,b,grade", *lines]) + "\n")
    file = command.file(GRADES)
    other = 'metric.direction: expected minimize, as distance is better so; got "maximize"'
    said = command.run("check", file, "--set", "metric.direction=maximize", code=2).stderr
    assert other in said
    command.run("run", file)
    best = command.json("best", "g")
    baseline = command.json("status", "g")["baseline"]
    assert baseline["name"].startswith("always grade ")
    assert best["value"] < baseline["value"], "it has learnt"
    assert {*best["metrics"]} == {"train_loss", "loss", "distance", "near"}
    assert sum(best["off"]) == 22, "the rows of the validation part"
    assert "how far off, trial " in command.run("best", "g", "--save", "net").stdout
    predicted = command.run("predict", "net", "g.csv").stdout
    found = list(csv.DictReader(io.StringIO(predicted)))
    assert {row["prediction"] for row in found} <= {"1", "2", "3"}
    right = sum(
        row["prediction"] == line.rpartition(",")[2] for row, line in zip(found, lines, strict=True)
    )
    assert right > 100
    command.hooks.clear()
    missing = command.run("predict", "net", "g.csv", code=8).stderr
    assert missing.count("\n") == 1
    assert "no task 'grades' here: install the package that has it" in missing


WAVES = """
name: w
data: {source: waves, count: 120}
network: {family: mlp}
parameters: {lr: {values: [0.01, 0.03]}, width: 16}
search: {sampler: grid, pruner: none}
budget: {epochs: 8}
"""


def test_a_search_of_a_source_of_another_package(installed: Command) -> None:
    command = installed
    file = command.file(WAVES)
    said = command.run("check", file, "--set", "data.path=x.csv", code=2).stderr
    assert 'data.path: expected no path, as the source is waves; got "x.csv"' in said
    said = command.run("check", file, "--set", "data.shape=sinus", code=2).stderr
    assert "data.shape: expected one of sine, square" in said
    assert "9 waves are too few" in command.run("run", file, "--set", "data.count=9", code=4).stderr
    command.run("delete", "w", "--yes")
    assert "  84 waves to learn from" in command.run("run", file).stdout
    assert command.json("best", "w")["value"] > 0.9
    assert "  waves around " in command.run("status", "w").stdout
    command.run("best", "w", "--save", "net")
    rows_ND = np.sin(np.linspace(0, 6, 24) * np.array([[1], [2]]))
    np.save(command.folder / "two.npy", rows_ND)
    predicted = command.run("predict", "net", "two.npy").stdout
    assert [row["prediction"] for row in csv.DictReader(io.StringIO(predicted))] == [
        "long",
        "short",
    ]
    command.hooks.clear()
    missing = command.run("predict", "net", "two.npy", code=8).stderr
    assert missing.count("\n") == 1
    assert "no source 'waves' here: install the package that has it" in missing
