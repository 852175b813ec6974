"""Layers that the families share, by the names that settings give them.

Shapes: `N` rows, `C` channels, `H` height, `W` width.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from hpsearch.families.sizes import gate_units, steps_of
from hpsearch.training.stacking.dropout import Dropout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from hpsearch.families import Problem

__all__ = [
    "AsSequence", "Dropout", "Residual", "SqueezeExcite", "activation_layer", "convolution",
    "dense_block", "dropout_layer", "initialise",
]  # fmt: skip

N = TypeVar("N", bound=nn.Module)

_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
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
    "uniform": partial(nn.init.uniform_, a=-0.05, b=0.05),
    "normal": partial(nn.init.normal_, std=0.05),
}


def activation_layer(name: str, negative_slope: float = 0.01) -> list[nn.Module]:
    """The layer of that name; no layer at all for `none`.

    Args:
        name: A choice of `hpsearch.families.shared.ACTIVATION`.
        negative_slope: The slope below 0, of `leaky_relu` alone. PyTorch's default.
    """
    if name == "none":
        return []
    return [nn.LeakyReLU(negative_slope) if name == "leaky_relu" else _ACTIVATIONS[name]()]


def dropout_layer(share: float) -> list[nn.Module]:
    """A dropout layer. A share of 0 costs nothing, and layers keep their numbers: candidates that
    differ in it alone can share a stack, and checkpoints keep their names."""
    return [Dropout(share)]


def dense_block(
    inputs: int, outputs: int, *, activation: str, batch_norm: bool, dropout: float,
    negative_slope: float = 0.01, layer_norm: bool = False,
) -> list[nn.Module]:  # fmt: skip
    """(N, inputs) -> (N, outputs): dense, normalisation, activation, dropout."""
    return [
        nn.Linear(inputs, outputs),
        *([nn.BatchNorm1d(outputs)] if batch_norm else []),
        *([nn.LayerNorm(outputs)] if layer_norm else []),
        *activation_layer(activation, negative_slope),
        *dropout_layer(dropout),
    ]


class AsSequence(nn.Module):
    """Inputs as sequences of T steps, (N, T, D), or with `maps_first` as (N, D, T).

    A sequence (T, D) is one already. An image (C, H, W) is read row by row, from the top: its steps
    are the H rows of C x W pixels. A row of numbers (D,) has a step a number.
    """

    def __init__(self, problem: Problem, *, maps_first: bool = False) -> None:
        super().__init__()
        self._images, self._maps_first = problem.kind == "images", maps_first
        self.length, self.width = steps_of(problem)

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers by steps."""
        if self._images:
            x = x.transpose(1, 2)
        x = x.reshape(len(x), self.length, self.width)
        return x.transpose(1, 2) if self._maps_first else x


def convolution(inputs: int, maps: int, kernel: int) -> list[nn.Module]:
    """(N, inputs, H, W) -> (N, maps, H, W): a convolution that keeps the size of its maps."""
    before, after = (kernel - 1) // 2, kernel // 2  # differ for an even kernel
    if before == after:
        return [nn.Conv2d(inputs, maps, kernel, padding=before)]
    return [nn.ZeroPad2d((before, after, before, after)), nn.Conv2d(inputs, maps, kernel)]


class Residual(nn.Module):
    """What a branch makes of its input, and the input itself, added.

    He et al., "Deep residual learning for image recognition" (2016). With a share of `depth` above
    0 the branch is left out for that share of the rows of a batch while training, and scaled up for
    the others as dropout does: Huang et al., "Deep networks with stochastic depth" (2016), row by
    row.
    """

    def __init__(
        self, branch: nn.Module, shortcut: nn.Module | None = None, depth: float | None = None
    ) -> None:
        """Make one.

        Args:
            branch: What is learnt.
            shortcut: Brings the input to the branch's shape where these differ: a projection.
            depth: The share of rows that go without the branch, in [0, 1), of maps (N, C, H, W);
                None for a layer that never leaves it out.
        """
        super().__init__()
        self.branch = branch
        self.shortcut = nn.Identity() if shortcut is None else shortcut
        self.depth = None if depth is None else Dropout(depth)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, ...) -> (N, ...), in the branch's shape."""
        branch: torch.Tensor = self.branch(x)
        if self.depth is not None:
            one_a_row = torch.ones_like(branch[:, :1, :1, :1])
            branch = branch * self.depth(one_a_row)
        added: torch.Tensor = self.shortcut(x) + branch
        return added


class SqueezeExcite(nn.Module):
    """Maps, each scaled by a gate between 0 and 1 that depends on the means of all of them.

    Hu, Shen and Sun, "Squeeze-and-excitation networks" (2018).
    """

    def __init__(self, maps: int) -> None:
        super().__init__()
        units = gate_units(maps)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(maps, units), nn.ReLU(), nn.Linear(units, maps), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        scaled: torch.Tensor = x * self.gate(x)[:, :, None, None]
        return scaled


def initialise(network: N, init: str) -> N:
    """The network, with the weights of all dense, convolutional and recurrent layers and of
    embeddings set by `init`, and their biases to 0. Embeddings that are 0, those of padding and of
    unknown words, stay so. Of a recurrent layer each gate is a matrix of its own.

    `default` leaves PyTorch's own: uniform within 1/sqrt(inputs), biases too. `uniform`, within
    0.05, and `normal`, with deviation 0.05, are Keras's `RandomUniform` and `RandomNormal`: the
    same for layers of every size, so that deep and wide networks start less well. The others are
    `torch.nn.init`'s functions with their own defaults (Glorot and Bengio 2010; He et al. 2015,
    with the gain of ReLU; Saxe et al. 2014).
    """
    if init == "default":
        return network
    for layer in network.modules():
        if isinstance(layer, nn.Embedding):
            silent = ~layer.weight.detach().any(dim=1, keepdim=True)
            _INITS[init](layer.weight)
            layer.weight.detach().masked_fill_(silent, 0.0)
        elif isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)):
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
