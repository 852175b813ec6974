from __future__ import annotations

import json

import pytest

from hpsearch.spec import schema
from hpsearch.spec import settings as catalog
from hpsearch.spec.augmentation import AUGMENTATION
from hpsearch.spec.document import read as parse
from hpsearch.spec.family import FAMILIES, Family
from hpsearch.spec.faults import Faults
from hpsearch.spec.settings import Setting
from hpsearch.spec.weights import WEIGHTS

EXAMPLE = """\
name: digits
data: {source: digits, validation: 0.15, test: 0.15}
network: {family: mlp}
metric: accuracy
parameters:
  architecture:
    depth: {min: 1, max: 4}
    width: {values: [32, 64, 128, 256]}
    activation: {values: [relu, leaky_relu, tanh]}
  learning_rate:
    lr: {min: 1e-4, max: 1e-1, log: true, default: 1e-3}
  regularization:
    dropout: {min: 0.0, max: 0.5}
    clip: {values: [null, 1.0]}
  optimizer:
    optimizer: {values: [sgd, adam, adamw]}
    momentum: {min: 0.85, max: 0.99, when: {optimizer: sgd}}
    nesterov: true
start: [{lr: 0.01}]
search:
  strategy: joint
  sampler: {architecture: grid, learning_rate: qmc, regularization: tpe, optimizer: tpe}
  pruner: {name: patient, patience: 3, wrapped: {name: asha, reduction_factor: 4}}
  seed: 0
budget: {trials: 60, epochs: 27, hours: 1}
"""


@pytest.fixture(scope="module")
def accepts():
    jsonschema = pytest.importorskip("jsonschema")
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    validator = jsonschema.Draft202012Validator(found)
    return lambda text: validator.is_valid(parse(text, Faults()))


def test_a_whole_study(accepts, read):
    read(EXAMPLE)
    assert accepts(EXAMPLE)


@pytest.mark.parametrize(
    "snippet",
    [
        "parameters: {architecture: {widths: [8, 8]}, batch_size: {batch_size: {values: [32]}}}",
        "network: {family: cnn}\n"
        "parameters: {architecture: {channels: {values: [32, [32, 64]]}, dense: {min: 0, max: 9}}}",
        "search: {sampler: grid, pruner: none}\nbudget: {}\n"
        "parameters: {learning_rate: {lr: {min: 0.1, max: 1.0, step: 0.1}}}",
        "search: {pruner: threshold}",
        "data: {source: csv, path: a.csv, target: x, ignore: [a]}\nmetric: rmse",
        "checkpoints: /mnt",
    ],
)
def test_accepts(accepts, study, snippet):
    assert accepts(study(snippet))


@pytest.mark.parametrize(
    "snippet",
    [
        "extra: 1",
        "name: 3",
        "name: a b",
        "data: {}",
        "data: {source: digts}",
        "data: {source: digits, ignore: x}",
        "network: {family: mpl}",
        "metric: acuracy",
        "parameters: {learning_rat: {lr: 1}}",
        "parameters: {learning_rate: {rl: 1}}",
        "parameters: {learning_rate: {lr: {min: 1}}}",
        "parameters: {learning_rate: {lr: {min: 0, max: 1}}}",
        "parameters: {learning_rate: {lr: {min: 0.1, max: 1, stp: 1}}}",
        "parameters: {learning_rate: {lr: {values: 1}}}",
        "parameters: {learning_rate: {lr: {values: []}}}",
        "parameters: {learning_rate: {lr: {values: [1, 1]}}}",
        "parameters: {learning_rate: {lr: {values: [1], min: 1}}}",
        "parameters: {optimizer: {optimizer: {min: 1, max: 2}}}",
        "parameters: {optimizer: {optimizer: sdg}}",
        "parameters: {optimizer: {momentum: {values: [0.9], when: {optimzer: sgd}}}}",
        "parameters: {architecture: {width: {min: 1, max: 2.5}}}",
        "parameters: {architecture: {batch_norm: on}}",
        "parameters: {architecture: {dropout: 1.5}}",
        "parameters: {architecture: {depth: 65}}",
        "start: {lr: 1}",
        "start: [{rl: 1}]",
        "search: {strategy: stages}",
        "search: {stages: [{stage: x, share: 1}]}",
        "search: {priority: [x]}",
        "search: {sampler: bayes}",
        "search: {sampler: {learning_rat: tpe}}",
        "search: {pruner: asho}",
        "search: {pruner: {name: asha, patience: 3}}",
        "search: {pruner: {name: asha, reduction_factor: 1}}",
        "search: {pruner: {min_resource: 1}}",
        "search: {pruner: {name: patient}}",
        "budget: {trials: 0}",
        "budget: {trials: 4, hours: 0}",
        "checkpoints: ''",
    ],
)
def test_refuses_what_load_refuses(accepts, refuse, study, snippet):
    refuse(study(snippet))
    assert not accepts(study(snippet))


def test_every_key_has_a_description():
    found = schema()
    for name, family in FAMILIES.all().items():
        groups = found["$defs"][f"{name}.parameters"]["anyOf"][0]["properties"]
        assert list(groups) == list(catalog.GROUPS)
        sees_images = "images" in family.takes
        settings = family.vocabulary().settings
        assert found["$defs"][f"{name}.group"]["properties"].keys() == {
            name
            for name, s in settings.items()
            # What networks begin with stands in the network section.
            if s is not WEIGHTS and (sees_images or s not in AUGMENTATION)
        }
    assert found["$defs"]["training.lr"]["description"].endswith("Default: 0.001.")
    parts = (".group", ".start", ".parameters")
    models = [d for name, d in found["$defs"].items() if not name.endswith(parts)]
    for model in [found, *models]:
        for name, key in model.get("properties", {}).items():
            if name != "name" or model is found:
                assert key.get("description") or "$ref" in key, name


def test_nothing_is_titled_with_its_own_name():
    assert json.dumps(schema()).count('"title"') == 1


def test_two_families_may_mean_different_things_by_one_name(study):
    jsonschema = pytest.importorskip("jsonschema")
    depth = Setting("depth", "choice", "shallow", "How deep.", choices=("shallow", "deep"))
    other = Family("other", "Other.", frozenset({"rows"}), (depth,), "other:build")
    validator = jsonschema.Draft202012Validator(schema([FAMILIES["mlp"], other]))

    def accepts(family: str, value: str) -> bool:
        text = study(f"network: {{family: {family}}}\nparameters: {{depth: {value}}}")
        return validator.is_valid(parse(text, Faults()))

    assert accepts("mlp", "3")
    assert accepts("other", "deep")
    assert not accepts("mlp", "deep")
    assert not accepts("other", "3")
    assert not accepts("cnn", "{min: 1, max: 2}")
