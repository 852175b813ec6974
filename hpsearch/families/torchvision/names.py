"""The models of torchvision by name, so that a study file is checked without loading it.

A test holds the list to torchvision's own.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from hpsearch.families import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.settings import Value

__all__ = ["KNOWN", "NAMES"]

_LIST = """
    alexnet convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161
    densenet169 densenet201 efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3
    efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7 efficientnet_v2_l
    efficientnet_v2_m efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet0_75
    mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_large mobilenet_v3_small regnet_x_16gf
    regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf regnet_x_800mf regnet_x_8gf
    regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf regnet_y_3_2gf regnet_y_400mf
    regnet_y_800mf regnet_y_8gf resnet101 resnet152 resnet18 resnet34 resnet50 resnext101_32x8d
    resnext101_64x4d resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5
    shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 swin_b swin_s swin_t swin_v2_b swin_v2_s
    swin_v2_t vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_16 vit_b_32
    vit_h_14 vit_l_16 vit_l_32 wide_resnet101_2 wide_resnet50_2
"""
NAMES = tuple(_LIST.split())


def _of_name(settings: Mapping[str, Value], task: str | None, classes: int | None) -> str:
    name = str(settings["model"])
    if name in NAMES:
        return ""
    near = get_close_matches(name, NAMES, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"torchvision has no model {name}{meant}"


KNOWN = Rule({"model": "the name of a model in torchvision, such as resnet18"}, _of_name)
