"""What `hp.log`, `hp.range` and `hp.choice` say is what a study file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import hpsearch as hp
from hpsearch.api.definition import of_values
from hpsearch.api.parameters import plain
from hpsearch.spec import StudySpec, load

FILE = """
name: s
data: {source: digits}
network: {family: mlp}
parameters:
  depth: {min: 1, max: 4, default: 2}
  width: {values: [32, 64]}
  activation: relu
  lr: {min: 1e-4, max: 1e-1, log: true}
  optimizer: {values: [sgd, adam]}
  momentum: {min: 0.8, max: 0.9, step: 0.05, when: {optimizer: sgd}}
budget: {trials: 4, epochs: 3}
"""


def test_the_study_of_a_file_and_of_python_are_one(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(FILE)
    parameters = {
        "depth": hp.range(1, 4, default=2),
        "width": hp.choice(32, np.int64(64)),
        "activation": "relu",
        "lr": hp.log(1e-4, np.float64(0.1)),
        "optimizer": hp.choice("sgd", "adam"),
        "momentum": hp.range(0.8, 0.9, step=0.05, when={"optimizer": "sgd"}),
    }
    content = {
        "data": "digits", "network": "mlp", "parameters": parameters,
        "budget": {"trials": 4, "epochs": 3},
    }  # fmt: skip
    made: StudySpec = of_values("s", content, lambda: tmp_path).spec
    assert made.digest == load(tmp_path / "s.yaml").digest


def test_values_as_yaml_has_them() -> None:
    given = {"a": (np.float32(0.5), Path("x/y")), 3: np.bool_(True), "text": "abc"}
    assert plain(given) == {"a": [0.5, "x/y"], "3": True, "text": "abc"}
