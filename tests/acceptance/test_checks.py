"""What is looked at before a search: whether anything can be learnt, and at which rates."""

from __future__ import annotations

import re

import pytest

from tests.acceptance.conftest import STUDIES, Command, digits

LR = "{learning_rate: {lr: {min: 1.0e-4, max: 1.0e-1, log: true}}}"
TABLE = digits(parameters=LR).replace("digits, limit: 300", "csv, path: t.csv, target: y")
DEAD = digits(parameters="{architecture: {widths: [8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8], "
              "activation: sigmoid}}")  # fmt: skip


def write(command: Command, rows: str, text: str = TABLE):
    (command.folder / "t.csv").write_text(f"a,b,y\n{rows}")
    return command.file(text + "metric: accuracy\n")


ALIKE = "".join(f"{1 if row in (4, 23) else 0},2,{'xy'[row % 2]}\n" for row in range(60))
"""Rows of which two differ, which are held out as the test part."""


def test_a_study_whose_rows_are_all_alike_is_stopped_with_the_reason(command: Command) -> None:
    file = write(command, ALIKE)
    said = command.run("run", file, "--workers", 2, code=4).stderr
    (told,) = [line for line in said.splitlines() if line.startswith("hpsearch: ")]
    assert "suspect the data: all 42 training rows have the same inputs" in told
    status = command.json("status", "s")
    assert (status["state"], status["issued"]) == ("stopped", 0)
    assert "the same inputs" in command.run("status", "s").stdout.replace("\n", " ")
    command.run("resume", "s")
    assert command.run("worker", "s", code=4).stderr.count("suspect the data") == 1


def test_a_value_that_can_never_be_trained_on_the_data_stops_a_study(command: Command) -> None:
    losses = "{optimizer: {loss: {values: [cross_entropy, bce]}}}"
    text = digits(parameters=losses, sampler="grid", budget="{epochs: 1}")
    text = text.replace("pruner: none", "pruner: none, sanity: false")
    said = command.run("run", command.file(text), code=4).stderr
    assert "loss bce can never be trained: the loss bce is for 2 classes and there are 10" in said
    status = command.json("status", "s")
    assert (status["state"], status["issued"]) == ("stopped", 0)


@pytest.mark.nightly
def test_a_worker_that_serves_all_goes_on_with_others(command: Command) -> None:
    file = write(command, ALIKE)
    command.run("submit", file)
    command.run("submit", file, "--set", "name=t", "--set", "search.sanity=false")
    good = digits("good", parameters=LR, budget="{trials: 1, epochs: 1}")
    command.run("submit", command.file(good, "good.yaml"))
    said = command.run("worker", "--until-done").stderr
    assert "study s cannot run here" in said
    states = {study["name"]: study["state"] for study in command.json("status")}
    assert states == {"s": "stopped", "t": "done", "good": "done"}


def test_a_network_that_learns_nothing_is_named_and_searched_on(command: Command) -> None:
    said = command.run("run", command.file(DEAD), "--trials", 1, "--epochs", 1).stdout
    assert "before the first trial: the default configuration does not learn" in said
    assert "at any learning rate" in said.replace("\n", " ")


def test_lr_suggests_a_rate_that_can_be_the_default(command: Command) -> None:
    shown = command.run("lr", STUDIES / "digits.yaml").stdout
    (rate,) = re.findall(r"add to lr: default: (\S+)$", shown, re.M)
    change = f"parameters.learning_rate.lr.default={rate}"
    command.run("check", STUDIES / "digits.yaml", "--set", change)
    assert list(command.folder.iterdir()) == [], "nothing is kept"


def test_a_batch_size_of_auto_is_a_number_once_the_study_is_made(command: Command) -> None:
    text = digits(parameters="{batch_size: {batch_size: {min: 16, max: auto}}}")
    assert "16 to auto" in command.run("check", command.file(text)).stdout
    command.run("run", command.folder / "study.yaml")
    sizes = {trial["params"]["batch_size"] for trial in command.json("trials", "s")}
    assert all(16 <= size <= 247 for size in sizes)
