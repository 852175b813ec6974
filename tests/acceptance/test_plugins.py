"""A family of an installed package is searched, handed over and used as ours are."""

from __future__ import annotations

import csv
import io
import site
from functools import partial

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
    """`hpsearch` where the package is installed."""
    folder = command.folder / "site"
    install("toy_family", folder)
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
    assert "alone" in ways["deep", 8, True]
    command.run("best", "s", "--save", "net")
    rows = list(csv.DictReader(io.StringIO(command.run("predict", "net", "t.csv").stdout)))
    assert len(rows) == 120
    command.hooks.clear()
    missing = command.run("predict", "net", "t.csv", code=8).stderr
    assert missing.count("\n") == 1
    assert "no family 'toy' here: install the package that has it" in missing
