"""The budget is exact and the draws are the same, however many processes share them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Command, digits
from tests.conftest import Servers

GRID = (
    "{architecture: {width: {values: [4, 8, 16]}, depth: {min: 1, max: 2}},"
    " learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true, count: 5}},"
    " optimizer: {optimizer: {values: [sgd, adam]}}}"
)
RANDOM = (
    "{architecture: {width: {min: 4, max: 16}},"
    " learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true}},"
    " optimizer: {optimizer: {values: [sgd, adam]},"
    " momentum: {min: 0.85, max: 0.99, when: {optimizer: sgd}}}}"
)

MakeCommand = Callable[[str], Command]


def params(trials: list[dict]) -> Counter:
    return Counter(tuple(sorted(trial["params"].items())) for trial in trials)


@pytest.mark.parametrize(
    "backend", ["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.nightly)]
)
def test_four_workers_run_every_cell_of_a_grid_once(
    backend: str, servers: Servers, tmp_path: Path, make_command: MakeCommand
) -> None:
    command = make_command(servers.new_database(backend, tmp_path))
    file = command.file(digits(parameters=GRID, sampler="grid", budget="{epochs: 1}"))
    command.run("run", file, "--workers", 4)
    trials = command.json("trials", "s")
    assert len(trials) == 60
    assert {trial["state"] for trial in trials} == {"COMPLETE"}
    assert set(params(trials).values()) == {1}
    assert len({trial["worker"] for trial in trials}) > 1, "one worker did it all"


def test_forty_random_trials_are_the_same_with_three_processes_as_with_one(
    make_command: MakeCommand, tmp_path: Path
) -> None:
    drawn = []
    for workers in (3, 1):
        command = make_command(f"sqlite:///{tmp_path}/{workers}.db")
        file = command.file(digits(parameters=RANDOM, budget="{trials: 40, epochs: 1}"))
        command.run("run", file, "--workers", workers)
        trials = command.json("trials", "s")
        assert len(trials) == 40
        drawn.append(params(trials))
    assert drawn[0] == drawn[1]
    assert set(drawn[0].values()) == {1}


def test_starting_points_run_once_each_within_the_budget(command: Command) -> None:
    start = "start: [{lr: 0.02}, {lr: 0.03, width: 5}]"
    file = command.file(digits(parameters=RANDOM, budget="{trials: 5, epochs: 1}", extra=[start]))
    command.run("run", file, "--workers", 2)
    trials = command.json("trials", "s")
    assert len(trials) == 5
    assert [t["params"]["lr"] for t in trials if t["sampler"] == "start"].count(0.02) == 1
    (second,) = [t for t in trials if t["params"]["lr"] == 0.03]
    assert second["params"]["width"] == 5
