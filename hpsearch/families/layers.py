"""Layers that the families share, by the names that settings give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from torch import nn

from hpsearch.training.stacking.dropout import Dropout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

__all__ = ["activation_layer", "dense_block", "dropout_layer", "initialise"]

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


def initialise(network: N, init: str) -> N:
    """The network, with the weights of all dense and convolutional layers set by `init`, and their
    biases to 0.

    `default` leaves PyTorch's own: uniform within 1/sqrt(inputs), biases too. The others are
    `torch.nn.init`'s functions with their own defaults (Glorot and Bengio 2010; He et al. 2015,
    with the gain of ReLU; Saxe et al. 2014).
    """
    if init == "default":
        return network
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            _INITS[init](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
