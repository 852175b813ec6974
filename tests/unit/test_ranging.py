from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpsearch.api.ranging import rates
from hpsearch.cli import app
from hpsearch.errors import StudyFileError
from hpsearch.spec import load

STUDY = """
name: s
data: {source: digits, limit: 300}
network: {family: mlp}
parameters: {learning_rate: {lr: LR}, batch_size: {batch_size: 32}}
search: {sampler: random}
budget: {trials: 4, epochs: 2}
"""


def ranged(tmp_path: Path, lr: str, *options: str) -> str:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("LR", lr))
    done = CliRunner().invoke(app, ["lr", str(file), "--device", "cpu", *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_own_training_code_has_no_rates_that_could_be_tried(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: s\ntrain: {command: [sh, t.sh, '{lr}']}\nparameters: {lr: {min: 1, max: 2}}\n"
        "metric: {name: loss, direction: minimize}\nbudget: {trials: 2, epochs: 2}\n"
    )
    with pytest.raises(StudyFileError, match="has its own training code"):
        rates(load(file), tmp_path)


@pytest.mark.parametrize(
    ("lr", "default"),
    [
        ("{min: 1e-5, max: 1, log: true}", "default: RATE"),
        ("{values: [1e-4, 2e-3, 0.5]}", "default: 0.002"),
        ("0.1", "lr: RATE"),
    ],
)
def test_the_loss_by_rate_is_a_table_with_what_to_write_below(
    tmp_path: Path, lr: str, default: str
) -> None:
    shown = ranged(tmp_path, lr).splitlines()
    (row,) = (line for line in shown if "suggested" in line)
    rate = float(row.split()[0])
    (largest,) = (line for line in shown if "largest" in line)
    assert 1e-4 < rate <= float(largest.split()[0]) < 1
    assert shown[-1].endswith(default.replace("RATE", f"{rate:g}"))
    assert 10 <= sum(line.lstrip()[:1].isdigit() for line in shown) <= 12
    assert max(map(len, shown)) <= 100


def test_threads_wait_as_in_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    ranged(tmp_path, "0.1")
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_rates_beyond_the_range_are_tried_so_that_one_misplaced_is_seen(tmp_path: Path) -> None:
    test = json.loads(ranged(tmp_path, "{min: 1e-5, max: 1e-4, log: true}", "--json"))
    assert test["points"][0]["lr"] == pytest.approx(1e-6)
    assert test["points"][-1]["lr"] == pytest.approx(1e-3)
    assert (test["in_range"], test["range"]) == (False, {"min": 1e-5, "max": 1e-4})
    assert 1e-4 < test["suggested"] <= test["largest"]
