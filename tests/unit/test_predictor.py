"""Predictions of a network whose weights are written down here, so that they can be computed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from hpsearch.errors import ConflictError
from hpsearch.handover import folder
from hpsearch.handover.predictor import Predictor
from hpsearch.handover.trained import Trained
from hpsearch.sources.csv.inputs import Category, Number, TableInputs1
from hpsearch.sources.dataset import DataSettings, Prepared
from hpsearch.spec.family import FAMILIES

INPUTS = TableInputs1(
    (Number("a", 3.0, 1.0, 2.0),), (Category("kind", ("x", "y"), "x"),), target="t"
)
ROWS: list[dict[str, object]] = [{"a": 1, "kind": "y"}, {"kind": "x", "a": "5"}]
HIDDEN = [10.0, 2.0]
"""What the one hidden unit makes of `ROWS`: the scaled number, and 10 more where kind is y."""


def predictor(*weights: float, classes: tuple[str, ...], loss: str | None = None) -> Predictor:
    """A network with an output for each weight: that many times the one hidden unit."""
    problem = Prepared(
        task="classification" if classes else "regression",
        classes=classes,
        input_shape=INPUTS.shape,
        preprocessing=replace(INPUTS, classes=classes),
        target_mean=0.0 if classes else 100.0,
        target_std=1.0 if classes else 0.5,
    )
    settings = {
        **FAMILIES["mlp"].vocabulary().defaults,
        "widths": (1,),
        "activation": "none",
        "loss": loss,
    }
    state = {
        "1.weight": torch.tensor([[1.0, 0.0, 10.0]]), "1.bias": torch.zeros(1),
        "3.weight": torch.tensor(weights).unsqueeze(1), "3.bias": torch.zeros(len(weights)),
    }  # fmt: skip
    metric = "accuracy" if classes else "mae"
    config = folder.Config(
        folder.Network("mlp", settings), problem, folder.Metrics(metric, {}, None, None),
        folder.Data(DataSettings.of("csv", path="t.csv", target="t"), "f", "s", {}),
        folder.Provenance("s", "u", "d", 0, 0, 1, {}, None, "now"),
    )  # fmt: skip
    return Predictor(config, Trained("mlp", settings, state, problem))


def softmax(*logits: float) -> list[float]:
    powers = [math.exp(logit) for logit in logits]
    return [power / sum(powers) for power in powers]


def test_a_single_output_is_the_logit_of_the_second_class() -> None:
    predictions = predictor(-0.5, classes=("no", "yes"), loss="bce").predict(ROWS)
    assert predictions.values == ("no", "no")
    assert predictions.probabilities is not None
    for row, hidden in zip(predictions.probabilities.tolist(), HIDDEN, strict=True):
        assert row == pytest.approx(softmax(0.0, -0.5 * hidden))


def test_an_output_a_class_is_a_softmax() -> None:
    predictions = predictor(0.1, -0.1, 0.2, classes=("a", "b", "c")).predict(ROWS)
    assert predictions.values == ("c", "c")
    assert predictions.probabilities is not None
    for row, h in zip(predictions.probabilities.tolist(), HIDDEN, strict=True):
        assert row == pytest.approx(softmax(0.1 * h, -0.1 * h, 0.2 * h))


def test_a_number_has_the_unit_of_the_target() -> None:
    predictions = predictor(3.0, classes=()).predict(ROWS)
    assert predictions.values == pytest.approx([100 + 0.5 * 3 * hidden for hidden in HIDDEN])
    assert predictions.probabilities is None


@pytest.mark.parametrize("missing", [None, "", "NA"])
def test_a_missing_value_is_what_stood_for_it_in_training(missing: Any) -> None:
    network = predictor(3.0, classes=())
    filled = network.predict([{"a": 3, "kind": "x"}])
    assert network.predict([{"a": missing, "kind": missing}]) == filled


def test_the_score_is_of_the_rows_that_have_a_target() -> None:
    network = predictor(1.0, classes=("no", "yes"))
    yes, no = {"a": 1, "kind": "y"}, {"a": -9, "kind": "x"}
    rows = [{**yes, "t": "yes"}, {**no, "t": None}, {**no, "t": "no"}, {**yes, "t": "no"}]
    predictions = network.predict(rows)
    assert predictions.values == ("yes", "no", "no", "yes")
    assert predictions.scored == 3
    assert predictions.score is not None
    assert predictions.score["accuracy"] == pytest.approx(2 / 3)
    assert network.predict([yes, no]).score is None


def test_the_test_part_is_not_used_before_a_finish_has() -> None:
    with pytest.raises(ConflictError, match="no finish has used the test part"):
        predictor(1.0, classes=("no", "yes")).test()
