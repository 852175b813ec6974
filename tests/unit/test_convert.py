"""W&B sweeps and Katib experiments become study files that pass the check."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from hpsearch.children.command import _filled
from hpsearch.convert import Converted, converted, read_foreign, study_text
from hpsearch.errors import StudyFileError
from hpsearch.spec import load

SWEEP = """
program: fit.py
method: bayes
metric: {name: val/loss, goal: minimize, target: 0.1}
parameters:
  optimizer.lr: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}
  layers: {distribution: int_uniform, min: 1, max: 4}
  act: {values: [relu, tanh]}
  noise: {distribution: normal, mu: 1.0, sigma: 0.25}
  data: {parameters: {crop: {values: [true, false]}}}
  device: {value: cuda}
  sizes: {value: [1.5, 2]}
  seed: {values: [1, 2, 3]}
  epochs: {value: 27}
early_terminate: {type: hyperband, s: 2, eta: 3, max_iter: 27}
project: mine
"""

EXPERIMENT = """
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: tune-it, namespace: x}
spec:
  objective: {type: maximize, goal: 0.99, objectiveMetricName: Validation-accuracy}
  algorithm:
    algorithmName: bayesianoptimization
    algorithmSettings: [{name: random_state, value: "10"}]
  parallelTrialCount: 3
  maxTrialCount: 12
  parameters:
    - {name: lr, parameterType: double, feasibleSpace: {min: "0.01", max: "0.03", step: "0.01"}}
    - {name: num-layers, parameterType: int, feasibleSpace: {min: "2", max: "5"}}
    - {name: batch, parameterType: discrete, feasibleSpace: {list: ["16", "32"]}}
    - {name: optimizer, parameterType: categorical, feasibleSpace: {list: [sgd, adam]}}
  trialTemplate:
    primaryContainerName: main
    trialParameters:
      - {name: learningRate, reference: lr}
      - {name: layers, reference: num-layers}
      - {name: batch, reference: batch}
      - {name: opt, reference: optimizer}
      - {name: trialName, reference: "${trialSpec.Name}"}
    trialSpec:
      kind: Job
      spec:
        template:
          spec:
            containers:
              - {name: sidecar, command: [sleep, "1"]}
              - name: main
                image: registry.example/train:1
                command: [python3, /opt/train.py]
                args: ["--lr=${trialParameters.learningRate}", "--n=${trialParameters.layers}",
                       "--batch=${trialParameters.batch}", "--opt", "${trialParameters.opt}"]
                env: [{name: TRIAL, value: "${trialParameters.trialName}"}]
"""

ALPHA = """
apiVersion: kubeflow.org/v1alpha3
kind: Experiment
metadata: {name: old}
spec:
  objective: {type: minimize, objectiveMetricName: loss}
  algorithm: {algorithmName: random}
  maxTrialCount: 4
  parameters:
    - {name: --lr, parameterType: double, feasibleSpace: {min: "0.01", max: "0.3"}}
    - {name: --layers, parameterType: int, feasibleSpace: {min: "1", max: "3"}}
  trialTemplate:
    goTemplate:
      rawTemplate: |-
        kind: Job
        metadata:
          name: {{.Trial}}
        spec:
          containers:
          - name: {{.Trial}}
            command:
            - "python"
            - "train.py"
            {{- with .HyperParameters}}
            {{- range .}}
            - "{{.Name}}={{.Value}}"
            {{- end}}
            {{- end}}
"""


def study(text: str, folder: Path, name: str = "theirs.yaml") -> tuple[Converted, Any]:
    file = folder / name
    file.write_text(text)
    found = converted(read_foreign(file), file.stem)
    (folder / "ours.yaml").write_text(study_text(found, file.name, folder))
    return found, load(folder / "ours.yaml")


def lost(found: Converted, word: str) -> str:
    return next(one for one in found.lost if one.startswith(word))


def test_a_sweep_is_a_study_of_its_program(tmp_path: Path) -> None:
    found, spec = study(SWEEP, tmp_path)
    assert spec.name == "theirs"
    assert (spec.metric, spec.direction) == ("val/loss", "minimize")
    assert spec.search.sampler["architecture"] == "bayesian"
    assert (spec.search.pruner.name, spec.search.pruner.options["min_resource"]) == ("asha", 3)
    assert (spec.budget.trials, spec.budget.epochs) == (50, 27)
    params = {
        "optimizer_lr": 0.01, "layers": 2, "act": "relu", "noise": 1.0, "data_crop": True,
        "device_": "cuda", "seed": 7, "epochs": 27,
    }  # fmt: skip
    assert _filled(spec.train.command, params) == [
        "python", "fit.py", "--optimizer.lr=0.01", "--layers=2", "--act=relu", "--noise=1.0",
        "--data.crop=true", "--device=cuda", "--sizes=[1.5, 2]", "--seed=7", "--epochs=27",
    ]  # fmt: skip
    (noise,) = (p.domain for p in spec.space if p.name == "noise")
    assert (noise.low, noise.high) == (0.5, 1.5)
    for word in ("metric.target", "noise: the normal", "seed", "project", "run_cap"):
        assert lost(found, word)
    assert "# - project: " in (tmp_path / "ours.yaml").read_text()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("['${env}', '${interpreter}', '${program}', '${args_no_hyphens}']",
         ["python", "fit.py", "a.b=1", "c=x"]),
        ("[python3, -m, pkg, --fast, '${args}']",
         ["python3", "-m", "pkg", "--fast", "--a.b=1", "--c=x"]),
        ('[./run.sh, "${args_json}"]', ["./run.sh", '{"a.b": 1, "c": "x"}']),
    ],
)  # fmt: skip
def test_a_command_has_its_arguments_in_its_own_form(tmp_path: Path, command, words) -> None:
    text = (
        f"program: fit.py\nmethod: random\nmetric: {{name: l}}\ncommand: {command}\nrun_cap: 3\n"
        "parameters: {a.b: {min: 1, max: 3}, c: {values: [x, y]}}\n"
    )
    _, spec = study(text, tmp_path)
    assert _filled(spec.train.command, {"a_b": 1, "c": "x"}) == words
    assert spec.budget.trials == 3


def test_parameters_that_the_command_lacks_are_named(tmp_path: Path) -> None:
    text = (
        "method: bayes\nprogram: f.py\ncommand: [python, f.py]\nparameters: {a: {min: 1, max: 3}}"
    )
    found, _ = study(text, tmp_path)
    assert "HPSEARCH_PARAMS" in lost(found, "a: no part of the command")


def test_a_grid_ends_by_itself_and_a_range_is_none(tmp_path: Path) -> None:
    grid = "program: f.py\nmethod: grid\nparameters: {a: {values: [1, 2]}}\n"
    found, spec = study(grid, tmp_path)
    assert spec.budget.trials is None
    assert lost(found, "metric: the file names none")
    found, spec = study(grid.replace("values: [1, 2]", "min: 0.5, max: 1.0"), tmp_path)
    assert (spec.search.sampler["architecture"], spec.budget.trials) == ("random", 50)
    assert lost(found, "method: a grid wants lists")


def test_an_experiment_is_a_study_of_its_container(tmp_path: Path) -> None:
    found, spec = study(EXPERIMENT, tmp_path)
    assert (spec.name, spec.budget.trials, spec.search.seed) == ("tune-it", 12, 10)
    assert (spec.metric, spec.direction) == ("Validation_accuracy", "maximize")
    params = {"lr": 0.02, "num_layers": 3, "batch": 16, "optimizer": "adam"}
    assert _filled(spec.train.command, params) == [
        "env", "TRIAL=tune-it", "python3", "/opt/train.py", "--lr=0.02", "--n=3", "--batch=16",
        "--opt", "adam",
    ]  # fmt: skip
    import re

    line = re.search(spec.train.metrics, "epoch 3: Validation-accuracy=0.913")
    assert line["Validation_accuracy"] == "0.913"
    for word in ("image registry", "objective.goal", "parallelTrialCount: hpsearch run"):
        assert lost(found, word)


def test_templates_of_the_first_versions_are_read(tmp_path: Path) -> None:
    _, spec = study(ALPHA, tmp_path)
    assert _filled(spec.train.command, {"lr": 0.1, "layers": 2}) == [
        "python", "train.py", "--lr=0.1", "--layers=2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\n", "is neither a W&B sweep"),
        ("a: [1\n", "is no YAML"),
        (EXPERIMENT.replace("  parallelTrialCount: 3", "  nasConfig: {}"), "no counterpart"),
        ("method: bayes\nparameters: &p\n  lr: *p\n", "an alias inside its own value"),
        (
            "".join(
                [
                    "a: &a [1, 1, 1, 1]\n",
                    *(
                        f"{n}: &{n} [*{m}, *{m}, *{m}, *{m}]\n"
                        for m, n in itertools.pairwise("abcdefghi")
                    ),
                    "method: bayes\nparameters: {lr: {values: *i}}\n",
                ]
            ),
            "at most 50,000 values",
        ),
    ],
)
def test_what_is_no_study_says_so(tmp_path: Path, text, words) -> None:
    with pytest.raises(StudyFileError, match=words):
        study(text, tmp_path)
