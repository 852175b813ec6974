"""The shipped studies of convolutional networks, on the real images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import STUDIES, Command


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_four_trials_on_a_third_of_the_images_reach_86_percent(
    command: Command, fashion_mnist: Path
) -> None:
    command.env["HPSEARCH_DATA"] = str(fashion_mnist)
    del command.env["OMP_NUM_THREADS"]
    smaller = "--set", "data.limit=20000", "--trials", 4
    command.run("run", STUDIES / "fashion_mnist.yaml", *smaller, timeout=800)
    status = command.json("status", "fashion-mnist")
    assert (status["ended"], status["data"]["rows"]["test"]) == (4, 10_000)
    assert status["best"]["value"] >= 0.86


DEFAULTS = ("--set", "start=[]", "--set")


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("study", "point", "least"),
    [
        pytest.param("vgg", (), 0.82, id="first trial of vgg"),
        pytest.param("vgg", (*DEFAULTS, "parameters={}"), 0.82, id="cnn"),
        pytest.param("resnet", (), 0.65, id="first trial of resnet"),
        pytest.param("resnet", (*DEFAULTS, "parameters={}"), 0.65, id="ResNet-8"),
        pytest.param("resnet", (*DEFAULTS, "parameters={blocks: 2}"), 0.60, id="ResNet-14"),
    ],
)
def test_one_trial_with_the_defaults_learns_from_5000_images_in_5_epochs(
    study: str, point: tuple[str, ...], least: float, command: Command, fashion_mnist: Path
) -> None:
    command.env["HPSEARCH_DATA"] = str(fashion_mnist)
    file = STUDIES / f"{study}.yaml"
    command.run("run", file, *point, "--trials", 1, timeout=800)
    status = command.json("status", study)
    assert status["data"]["rows"]["train"] == 5000
    assert status["best"]["value"] >= least
