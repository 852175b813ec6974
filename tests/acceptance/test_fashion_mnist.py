"""The shipped study of small convolutional networks, on the real images."""

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
