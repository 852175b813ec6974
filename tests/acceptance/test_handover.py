"""A study's winner is handed over, and predicts as the study said."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import hpsearch
from hpsearch.errors import ConflictError
from tests.acceptance.conftest import Command, digits

FINISHED = """
name: s
data: {source: csv, path: t.csv, target: price}
network: {family: mlp}
metric: rmse
parameters:
  architecture: {widths: {values: [[8], [6, 4]]}}
search: {sampler: grid, pruner: none}
budget: {epochs: 2}
final: {top: 1, seeds: 2}
"""


def table(path: Path) -> None:
    """120 rows of which some have gaps."""
    rng = np.random.default_rng(0)
    lines = ["size;town;price"]
    for row in range(120):
        size = "" if row % 10 == 0 else f"{rng.normal():.3f}".replace(".", ",")
        price = "" if row == 5 else f"{rng.normal() * 50:.2f}".replace(".", ",")
        lines.append(f"{size};{['x', 'NA', 'y'][row % 3]};{price}")
    path.write_text("\n".join(lines) + "\n")


def test_a_fresh_process_gives_the_figure_of_the_finish(command: Command) -> None:
    data = command.folder / "t.csv"
    table(data)
    command.run("run", command.file(FINISHED))
    said = command.run("best", "s", "--save", "net").stderr
    kept = command.json("best", "s")["network"]
    use = "predict with it: hpsearch predict net FILE"
    # Its rows are drawn at random: whether it is better than the mean is another test's question.
    assert said.startswith(f"the network of trial {kept['number']} is in net; {use}\n")
    verdict = command.json("status", "s")["final"]
    assert command.json("predict", "net", "--test") == verdict["network"]
    config = json.loads((command.folder / "net/config.json").read_text())
    assert config["metrics"]["finish"] == verdict
    assert config["provenance"]["ticket"] == verdict["best_ticket"]
    done = command.run("predict", "net", "t.csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 120
    note, score = done.stderr.splitlines()
    assert note.startswith("this is the data of the network's study, with the rows that it learned")
    assert score.startswith("rmse ")
    assert score.endswith(" of 119 rows")
    to = ("predict", "net", "t.csv", "-o", "out.csv")
    assert "120 predictions written to out.csv\n" in command.run(*to).stderr
    assert (command.folder / "out.csv").read_text() == done.stdout
    assert "write over it with --force" in command.run(*to, code=5).stderr
    command.run(*to, "--json", "--force")
    assert len(json.loads((command.folder / "out.csv").read_text())) == 120
    (command.folder / "other.csv").write_bytes(data.read_bytes())
    for mine, what in {
        "t.csv": "the data of the network's study", "other.csv": "what is to be predicted",
        "net/config.json": "in the folder of the network",
        "study.yaml": "the file of study 's' until `hpsearch delete s`",
    }.items():  # fmt: skip
        refused = command.run("predict", "net", "other.csv", "-o", mine, "--force", code=5)
        assert f"{mine} is {what}, and never written over" in refused.stderr


@pytest.mark.nightly
def test_without_a_finish_there_is_no_test_figure(command: Command) -> None:
    study = digits(parameters="{}", budget="{trials: 1, epochs: 1}").replace("mlp", "cnn")
    command.run("run", command.file(study))
    said = command.run("best", "s", "--save", "deep/net").stderr
    assert "there is no test figure" in said
    with pytest.raises(ConflictError, match="no finish has used the test part"):
        hpsearch.load(command.folder / "deep/net").test()
    (command.folder / "mine").mkdir()
    (command.folder / "mine/file").touch()
    assert "other things" in command.run("best", "s", "--save", "mine", code=5).stderr
    away = ("--checkpoints", command.folder / "elsewhere")
    assert "is not in" in command.run("best", "s", "--save", "net", *away, code=8).stderr
    again = ("best", "s", "--save", "deep/net")
    assert "--force" in command.run(*again, code=5).stderr
    command.run(*again, "--force")
