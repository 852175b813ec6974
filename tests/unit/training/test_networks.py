from __future__ import annotations

import pytest
import torch
from torch import nn

from hpsearch.families.shared import ACTIVATION
from hpsearch.spec.conflicts import SettingsError
from tests.building import built


def mlp(inputs=(8,), outputs=2, **settings):
    return built("mlp", inputs, outputs, **settings)


def cnn(inputs=(1, 28, 28), outputs=10, **settings):
    return built("cnn", inputs, outputs, **settings)


def names(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network.children()]


def test_8_4_2_dense_has_46_parameters() -> None:
    assert sum(p.numel() for p in mlp(widths=(4,)).parameters()) == 46


def test_depth_and_width_make_the_layers_that_widths_would() -> None:
    by_depth = [p.shape for p in mlp(depth=3, width=5).parameters()]
    assert by_depth == [p.shape for p in mlp(widths=(5, 5, 5)).parameters()]
    assert names(mlp(depth=0)) == ["Flatten", "Linear"]


def test_order_inside_a_dense_block() -> None:
    network = mlp(widths=(4,), batch_norm=True, activation="tanh", dropout=0.3)
    assert names(network) == ["Flatten", "Linear", "BatchNorm1d", "Tanh", "Dropout", "Linear"]


def test_order_inside_a_convolution_block() -> None:
    network = cnn(blocks=1, batch_norm=True, activation="gelu", dropout=0.3, dense=7)
    assert names(network) == [
        *["Conv2d", "BatchNorm2d", "MaxPool2d", "GELU", "Dropout"],
        *["Flatten", "Linear", "GELU", "Dropout", "Linear"],
    ]


@pytest.mark.parametrize("activation", ACTIVATION.choices)
def test_only_no_activation_is_linear(activation: str) -> None:
    network = mlp(widths=(16, 16), activation=activation)
    x, y = torch.randn(2, 5, 8)
    bent = network(x + y) - network(x) - network(y) + network(torch.zeros(5, 8))
    assert bool((bent.abs() < 1e-5).all()) == (activation == "none")


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 5, 3), (1, 1, 1)])
@pytest.mark.parametrize("head", ["flatten", "gap"])
def test_a_cnn_takes_any_image(shape: tuple[int, ...], head: str) -> None:
    assert cnn(shape, blocks=4, channels=2, head=head)(torch.randn(3, *shape)).shape == (3, 10)


def test_channels_double_each_block_or_are_listed() -> None:
    def maps(**settings):
        return [m.out_channels for m in cnn(**settings) if isinstance(m, nn.Conv2d)]

    assert maps(blocks=3, channels=8) == [8, 16, 32]
    assert maps(blocks=3, channels=(5, 7)) == [5, 7]


def test_pooling_halves_and_stops_below_2() -> None:
    network = cnn((1, 5, 9), blocks=4, channels=1)
    assert names(network).count("MaxPool2d") == 2  # 5 -> 2 -> 1
    assert network[-1].in_features == 8 * 1 * 2


def test_a_cnn_refuses_a_table() -> None:
    with pytest.raises(SettingsError, match="cnn takes images, and the data has rows"):
        cnn((13,))


@pytest.mark.parametrize("kernel", range(1, 8))
def test_a_convolution_keeps_the_size_whatever_its_kernel(kernel: int) -> None:
    network = cnn((1, 9, 5), blocks=1, channels=2, kernel=kernel)
    assert network[-1].in_features == 2 * 4 * 2
    assert network(torch.zeros(3, 1, 9, 5)).shape == (3, 10)


@pytest.mark.parametrize(
    ("init", "deviation"),
    [
        ("xavier_uniform", (2 / 600) ** 0.5),
        ("xavier_normal", (2 / 600) ** 0.5),
        ("kaiming_uniform", (2 / 400) ** 0.5),
        ("kaiming_normal", (2 / 400) ** 0.5),
        ("default", (1 / 3 / 400) ** 0.5),
    ],
)
def test_init_spreads_the_weights_as_its_paper_says(init: str, deviation: float) -> None:
    torch.manual_seed(0)
    layer = mlp((400,), widths=(200,), init=init)[1]
    assert float(layer.weight.detach().std()) == pytest.approx(deviation, rel=0.02)
    assert bool(layer.bias.any()) == (init == "default")


def test_orthogonal_init() -> None:
    weight = mlp((40,), widths=(20,), init="orthogonal")[1].weight
    assert torch.allclose(weight @ weight.T, torch.eye(20), atol=1e-5)
    kernels = cnn((1, 8, 8), blocks=1, channels=4, init="orthogonal")[0].weight.flatten(1)
    assert torch.allclose(kernels @ kernels.T, torch.eye(4), atol=1e-5)
