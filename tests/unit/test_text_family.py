"""Networks that read text: padding has no say, whatever the body."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from hpsearch.families.shared import INIT
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.problem import Problem
from hpsearch.training.networks import build

WORDS = 30
TOKENS = torch.tensor([[5, 9, 1, 7, 2], [3, 4, 0, 0, 0], [6, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
BODIES = [
    {"body": "mean"},
    *(
        {"body": body, "pool": pool, "layers": layers, **own}
        for pool in ("max", "mean", "last")
        for layers in (1, 2)
        for body, own in (
            ("rnn", {"cell": "lstm"}),
            ("rnn", {"bidirectional": True}),
            ("conv1d", {"kernel": 3}),
            ("conv1d", {"kernel": 4}),
        )
    ),
]


def network(**settings: Any) -> nn.Module:
    """In double precision, so that another order of sums does not show."""
    torch.manual_seed(0)
    problem = Problem("regression", "tokens", (5,), 2, (), vocabulary=WORDS)
    small = {"embedding": 6, "hidden": 4, "activation": "tanh"}
    defaults = FAMILIES["text"].vocabulary().defaults
    return build("text", problem, {**defaults, **small, **settings}).double().eval()


def longer(tokens: torch.Tensor, by: int) -> torch.Tensor:
    return torch.nn.functional.pad(tokens, (0, by))


@pytest.mark.parametrize("settings", BODIES, ids=str)
def test_padding_changes_nothing(settings: dict[str, Any]) -> None:
    net = network(dense=3, **settings)
    outputs = net(TOKENS)
    torch.testing.assert_close(net(longer(TOKENS, 4)), outputs)
    torch.testing.assert_close(net(TOKENS[1:2, :2]), outputs[1:2])
    assert outputs.unique(dim=0).shape == outputs.shape  # and words do
    outputs.square().sum().backward()
    gradients = {n: p.grad for n, p in net.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert not gradients["embeddings.weight"][0].any()


@pytest.mark.parametrize("settings", BODIES, ids=str)
def test_a_row_without_a_word_is_zeros_before_the_last_layer(settings: dict[str, Any]) -> None:
    net = network(**settings)
    (bias,) = (p for name, p in net.named_parameters() if name == "head.1.bias")
    torch.testing.assert_close(net(TOKENS[3:]), bias[None])


@pytest.mark.parametrize("settings", BODIES[1:], ids=str)
def test_only_the_mean_knows_no_order(settings: dict[str, Any]) -> None:
    turned = TOKENS[:1].flip(1)
    assert not torch.allclose(network(**settings)(turned), network(**settings)(TOKENS[:1]))
    torch.testing.assert_close(network()(turned), network()(TOKENS[:1]))


def test_both_directions_are_those_of_pytorch() -> None:
    net: Any = network(body="rnn", bidirectional=True, pool="last")
    one = nn.GRU(6, 4, batch_first=True, bidirectional=True).double()
    for own, suffix in ((net.body.forwards[0], ""), (net.body.backwards[0], "_reverse")):
        for name, weight in own.named_parameters():
            getattr(one, name + suffix).data.copy_(weight)
    vectors, lengths = net.embeddings(TOKENS[:3]), torch.tensor([5, 2, 1])
    packed = nn.utils.rnn.pack_padded_sequence(vectors, lengths, batch_first=True)
    forwards, backwards = one(packed)[1]
    expected = net.head(torch.cat([forwards, backwards], dim=1))
    torch.testing.assert_close(net(TOKENS[:3]), expected)


def test_leaky_relu_has_the_slope_that_is_given() -> None:
    for settings, slope in (({}, 0.01), ({"negative_slope": 0.3}, 0.3)):
        net = network(body="conv1d", dense=3, activation="leaky_relu", **settings)
        leaky = [layer for layer in net.modules() if isinstance(layer, nn.LeakyReLU)]
        assert [layer.negative_slope for layer in leaky] == [slope, slope]


def test_vectors_have_a_length_of_1_and_move_further_than_their_weights() -> None:
    net: Any = network(embedding=256)
    tokens = torch.arange(2, WORDS)
    vectors = net.embeddings(tokens)
    assert float(vectors.detach().norm(dim=1).mean()) == pytest.approx(1, rel=0.05)
    torch.testing.assert_close(vectors, net.embeddings.weight[tokens] * 16)


@pytest.mark.parametrize("init", INIT.choices)
def test_padding_and_unknown_words_begin_as_zeros(init: str) -> None:
    """Where training has no unknown words, theirs is never learnt."""
    net: Any = network(init=init)
    assert net.embeddings.weight.any(dim=1).tolist() == [False, False, *[True] * (WORDS - 2)]
