"""Anomalies on real images, as their users find them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import Command

SHOES = "[Sandal, Sneaker, Ankle boot]"
CLOTHES = "[T-shirt/top, Trouser, Pullover, Dress, Coat]"


def study(family: str, normal: str, strange: str) -> str:
    return f"""
name: s
data: {{source: fashion_mnist, task: anomaly, normal: {normal}, strange: {strange}, limit: 6000}}
network: {{family: {family}}}
parameters: {{lr: {{values: [1e-3, 2e-3]}}}}
search: {{sampler: grid, pruner: none}}
budget: {{epochs: 5}}
"""


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("family", ["autoencoder", "conv_autoencoder"])
@pytest.mark.parametrize(("normal", "strange"), [("[Bag]", "[Ankle boot]"), (SHOES, "[Bag]")])
def test_autoencoders_find_what_is_strange(
    family: str, normal: str, strange: str, command: Command, fashion_mnist: Path
) -> None:
    command.env["HPSEARCH_DATA"] = str(fashion_mnist)
    file = command.file(study(family, normal, strange))
    command.run("run", file, timeout=800)
    status = command.json("status", "s")
    assert status["best"]["value"] >= 0.93
    assert status["best"]["value"] >= status["baseline"]["value"] + 0.05
    assert "of no use" not in command.run("best", "s").stdout


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_a_search_that_finds_nothing_says_that_it_is_of_no_use(
    command: Command, fashion_mnist: Path
) -> None:
    command.env["HPSEARCH_DATA"] = str(fashion_mnist)
    file = command.file(study("autoencoder", CLOTHES, "[Shirt]"))
    done = command.run("run", file, timeout=800)
    assert "is of no use: auroc" in " ".join(done.stdout.split())
