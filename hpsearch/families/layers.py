"""Layers that the families share, by the names that settings give them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from hpsearch.training.stacking.dropout import Dropout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from hpsearch.families import Problem

__all__ = [
    "AsSequence", "Dropout", "activation_layer", "dense_block", "dropout_layer", "initialise",
]  # fmt: skip

N = TypeVar("N", bound=nn.Module)

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}

_INITS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
}


def activation_layer(name: str) -> list[nn.Module]:
    """The layer of that name; no layer at all for `none`."""
    return [] if name == "none" else [_ACTIVATIONS[name]()]


def dropout_layer(share: float) -> list[nn.Module]:
    """A dropout layer. A share of 0 costs nothing, and layers keep their numbers: candidates that
    differ in it alone can share a stack, and checkpoints keep their names."""
    return [Dropout(share)]


def dense_block(
    inputs: int, outputs: int, *, activation: str, batch_norm: bool, dropout: float
) -> list[nn.Module]:
    """(N, inputs) -> (N, outputs): dense, BatchNorm, activation, dropout."""
    return [
        nn.Linear(inputs, outputs),
        *([nn.BatchNorm1d(outputs)] if batch_norm else []),
        *activation_layer(activation),
        *dropout_layer(dropout),
    ]


class AsSequence(nn.Module):
    """Inputs as sequences of T steps, (N, T, D), or with `maps_first` as (N, D, T).

    A sequence (T, D) is one already. An image (C, H, W) is read row by row, from the top: its steps
    are the H rows of C x W pixels. A row of numbers (D,) has a step a number.
    """

    def __init__(self, problem: Problem, *, maps_first: bool = False) -> None:
        super().__init__()
        shape = problem.shape
        self._images, self._maps_first = problem.kind == "images", maps_first
        self.length = shape[1] if self._images else shape[0]
        self.width = math.prod(shape) // self.length

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers by steps."""
        if self._images:
            x = x.transpose(1, 2)
        x = x.reshape(len(x), self.length, self.width)
        return x.transpose(1, 2) if self._maps_first else x


def initialise(network: N, init: str) -> N:
    """The network, with the weights of all dense, convolutional and recurrent layers and of
    embeddings set by `init`, and their biases and the embedding of padding to 0. Of a recurrent
    layer each gate is a matrix of its own.

    `default` leaves PyTorch's own: uniform within 1/sqrt(inputs), biases too. The others are
    `torch.nn.init`'s functions with their own defaults (Glorot and Bengio 2010; He et al. 2015,
    with the gain of ReLU; Saxe et al. 2014).
    """
    if init == "default":
        return network
    for layer in network.modules():
        if isinstance(layer, nn.Embedding):
            _INITS[init](layer.weight)
            if layer.padding_idx is not None:
                nn.init.zeros_(layer.weight.detach()[layer.padding_idx])
        elif isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            _INITS[init](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.RNNBase):
            for weight in layer.parameters():
                if weight.dim() == 1:
                    nn.init.zeros_(weight)
                else:
                    for gate in torch.split(weight.detach(), layer.hidden_size):
                        _INITS[init](gate)
    return network
