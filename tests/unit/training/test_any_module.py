"""Modules as users write them: each is stacked and computes what it computes alone, or is trained
alone and the reason is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, rnn
from torch.utils.checkpoint import checkpoint

from hpsearch.spec.family import FAMILIES, Family
from hpsearch.spec.problem import Kind, Problem
from hpsearch.training import devices
from hpsearch.training.networks import build
from hpsearch.training.stacking import optimizers
from hpsearch.training.stacking.agreement import disagreement
from hpsearch.training.stacking.dropout import without_dropout
from hpsearch.training.stacking.optimizers import MOMENTS
from tests.building import own_families
from tests.unit.training.test_stacked import stack_of

K, N, D, C = 2, 8, 16, 3
STEPS = 20


class Net(nn.Module):
    """A module with these layers and this `forward`."""

    def __init__(self, function: Callable[[Any, Tensor], Any], **layers: Any) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Any:
        return self.function(self, x)


def linear(inputs: int = D, outputs: int = C) -> nn.Linear:
    return nn.Linear(inputs, outputs)


def last_step(layer: nn.RNNBase) -> Net:
    width = layer.hidden_size * (2 if layer.bidirectional else 1)
    return Net(lambda s, x: s.out(s.body(x)[0][:, -1]), body=layer, out=linear(width))


def tied() -> nn.Module:
    net: Any = Net(lambda s, x: s.b(torch.relu(s.a(x)))[:, :C], a=linear(D, D), b=linear(D, D))
    net.b.weight = net.a.weight
    return net


def frozen() -> nn.Module:
    net: Any = Net(lambda s, x: s.b(s.a(x)), a=linear(D, 8), b=linear(8))
    net.a.requires_grad_(False)
    return net


def hooked() -> nn.Module:
    net: Any = Net(lambda s, x: s.a(x), a=linear())
    net.a.register_forward_hook(lambda module, given, out: out * 2)
    return net


def watched() -> nn.Module:
    net: Any = Net(lambda s, x: s.b(s.a(x)), a=linear(D, 8), b=linear(8))
    net.b.register_full_backward_hook(lambda module, given, out: None)
    return net


def item_assignment(s: Any, x: Tensor) -> Tensor:
    out = torch.zeros(len(x), C)
    out[:, 0] = s.a(x)[:, 0]
    return out


def assignment_into_its_own(s: Any, x: Tensor) -> Tensor:
    out = x.new_zeros(len(x), C)
    out[:, :2] = s.a(x)[:, 1:]
    return out


def counting(s: Any, x: Tensor) -> Tensor:
    s.calls = getattr(s, "calls", 0) + 1
    out: Tensor = s.a(x)
    return out


def squeeze_and_excite(s: Any, x: Tensor) -> Any:
    maps = s.conv(x)
    return s.out((maps * s.gate(maps.mean((2, 3)))[:, :, None, None]).flatten(1))


def patches(s: Any, x: Tensor) -> Any:
    tokens = s.patch(x).flatten(2).transpose(1, 2)
    tokens = torch.cat([s.first.expand(len(x), -1, -1), tokens], 1) + s.place
    return s.out(s.block(tokens)[:, 0])


def experts(s: Any, x: Tensor) -> Any:
    answers = torch.stack([expert(x) for expert in s.experts], 1)
    return (answers * s.gate(x).softmax(-1).unsqueeze(-1)).sum(1)


def many_functions(s: Any, x: Tensor) -> Any:
    x = x.cumsum(-1).sort(-1)[0].clamp(-1, 1).roll(1, 0) * x.norm(dim=1, keepdim=True)
    x = x.gather(1, x.argsort(1)) + x.max() + x.var(1, keepdim=True) + x.topk(1, dim=1)[0]
    return s.a(torch.where(x > 0, x, x.T.T * 0.5)) + F.one_hot(x.argmax(1) % C, C)


class Centred(nn.Module):
    """Sets its buffers anew."""

    mean: Tensor
    batches: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.a = linear()
        self.register_buffer("mean", torch.zeros(D))
        self.register_buffer("batches", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            self.batches = self.batches + 1
        out: Tensor = self.a(x - self.mean)
        return out


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient


ROWS, MAPS, SERIES, TOKENS = (D,), (1, 12, 12), (7, 4), "tokens"

STACKED: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "residual": (lambda: Net(lambda s, x: s.b(x + torch.relu(s.a(x))), a=linear(D, D), b=linear()),
                 ROWS),
    "two branches": (lambda: Net(lambda s, x: s.c(torch.cat([s.a(x), s.b(x)], 1)),
                                 a=linear(D, 8), b=linear(D, 8), c=linear()), ROWS),
    "a layer used twice": (lambda: Net(lambda s, x: s.a(torch.relu(s.a(x)))[:, :C],
                                       a=linear(256, 256)), (256,)),
    "tied weights": (tied, ROWS),
    "a weight and its transpose": (
        lambda: Net(lambda s, x: F.linear(s.a(x).relu(), s.a.weight.t()), a=linear(D, 300)), ROWS),
    "buffers set anew": (Centred, ROWS),
    "weight norm": (lambda: nn.Sequential(parametrizations.weight_norm(linear(D, 8)), nn.Tanh(),
                                          linear(8)), ROWS),
    "attention with its weights": (
        lambda: Net(lambda s, x: s.b(s.a(x, x, x)[0].mean(1)),
                    a=nn.MultiheadAttention(4, 2, batch_first=True), b=linear(4)), SERIES),
    "causal attention": (
        lambda: Net(lambda s, x: s.b(F.scaled_dot_product_attention(s.a(x), x, x, is_causal=True)
                                     .mean(1)), a=linear(4, 4), b=linear(4)), SERIES),
    "transformer": (
        lambda: Net(lambda s, x: s.b(s.a(x).mean(1)), b=linear(4), a=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2)), SERIES),
    "vision transformer": (
        lambda: Net(patches, patch=nn.Conv2d(1, 8, 4, 4), out=linear(8),
                    first=nn.Parameter(torch.zeros(1, 1, 8)),
                    place=nn.Parameter(torch.randn(1, 10, 8)),
                    block=nn.TransformerEncoderLayer(8, 2, 8, batch_first=True, norm_first=True)),
        MAPS),
    "GRU": (lambda: last_step(nn.GRU(4, 6, 2, batch_first=True, dropout=0.2)), SERIES),
    "LSTM in both directions": (
        lambda: last_step(nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True)), SERIES),
    "RNN without biases": (lambda: last_step(nn.RNN(4, 6, batch_first=True, bias=False)), SERIES),
    "a cell of a GRU": (lambda: Net(lambda s, x: s.b(s.a(x)), a=nn.GRUCell(D, 8), b=linear(8)),
                        ROWS),
    "embedding": (lambda: Net(lambda s, x: s.b(s.a(x).mean(1)), b=linear(6),
                              a=nn.Embedding(20, 6, padding_idx=0)), TOKENS),
    "checkpointing": (
        lambda: Net(lambda s, x: s.b(checkpoint(s.a, x, use_reentrant=False)),
                    a=nn.Sequential(linear(D, D), nn.ReLU()), b=linear()), ROWS),
    "a list of parameters": (
        lambda: Net(lambda s, x: x @ s.p[0] + s.p[1],
                    p=nn.ParameterList([torch.randn(D, C), torch.randn(C)])), ROWS),
    "a parameter of one number": (
        lambda: Net(lambda s, x: s.a(x) * s.scale.exp(), a=linear(),
                    scale=nn.Parameter(torch.tensor(0.5))), ROWS),
    "assignment into a tensor of its own": (lambda: Net(assignment_into_its_own, a=linear()), ROWS),
    "einsum": (lambda: Net(lambda s, x: torch.einsum("nd,od->no", x, s.w),
                           w=nn.Parameter(torch.randn(C, D))), ROWS),
    "inputs made single precision": (lambda: Net(lambda s, x: s.a(x.float()), a=linear()), ROWS),
    "softmax in double precision": (
        lambda: Net(lambda s, x: s.a(x).double().softmax(-1).to(x.dtype), a=linear()), ROWS),
    "a forward hook": (hooked, ROWS),
    "frozen layers": (frozen, ROWS),
    "dropout as a function": (
        lambda: Net(lambda s, x: F.dropout(s.a(x), 0.5, s.training), a=linear()), ROWS),
    "squeeze and excite": (
        lambda: Net(squeeze_and_excite, conv=nn.Conv2d(1, 4, 3), out=linear(400),
                    gate=nn.Sequential(linear(4, 4), nn.Sigmoid())), MAPS),
    "all kinds of convolution": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.ReLU(True),
            nn.Conv2d(4, 8, 3, groups=2, bias=False), nn.GroupNorm(2, 8), nn.Dropout2d(0.2),
            nn.ConvTranspose2d(8, 4, 2), nn.InstanceNorm2d(4, affine=True), nn.ReflectionPad2d(1),
            nn.Upsample(scale_factor=2), nn.PixelShuffle(2), nn.AdaptiveAvgPool2d(3), nn.Flatten(),
            linear(9)), MAPS),
    "convolutions of sequences": (
        lambda: nn.Sequential(nn.Conv1d(7, 6, 3, padding="same"), nn.BatchNorm1d(6), nn.ReLU(),
                              nn.MaxPool1d(2), nn.AdaptiveMaxPool1d(1), nn.Flatten(), linear(6)),
        SERIES),
    "all kinds of norms": (
        lambda: nn.Sequential(nn.LayerNorm(D), linear(D, D), nn.BatchNorm1d(D), nn.PReLU(),
                              nn.RMSNorm(D), linear(D, 8), nn.BatchNorm1d(8, affine=False),
                              nn.GELU(), linear(8)), ROWS),
    "a mixture of experts": (
        lambda: Net(experts, experts=nn.ModuleList([linear() for _ in range(4)]),
                    gate=linear(D, 4)), ROWS),
    "bilinear": (lambda: Net(lambda s, x: s.a(x, x.tanh()), a=nn.Bilinear(D, D, C)), ROWS),
    "many functions": (lambda: Net(many_functions, a=linear()), ROWS),
}  # fmt: skip

BY_VALUES = "what `forward` does depends on the numbers in a tensor"
ALONE: dict[str, tuple[Callable[[], nn.Module], Any, str]] = {
    "control flow by values": (
        lambda: Net(lambda s, x: s.a(x) if x.mean() > 0 else -s.a(x), a=linear()), ROWS, BY_VALUES),
    ".item()": (lambda: Net(lambda s, x: s.a(x) * x.std().item(), a=linear()), ROWS, BY_VALUES),
    "boolean indexing": (
        lambda: Net(lambda s, x: s.a(x[x[:, 0] > -9]), a=linear()), ROWS,
        "__getitem__ cannot be stacked"),
    "random noise like the input": (
        lambda: Net(lambda s, x: s.a(x + torch.randn_like(x)), a=linear()), ROWS,
        "`forward` draws random numbers"),
    "random noise of a shape": (
        lambda: Net(lambda s, x: s.a(x + torch.randn(x.shape)), a=linear()), ROWS,
        "`forward` draws random numbers"),
    "spectral norm": (lambda: nn.Sequential(parametrizations.spectral_norm(linear())), ROWS,
                      "normalize cannot be stacked"),
    "assignment into zeros": (lambda: Net(item_assignment, a=linear()), ROWS,
                              "a tensor that `forward` makes anew holds one network's numbers"),
    "a count of calls": (lambda: Net(counting, a=linear()), ROWS,
                         "`forward` changes the network's attributes"),
    "parameters in double precision": (
        lambda: Net(lambda s, x: s.b(s.a(x.double()).float()), a=linear(D, 8).double(),
                    b=linear(8)), ROWS, "its parameters are not all float32"),
    "no parameters": (lambda: Net(lambda s, x: x[:, :C]), ROWS, "it has no parameters to train"),
    "a layer that is not used": (
        lambda: Net(lambda s, x: s.a(x), a=linear(), b=linear()), ROWS,
        "the parameter b.weight has no share in the outputs"),
    "a function of its own for gradients": (
        lambda: Net(lambda s, x: s.b(Reversed.apply(s.a(x))), a=linear(D, 8), b=linear(8)), ROWS,
        "a stack of it has other gradients than a network alone"),
    "a backward hook": (watched, ROWS, "`forward` looks at gradients"),
    "packed sequences": (
        lambda: Net(lambda s, x: s.b(s.a(rnn.pack_padded_sequence(
            x, torch.full((len(x),), 5), batch_first=True))[1][0]),
            a=nn.GRU(4, 6, batch_first=True), b=linear(6)), SERIES, ""),
    "BatchNorm by the mean of all": (
        lambda: nn.Sequential(linear(D, 8), nn.BatchNorm1d(8, momentum=None), linear(8)), ROWS,
        BY_VALUES),
    "more than one output": (lambda: Net(lambda s, x: (s.a(x), 1), a=linear()), ROWS,
                             "`forward` gives a tuple, not a tensor"),
}  # fmt: skip


SHAPES: dict[Kind, tuple[int, ...]] = {
    "rows": (7,), "images": (1, 12, 12), "sequences": (9, 4), "tokens": (9,),
}  # fmt: skip


@pytest.mark.parametrize("name", own_families())
def test_every_family_is_stacked(name: str) -> None:
    family = FAMILIES[name]
    for kind in sorted(family.takes):
        outputs = prod(SHAPES[kind]) if "inputs" in family.targets else C
        task = "anomaly" if "inputs" in family.targets else "classification"
        problem = Problem(task, kind, SHAPES[kind], outputs, tuple("abc"), vocabulary=20)
        for choices in ({}, *each_choice(family)):
            settings = {**family.vocabulary().defaults, **choices}
            networks = [build(name, problem, settings) for _ in range(K + 1)]
            inputs = inputs_of(TOKENS if kind == "tokens" else SHAPES[kind])
            assert disagreement(networks[:K], networks[K], inputs) == "", (kind, choices)


HALF: list[tuple[str, Kind, dict[str, Any]]] = [
    ("mlp", "rows", {"batch_norm": True}), ("cnn", "images", {"batch_norm": True}),
    ("resnet", "images", {}), ("rnn", "sequences", {"cell": "gru"}), ("rnn", "sequences", {}),
    ("conv1d", "sequences", {}), ("text", "tokens", {"body": "rnn"}), ("vit", "images", {}),
    ("transformer", "tokens", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "choices"), HALF)
def test_in_half_precision_a_stack_computes_about_what_each_does_alone(
    name: str, kind: Kind, choices: dict[str, Any]
) -> None:
    """Autocast finds its functions behind the stand-ins, and types that it mixes get along."""
    torch.manual_seed(0)
    problem = Problem("classification", kind, SHAPES[kind], C, tuple("abc"), vocabulary=20)
    settings = {**FAMILIES[name].vocabulary().defaults, **choices}
    plain = [build(name, problem, settings).train() for _ in range(K)]
    stack, _, fixed = stack_of(plain, build(name, problem, settings))
    stack.train(True)
    inputs = inputs_of(TOKENS if kind == "tokens" else SHAPES[kind])
    with without_dropout():
        with devices.half(torch.device("cpu"), on=True):
            together = stack(inputs)
            alone = torch.stack([one(own) for one, own in zip(plain, inputs, strict=True)])
        gradient = stack.backward(together.float().square().mean((1, 2)).sum())
    assert together.dtype == alone.dtype == torch.bfloat16
    assert gradient.dtype == torch.float32
    assert all(value.dtype != torch.bfloat16 for value in fixed.values())
    assert float((together - alone).detach().norm() / alone.detach().norm()) < 0.02
    theirs = []
    for one, outputs in zip(plain, alone, strict=True):
        parts = torch.autograd.grad(outputs.float().square().mean(), list(one.parameters()),
                                    retain_graph=True)  # fmt: skip
        theirs.append(torch.cat([part.flatten() for part in parts]))
    expected = torch.stack(theirs)
    assert float((gradient - expected).norm() / expected.norm()) < 0.1


def each_choice(family: Family) -> Iterator[dict[str, Any]]:
    """Every choice of every setting that has some, one beside the defaults at a time."""
    for setting in family.settings:
        values = (True, False) if setting.kind == "bool" else setting.choices
        yield from ({setting.name: value} for value in values if setting.name != "init")


def inputs_of(shape: Any, rows: int = N) -> Tensor:
    if shape == TOKENS:
        return torch.randint(0, 20, (K, rows, 9))
    return torch.randn(K, rows, *shape)


def refusal(make: Callable[[], nn.Module], shape: Any) -> str:
    return disagreement([make(), make()], make(), inputs_of(shape))


@pytest.mark.parametrize("name", ALONE)
def test_what_cannot_be_stacked_gives_the_reason(name: str) -> None:
    make, shape, reason = ALONE[name]
    why = refusal(make, shape)
    assert why
    assert why.startswith(reason)
    assert "\n" not in why


@pytest.mark.parametrize("name", STACKED)
def test_a_stack_trains_as_each_alone(name: str) -> None:
    """Twenty steps of AdamW in double precision, without dropout, agree to 1e-9."""
    torch.manual_seed(0)
    make, shape = STACKED[name]
    assert refusal(make, shape) == ""
    exact = "single" not in name
    dtype, tolerance = (torch.float64, 1e-9) if exact else (torch.float32, 1e-4)
    plain, template = [make().to(dtype) for _ in range(K)], make().to(dtype)
    stack, weights, fixed = stack_of(plain, template)
    stack.train(True)
    rate, decay, betas = 2**-6, 0.125, (0.875, 0.9375)  # the same in single precision
    settings = {"weight_decay": decay, "momentum": 0.0, "beta1": betas[0], "beta2": betas[1],
                "clip": None, "nesterov": False, "optimizer": "adamw"}  # fmt: skip
    columns = optimizers.Settings.of([settings] * K, torch.device("cpu"))
    for own, column in vars(columns).items():
        if isinstance(column, Tensor):
            object.__setattr__(columns, own, column.to(dtype))
    moments = {moment: torch.zeros_like(weights) for moment in MOMENTS["adamw"]}
    rules = [
        torch.optim.AdamW(
            [p for p in one.parameters() if p.requires_grad], rate, betas, weight_decay=decay
        )
        for one in plain
    ]
    planned = optimizers.plan("adamw", [[rate] * STEPS] * K, [0] * K, columns)
    with without_dropout():
        for now in planned:
            batch = inputs_of(shape)
            batch = batch.to(dtype) if batch.is_floating_point() else batch
            gradient = stack.backward(stack(batch).square().mean((1, 2)).sum())
            with torch.no_grad():
                optimizers.step("adamw", weights, gradient, moments, columns, now)
            for one, rule, own in zip(plain, rules, batch, strict=True):
                rule.zero_grad()
                one.train()(own).square().mean().backward()
                rule.step()
    largest = float(weights.abs().max())  # a bias before BatchNorm is 0 but for rounding
    for k, one in enumerate(plain):
        ours = {
            **{own: part[k] for own, part in stack.split(weights).items()},
            **{own: value[k] for own, value in fixed.items()},
        }
        for own, value in {**dict(one.named_parameters()), **dict(one.named_buffers())}.items():
            assert ours[own].dtype == value.dtype
            difference = float((ours[own].double() - value.detach().double()).abs().max())
            assert difference <= tolerance * max(float(value.detach().abs().max()), largest)
