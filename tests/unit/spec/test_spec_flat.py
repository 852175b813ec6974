"""Parameters that stand directly under `parameters`, without a heading for each group."""

from __future__ import annotations

import json

import pytest

from hpsearch.spec import schema
from hpsearch.spec.document import read as parse
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.faults import Faults

GROUPED = """\
parameters:
  architecture:
    depth: {min: 1, max: 3}
    activation: tanh
  learning_rate:
    lr: {min: 1e-4, max: 1e-1, log: true}
  batch_size:
    batch_size: {values: [32, 64]}
  regularization:
    dropout: {min: 0.0, max: 0.5}
  optimizer:
    optimizer: {values: [sgd, adam]}
    momentum: {min: 0.8, max: 0.9, when: {optimizer: sgd}}
"""
FLAT = """\
parameters:
  dropout: {min: 0.0, max: 0.5}
  lr: {min: 1e-4, max: 1e-1, log: true}
  optimizer: {values: [sgd, adam]}
  depth: {min: 1, max: 3}
  activation: tanh
  batch_size: {values: [32, 64]}
  momentum: {min: 0.8, max: 0.9, when: {optimizer: sgd}}
"""


def test_it_is_the_same_study_as_with_headings(read, study) -> None:
    flat, grouped = read(study(FLAT)), read(study(GROUPED))
    assert flat.document == grouped.document
    assert list(flat.document) == list(grouped.document)
    assert flat.digest == grouped.digest
    assert [(p.name, p.group) for p in flat.space][:2] == [
        ("depth", "architecture"), ("lr", "learning_rate"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "searched", "constants"),
    [
        ("{batch_size: 32, lr: {min: 0.1, max: 1}}", ["lr"], {"batch_size": 32}),
        ("{batch_size: {batch_size: 32}, learning_rate: {lr: {min: 0.1, max: 1}}}", ["lr"],
         {"batch_size": 32}),
        ("{optimizer: {momentum: 0.5, optimizer: sgd}}", [], {"momentum": 0.5, "optimizer": "sgd"}),
        ("{optimizer: {values: [sgd, adam]}}", ["optimizer"], {}),
        ("{optimizer: {}, learning_rate: {lr: 0.1}}", [], {"lr": 0.1}),
    ],
)  # fmt: skip
def test_a_name_may_be_a_group_or_a_setting(read, study, parameters, searched, constants) -> None:
    spec = read(study(f"parameters: {parameters}\nsearch: {{sampler: tpe}}"))
    assert list(spec.space.names) == searched
    assert spec.space.constants == constants


@pytest.mark.parametrize(
    ("parameters", "path", "words"),
    [
        ("{learning_rate: {lr: 0.1}, depth: 3}", "parameters.depth",
         "all parameters in groups, or none; got depth beside the group learning_rate"),
        ("{depht: {min: 1, max: 2}}", "parameters.depht", "did you mean depth?"),
        ("{lr: 0.1, rl: 1}", "parameters.rl", "a setting of mlp or of its training"),
        ("{lr: {min: 0.1, max: 0.01}}", "parameters.lr.max", "at least min"),
        ("{optimizer: adm}", "parameters.optimizer", "did you mean adam?"),
    ],
)  # fmt: skip
def test_faults(refuse, study, parameters, path, words) -> None:
    (fault,) = refuse(study(f"parameters: {parameters}")).faults
    assert fault.path == path
    assert words in fault.text("s")


@pytest.mark.parametrize("text", [FLAT, GROUPED])
@pytest.mark.parametrize("option", ["parameters.clip=1.0", "parameters.regularization.clip=1.0"])
def test_an_option_may_have_either_form(read, study, text, option) -> None:
    assert read(study(text), option).space.constants["clip"] == 1.0


def test_the_schema_has_both(study) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(schema())

    def accepts(text: str) -> bool:
        return validator.is_valid(parse(study(text), Faults()))

    assert accepts(FLAT)
    assert accepts(GROUPED)
    assert accepts("parameters: {batch_size: 32, optimizer: sgd}")
    assert not accepts("parameters: {learning_rate: {lr: 0.1}, depth: 3}")
    assert not accepts("parameters: {kernel: 3}")
    assert accepts("network: {family: cnn}\nparameters: {kernel: 3}")
    assert json.dumps(schema()).count('"if"') == len(FAMILIES.own)
