from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from hpsearch.families.layers import Residual, SqueezeExcite
from hpsearch.families.shared import ACTIVATION
from hpsearch.spec.conflicts import SettingsError, check
from hpsearch.spec.family import FAMILIES
from tests.building import built


def mlp(inputs=(8,), outputs=2, **settings):
    return built("mlp", inputs, outputs, **settings)


def cnn(inputs=(1, 28, 28), outputs=10, **settings):
    return built("cnn", inputs, outputs, **settings)


def resnet(inputs=(1, 8, 8), outputs=10, **settings):
    return built("resnet", inputs, outputs, **settings)


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
        *["Flatten", "Linear", "GELU", "Dropout", "Dropout", "Linear"],
    ]


@pytest.mark.parametrize("activation", ACTIVATION.choices)
def test_only_no_activation_is_linear(activation: str) -> None:
    network = mlp(widths=(16, 16), activation=activation)
    x, y = torch.randn(2, 5, 8)
    bent = network(x + y) - network(x) - network(y) + network(torch.zeros(5, 8))
    assert bool((bent.abs() < 1e-5).all()) == (activation == "none")


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 5, 3), (1, 1, 1)])
@pytest.mark.parametrize("head", ["flatten", "gap", "max"])
def test_a_cnn_takes_any_image(shape: tuple[int, ...], head: str) -> None:
    assert cnn(shape, blocks=4, channels=2, head=head)(torch.randn(3, *shape)).shape == (3, 10)


@pytest.mark.parametrize(("head", "of"), [("gap", torch.mean), ("max", torch.amax)])
def test_a_head_makes_one_number_of_each_map(head: str, of: Callable[..., torch.Tensor]) -> None:
    network, images = cnn((1, 9, 5), blocks=1, channels=4, head=head), torch.randn(3, 1, 9, 5)
    assert network[-1].in_features == 4
    assert torch.allclose(network(images), network[-1](of(network[:4](images), (2, 3))))


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
        ("uniform", 0.05 / 3**0.5),
        ("normal", 0.05),
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


def test_leaky_relu_has_the_slope_that_is_given() -> None:
    for make in (mlp, cnn, resnet):
        for settings, slope in (({}, 0.01), ({"negative_slope": 0.3}, 0.3)):
            network = make(activation="leaky_relu", **settings)
            slopes = {m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)}
            assert slopes == {slope}


def test_weights_keep_the_names_that_older_checkpoints_have() -> None:
    assert [*cnn(blocks=1, dense=7, dropout=0.2).state_dict()] == [
        *("0.weight", "0.bias", "5.weight", "5.bias", "8.weight", "8.bias")
    ]
    assert [*mlp(widths=(4,)).state_dict()] == ["1.weight", "1.bias", "4.weight", "4.bias"]


# --- skips ------------------------------------------------------------------------------------


def branches(network: nn.Module) -> list[Residual]:
    return [module for module in network.modules() if isinstance(module, Residual)]


def silenced(network: nn.Sequential) -> nn.Sequential:
    """The network, with branches that give zeros."""
    for module in branches(network):
        for weight in module.branch.parameters():
            nn.init.zeros_(weight)
    return network


def test_hidden_layers_after_the_first_are_passed_by() -> None:
    network = silenced(mlp(widths=(6, 6, 6), skip=True))
    assert len(branches(network)) == 2
    x = torch.randn(5, 8)
    assert torch.equal(network(x), nn.Sequential(*network[:4], network[-1])(x))


def test_widths_that_differ_are_passed_by_through_a_dense_layer() -> None:
    (module,) = branches(mlp(widths=(6, 4), skip=True))
    assert isinstance(module.shortcut, nn.Linear)
    assert (module.shortcut.weight.shape, module.shortcut.bias) == ((4, 6), None)


def test_a_block_is_passed_by_before_it_is_pooled() -> None:
    network = silenced(cnn((2, 8, 8), blocks=1, channels=2, skip=True, activation="tanh"))
    x = torch.randn(5, 2, 8, 8)
    pooled = torch.nn.functional.max_pool2d(x, 2).tanh().flatten(1)
    assert torch.allclose(network(x), network[-1](pooled))


def test_a_block_has_so_many_convolutions_with_an_activation_between() -> None:
    network = cnn(blocks=1, channels=4, convs=2, batch_norm=True)
    assert names(network)[:7] == [
        *("Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "BatchNorm2d", "MaxPool2d", "ReLU")
    ]


def test_gates_scale_whole_maps() -> None:
    gate = SqueezeExcite(3)
    x = torch.rand(2, 3, 4, 4) + 0.1
    scales = gate(x) / x
    assert torch.allclose(scales, scales[:, :, :1, :1].expand_as(x))
    assert bool((scales > 0).all() and (scales < 1).all())
    assert not torch.allclose(gate(2 * x) / (2 * x), scales), "the gates do not see the maps"


def test_dropout_before_the_last_layer_is_its_own() -> None:
    network = cnn(dense=7, dropout=0.1, dense_dropout=0.4)
    shares = [layer.p for layer in network if isinstance(layer, nn.Dropout)]
    assert shares == [0.1, 0.1, 0.1, 0.4]


def test_rows_are_normalised_one_by_one() -> None:
    network = mlp(widths=(6,), layer_norm=True, activation="none")
    hidden = nn.Sequential(*network[:3])(torch.randn(1, 8)).detach()
    assert float(hidden.mean()) == pytest.approx(0, abs=1e-6)
    family = FAMILIES["mlp"]
    twice = {**family.vocabulary().defaults, "layer_norm": True, "batch_norm": True}
    with pytest.raises(SettingsError, match="each normalise the same outputs"):
        check(twice, family.rules, None, None)


# --- residual networks ------------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "layers"), [(1, 8), (2, 14), (3, 20)])
def test_resnets_have_the_layers_of_their_names(blocks: int, layers: int) -> None:
    network = resnet(blocks=blocks)
    dense = [m for m in network.modules() if isinstance(m, nn.Linear)]
    wide = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(wide) + len(dense) == layers
    assert (wide[0].out_channels, dense[-1].in_features) == (16, 64)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 8, 8), (3, 5, 9), (1, 28, 28)])
def test_a_resnet_takes_any_image(shape: tuple[int, ...]) -> None:
    network = resnet(shape, width=2, blocks=2, squeeze_excite=True, stochastic_depth=0.5)
    assert network(torch.randn(3, *shape)).shape == (3, 10)


def test_stochastic_depth_leaves_the_branch_out_for_a_share_of_the_rows() -> None:
    torch.manual_seed(0)
    layer = Residual(nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1), depth=0.25)
    x = torch.randn(4000, 1, 2, 3)
    without = layer.shortcut(x)
    added = (layer(x) - without) / layer.branch(x)
    scale = 1 / (1 - 0.25)
    left_out = added.abs().amax(dim=(1, 2, 3)) < 1e-3
    assert float(left_out.float().mean()) == pytest.approx(0.25, abs=0.03)
    assert torch.allclose(added[~left_out], torch.tensor(scale), atol=1e-2)
    assert torch.equal(layer.eval()(x), without + layer.branch(x))


def test_the_last_block_is_left_out_most_often() -> None:
    network = resnet(stages=2, blocks=2, stochastic_depth=0.4)
    assert [layer.depth.p for layer in branches(network)] == pytest.approx([0.1, 0.2, 0.3, 0.4])
