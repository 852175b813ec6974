"""The candidate networks, one family a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.training.networks.cnn import cnn
from hpsearch.training.networks.layers import initialise
from hpsearch.training.networks.mlp import mlp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

__all__ = ["build"]

_FAMILIES: Mapping[str, Callable[..., nn.Module]] = {"mlp": mlp, "cnn": cnn}


def build(
    family: str, settings: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int
) -> nn.Module:
    """A new network of `family` for inputs (N, *input_shape); it gives (N, outputs), float32.

    `settings` has every setting of `catalog.settings_of(family)`, of the types given there.
    Raises ValueError where the family cannot take such inputs. Weights are drawn from PyTorch's
    global generator on the CPU.
    """
    network = _FAMILIES[family](settings, input_shape, outputs)
    initialise(network, settings["init"])
    return network
