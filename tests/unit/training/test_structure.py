"""Where two networks may differ, and whether it is seen."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from hpsearch.training.stacking.structure import structure


class Net(nn.Module):
    """A network with any attributes."""

    def __init__(self, **own: Any) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 2)
        for name, value in own.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x))


class Drawn(Net):
    def __init__(self, p: float) -> None:
        super().__init__()
        nn.init.normal_(self.first.weight, std=p)
        self.register_buffer("kept", torch.full((3,), p))


class Share:
    def __init__(self, p: float) -> None:
        self.p = p

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p)


class Slotted:
    __slots__ = ("p",)

    def __init__(self, p: float) -> None:
        self.p = p


def scaled(by: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x * by


def local(p: float) -> nn.Module:
    class Local(Net):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(self.last(self.first(x)), p)

    return Local()


def local_alike(p: float) -> nn.Module:
    class Local(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.get_submodule("drop")(self.last(self.first(x)))

    return Local(drop=nn.Dropout(p))


def hooked(p: float) -> nn.Module:
    net = Net()
    net.first.register_forward_hook(lambda _, inputs, output: F.dropout(output, p))
    return net


def of_class(p: float) -> nn.Module:
    net = Net()
    net.__class__ = type("Other", (Net,), {"p": p})
    return net


ALIKE: dict[str, Callable[[float], nn.Module]] = {
    "a layer of dropout": lambda p: Net(drop=nn.Dropout(p)),
    "layers of every kind": lambda p: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout2d(p), nn.Flatten(), nn.LSTM(4, 4),
        nn.MultiheadAttention(4, 2), nn.ReLU(), nn.Dropout(p)),
    "first weights and a buffer": Drawn,
    "weight norm": lambda p: nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 4)),
                                           nn.Dropout(p)),
    "a class of each network's own": local_alike,
    "a function that encloses something else": lambda p: Net(f=scaled(2.0), drop=nn.Dropout(p)),
    "functions by name": lambda p: Net(f=torch.relu, g=F.gelu, h=torch.Tensor.tanh,
                                       i=functools.partial(F.leaky_relu, negative_slope=0.1),
                                       drop=nn.Dropout(p)),
    "plain objects": lambda p: Net(a=SimpleNamespace(width=3), b={1: [2, {3}]}, c=torch.float32,
                                   d=Share(1.0).drop, drop=nn.Dropout(p)),
}  # fmt: skip
APART: dict[str, Callable[[float], nn.Module]] = {
    "an attribute": lambda p: Net(p=p),
    "a private attribute": lambda p: Net(_p=p),
    "an attribute beside the layer": lambda p: Net(drop=nn.Dropout(p), p=p),
    "an enclosed number": lambda p: Net(f=lambda x: F.dropout(x, p)),
    "a default": lambda p: Net(f=lambda x, q=p: F.dropout(x, q)),
    "a partial": lambda p: Net(f=functools.partial(F.dropout, p=p)),
    "a partial in a dictionary": lambda p: Net(f={"a": [functools.partial(F.dropout, p=p)]}),
    "a method of an object": lambda p: Net(f=Share(p).drop),
    "an object": lambda p: Net(a=Share(p)),
    "an object without a dictionary": lambda p: Net(a=Slotted(p)),
    "an object of the standard library": lambda p: Net(f=operator.methodcaller("mul", p)),
    "a method of a class of each network's own": local,
    "an attribute of such a class": of_class,
    "a hook": hooked,
    "another layer": lambda p: nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(p)),
    "dropout inside a layer": lambda p: nn.Sequential(nn.LSTM(4, 4, num_layers=2, dropout=p)),
    "dropout of attention": lambda p: Net(a=nn.MultiheadAttention(4, 2, dropout=p)),
    "dropout of another kind": lambda p: Net(drop=nn.AlphaDropout(p)),
    "a layer or none": lambda p: Net(*[], **({"drop": nn.Dropout(p)} if p > 0.2 else {})),
    "a tensor": lambda p: Net(a=torch.full((3,), p)),
    "a width": lambda p: Net(a=nn.Linear(4, round(10 * p))),
    "what is trained": lambda p: Net(a=nn.Linear(4, 4).requires_grad_(p > 0.2)),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_shares_weights_and_buffers_are_no_part_of_it(name: str) -> None:
    assert structure(ALIKE[name](0.1)) is not None
    assert structure(ALIKE[name](0.1)) == structure(ALIKE[name](0.4))


@pytest.mark.parametrize("name", APART)
def test_everything_else_is_part_of_it(name: str) -> None:
    assert structure(APART[name](0.1)) != structure(APART[name](0.4))
    assert structure(APART[name](0.1)) == structure(APART[name](0.1)) != None  # noqa: E711


def test_what_cannot_be_looked_into_is_like_nothing() -> None:
    assert structure(Net(f=iter(map(abs, [0.1])), g=(n for n in [0.1]))) is None
    assert structure(nn.Sequential(nn.LazyLinear(3))) is None
