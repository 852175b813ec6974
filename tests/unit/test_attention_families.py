"""Networks of attention: what they see of padding, of order and of images of any size."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hpsearch.families.attention import TransformerBlock, sine_positions
from hpsearch.spec.conflicts import SettingsError, check
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.problem import Kind, Problem
from hpsearch.training.networks import build

WORDS = 30
TOKENS = torch.tensor([[5, 9, 1, 7, 2], [3, 4, 0, 0, 0], [6, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
SMALL = {"dim": 8, "heads": 2, "depth": 2}
KINDS = [
    {"pool": pool, "position": position}
    for pool in ("mean", "class")
    for position in ("sine", "learnt", "none")
]


def network(family: str, kind: Kind, shape: tuple[int, ...], **settings: Any) -> Any:
    """In double precision, so that another order of sums does not show."""
    torch.manual_seed(0)
    problem = Problem("regression", kind, shape, 2, (), vocabulary=WORDS)
    candidate = {**FAMILIES[family].vocabulary().defaults, **SMALL, **settings}
    return build(family, problem, candidate).double().eval()


@pytest.mark.parametrize("settings", KINDS, ids=str)
def test_padding_changes_nothing(settings: dict[str, Any]) -> None:
    net = network("transformer", "tokens", (9,), **settings)
    outputs = net(TOKENS)
    torch.testing.assert_close(net(F.pad(TOKENS, (0, 4))), outputs)
    torch.testing.assert_close(net(TOKENS[1:2, :2]), outputs[1:2])
    assert outputs.unique(dim=0).shape == outputs.shape  # and words do
    outputs.square().sum().backward()
    gradients = {n: p.grad for n, p in net.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert not gradients["vectors.weight"][0].any()


def test_a_row_without_a_word_is_zeros_before_the_last_layer() -> None:
    net = network("transformer", "tokens", (5,))
    assert not net.features(TOKENS[3:]).any()
    torch.testing.assert_close(net(TOKENS[3:]), net.head.bias[None])


@pytest.mark.parametrize("pool", ["mean", "class"])
def test_only_positions_know_an_order(pool: str) -> None:
    steps = torch.randn(1, 5, 3).double()
    for position in ("sine", "learnt", "none"):
        net = network("transformer", "sequences", (5, 3), pool=pool, position=position)
        same = torch.allclose(net(steps.flip(1)), net(steps))
        assert same == (position == "none")


def test_positions_have_length_1_and_differ() -> None:
    positions = sine_positions(torch.zeros(1, 50, 8, dtype=torch.double))
    torch.testing.assert_close(positions.norm(dim=1), torch.ones(50).double())
    assert torch.cdist(positions, positions).add(torch.eye(50)).min() > 0.05
    assert sine_positions(torch.zeros(1, 5, 3)).shape == (5, 3)


def test_a_block_is_what_pytorch_makes_of_the_same_weights() -> None:
    torch.manual_seed(0)
    block = TransformerBlock(8, 2, 3, 0.0).double()
    theirs = nn.TransformerEncoderLayer(
        8, 2, 24, 0.0, F.gelu, batch_first=True, norm_first=True, dtype=torch.double
    )
    names = {
        "self_attn.in_proj_": "query_key_value.", "self_attn.out_proj.": "mix.",
        "linear1.": "dense.0.", "linear2.": "dense.3.", "norm1.": "attention_norm.",
        "norm2.": "dense_norm.",
    }  # fmt: skip
    weights = block.state_dict()
    theirs.load_state_dict(
        {theirs_ + kind: weights[ours + kind] for theirs_, ours in names.items()
         for kind in ("weight", "bias")}
    )  # fmt: skip
    x, words = torch.randn(4, 5, 8).double(), TOKENS.clamp(max=1).bool()
    words[3, 0] = True
    expected = theirs(x, src_key_padding_mask=~words)
    torch.testing.assert_close(block(x, words[:, None, None])[words], expected[words])


@pytest.mark.parametrize(
    ("shape", "patch", "patches"),
    [
        ((1, 28, 28), None, 16), ((3, 96, 128), None, 48), ((1, 28, 28), 8, 16),
        ((2, 1, 5), None, 5), ((2, 1, 5), 5, 1),
    ],
)  # fmt: skip
def test_an_image_of_any_size_becomes_whole_patches(
    shape: tuple[int, ...], patch: int | None, patches: int
) -> None:
    for pool in ("class", "mean"):
        net = network("vit", "images", shape, patch=patch, pool=pool)
        images = torch.randn(2, *shape).double()
        assert net.patches(images).shape == (2, patches, 8)
        torch.testing.assert_close(net.head(net.features(images)), net(images))
        assert net(images.flip(3)).ne(net(images)).all()  # every pixel has its place


def test_what_makes_no_network_is_refused() -> None:
    with pytest.raises(SettingsError, match="a patch of 9 is larger than the image, 8 x 8"):
        network("vit", "images", (1, 8, 8), patch=9)
    for name in ("vit", "transformer"):
        family = FAMILIES[name]
        settings = {**family.vocabulary().defaults, "heads": 5}
        with pytest.raises(SettingsError, match="5 heads do not divide a dim of 64"):
            check(settings, family.rules, None, None)
