from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hpsearch.families.shared import ACTIVATION
from hpsearch.training import devices
from hpsearch.training.stacking import convolutions, stand_in
from hpsearch.training.stacking.dropout import Dropout, Dropping, without_dropout
from hpsearch.training.stacking.network import StackedNetwork, shares
from tests.building import built

CPU = torch.device("cpu")
K, N = 3, 6


def stack_of(plain: list[nn.Module], template: nn.Module) -> tuple[StackedNetwork, Any, Any]:
    """A stack of these networks, its weights (K, P) and what else they have."""
    numbers = [{**dict(one.named_parameters()), **dict(one.named_buffers())} for one in plain]
    stack = StackedNetwork(template)

    def rows(name: str) -> torch.Tensor:
        return torch.stack([own[name].detach() for own in numbers])

    weights = torch.cat([rows(name).reshape(len(plain), -1) for name in stack.shapes], dim=1)
    fixed = {name: rows(name) for name in stack.fixed}
    stack.bind(weights, fixed, [shares(one) for one in plain])
    return stack, weights, fixed


def set_training(plain: list[nn.Module], stack: StackedNetwork, training: bool) -> None:
    stack.train(training)
    for one in plain:
        one.train(training)


def assert_like_each_alone(
    family: str, shape: tuple[int, ...], outputs: int = 4, **settings: Any
) -> None:
    """Forward pass, gradients and BatchNorm's statistics are those of the networks one by one."""
    torch.manual_seed(0)
    with torch.random.fork_rng(), without_dropout():
        *plain, template = (
            built(family, shape, outputs, **settings).double() for _ in range(K + 1)
        )
        stack, _, fixed = stack_of(plain, template)
        inputs = torch.randn(K, N, *shape, dtype=torch.float64)
        set_training(plain, stack, True)
        ours = stack(inputs)
        theirs = torch.stack([one(x) for one, x in zip(plain, inputs, strict=True)])
        assert torch.allclose(ours, theirs, atol=1e-12)
        slopes = torch.randn_like(ours)
        gradients = stack.split(stack.backward((ours * slopes).sum()))
        (theirs * slopes).sum().backward()
        for k, one in enumerate(plain):
            for name, weight in one.named_parameters():
                assert torch.allclose(gradients[name][k], weight.grad, atol=1e-10)
            for name, buffer in one.named_buffers():
                assert torch.allclose(fixed[name][k], buffer)
        set_training(plain, stack, False)
        measured = stack(inputs[:1].expand(K, -1, *[-1] * len(shape)))
        assert measured.shape == (K, N, outputs)
        assert torch.allclose(measured, torch.stack([one(inputs[0]) for one in plain]), atol=1e-12)


def dense(x, weight, bias, stride, padding, dilation, groups):
    """A grouped convolution as cuDNN may do it: as one, with zeros between the groups."""
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    blocks = weight.new_zeros(weight.shape[0], x.shape[1], *weight.shape[2:])
    for g in range(groups):
        blocks[g * outputs : (g + 1) * outputs, g * inputs : (g + 1) * inputs] = weight[
            g * outputs : (g + 1) * outputs
        ]
    return F.conv2d(x, blocks, bias, stride, padding, dilation)


@pytest.mark.parametrize("where", ["weights", "activations"])
@pytest.mark.parametrize("mixes_groups", [False, True])
def test_infinity_in_one_slot(monkeypatch, where: str, mixes_groups: bool) -> None:
    torch.manual_seed(0)
    monkeypatch.setitem(stand_in._RULES, F.conv2d, convolutions._convolution(dense, 2))
    monkeypatch.setattr(devices, "mixes_groups", lambda device: mixes_groups)
    plain = [built("cnn", (1, 8, 8), 3, channels=(2, 2, 2)) for _ in range(K + 1)]
    stack, weights, _ = stack_of(plain[:K], plain[K])
    inputs = 100 * torch.randn(K, N, 1, 8, 8)
    sane = stack(inputs)
    first = stack.sizes[0]
    weights[1, :first] = float("inf") if where == "weights" else 1e38
    found = stack(inputs)
    gradient = stack.backward(found[[0, 2]].sum() + found[1].sum())
    assert not found[1].isfinite().any()
    if mixes_groups:
        assert torch.allclose(found[[0, 2]], sane[[0, 2]])
        assert gradient[[0, 2]].isfinite().all()
    else:  # or this would show nothing
        assert not found[[0, 2]].isfinite().all()


@pytest.mark.parametrize("activation", ACTIVATION.choices)
def test_every_activation(activation: str) -> None:
    assert_like_each_alone("mlp", (5,), widths=(7, 3), activation=activation)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("shape", [(5,), (2, 4, 3), (1,)])
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_dense_networks(shape, depth: int, batch_norm: bool) -> None:
    assert_like_each_alone("mlp", shape, depth=depth, width=4, batch_norm=batch_norm)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("head", ["flatten", "gap", "max"])
@pytest.mark.parametrize("dense", [0, 5])
@pytest.mark.parametrize("kernel", [2, 3])
def test_convolutions(batch_norm: bool, head: str, dense: int, kernel: int) -> None:
    settings: dict[str, Any] = {"head": head, "dense": dense, "kernel": kernel}
    assert_like_each_alone("cnn", (2, 6, 5), channels=(3, 4), batch_norm=batch_norm, **settings)


def test_a_convolution_of_one_channel_and_many_blocks() -> None:
    assert_like_each_alone("cnn", (1, 3, 3), channels=(1, 3, 2))


# Dropout

SHARES = (0.0, 0.1, 0.5, 0.5, 0.97)


def dropped(shares=SHARES, maps: bool = False, units: int = 40_000) -> torch.Tensor:
    """Ones after dropout, (K, units): dense ones, or maps with the channels last."""
    torch.manual_seed(0)
    dropping = Dropping.of(torch.tensor(shares), CPU)
    assert dropping is not None
    if not maps:
        return dropping(torch.ones(len(shares), 20, units // 20)).flatten(1)
    x = torch.ones(20, 20, units // 1600, len(shares), 4).permute(3, 0, 4, 1, 2)
    out = dropping(x)
    assert out.stride() == x.stride()
    return out.flatten(1)


@pytest.mark.parametrize("maps", [False, True])
def test_each_slot_has_its_share(maps: bool) -> None:
    for share, row in zip(SHARES, dropped(maps=maps), strict=True):
        deviation = (share * (1 - share) / row.numel()) ** 0.5
        assert float((row == 0).double().mean()) == pytest.approx(share, abs=4 * deviation + 1e-9)
        assert torch.allclose(row[row != 0], torch.tensor(1 / (1 - share)), rtol=1e-4)
        assert float(row.double().mean()) == pytest.approx(
            1, abs=4 * deviation / (1 - share) + 1e-4
        )


@pytest.mark.parametrize("maps", [False, True])
def test_units_and_slots_are_dropped_by_themselves(maps: bool) -> None:
    """Two slots of a share of one half have masks of their own, and so have units side by side:
    four of them come from one random number."""
    rows = dropped(maps=maps) == 0
    one, other = rows[2].double(), rows[3].double()
    pairs = [(one, other), *((one[:-gap], one[gap:]) for gap in (1, 2, 3, 4, 20))]
    for first, second in pairs:
        together = float((first * second).mean())
        assert together == pytest.approx(0.25, abs=4 * 0.5 / len(first) ** 0.5)


def test_a_slot_without_dropout_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    dropping = Dropping.of(torch.tensor([0.0, 0.9]), CPU)
    assert dropping is not None
    x = torch.randn(2, 30, 50)
    assert torch.equal(dropping(x)[0], x[0])
    assert Dropping.of(torch.zeros(3), CPU) is None


def test_shares_near_the_ends() -> None:
    rows = dropped((1e-6, 1e-3, 1 - 1e-6))
    assert bool((rows[0] == 1).all())  # less than a step of 2**-16
    assert 15 < int((rows[1] == 0).sum()) < 70
    assert bool(rows.isfinite().all())


def test_gradients_go_where_units_are_kept() -> None:
    torch.manual_seed(0)
    dropping = Dropping.of(torch.tensor([0.3, 0.6]), CPU)
    assert dropping is not None
    x = torch.ones(2, 10, 10, requires_grad=True)
    out = dropping(x)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())


@pytest.mark.parametrize("family", ["mlp", "cnn"])
def test_dropout_is_where_the_network_has_it(monkeypatch, family: str) -> None:
    shape = (1, 8, 8)
    plain, template = (built(family, shape, 4, dropout=0.5) for _ in range(2))
    seen = []

    def watching(dropping: Dropping, x: torch.Tensor) -> torch.Tensor:
        seen.append(x.dim())
        return x

    monkeypatch.setattr(Dropping, "__call__", watching)
    stack, _, _ = stack_of([plain], template)
    stack.train(True)
    stack(torch.randn(1, N, *shape))
    assert seen == ([3, 3] if family == "mlp" else [5, 5])


@pytest.mark.parametrize("shape", [(200, 50), (20, 4, 10, 10)])
def test_the_layer_drops_its_share_while_training(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    layer, x = Dropout(0.3), torch.ones(shape, requires_grad=True)
    out = layer(x)
    assert out.shape == x.shape
    assert float((out == 0).double().mean()) == pytest.approx(0.3, abs=0.02)
    assert torch.allclose(out[out != 0], torch.tensor(1 / 0.7), rtol=1e-4)
    out.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, out.detach())
    assert not torch.equal(layer(x), out)
    assert layer.eval()(x) is x
    assert Dropout(0.0)(x) is x
    with torch.device("meta"):  # as a network that only waits for its weights is built
        layer = Dropout(0.3)
    assert layer.state_dict() == {}
    assert bool((layer(torch.ones(200, 50)) == 0).any())
