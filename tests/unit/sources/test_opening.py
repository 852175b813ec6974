"""Which data a study names, where its file leaves something open."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.sources.opening import data_settings
from hpsearch.spec import load


@pytest.mark.parametrize(("metric", "task"), [
    ("accuracy", "classification"), ("loss", None), ("rmse", None),
])  # fmt: skip
def test_a_metric_that_only_classes_have_makes_numbers_classes(tmp_path: Path, metric, task):
    file = tmp_path / "s.yaml"
    file.write_text(
        "name: s\ndata: {source: table, path: t.csv, target: t}\nnetwork: {family: mlp}\n"
        f"metric: {metric}\nparameters: {{lr: {{min: 0.001, max: 0.1}}}}\n"
        "budget: {trials: 2, epochs: 2}\n"
    )
    study = load(file)
    assert data_settings(study, tmp_path).section.task == task
    assert study.data.task is None, "which is what the file says, and its digest"
