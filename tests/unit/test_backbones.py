"""Models of other libraries: a backbone and a last layer, for images of any size, grey or not."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn

from hpsearch.families.torchvision.names import NAMES
from hpsearch.spec.conflicts import SettingsError, check
from hpsearch.spec.family import FAMILIES, Family
from hpsearch.spec.problem import Problem
from hpsearch.spec.registry import PluginError
from hpsearch.store.values import needed
from hpsearch.testing import check_family
from hpsearch.training.networks import build
from hpsearch.training.stacking.agreement import disagreement
from tests.later import Later

models = Later("torchvision.models")

SMALL = {"torchvision": "shufflenet_v2_x0_5", "timm": "test_resnet"}
"""A model of each that is built and run in hundredths of a second."""

GREY, COLOURED = (1, 28, 28), (3, 40, 24)


def network(family: str, shape: tuple[int, ...] = GREY, **settings: Any) -> Any:
    torch.manual_seed(0)
    problem = Problem("classification", "images", shape, 3, ("a", "b", "c"))
    defaults = FAMILIES[family].vocabulary().defaults
    return build(family, problem, {**defaults, "model": SMALL[family], **settings}).eval()


def small(name: str) -> Family:
    """The family with a small model as its default."""
    settings = tuple(
        replace(setting, default=SMALL[name]) if setting.name == "model" else setting
        for setting in FAMILIES[name].settings
    )
    return replace(FAMILIES[name], settings=settings)


@pytest.mark.parametrize("family", [pytest.param("torchvision", marks=pytest.mark.nightly), "timm"])
def test_a_small_model_keeps_the_promises_of_a_family(family: str) -> None:
    check_family(small(family))


@pytest.mark.parametrize("family", [pytest.param("torchvision", marks=pytest.mark.nightly), "timm"])
def test_small_models_are_stacked(family: str) -> None:
    networks = [network(family, (3, 32, 32)) for _ in range(3)]
    assert disagreement(networks[:2], networks[2], torch.randn(2, 4, 3, 32, 32)) == ""


@pytest.mark.parametrize(
    ("family", "model", "size", "sides"),
    [
        ("torchvision", "shufflenet_v2_x0_5", None, None),
        ("torchvision", "shufflenet_v2_x0_5", 48, (48, 48)),
        ("torchvision", "squeezenet1_1", None, None),
        ("timm", "test_resnet", None, (32, 32)),
        ("timm", "test_efficientnet", 64, (64, 64)),
        ("timm", "test_vit", None, (160, 160)),
        ("timm", "test_vit", 64, (64, 64)),
        pytest.param("torchvision", "alexnet", None, (63, 63), marks=pytest.mark.nightly),
        pytest.param("torchvision", "vit_b_32", 64, (64, 64), marks=pytest.mark.nightly),
        pytest.param("torchvision", "vit_b_32", None, (224, 224), marks=pytest.mark.nightly),
    ],
)
def test_the_outputs_are_the_head_of_the_features_of_images_of_a_size(
    family: str, model: str, size: int | None, sides: tuple[int, int] | None
) -> None:
    net = network(family, model=model, size=size)
    assert net._size == sides
    images = torch.randn(2, *GREY)
    features = net.features(images)
    assert features.shape == (2, net.head[-1].in_features)
    assert torch.equal(net.head(features), net(images))
    colours = network(family, COLOURED, model=model, size=size)
    assert colours(torch.randn(2, *COLOURED)).shape == (2, 3)


def test_a_grey_image_is_given_as_all_three_colours() -> None:
    net = network("torchvision")
    images = torch.randn(2, *GREY)
    torch.testing.assert_close(net(images), net(images.expand(-1, 3, -1, -1)))


def test_dropout_is_that_of_the_last_layer() -> None:
    net = network("torchvision", model="mnasnet0_5", dropout=0.5)
    shares = [layer.p for layer in net.modules() if isinstance(layer, nn.Dropout)]
    assert shares == [0.5]


@pytest.mark.parametrize(
    ("family", "shape", "settings", "why"),
    [
        ("torchvision", (4, 32, 32), {}, "images of 1 or 3 channels, and these have 4"),
        ("torchvision", GREY, {"model": "inception_v3", "size": 32},
         "images of 75 x 75 or more, not of 32"),
        ("torchvision", GREY, {"model": "vit_b_16", "size": 40},
         "whose size is a multiple of 16, not of 40"),
        ("timm", GREY, {"model": "resnet81"}, "timm has no model resnet81; did you mean resnet1"),
        ("timm", GREY, {"model": "resnet18.none"}, "none"),
    ],
)  # fmt: skip
def test_what_makes_no_network_is_refused(
    family: str, shape: tuple[int, ...], settings: dict[str, Any], why: str
) -> None:
    with pytest.raises(SettingsError, match=why):
        network(family, shape, **settings)


def test_the_names_are_torchvisions() -> None:
    module = import_module("torchvision.models")
    assert {*models.list_models(module=module)} == {*NAMES}
    family = FAMILIES["torchvision"]
    settings = {**family.vocabulary().defaults, "model": "resnet81"}
    with pytest.raises(SettingsError, match="no model resnet81; did you mean resnet18"):
        check(settings, family.rules, None, None)


def test_a_family_whose_package_is_missing_says_how_to_get_it() -> None:
    family = replace(FAMILIES["timm"], extra="no_such_package")
    assert FAMILIES["timm"].lacking == ""
    assert family.lacking == "pip install 'hpsearch[no_such_package]'"
    with pytest.raises(PluginError, match=r"a package that is not here: pip install"):
        family.builder()
    assert needed(["family timm"]) == "the family timm (pip install 'hpsearch[timm]')"


LARGE = ("convnext_large", "efficientnet_v2_l", "regnet_x_32gf", "regnet_y_128gf", "regnet_y_16gf",
         "regnet_y_32gf", "vit_h_14", "vit_l_16", "vit_l_32", "wide_resnet101_2")  # fmt: skip
"""Of a hundred million weights and more, or nearly so."""


@pytest.mark.nightly
@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", [name for name in NAMES if name not in LARGE])
def test_every_model_gives_features_and_begins_with_its_own_weights(model: str) -> None:
    from hpsearch.families.torchvision.weights import entries
    from hpsearch.weights.begin import last_layer

    net = network("torchvision", COLOURED, model=model)
    images = torch.randn(1, *COLOURED)
    assert torch.equal(net.head(net.features(images)), net(images))
    assert last_layer(net) == "head"
    options: dict[str, Any] = {"image_size": net._size[0]} if model.startswith("vit") else {}
    if model in ("googlenet", "inception_v3"):  # which warn where nothing is said of it
        options = {"init_weights": False}
    weights = models.get_model(model, weights=None, **options).state_dict()
    own = {n: t.shape for n, t in net.state_dict().items() if not n.startswith("head.")}
    assert own == {n: t.shape for n, t in entries(weights, model).items()}
