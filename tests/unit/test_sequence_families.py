"""Networks that read sequences: what a step is, and what they make of all steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hpsearch.families.layers import AsSequence
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.problem import Kind, Problem
from hpsearch.training.networks import build


def problem(kind: Kind, *shape: int) -> Problem:
    return Problem("regression", kind, shape, 1, ())


def network(family: str, kind: Kind, shape: tuple[int, ...], **settings: Any) -> Any:
    torch.manual_seed(0)
    candidate = {**FAMILIES[family].vocabulary().defaults, **settings}
    return build(family, problem(kind, *shape), candidate).eval()


@pytest.mark.parametrize("maps_first", [False, True])
def test_the_steps_of_an_image_are_its_rows_and_of_a_row_its_numbers(maps_first: bool) -> None:
    def steps(x: torch.Tensor, kind: Kind) -> torch.Tensor:
        found = AsSequence(problem(kind, *x.shape[1:]), maps_first=maps_first)(x)
        return found.transpose(1, 2) if maps_first else found

    image = torch.arange(24.0).view(1, 2, 3, 4)  # two channels, three rows of four pixels
    assert torch.equal(steps(image, "images")[0, 1], image[0, :, 1].flatten())
    assert torch.equal(steps(torch.tensor([[5.0, 6.0]]), "rows"), torch.tensor([[[5.0], [6.0]]]))
    assert torch.equal(steps(image[0], "sequences"), image[0])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_last_state_of_each_direction_has_seen_the_whole_sequence(cell: str) -> None:
    settings = {"cell": cell, "hidden": 4, "bidirectional": True, "layers": 2}
    recurrent = network("rnn", "sequences", (5, 2), **settings)[1]
    x = torch.randn(1, 5, 2, requires_grad=True)
    for half in (slice(0, 4), slice(4, 8)):
        (slope,) = torch.autograd.grad(recurrent(x)[0, half].sum(), x)
        assert (slope.abs().sum(dim=2) > 0).all()


def test_the_mean_of_the_states_is_another_answer_than_the_last_one() -> None:
    x = torch.randn(3, 5, 2)
    last, mean = (network("rnn", "sequences", (5, 2), pool=pool) for pool in ("last", "mean"))
    states = last[1].layers[0](x)[0]
    assert torch.allclose(last(x), last[2](states[:, -1]))
    assert torch.allclose(mean(x), last[2](states.mean(dim=1)))


def test_first_weights_are_drawn_for_each_gate_alone() -> None:
    layer = network("rnn", "sequences", (5, 6), hidden=6, init="orthogonal")[1].layers[0]
    for weight in (layer.weight_ih_l0, layer.weight_hh_l0):
        for gate in weight.split(6):
            assert torch.allclose(gate @ gate.T, torch.eye(6), atol=1e-5)
    assert not layer.bias_hh_l0.any()
    layer = network("conv1d", "sequences", (5, 6), init="orthogonal")[1]
    assert not layer.bias.any()


@pytest.mark.parametrize(
    ("settings", "features"),
    [
        ({"channels": [8]}, 8 * 5),
        ({"channels": [8], "stride": 3, "pool": 1}, 8 * 4),
        ({"channels": [8], "kernel": 4, "pool": 3}, 8 * 3),
        ({"channels": [8] * 5}, 8 * 1),
        ({"channels": [8], "head": "gap"}, 8),
    ],
)
def test_convolutions_pad_stride_and_pool(settings: dict[str, Any], features: int) -> None:
    built = network("conv1d", "sequences", (10, 3), **settings)
    assert built[-1].in_features == features
    assert built(torch.zeros(2, 10, 3)).shape == (2, 1)
