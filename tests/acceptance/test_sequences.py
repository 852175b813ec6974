"""What one trial of a family that reads sequences reaches at its defaults, on data of some size."""

from __future__ import annotations

import csv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance.conftest import Command

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

CELLS = {"lstm": ("rnn", "{cell: lstm}"), "gru": ("rnn", "{cell: gru}"), "conv1d": ("conv1d", "{}")}


def one_trial(command: Command, data: str, name: str, metric: str, epochs: int) -> Any:
    """The status of a study of one trial at the defaults of a family."""
    del command.env["OMP_NUM_THREADS"]
    family, parameters = CELLS[name]
    file = command.file(
        f"name: s\ndata: {data}\nnetwork: {{family: {family}}}\nmetric: {metric}\n"
        f"parameters: {parameters}\nsearch: {{sampler: random, pruner: none}}\n"
        f"budget: {{trials: 1, epochs: {epochs}}}\n"
    )
    command.run("run", file, timeout=500)
    return command.json("status", "s")


@pytest.mark.parametrize(("name", "least"), [("lstm", 0.68), ("gru", 0.65), ("conv1d", 0.6)])
def test_images_read_row_by_row(
    command: Command, fashion_mnist: Path, name: str, least: float
) -> None:
    command.env["HPSEARCH_DATA"] = str(fashion_mnist)
    data = "{source: fashion_mnist, limit: 5882}"  # 5,000 of them are training rows
    assert one_trial(command, data, name, "accuracy", 5)["best"]["value"] >= least


def write(folder: Path, values: Any) -> str:
    (folder / "s.csv").write_text("x\n" + "".join(f"{value:.6f}\n" for value in values))
    return "{source: series, path: s.csv, target: x, window: 32}"


STEPS = np.arange(1500)
NOISE = np.random.default_rng(0).normal(size=len(STEPS))
SINE = np.sin(STEPS * 2 * np.pi / 25)
TWO = SINE + 0.5 * np.sin(STEPS * 2 * np.pi / 7.3)


def sunspots() -> Any:
    """The yearly number of sunspots, 1700 to 2008, as statsmodels has it."""
    try:
        file = distribution("statsmodels").locate_file("statsmodels/datasets/sunspots/sunspots.csv")
    except PackageNotFoundError:
        pytest.skip("no sunspots without statsmodels: pip install --no-deps statsmodels")
    with Path(str(file)).open() as lines:
        return [float(row["SUNACTIVITY"]) for row in csv.DictReader(lines)]


@pytest.mark.parametrize(
    ("series", "name", "most", "epochs"),
    [
        ("sine", "lstm", 0.65, 20),
        ("sine", "gru", 0.65, 20),
        ("sine", "conv1d", 0.75, 20),
        ("two", "lstm", 0.75, 40),
        ("two", "gru", 0.75, 40),
        ("two", "conv1d", 0.75, 40),
        ("sunspots", "lstm", 0.75, 100),
        ("sunspots", "gru", 0.75, 100),
        ("sunspots", "conv1d", 0.9, 100),
    ],
)
def test_a_series_is_forecast_better_than_by_its_last_value(
    command: Command, series: str, name: str, most: float, epochs: int
) -> None:
    values = (
        sunspots() if series == "sunspots" else {"sine": SINE, "two": TWO}[series] + 0.1 * NOISE
    )
    status = one_trial(command, write(command.folder, values), name, "rmse", epochs)
    last = {simple["name"]: simple["value"] for simple in status["baselines"]}["last value"]
    assert status["best"]["value"] <= most * last


@pytest.mark.parametrize("name", CELLS)
def test_no_skill_is_claimed_of_a_random_walk(command: Command, name: str) -> None:
    data = write(command.folder, NOISE.cumsum())
    status = one_trial(command, data, name, "rmse", 20)
    assert status["best"]["value"] > min(simple["value"] for simple in status["baselines"])
    best = " ".join(command.run("best", "s").stdout.split())
    assert "; the best trial is no better than that" in best
