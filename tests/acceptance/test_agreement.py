"""What Optuna's own tools read is what hpsearch says."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from tests.acceptance.conftest import Command, digits
from tests.conftest import BACKENDS, Servers

# A learning rate of 1000 diverges, a pruner prunes, and for a million million units there is no
# memory.
PARAMETERS = (
    "{architecture: {widths: {values: [[8, 8], [16, 16], [1099511627776]]},"
    " activation: {values: [relu, none]}},"
    " learning_rate: {lr: {values: [0.01, 0.03, 1000]}},"
    " optimizer: {optimizer: sgd}}"
)


@pytest.fixture(params=BACKENDS)
def searched(
    request: pytest.FixtureRequest,
    servers: Servers,
    tmp_path: Path,
    make_command: Callable[[str], Command],
) -> Command:
    """A finished study with trials of every ending."""
    command = make_command(servers.new_database(request.param, tmp_path))
    text = digits(parameters=PARAMETERS, sampler="grid", pruner="asha", budget="{epochs: 3}")
    command.run("run", command.file(text))
    return command


def test_optuna_its_command_line_and_the_dashboard_agree(searched: Command) -> None:
    ours = searched.json("trials", "s")
    states = {trial["state"] for trial in ours}
    assert {"COMPLETE", "PRUNED", "FAIL"} == states
    study = optuna.load_study(study_name="s", storage=searched.url)
    assert [as_ours(t) for t in study.trials] == [comparable(t) for t in ours]
    best = searched.json("best", "s")
    # Of equals hpsearch names the first; Optuna whichever the database gives it.
    equals = [t.params for t in study.trials if t.value == study.best_value]
    assert (best["value"], best["params"]) == (study.best_value, equals[0])
    assert study.best_trial.params in equals
    assert cli_trials(searched) == {(t["number"], t["state"]) for t in ours}
    assert dashboard_trials(searched) == {(t["number"], t["state"].capitalize()) for t in ours}


def comparable(trial: dict) -> tuple:
    curve = {int(epoch): value for epoch, value in trial["curve"].items()}
    attrs = [trial[key] for key in ("ticket", "stage", "sampler", "attempts", "worker", "reason")]
    return trial["number"], trial["state"], trial["value"], trial["params"], curve, attrs


def as_ours(trial: optuna.trial.FrozenTrial) -> tuple:
    attrs = [
        trial.user_attrs.get(key)
        for key in ("ticket", "stage", "sampler", "attempts", "worker", "reason")
    ]
    assert all(math.isfinite(v) for v in trial.intermediate_values.values())
    return (
        trial.number, trial.state.name, trial.value, trial.params, trial.intermediate_values, attrs,
    )  # fmt: skip


def cli_trials(command: Command) -> set[tuple[int, str]]:
    done = subprocess.run(
        [Path(sys.executable).parent / "optuna", "--storage", command.url, "trials",
         "--study-name", "s", "-f", "json"],
        text=True, capture_output=True, check=True,
    )  # fmt: skip
    return {(int(t["number"]), t["state"]) for t in json.loads(done.stdout)}


def dashboard_trials(command: Command) -> set[tuple[int, str]]:
    serving = command.start("dashboard", "--port", "0")
    assert serving.stdout is not None
    line = serving.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+/", line)
    assert address, line
    with urllib.request.urlopen(f"{address[0]}dashboard") as page:
        assert "Optuna Dashboard" in page.read().decode()
    with urllib.request.urlopen(f"{address[0]}api/studies") as answer:
        (study,) = json.load(answer)["study_summaries"]
    with urllib.request.urlopen(f"{address[0]}api/studies/{study['study_id']}?after=0") as answer:
        detail = json.load(answer)
    assert detail["name"] == "s"
    return {(t["number"], t["state"]) for t in detail["trials"]}
