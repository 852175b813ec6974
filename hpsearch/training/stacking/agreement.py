"""Whether a stack of networks computes what they compute alone: tried before the first one.

Two networks make one step by themselves and one as a stack: in double precision, without dropout,
on rows of the data. Outputs, gradients and buffers have to be the same. Whatever a network's code
does that a stack gets wrong, here it is seen.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hpsearch.code import contained
from hpsearch.errors import line
from hpsearch.training import devices
from hpsearch.training.stacking.dropout import without_dropout
from hpsearch.training.stacking.network import StackedNetwork, attributes, shares
from hpsearch.training.tuning import set_training

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

__all__ = ["WRONG", "disagreement", "same"]

WRONG = "a stack of it"
"""How the reason begins where a stack computes something else."""

_EXACT, _ROUGH = 1e-8, 1e-4
"""How far two results may be apart, as a share of the largest number: in double and in single
precision."""
_NOISE, _LEAST = 1e-3, 1e-14
"""What a gradient counts as at least, as a share of the network's largest one; and a distance that
is rounding anywhere."""


@dataclass(frozen=True)
class _Step:
    """What came of one step of one network."""

    outputs: Tensor
    """Of its own rows while training, of the shared rows after it."""
    gradients: Mapping[str, Tensor]
    buffers: Mapping[str, Tensor]


class _WrongError(Exception):
    """Why networks of this kind are trained alone."""


def disagreement(networks: Sequence[nn.Module], template: nn.Module, inputs_KN: Tensor) -> str:
    """Why these networks cannot be stacked; "" where a stack of them agrees with each alone.

    Args:
        networks: Two or more of one structure, of which each may drop other shares; they are used
            up.
        template: One more of it, used up too.
        inputs_KN: Rows for each of them, (K, N, *S), on the CPU.
    """
    try:
        with contained(), without_dropout(), torch.random.fork_rng(devices=[]):
            return _compared(networks, template, inputs_KN)
    except _WrongError as error:
        return str(error)
    except Exception as error:
        if devices.is_out_of_memory(error):
            raise
        return line(error)


def _compared(networks: Sequence[nn.Module], template: nn.Module, inputs_KN: Tensor) -> str:
    usual = torch.get_default_dtype()
    if any(p.dtype != usual for p in networks[0].parameters()):
        return "its parameters are not all float32"
    if attributes(networks[0]).keys() != attributes(template).keys():
        return "its networks differ in their layers"
    start = [_numbers(network) for network in networks]
    dtype, tolerance = torch.float64, _EXACT
    try:
        alone = _alone(networks, inputs_KN, dtype)
    except _WrongError:
        raise
    except Exception:  # code that names a type itself
        for network, numbers in zip(networks, start, strict=True):
            network.float().load_state_dict(numbers)
        dtype, tolerance = torch.float32, _ROUGH
        alone = _alone(networks, inputs_KN, dtype)
    own_shares = [shares(network) for network in networks]
    together = _together(template.to(dtype), start, own_shares, inputs_KN, dtype)
    for one, other in zip(alone, together, strict=True):
        if noun := _agree(one, other, tolerance):
            return f"{WRONG} has other {noun} than a network alone"
    return ""


def _numbers(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in _all(network).items()}


def _all(network: nn.Module) -> dict[str, Tensor]:
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}


def _random_state() -> tuple[Any, ...]:
    return torch.get_rng_state(), random.getstate(), np.random.get_state()


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, or all parts of two dictionaries, lists or tuples."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (torch.Tensor, np.ndarray)):
        return one.shape == other.shape and bool((one == other).all())
    either_nan = isinstance(one, float) and math.isnan(one)
    return type(one) is type(other) and (either_nan or bool(one == other))


def _agree(alone: _Step, together: _Step, tolerance: float) -> str:
    """The first of both steps' results that differ, in a word; "" where none do."""
    largest = max(map(_largest, alone.gradients.values()))
    if not _near(alone.outputs, together.outputs, tolerance * _largest(alone.outputs)):
        return "outputs"
    for name, gradient in alone.gradients.items():
        # That of a bias before BatchNorm is 0, and what comes out is rounding.
        least = tolerance * max(_largest(gradient), _NOISE * largest)
        if not _near(gradient, together.gradients[name], least):
            return "gradients"
    for name, buffer in alone.buffers.items():
        if not _near(buffer, together.buffers[name], tolerance * _largest(buffer)):
            return "buffers"
    return ""


def _largest(numbers: Tensor) -> float:
    return float(numbers.detach().abs().max()) if numbers.numel() else 0.0


def _near(one: Tensor, other: Tensor, distance: float) -> bool:
    if not one.is_floating_point():
        return same(one, other)
    return one.shape == other.shape and torch.allclose(
        one, other, rtol=0, atol=distance + _LEAST, equal_nan=True
    )


def _as(inputs: Tensor, dtype: torch.dtype) -> Tensor:
    return inputs.to(dtype) if inputs.is_floating_point() else inputs


def _weigh(outputs: Tensor) -> Tensor:
    """A number that every output has a share of its own in."""
    places = torch.arange(outputs[..., :1].numel() * outputs.shape[-1], dtype=outputs.dtype)
    return (outputs * places.cos().view(outputs.shape)).sum() + outputs.square().mean()


def _alone(networks: Sequence[nn.Module], inputs_KN: Tensor, dtype: torch.dtype) -> list[_Step]:
    steps = []
    for network, inputs in zip(networks, _as(inputs_KN, dtype), strict=True):
        set_training(network.to(dtype))
        before = attributes(network)
        outputs = network(inputs)
        if not isinstance(outputs, torch.Tensor):
            raise _WrongError(f"`forward` gives a {type(outputs).__name__}, not a tensor")
        trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
        if not trained:
            raise _WrongError("it has no parameters to train")
        parts = torch.autograd.grad(_weigh(outputs), list(trained.values()), allow_unused=True)
        if not same(before, attributes(network)):
            raise _WrongError("`forward` changes the network's attributes")
        if lacking := [n for n, part in zip(trained, parts, strict=True) if part is None]:
            raise _WrongError(f"the parameter {lacking[0]} has no share in the outputs")
        gradients = {n: part for n, part in zip(trained, parts, strict=True) if part is not None}
        network.eval()
        with torch.no_grad():
            both = torch.cat([outputs.detach(), network(_as(inputs_KN[0], dtype))])
        steps.append(_Step(both, gradients, dict(network.named_buffers())))
    return steps


def _together(
    template: nn.Module, start: Sequence[Mapping[str, Tensor]],
    own_shares: Sequence[Mapping[str, float]], inputs_KN: Tensor, dtype: torch.dtype,
) -> list[_Step]:  # fmt: skip
    network = StackedNetwork(template)

    def rows(name: str) -> Tensor:
        value = torch.stack([numbers[name] for numbers in start])
        return value.to(dtype) if value.is_floating_point() else value

    weights = torch.cat([rows(name).reshape(len(start), -1) for name in network.shapes], dim=1)
    fixed = {name: rows(name) for name in network.fixed}
    network.bind(weights, fixed, own_shares)
    network.train(True)
    before = _random_state()
    outputs = network(_as(inputs_KN, dtype))
    if not same(before, _random_state()):
        raise _WrongError("`forward` draws random numbers")
    loss = torch.stack([_weigh(own) for own in outputs]).sum()
    gradients = network.split(network.backward(loss))
    network.train(False)
    with torch.no_grad():
        later = network(_as(inputs_KN[:1], dtype).expand_as(inputs_KN))
    both = torch.cat([outputs.detach(), later], dim=1)
    return [
        _Step(
            both[k],
            {name: gradient[k] for name, gradient in gradients.items()},
            {name: value[k] for name, value in fixed.items()},
        )
        for k in range(len(start))
    ]
