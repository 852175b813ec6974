from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import sys
from typing import Any

import pytest

import hpsearch.spec
from hpsearch.errors import StudyFileError
from hpsearch.spec import StudySpec, differences
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.space import Choices, Condition, Range

FULL = """\
name: digits-1
data: {source: digits, validation: 0.2, seed: 3, limit: 900}
network: {family: mlp}
metric: f1
parameters:
  architecture:
    depth: {min: 1, max: 4}
    width: {values: [32, 64]}
    dropout: {min: 0, max: 0.5, step: 0.1, when: {depth: [2, 3], optimizer: sgd}}
  learning_rate:
    lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-3, count: 5}
    warmup: {min: 0, max: 5}
    schedule: cosine
  optimizer:
    optimizer: {values: [sgd, adam]}
    clip: {values: [null, 1]}
    nesterov: true
start: [{lr: 1e-2, depth: 2, optimizer: sgd, dropout: 0.3}, {}]
search:
  strategy: joint
  sampler: {architecture: grid, learning_rate: qmc, optimizer: tpe}
  pruner: {name: patient, patience: 2, wrapped: {name: percentile, percentile: 40}}
  seed: 7
budget: {trials: 60, epochs: 27, hours: 1}
checkpoints: /mnt/checkpoints
"""

VARIANTS = {
    "full": FULL,
    "widths": FULL.replace("    depth: {min: 1, max: 4}\n", "").replace(
        "width: {values: [32, 64]}", "widths: {values: [[8], [8, 8]], default: [8]}"
    ).replace("depth: [2, 3], ", "widths: [[8, 8]], ").replace("depth: 2, ", "widths: [8, 8], "),
    "conditions across groups": FULL.replace(
        "clip: {values: [null, 1]}", "clip: {values: [null, 1], when: {nesterov: true, lr: 0.01}}"
    ),
    "own test part": FULL.replace("source: digits", "source: mnist, root: /data"),
    "csv": FULL.replace("{source: digits", "{source: csv, path: a.csv, target: t, ignore: [b, c]"),
    "threshold": FULL.replace("name: percentile, percentile: 40", "name: threshold, lower: 0.1"),
    "grid": FULL[: FULL.index("start:")] + "search: {sampler: grid}\n",
}  # fmt: skip


def test_what_a_file_becomes(read):
    spec = read(FULL)
    names = [p.name for p in spec.space]
    # Those first that others depend on, the rest as in the file.
    assert names == ["depth", "width", "optimizer", "dropout", "lr", "warmup", "clip"]
    dropout, lr, warmup, clip = spec.space.parameters[3:]
    assert dropout.domain == Range(0.0, 0.5, step=0.1)
    assert dropout.when == (Condition("depth", (2, 3)), Condition("optimizer", ("sgd",)))
    assert (lr.domain, lr.default) == (Range(1e-4, 1e-1, log=True, count=5), 1e-3)
    assert warmup.domain == Range(0, 5, integer=True)
    assert clip.domain == Choices((None, 1.0))
    assert spec.space.constants == {"schedule": "cosine", "nesterov": True}
    assert spec.start == ({"depth": 2, "optimizer": "sgd", "dropout": 0.3, "lr": 0.01}, {})
    assert spec.search.sampler == {
        "architecture": "grid", "learning_rate": "qmc", "optimizer": "tpe",
    }  # fmt: skip
    assert (spec.metric, spec.direction, spec.family) == ("f1", "maximize", "mlp")
    assert (spec.budget.trials, spec.budget.epochs, spec.budget.hours) == (60, 27, 1.0)
    assert (spec.data.task, spec.data.test, spec.data.limit) == ("classification", 0.15, 900)
    assert spec.checkpoints == "/mnt/checkpoints"


def test_defaults(read, study):
    spec = read(study())
    assert spec.metric == "accuracy"
    assert (spec.data.validation, spec.data.test, spec.data.seed) == (0.15, 0.15, 0)
    assert spec.search.strategy == "joint"
    assert spec.search.sampler == {"learning_rate": "bayesian"}
    assert spec.search.pruner.name == "asha"
    assert spec.search.seed == 0
    assert (spec.budget.epochs, spec.budget.hours, spec.checkpoints) == (10, None, None)


def test_a_source_with_its_own_test_part_has_no_share(read, study):
    assert read(study("data: {source: mnist, validation: 0.9}")).data.test is None


def test_direction(read, study):
    assert read(study("metric: loss")).direction == "minimize"


def test_pruners(read, study):
    pruner = read(FULL).search.pruner
    assert (pruner.name, pruner.options["patience"]) == ("patient", 2)
    inner = pruner.options["wrapped"]
    assert (inner.name, inner.options["percentile"], inner.options["interval_steps"]) == (
        "percentile", 40.0, 1,
    )  # fmt: skip
    bare = read(study("search: {pruner: {name: patient, patience: 1, wrapped: none}}"))
    assert bare.search.pruner.options == {"patience": 1, "min_delta": 0.0, "wrapped": None}
    assert read(study("search: {pruner: none}")).search.pruner.options == {}


@pytest.mark.parametrize("name", ["asha", "hyperband", "median", "percentile"])
def test_optuna_takes_the_options(read, study, name):
    optuna = pytest.importorskip("optuna")
    pruners = {
        "asha": optuna.pruners.SuccessiveHalvingPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
        "median": optuna.pruners.MedianPruner,
        "percentile": optuna.pruners.PercentilePruner,
    }
    pruners[name](**read(study(f"search: {{pruner: {name}}}")).search.pruner.options)


def test_trials_may_be_left_to_a_grid(read):
    assert read(VARIANTS["grid"]).budget.trials is None


def test_a_group_of_constants_needs_no_sampler(read, study):
    parameters = (
        "parameters:\n  batch_size: {batch_size: 32}\n  optimizer: {beta1: {values: [0.9]}}"
    )
    for sampler in ("{optimizer: tpe}", "{optimizer: tpe, batch_size: random}"):
        spec = read(study(f"{parameters}\nsearch: {{sampler: {sampler}}}"))
        assert spec.search.sampler == {"optimizer": "tpe"}


def test_settings(read):
    spec = read(FULL)
    settings = spec.settings({"lr": 0.01, "optimizer": "sgd"})
    assert set(settings) == set(FAMILIES["mlp"].vocabulary().settings)
    assert (settings["lr"], settings["optimizer"]) == (0.01, "sgd")
    assert (settings["schedule"], settings["nesterov"]) == ("cosine", True)
    assert (settings["epochs"], settings["batch_size"]) == (27, 64)


@pytest.mark.parametrize(("epochs", "expected"), [("5", 5), ("null", 10)])
def test_epochs_of_its_own(read, study, epochs, expected):
    text = study().replace("    lr:", f"    epochs: {epochs}\n    lr:")
    assert read(text).settings({"lr": 1.0})["epochs"] == expected
    assert read(text).settings({"epochs": 3})["epochs"] == 3


def test_a_start_may_lean_on_defaults(read, study):
    text = study(
        "parameters:\n  optimizer:\n    optimizer: {values: [sgd, adam], default: sgd}\n"
        "    momentum: {min: 0.1, max: 0.9, when: {optimizer: sgd}}\nstart: [{momentum: 0.5}]"
    )
    assert read(text).start == ({"momentum": 0.5},)


class TestDocument:
    @pytest.mark.parametrize("text", VARIANTS.values(), ids=VARIANTS)
    def test_gives_the_spec_back(self, read, text):
        spec = read(text)
        # As a database that keeps no order of keys would return it.
        document = json.loads(json.dumps(spec.document, sort_keys=True))
        again = StudySpec.from_document(document)
        assert again == spec
        assert again.document == spec.document
        assert again.digest == spec.digest
        assert [p.name for p in again.space] == [p.name for p in spec.space]
        assert [p.group for p in again.space] == [p.group for p in spec.space]

    def test_order_survives_groups_that_interleave(self, read, study):
        text = study(
            "parameters:\n  architecture: {depth: {values: [1, 2], when: {beta2: 0.9}}}\n"
            "  optimizer: {beta1: {values: [0.9]}, beta2: {values: [0.9]}}"
        )
        spec = read(text)
        assert [p.name for p in spec.space] == ["beta2", "depth", "beta1"]
        assert StudySpec.from_document(spec.document) == spec

    def test_is_an_input_like_any_other(self, read):
        document = copy.deepcopy(read(FULL).document)
        document["budget"]["trials"] = 0
        document["parameters"][0]["max"] = float("nan")
        document["parameters"][1]["group"] = "architectur"
        document["search"]["sampler"]["architectur"] = "tpe"
        document["constants"]["schedule"] = "cosin"
        with pytest.raises(StudyFileError) as caught:
            StudySpec.from_document(document)
        assert str(caught.value).splitlines() == [
            'study "digits-1" in the database has 4 faults:',
            'study "digits-1" in the database: parameters.0.max: expected a finite number; got nan',
            'study "digits-1" in the database: parameters.1.group: expected one of architecture, '
            'learning_rate, batch_size, regularization, optimizer; got "architectur"',
            'study "digits-1" in the database: budget.trials: expected a whole number of at least '
            "1; got 0",
            'study "digits-1" in the database: constants.schedule: expected one of constant, step, '
            'exponential, cosine, one_cycle, plateau; got "cosin"; did you mean cosine?',
        ]

    @pytest.mark.parametrize(
        "change",
        [
            {"parameters": None},
            {"parameters": {}},
            {"parameters": [3]},
            {"parameters": [{"name": "lr"}]},
            {"parameters": [{"name": "lr", "group": "x", "min": 1, "max": 2}]},
            {"parameters": []},
            {"constants": []},
            {"constants": {"lr": 1}},
            {"start": [{"lr": 1, "x": object()}]},
            {"data": {}},
            {"unknown": 1},
        ],
    )
    def test_faults(self, read, change):
        with pytest.raises(StudyFileError):
            StudySpec.from_document(read(FULL).document | change)

    def test_of_another_kind(self):
        loop: list[object] = []
        loop.append(loop)
        documents: list[Any] = [None, [], {}, {"start": loop}]
        for document in documents:
            with pytest.raises(StudyFileError):
                StudySpec.from_document(document)


class TestDigest:
    def test_same_meaning(self, read, study):
        spelled = """\
# a comment
budget: {epochs: 10, trials: 4, hours: null}
search: {pruner: {name: asha, reduction_factor: 3}, sampler: bayesian, seed: 0}
parameters:
  learning_rate:
    lr:
      max: 1e-1
      min: .001
      log: false
metric: accuracy
network: {family: "mlp"}
data: {test: 0.15, task: classification, source: digits}
start: []
name: base
"""
        assert read(spelled).digest == read(study()).digest
        assert read(spelled) == read(study())

    def test_a_real_number_may_be_written_whole(self, read, study):
        text = study().replace("    lr:", "    clip: 1\n    decay: {values: [1, 0.5]}\n    lr:")
        assert (
            read(text).digest == read(text.replace("1\n", "1.0\n").replace("[1,", "[1.0,")).digest
        )

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("trials: 60", "trials: 61"),
            ("seed: 7", "seed: 8"),
            ("default: 1e-3", "default: 1e-2"),
            ("values: [sgd, adam]", "values: [adam, sgd]"),
            ("schedule: cosine", "schedule: step"),
            ("wrapped: {name: percentile, percentile: 40}", "wrapped: none"),
            (
                "    depth: {min: 1, max: 4}\n    width: {values: [32, 64]}",
                "    width: {values: [32, 64]}\n    depth: {min: 1, max: 4}",
            ),
        ],
    )
    def test_another_meaning(self, read, old, new):
        assert read(FULL.replace(old, new)).digest != read(FULL).digest

    def test_is_stable_over_releases(self, read, study):
        # Studies in databases are known by it: a change here needs a word in the changelog.
        assert read(study()).digest == DIGEST
        assert read(study()).under(2).digest == DIGEST_2
        assert read(study()).under(1).digest == DIGEST_1


DIGEST = "eedff51237e401fa34d96d6de08d0fc95f44b62006374b3e92303e7d4644e064"
DIGEST_2 = "f4e1b68a8960420f8c9a44b5ee1ebac9518a2d6d83813483aeb99f0a4dfd2222"
DIGEST_1 = "f266ba286a7bf21567e328f5535ad77c9d052532ffb61381fcda2b61ba5aa1e6"


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("x", "x", []),
        ("trials: 60", "trials: 20", ["budget.trials: 60 in the database, 20 in the file"]),
        (
            "hours: 1}",
            "hours: null}",
            ["budget.hours: 1.0 in the database, nothing in the file"],
        ),
        (
            "max: 1e-1",
            "max: 0.2",
            ["parameters.learning_rate.lr.max: 0.1 in the database, 0.2 in the file"],
        ),
        (
            "schedule: cosine",
            "schedule: step",
            ['parameters.schedule: "cosine" in the database, "step" in the file'],
        ),
        (
            "width: {values: [32, 64]}",
            "width: 32",
            [
                'parameters.architecture.width: {"values": [32, 64]} in the database, '
                "nothing in the file",
                "parameters.width: nothing in the database, 32 in the file",
            ],
        ),
        (
            "    optimizer: {values: [sgd, adam]}\n    clip: {values: [null, 1]}",
            "    clip: {values: [null, 1]}\n    optimizer: {values: [sgd, adam]}",
            [],  # optimizer comes before both, as dropout depends on it
        ),
        (
            "    lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-3, count: 5}\n"
            "    warmup: {min: 0, max: 5}",
            "    warmup: {min: 0, max: 5}\n"
            "    lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-3, count: 5}",
            [
                'order of parameters: ["depth", "width", "optimizer", "dropout", "lr", "warmup", '
                '"clip"] in the database, ["depth", "width", "optimizer", "dropout", "warmup", '
                '"lr", "clip"] in the file'
            ],
        ),
    ],
)
def test_differences(read, old, new, lines):
    before, after = read(FULL), read(FULL.replace(old, new))
    assert differences(before, after) == lines
    assert (before.digest == after.digest) == (not lines)


def test_a_spec_cannot_be_changed(read):
    spec = read(FULL)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.name = "x"
    with pytest.raises(ValueError, match="frozen"):
        spec.budget.trials = 3


def test_the_import_is_light():
    heavy = ("torch", "optuna", "sqlalchemy", "numpy", "sklearn")
    code = (
        "import sys; from hpsearch.spec.family import FAMILIES; FAMILIES.all(); "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_is_complete():
    public = {n for n, v in vars(hpsearch.spec).items() if getattr(v, "__module__", "").startswith(
        "hpsearch.spec") and not n.startswith("_")}  # fmt: skip
    inner = {"Faults", "StudySections", "check", "overlay", "read"}
    assert public - inner == {n for n in hpsearch.spec.__all__ if not n.isupper()}  # no constants


# The metric, with its direction


def test_a_metric_with_its_direction_is_the_metric(read, study):
    plain = read(study("metric: f1"))
    named = read(study("metric: {name: f1, direction: maximize}"))
    assert named.document == plain.document
    assert named.digest == plain.digest
    assert (named.metric, named.direction) == ("f1", "maximize")
