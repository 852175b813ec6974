from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hpsearch.cli import app

STUDY = """
name: s
data: {source: digits, limit: 300}
network: {family: mlp}
parameters: {learning_rate: {lr: LR}, batch_size: {batch_size: 32}}
search: {sampler: random}
budget: {trials: 4, epochs: 2}
"""


def ranged(tmp_path: Path, lr: str) -> Any:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("LR", lr))
    done = CliRunner().invoke(app, ["lr", str(file), "--device", "cpu", "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("lr", "line"),
    [
        ("{min: 1e-5, max: 1, log: true}", "lr: {min: 1e-05, max: 1.0, log: true, default: RATE}"),
        (
            "{min: 1.2345678e-4, max: 0.5}",
            "lr: {min: 0.00012345678, max: 0.5, default: RATE}",
        ),
        ("{values: [1e-4, 2e-3, 0.5]}", "lr: {values: [0.0001, 0.002, 0.5], default: 0.002}"),
        ("0.1", "lr: RATE"),
    ],
)
def test_the_line_is_the_entry_of_the_file_with_the_rate(
    tmp_path: Path, lr: str, line: str
) -> None:
    found = ranged(tmp_path, lr)
    assert found["line"] == line.replace("RATE", f"{found['suggested']:g}")
    assert 1e-4 < found["suggested"] <= found["largest"] < 1


def test_threads_wait_as_in_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    ranged(tmp_path, "0.1")
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def test_rates_beyond_the_range_are_tried_so_that_one_misplaced_is_seen(tmp_path: Path) -> None:
    found = ranged(tmp_path, "{min: 1e-5, max: 1e-4, log: true}")
    assert found["points"][0]["lr"] == pytest.approx(1e-6)
    assert found["points"][-1]["lr"] == pytest.approx(1e-3)
    assert (found["in_range"], found["line"]) == (False, None)
