"""Values that can never be trained are faults; combinations of searched ones are counted."""

from __future__ import annotations

import pytest

from hpsearch.errors import DataError
from hpsearch.preflight.data_check import check_settings, warnings
from hpsearch.spec import StudySpec
from hpsearch.spec.conflicts import Rule
from hpsearch.spec.impossible import Never, never

TABLE = "data: {source: csv, path: p, target: x}\n"
NUMBERS = "data: {source: csv, path: p, target: x, task: regression}\n"


@pytest.mark.parametrize(
    ("parameters", "name", "words"),
    [
        (
            "{architecture: {batch_norm: true}, batch_size: {batch_size: {values: [1, 16]}}}",
            "batch_size.batch_size",
            "expected 2 or more, as BatchNorm has no variance of one row; got 1",
        ),
        (
            "{architecture: {batch_norm: true}, batch_size: {batch_size: {min: 1, max: 512}}}",
            "batch_size.batch_size",
            "got 1",
        ),
        (
            "{architecture: {batch_norm: true}, batch_size: {batch_size: 1}}",
            "batch_size.batch_size",
            "got 1",
        ),
        (
            "{architecture: {batch_norm: {values: [true, false]}}, batch_size: {batch_size: 1}}",
            "architecture.batch_norm",
            "expected false, as each batch is one row; got true",
        ),
        (
            "{regularization: {label_smoothing: {values: [0.0, 0.1]}}, optimizer: {loss: mse}}",
            "regularization.label_smoothing",
            "expected 0, as the loss is for another task; got 0.1",
        ),
        (
            "{regularization: {label_smoothing: {min: 0, max: 0.3}}, optimizer: {loss: l1}}",
            "regularization.label_smoothing",
            "got values above 0",
        ),
        (
            "{regularization: {label_smoothing: 0.1}, optimizer: {loss: {values: [null, mse]}}}",
            "optimizer.loss",
            "expected a loss of classification, as label_smoothing is set; got mse",
        ),
        (
            "{architecture: {depth: {min: 1, max: 3}, batch_norm: {values: [true], when: "
            "{depth: 3}}}, batch_size: {batch_size: {values: [1], when: {depth: 3}}}}",
            "batch_size.batch_size",
            "got 1",
        ),
    ],
)
def test_a_value_that_can_never_be_trained_is_a_fault(refuse, study, parameters, name, words):
    error = refuse(study(f"metric: loss\n{TABLE}parameters: {parameters}"))
    assert [fault.path for fault in error.faults] == [f"parameters.{name}"]
    assert words in str(error)


@pytest.mark.parametrize(
    ("most", "values"), [(256, "17"), (26, "17 and 19 and 21 and others, 5 of its 11 values")]
)
def test_values_of_a_range_are_named_where_its_ends_can_be_trained(read, study, most, values):
    space = read(
        study(f"metric: loss\n{TABLE}parameters: {{width: {{min: 16, max: {most}}}}}")
    ).space
    even = Rule({"width": "an even number"}, lambda s, *_: "odd" if s["width"] % 2 else "")
    found = never(space, "mlp", even, None, None)
    assert found == Never("width", values, "an even number", "odd")


@pytest.mark.parametrize(
    ("heads", "got"),
    [
        ("{min: 1, max: 64, step: 7}", "15 and 22 and 29 and others, 8 of its 10 values"),
        ("{min: 1, max: 200}", "200"),
        ("{min: 5, max: 7}", "5 to 7"),
        ("{min: 1, max: 15, step: 7}", "15"),
    ],
)
def test_the_values_that_a_rule_forbids_are_those_named(refuse, study, heads, got):
    parameters = f"{{patch: 2, dim: 32, heads: {heads}}}"
    text = f"network: {{family: vit}}\nparameters: {parameters}"
    (line,) = [line for line in str(refuse(study(text))).splitlines() if "heads" in line]
    assert line.endswith(f"expected a divisor of dim; got {got}")


def test_of_numbers_no_label_is_smoothed_whatever_the_loss(refuse, study):
    text = f"metric: rmse\n{NUMBERS}parameters: {{regularization: {{label_smoothing: 0.1}}}}"
    assert "label_smoothing: expected 0, as the loss is for another task; got 0.1" in str(
        refuse(study(text))
    )


def test_a_starting_point_that_can_never_be_trained_is_a_fault(refuse, read, study):
    parameters = (
        "parameters: {architecture: {batch_norm: {values: [true, false]}},"
        " batch_size: {batch_size: {values: [1, 16]}}}\n"
    )
    error = refuse(study(f"{parameters}start: [{{}}, {{batch_norm: true, batch_size: 1}}]"))
    assert [fault.path for fault in error.faults] == ["start.1"]
    read(study(f"{parameters}start: [{{batch_norm: true}}, {{batch_size: 1}}]"))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        (
            "{architecture: {batch_norm: {values: [true, false]}, depth: {min: 1, max: 3}},"
            " batch_size: {batch_size: {values: [1, 16]}}}",
            "(3 of 12 cells)",
        ),
        (  # without BatchNorm other batch sizes are searched
            "{architecture: {batch_norm: {values: [true, false]}}, batch_size: {batch_size: "
            "{values: [1, 2], when: {batch_norm: false}}}}",
            None,
        ),
        (  # of six cells of depth 1 and 2 without and with BatchNorm two have both
            "{architecture: {depth: {min: 1, max: 2}, batch_norm: {values: [true, false], when: "
            "{depth: 2}}}, batch_size: {batch_size: {values: [1, 2]}}}",
            "(1 of 6 cells)",
        ),
        (
            "{architecture: {batch_norm: {values: [true, false]}}, batch_size: {batch_size: "
            "{min: 1, max: 512}}, learning_rate: {lr: {min: 0.01, max: 1}}}",
            "can never be trained: batch_norm needs",
        ),
    ],
)
def test_combinations_of_searched_values_are_a_warning(read, study, parameters, expected):
    found = warnings(read(study(f"parameters: {parameters}")))
    if expected is None:
        assert found == []
    else:
        (warning,) = found
        assert warning.startswith("batch_norm true with batch_size 1 can never be trained")
        assert expected in warning


def test_a_study_of_before_stays_readable(read, study):
    parameters = "parameters: {batch_size: {batch_size: {values: [1, 16]}}}"
    document = read(study(parameters)).document
    found = StudySpec.from_document({**document, "constants": {"batch_norm": True}})
    assert found.space.constants == {"batch_norm": True}


@pytest.mark.parametrize(
    ("parameters", "task", "classes", "words"),
    [
        ("regularization: {label_smoothing: {values: [0.0, 0.1]}}", "regression", 0,
         "label_smoothing 0.1 can never be trained: label_smoothing is for classification; the "
         "loss mse is for anomaly and regression"),
        ("optimizer: {loss: {values: [mse, cross_entropy]}}", "regression", 0,
         "loss cross_entropy can never be trained"),
        ("optimizer: {loss: {values: [bce, cross_entropy]}}", "classification", 3,
         "loss bce can never be trained: the loss bce is for 2 classes and there are 3"),
    ],
)  # fmt: skip
def test_what_the_target_rules_out_is_refused_once_it_is_known(
    read, study, parameters, task, classes, words
):
    spec = read(study(f"metric: loss\n{TABLE}parameters: {{{parameters}}}"))
    with pytest.raises(DataError, match=words):
        check_settings(spec, task, classes)
    check_settings(spec, "classification", 2) if "mse" not in parameters else None
