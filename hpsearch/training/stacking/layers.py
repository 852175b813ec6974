"""Many networks of one structure as one: a pass through all of them takes one call a layer.

Shapes: `K` slots, `N` rows, `D` features, `C` channels, `H` height, `W` width. Between dense layers
activations are (K, N, D): one batched product serves all slots. Between convolutions they are
(N, K*C, H, W), each slot a group of channels of its own, so that pooling and BatchNorm are the
plain ones and BatchNorm's statistics are each slot's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.training.stacking.dropout import Dropout, Dropping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


__all__ = ["CannotStackError", "StackedNetwork"]


class CannotStackError(TypeError):
    """A network that can only be trained by itself; the message says why."""


@dataclass(frozen=True)
class _Pass:
    """What a pass through the layers needs beside its input."""

    slots: int
    weights: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]
    training: bool
    dropping: Mapping[str, Dropping | None]


_Layer = Callable[["Tensor", _Pass], "Tensor"]


class StackedNetwork:
    """The forward pass of networks that are all like `template`."""

    def __init__(self, template: nn.Module, *, mixes_groups: bool = False) -> None:
        """Raises CannotStackError where a layer has no stacked form.

        `mixes_groups` says that the device's grouped convolution multiplies channels of other
        groups by 0, so that what is not finite has to be kept out of it.
        """
        if type(template) is not nn.Sequential:
            raise CannotStackError(f"a {type(template).__name__} network cannot be stacked")
        self._layers = [
            _stacked(name, layer, mixes_groups) for name, layer in template.named_children()
        ]
        first = next((layer for layer in template if isinstance(layer, _OF_ROWS + _OF_MAPS)), None)
        self.takes_maps = isinstance(first, _OF_MAPS)
        """Whether inputs are (N, K*C, H, W) rather than (K, N, ...)."""

    def __call__(
        self,
        inputs: Tensor,
        weights: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        *,
        training: bool = False,
        dropping: Mapping[str, Dropping | None] | None = None,
    ) -> Tensor:
        """The outputs, (K, N, outputs).

        Args:
            inputs: (K, N, ...), or (N, K*C, H, W) where `takes_maps`; for inputs that all slots
                share (1, N, ...), or (N, C, H, W).
            weights: Under the names of the template's parameters, (K, *shape).
            buffers: Under the names of the template's buffers, (K, *shape); training changes them.
            training: Whether BatchNorm measures.
            dropping: Dropout by the names of its layers; a layer that is not there drops nothing.
        """
        slots = len(next(iter(weights.values())))
        run = _Pass(slots, weights, buffers, training, dropping or {})
        x = inputs
        for layer in self._layers:
            x = layer(x, run)
        return x


def _stacked(name: str, layer: nn.Module, mixes_groups: bool) -> _Layer:
    kind = type(layer)  # and no class derived from it, which may compute something else
    if isinstance(layer, nn.Linear) and kind is nn.Linear and layer.bias is not None:
        return _linear(name)
    if isinstance(layer, nn.Conv2d) and kind is nn.Conv2d and _is_plain(layer):
        return _convolution(name, layer, mixes_groups)
    if isinstance(layer, _NORMS) and kind in _NORMS and _is_usual(layer):
        return _norm(name, layer)
    if kind in (nn.Dropout, Dropout):
        return _dropout(name)
    if isinstance(layer, nn.Flatten) and (layer.start_dim, layer.end_dim) == (1, -1):
        return _flatten
    if kind in _SLOTWISE:
        return lambda x, run: layer(x)
    raise CannotStackError(f"a {type(layer).__name__} layer cannot be stacked")


_NORMS = nn.BatchNorm1d, nn.BatchNorm2d
_OF_ROWS = nn.Flatten, nn.Linear, nn.BatchNorm1d
_OF_MAPS = nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d
_SLOTWISE = (
    nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid,
    nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.ZeroPad2d,
)  # fmt: skip
"""Layers that treat every unit, or every channel, by itself."""


def _is_plain(layer: nn.Conv2d) -> bool:
    tuples = isinstance(layer.padding, tuple) and layer.padding_mode == "zeros"
    return layer.groups == 1 and tuples and layer.bias is not None


def _is_usual(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    return layer.affine and layer.track_running_stats and layer.momentum is not None


def _dropout(name: str) -> _Layer:
    def run_dropout(x: Tensor, run: _Pass) -> Tensor:
        dropping = run.dropping.get(name)
        return x if dropping is None else dropping(x)

    return run_dropout


def _linear(name: str) -> _Layer:
    def run_linear(x_KND: Tensor, run: _Pass) -> Tensor:
        weight, bias = run.weights[f"{name}.weight"], run.weights[f"{name}.bias"]
        x_KND = x_KND.expand(run.slots, -1, -1)
        return torch.baddbmm(bias.unsqueeze(1), x_KND, weight.transpose(1, 2))

    return run_linear


def _convolution(name: str, layer: nn.Conv2d, mixes_groups: bool) -> _Layer:
    def convolved(x: Tensor, run: _Pass, groups: int) -> Tensor:
        weight, bias = run.weights[f"{name}.weight"], run.weights[f"{name}.bias"]
        return F.conv2d(
            x, weight.flatten(0, 1), bias.flatten(), layer.stride, layer.padding, layer.dilation,
            groups=groups,
        )  # fmt: skip

    def run_convolution(x: Tensor, run: _Pass) -> Tensor:
        shared = x.shape[1] == layer.in_channels  # all slots see the same images
        if shared or not mixes_groups:
            return convolved(x, run, 1 if shared else run.slots)
        return _apart(x, run.slots, lambda finite: convolved(finite, run, run.slots))

    return run_convolution


def _apart(x: Tensor, slots: int, convolve: Callable[[Tensor], Tensor]) -> Tensor:
    """A grouped convolution of (N, K*C, H, W) in which 0 times infinity does no harm.

    What is not finite goes in as 0, there and on the way back. The slot that it belongs to becomes
    NaN as a whole, which it would by itself a layer or a step later.
    """
    n, channels, height, width = x.shape
    zero_or_nan = (x.detach() * 0).view(n, slots, channels // slots, height, width)
    y = convolve(x.nan_to_num(0.0, 0.0, 0.0))
    if y.requires_grad:
        y.register_hook(_finite)  # type: ignore[no-untyped-call]
    spoilt_K1 = zero_or_nan.sum(dim=(0, 2, 3, 4)).unsqueeze(1)
    return y + spoilt_K1.expand(-1, y.shape[1] // slots).reshape(1, -1, 1, 1)


def _finite(gradient: Tensor) -> Tensor:
    return gradient.nan_to_num(0.0, 0.0, 0.0)


def _norm(name: str, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> _Layer:
    def normalised(x: Tensor, run: _Pass) -> Tensor:
        mean, var = run.buffers[f"{name}.running_mean"], run.buffers[f"{name}.running_var"]
        weight, bias = run.weights[f"{name}.weight"], run.weights[f"{name}.bias"]
        return F.batch_norm(
            x, mean.view(-1), var.view(-1), weight.flatten(), bias.flatten(),
            run.training, layer.momentum or 0.0, layer.eps,
        )  # fmt: skip

    def run_norm(x: Tensor, run: _Pass) -> Tensor:
        if run.training:
            run.buffers[f"{name}.num_batches_tracked"].add_(1)
        if x.dim() == 4:
            shared = x.shape[1] < run.slots * layer.num_features
            return normalised(x.repeat(1, run.slots, 1, 1) if shared else x, run)
        x = x.expand(run.slots, -1, -1)
        slots, rows, features = x.shape
        flat = x.transpose(0, 1).reshape(rows, slots * features)
        return normalised(flat, run).view(rows, slots, features).transpose(0, 1)

    return run_norm


def _flatten(x: Tensor, run: _Pass) -> Tensor:
    """(N, K*C, H, W) -> (K, N, D); as inputs, (K, N, C, H, W) or (K, N, D) too."""
    if x.dim() == 4:
        return x.reshape(x.shape[0], run.slots, -1).transpose(0, 1)
    return x.flatten(2)
