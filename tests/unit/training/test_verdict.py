from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from hpsearch.errors import CheckpointError
from hpsearch.handover.trained import Trained
from hpsearch.runner.candidate import Candidate
from hpsearch.spec.family import FAMILIES
from hpsearch.training.trial_progress import TrialProgress

if TYPE_CHECKING:
    from hpsearch.sources.dataset import Dataset


SETTINGS = {**FAMILIES["mlp"].vocabulary().defaults, "epochs": 1}


def trained(dataset: Dataset) -> Trained:
    weights = TrialProgress(Candidate(0, "mlp", SETTINGS, 0), dataset).network().state_dict()
    return Trained("mlp", SETTINGS, weights, dataset)


def test_numbers_are_measured_in_their_own_unit(diabetes: Dataset) -> None:
    network = trained(diabetes)
    assert network.outputs(diabetes.train.inputs).dtype == torch.float64
    assert network.network.get_parameter("1.weight").dtype == torch.float32, (
        "anyone who uses it has it as it was"
    )
    part = diabetes.validation
    found = network.score(network.outputs(part), part.targets, "rmse")
    unit = part.targets * diabetes.target_std + diabetes.target_mean
    told = network.outputs(part) * diabetes.target_std + diabetes.target_mean
    assert found["rmse"] == pytest.approx(float((told - unit).square().mean().sqrt()), rel=1e-5)


def test_weights_of_another_network_are_refused(digits: Dataset) -> None:
    state = trained(digits).network.state_dict()
    for weights, words in (
        ({**state, "1.weight": state["1.weight"][:5]}, r"1\.weight is float32 \(5, 64\)"),
        ({**state, "1.bias": state["1.bias"].double()}, r"1\.bias is float64"),
        ({**state, "more": state["1.bias"]}, "more is float32"),
        ({k: v for k, v in state.items() if k != "1.bias"}, r"1\.bias is not there"),
    ):
        with pytest.raises(CheckpointError, match=words):
            Trained("mlp", SETTINGS, weights, digits)
