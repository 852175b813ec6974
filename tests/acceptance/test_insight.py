"""What a study that has ended tells: words for its curves, the next file, what has mattered."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Command, digits

STUDY = digits(
    parameters="{architecture: {depth: {min: 1, max: 2}},"
    " learning_rate: {lr: {min: 1.0e-5, max: 1.0e-1, log: true}},"
    " optimizer: {optimizer: {values: [sgd, adam]},"
    " momentum: {min: 0.5, max: 0.9, when: {optimizer: sgd}}}}",
    budget="{trials: 20, epochs: 6}",
).replace("sampler: random", "strategy: staged, sampler: random")
DIVERGING = digits(
    parameters="{learning_rate: {lr: {min: 500, max: 1000}}, architecture: {activation: none},"
    " optimizer: {optimizer: sgd, momentum: {min: 0.8, max: 0.9}}}",
    budget="{trials: 2, epochs: 6}",
)


def narrow(text: str) -> bool:
    return max(map(len, text.splitlines())) <= 80


def test_curves_importance_and_the_next_study(command: Command) -> None:
    said = command.run("run", command.file(STUDY)).stdout
    assert "learning curves: " in said
    assert "hpsearch next s -o s-next.yaml" in said
    words = {str(t["number"]): t["diagnosis"] for t in command.json("trials", "s")}
    assert "hardly learnt" in words.values(), "with the smallest rates nothing is learnt"
    status = command.json("status", "s")
    best = status["diagnosis"]["words"]
    assert best == {number: words[number] for number in best}
    assert status["diagnosis"]["word"] in best.values()
    table = command.run("trials", "s").stdout
    assert narrow(table)
    assert "hardly learnt" in table
    assert all(stage in table for stage in ("warmup", "architecture", "polish"))
    _judge(command)
    _go_on(command, status)


def _judge(command: Command) -> None:
    found = command.json("importance", "s")
    shares = {row["name"]: row for row in found["parameters"]}
    assert sum(row["ped_anova"] for row in shares.values()) == pytest.approx(1)
    assert shares["lr"]["fanova"] > shares["depth"]["fanova"]
    assert shares["momentum"]["fanova"] is None, "it is not in all trials"
    assert [row["name"] for row in found["groups"]] == [
        "architecture",
        "learning_rate",
        "optimizer",
    ]
    assert (found["complete"], found["trials"], found["pairs"]) == (20, 20, 3)
    assert any("momentum" in note for note in found["notes"])
    said = command.run("importance", "s").stdout
    assert narrow(said)
    assert f"{100 * shares['lr']['fanova']:.0f} %" in said, "the forest has the study's seed"


def _go_on(command: Command, status: dict) -> None:
    command.run("next", "s", "-o", "next.yaml")
    file = command.folder / "next.yaml"
    assert file.read_text().startswith("# What to try after s")
    assert "is there already" in command.run("next", "s", "-o", "next.yaml", code=5).stderr
    changes = "--set", "search={sampler: random}"
    command.run("run", file, "--trials", 1, "--epochs", 1, *changes)
    assert command.json("trials", "s-2")[0]["params"]["lr"] == status["best"]["params"]["lr"]


@pytest.mark.nightly
def test_a_study_in_which_nothing_went_well(command: Command) -> None:
    command.run("submit", command.file(DIVERGING))
    assert "no trial yet" in command.run("next", "s", code=6).stderr
    run = command.run("run", command.folder / "study.yaml", code=6)
    assert "2 of 2 trials diverged" in run.stdout
    said = command.run("importance", "s", code=6).stderr
    assert "has 0 trials that can be compared" in said
    assert "extend s --trials N" in said
    assert "max: 501" in command.run("next", "s").stdout, "a step of whole numbers beside it"
