"""Convolutional networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from hpsearch.training.networks.layers import activation, dropout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["cnn"]


def cnn(settings: Mapping[str, Any], input_shape: tuple[int, ...], outputs: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, outputs): convolution blocks, a head, one linear layer.

    An input of any size will do: a block leaves its pooling out once a side is below 2. The head
    is all maps as one vector (`flatten`) or the mean of each (`gap`), then `dense` units if any.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"a cnn needs images (channels, height, width), but an input has the shape "
            f"{input_shape}; use the mlp family"
        )
    channels, height, width = input_shape
    layers: list[nn.Module] = []
    for maps in _channels(settings):
        pool = min(height, width) >= 2
        layers += _block(channels, maps, pool, settings)
        channels, height, width = maps, *((height // 2, width // 2) if pool else (height, width))
    if settings["head"] == "gap":
        layers, height, width = [*layers, nn.AdaptiveAvgPool2d(1)], 1, 1
    features = channels * height * width
    layers.append(nn.Flatten())
    if settings["dense"]:
        layers.append(nn.Linear(features, settings["dense"]))
        layers += [*activation(settings["activation"]), *dropout(settings["dropout"])]
        features = settings["dense"]
    return nn.Sequential(*layers, nn.Linear(features, outputs))


def _channels(settings: Mapping[str, Any]) -> Sequence[int]:
    """Channels of each block. A list decides the number of blocks too, whatever `blocks` says."""
    channels: int | Sequence[int] = settings["channels"]
    if isinstance(channels, int):
        return [channels * 2**block for block in range(settings["blocks"])]
    return channels


def _block(inputs: int, maps: int, pool: bool, settings: Mapping[str, Any]) -> list[nn.Module]:
    """(N, inputs, H, W) -> (N, maps, H/2, W/2), or the same H and W without pooling."""
    kernel = settings["kernel"]
    before, after = (kernel - 1) // 2, kernel // 2  # differ for an even kernel
    return [
        *([nn.ZeroPad2d((before, after, before, after))] if before != after else []),
        nn.Conv2d(inputs, maps, kernel, padding=before if before == after else 0),
        *([nn.BatchNorm2d(maps)] if settings["batch_norm"] else []),
        *([nn.MaxPool2d(2)] if pool else []),
        *activation(settings["activation"]),
        *dropout(settings["dropout"]),
    ]
