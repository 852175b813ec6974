from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from hpsearch.families import Family, Problem
from hpsearch.runner.candidate import Candidate
from hpsearch.spec import settings as catalog
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.settings import Direction
from hpsearch.training.optim import Plateau, schedule
from hpsearch.training.stacking import fused, optimizers
from hpsearch.training.stacking.fused import Fused
from hpsearch.training.stacking.optimizers import COUNTERS, MOMENTS, counters
from hpsearch.training.trial_progress import TrialProgress
from tests.unit.training.packing import alone, distance, packed, state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hpsearch.sources.dataset import Dataset

EPOCHS, F32 = 20, torch.float32


def settings(**changes):
    return {**FAMILIES["mlp"].vocabulary().defaults, "epochs": EPOCHS, **changes}


def torch_factors(make, steps: int = EPOCHS) -> list[float]:
    """Factors on the learning rate that a scheduler of PyTorch gives at each of its steps."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    sgd = torch.optim.SGD([parameter], lr=1.0)
    factors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR calls its own deprecated parts
        scheduler = make(sgd)
        for _ in range(steps):
            factors.append(sgd.param_groups[0]["lr"])
            sgd.step()
            scheduler.step()
    return factors


def our_factors(steps: int = EPOCHS, **changes) -> list[float]:
    factor = schedule(settings(**changes))
    return [factor(step * EPOCHS / steps) for step in range(steps)]


@pytest.mark.parametrize(
    ("changes", "make"),
    [
        ({"schedule": "constant"}, lambda o: lr_scheduler.ConstantLR(o, 1.0)),
        (
            {"schedule": "step", "decay": 0.5, "decay_every": 6},
            lambda o: lr_scheduler.StepLR(o, 6, 0.5),
        ),
        ({"schedule": "step"}, lambda o: lr_scheduler.StepLR(o, 7, 0.1)),
        (
            {"schedule": "exponential", "decay": 0.8},
            lambda o: lr_scheduler.ExponentialLR(o, 0.8),
        ),
        ({"schedule": "exponential"}, lambda o: lr_scheduler.ExponentialLR(o, 0.95)),
        ({"schedule": "cosine"}, lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS)),
        ({"schedule": "plateau"}, lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    ],
)
def test_factors_at_whole_epochs_are_those_of_torch(changes, make) -> None:
    assert our_factors(**changes) == pytest.approx(torch_factors(make), abs=1e-9)


@pytest.mark.parametrize("warmup", [0.0, 5.0])
def test_one_cycle_is_torchs(warmup: float) -> None:
    # OneCycleLR counts steps from 0 to total - 1 and turns at pct_start * total - 1; in continuous
    # progress that is a cycle of total - 1 steps that turns at (pct_start * total - 1).
    steps = 201
    turn = (warmup or 0.3 * EPOCHS) / EPOCHS * (steps - 1)
    theirs = torch_factors(
        lambda o: lr_scheduler.OneCycleLR(o, 1.0, steps, pct_start=(turn + 1) / steps), steps - 1
    )
    ours = our_factors(steps - 1, schedule="one_cycle", warmup=warmup)
    assert ours == pytest.approx(theirs, abs=1e-9)
    factor = schedule(settings(schedule="one_cycle", warmup=warmup))
    assert factor(EPOCHS) == pytest.approx(1 / 25e4)


@pytest.mark.parametrize("shape", ["constant", "step", "exponential", "cosine", "plateau"])
def test_warmup_rises_in_a_straight_line_and_the_shape_follows(shape: str) -> None:
    warmup = 4
    follow = {
        "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, EPOCHS - warmup),
        "step": lambda o: lr_scheduler.StepLR(o, 7, 0.1),
        "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.95),
    }.get(shape, lambda o: lr_scheduler.ConstantLR(o, 1.0))
    theirs = torch_factors(
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 1e-12, 1.0, warmup), follow(o)], [warmup]
        )
    )
    assert our_factors(schedule=shape, warmup=warmup) == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("shape", catalog.SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 0.5, EPOCHS, 3 * EPOCHS])
def test_factors_stay_between_0_and_1(shape: str, warmup: float) -> None:
    factor = schedule(settings(schedule=shape, warmup=warmup))
    assert all(0 <= factor(step / 10) <= 1 for step in range(10 * EPOCHS + 1))


@pytest.mark.parametrize(("direction", "mode"), [("maximize", "max"), ("minimize", "min")])
@pytest.mark.parametrize("patience", [0, 2])
def test_plateau_is_torchs(
    direction: Direction, mode: Literal["min", "max"], patience: int
) -> None:
    values = [0.5, 0.6, 0.6, 0.55, 0.5, 0.61, 0.4, 0.3, 0.2, 0.2, 0.2, 0.7, 0.1, 0.1, 0.1, 0.1]
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(
        sgd, mode=mode, factor=0.5, patience=patience, threshold=0.0
    )
    ours = Plateau()
    for value in values:
        theirs.step(value)
        ours = ours.after(value, direction, settings(patience=patience, decay=0.5))
        assert ours.factor == pytest.approx(sgd.param_groups[0]["lr"])
    assert ours.factor < 1


STEPS = 20


def trained(make, clip: float | None = None) -> list[torch.Tensor]:
    """The weights of a small network, in double precision, after some steps."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    network.double()
    inputs, rule = torch.randn(8, 4).double(), make(list(network.parameters()))
    for _ in range(STEPS):
        rule.zero_grad()
        network(inputs).square().mean().backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        rule.step()
    return [p.detach() for p in network.parameters()]


BASE = {"lr": 0.1, "weight_decay": 0.02, "momentum": 0.8, "beta1": 0.7, "beta2": 0.9}
BETAS = (0.7, 0.9)
TORCHS: dict[str, tuple[dict[str, Any], Callable[..., torch.optim.Optimizer]]] = {
    "sgd": (
        {"optimizer": "sgd"},
        lambda p: torch.optim.SGD(p, 0.1, 0.8, weight_decay=0.02),
    ),
    "nesterov": (
        {"optimizer": "sgd", "nesterov": True},
        lambda p: torch.optim.SGD(p, 0.1, 0.8, weight_decay=0.02, nesterov=True),
    ),
    "without momentum": (
        {"optimizer": "sgd", "nesterov": True, "momentum": 0.0},
        lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.02),
    ),
    "adam": (
        {"optimizer": "adam"},
        lambda p: torch.optim.Adam(p, 0.1, BETAS, weight_decay=0.02),
    ),
    "adamw": (
        {"optimizer": "adamw"},
        lambda p: torch.optim.AdamW(p, 0.1, BETAS, weight_decay=0.02),
    ),
    "nadam": (
        {"optimizer": "nadam"},
        lambda p: torch.optim.NAdam(p, 0.1, BETAS, weight_decay=0.02),
    ),
    "radam": (
        {"optimizer": "radam"},
        lambda p: torch.optim.RAdam(p, 0.1, BETAS, weight_decay=0.02),
    ),
    "radam, never rectified": (
        {"optimizer": "radam", "beta2": 0.5},
        lambda p: torch.optim.RAdam(p, 0.1, (0.7, 0.5), weight_decay=0.02),
    ),
    "adagrad": (
        {"optimizer": "adagrad"},
        lambda p: torch.optim.Adagrad(p, 0.1, weight_decay=0.02),
    ),
    "rmsprop": (
        {"optimizer": "rmsprop"},
        lambda p: torch.optim.RMSprop(p, 0.1, momentum=0.8, weight_decay=0.02),
    ),
}


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PyTorch keeps what it counts, and so the product of NAdam's momenta, in the default type."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("kind", ["fused", "no kernels", "all slots"])
@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("name", TORCHS)
def test_an_optimizer_is_torchs(name: str, clip, kind: str, monkeypatch, exact) -> None:
    changes, plain = TORCHS[name]
    if kind == "no kernels":  # a PyTorch that has none by these names
        monkeypatch.setattr(fused, "_NAMES", {})
    face = Slots if kind == "all slots" else Ours
    chosen = settings(**{**BASE, **changes})
    ours = trained(lambda p: face(p, chosen), clip)
    for mine, theirs in zip(ours, trained(plain, clip), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-9)


class Ours:
    """`Fused` with the face of an optimizer of PyTorch."""

    def __init__(self, weights: list[torch.Tensor], chosen) -> None:
        self.weights, self.rate, self.count = weights, chosen["lr"], torch.zeros((), dtype=F32)
        moments = {
            name: [torch.zeros_like(weight) for weight in weights]
            for name in MOMENTS[chosen["optimizer"]]
        }
        self.rule = Fused(chosen, weights, moments, self.count)

    def zero_grad(self) -> None:
        for weight in self.weights:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        self.count.add_(1)
        gradients = [weight.grad for weight in self.weights]
        self.rule.step(gradients, self.rate, int(self.count))


class Slots(Ours):
    """The same of the last of three slots, whose neighbours are further on and at other rates."""

    def __init__(self, weights: list[torch.Tensor], chosen) -> None:
        super().__init__(weights, chosen)
        self.chosen, size = chosen, sum(weight.numel() for weight in weights)
        self.own = {name: torch.zeros(3, size) for name in MOMENTS[chosen["optimizer"]]}
        others = {**chosen, "beta1": 0.9, "beta2": 0.99, "momentum": 0.3, "weight_decay": 0.0}
        self.fixed = optimizers.Settings.of([others, others, chosen], torch.device("cpu"))

    @torch.no_grad()
    def step(self) -> None:
        done = int(self.count.add_(1)) - 1
        rows = [torch.nn.utils.parameters_to_vector(w) for w in (self.weights, self.gradients)]
        weights, gradients = (row.expand(3, -1).clone() for row in rows)
        rule, rates = self.chosen["optimizer"], [[1e-3], [1e-2], [self.rate]]
        (now,) = optimizers.plan(rule, rates, [done + 7, done + 500, done], self.fixed)
        optimizers.step(rule, weights, gradients, self.own, self.fixed, now)
        torch.nn.utils.vector_to_parameters(weights[2], self.weights)

    @property
    def gradients(self) -> list[torch.Tensor]:
        return [weight.grad for weight in self.weights if weight.grad is not None]


@pytest.mark.parametrize("stack", [1, 2])
@pytest.mark.parametrize("name", ["sgd", "adam", "nadam", "radam", "adagrad", "rmsprop"])
def test_what_is_remembered_is_what_torch_remembers(
    name: str, stack: int, double: Dataset, candidate
) -> None:
    """So that a checkpoint continues in a loop of one's own."""
    chosen = {**BASE, **TORCHS[name][0], "lr": 1e-3, "epochs": 3, "batch_size": 140}
    _, array = packed(double, [candidate(key, **chosen) for key in range(stack)], stack)
    state = state_of(array, stack - 1)
    theirs = TORCHS[name][1]([torch.nn.Parameter(weight) for weight in state["model"].values()])
    for parameter in theirs.param_groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    for _ in range(3 * 3):
        theirs.step()
    expected = theirs.state_dict()["state"]
    assert state["optimizer"].keys() == expected.keys()
    for number, own in state["optimizer"].items():
        assert own.keys() == expected[number].keys()
        for kind, value in own.items():
            assert value.shape == expected[number][kind].shape
            if kind in COUNTERS:
                assert float(value) == pytest.approx(float(expected[number][kind]))


def test_a_product_of_momenta_far_on(exact) -> None:
    """Long after it has come to 0, and where it begins."""
    chosen = settings(optimizer="nadam")
    product = 1.0
    for step in range(1, 60):
        product *= 0.9 * (1 - 0.5 * 0.96 ** (step * 0.004))
        assert float(counters(chosen, step)["mu_product"]) == pytest.approx(product, rel=1e-12)
    assert float(counters(chosen, 10**6)["mu_product"]) == 0.0


def test_what_has_no_gradient_stays() -> None:
    weights = [torch.ones(2), torch.ones(3)]
    moments = {name: [torch.zeros(2), torch.zeros(3)] for name in MOMENTS["adamw"]}
    chosen = settings(optimizer="adamw", weight_decay=0.5)
    Fused(chosen, weights, moments, torch.ones(())).step([torch.ones(2), None], 0.1, 1)
    assert bool((weights[0] != 1).all())
    assert torch.equal(weights[1], torch.ones(3))


@pytest.mark.parametrize("name", MOMENTS)
def test_without_a_kernel_nothing_is_read_from_the_device(name: str) -> None:
    """To read a number would wait for a GPU in each step; from this device none can be read."""
    weight, count = torch.ones(2, device="meta"), torch.ones((), device="meta")
    moments = {moment: [torch.zeros_like(weight)] for moment in MOMENTS[name]}
    rule = Fused(settings(optimizer=name), [weight], moments, count)
    rule.step([torch.ones_like(weight)], 0.1, 1)


class Shared(nn.Module):
    """Autograd gives `weight` and `delta` one gradient, `some` a part of it, `scale` one number."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        rows = problem.outputs
        self.weight, self.delta, self.some = (
            nn.Parameter(torch.randn(count, 64) / 8) for count in (rows, rows, rows - 1)
        )
        self.scale = nn.Parameter(torch.full((4,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        some = torch.cat([torch.zeros_like(self.some[:1]), self.some])
        return F.linear(x.flatten(1), self.weight + self.delta + some) * self.scale.sum()


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("name", TORCHS)
def test_gradients_that_share_memory_are_those_of_torch(
    name: str, clip: float | None, double: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = Family(name="shared", doc="Weights that are added.", takes=frozenset({"images"}),
                    settings=(), build=f"{__name__}:Shared")  # fmt: skip
    monkeypatch.setitem(FAMILIES._loaded, "shared", family)
    changes, plain = TORCHS[name]
    own = {**BASE, **changes, "clip": clip, "epochs": 1, "batch_size": 105}
    one = Candidate(0, "shared", {**family.vocabulary().defaults, **own}, 7)
    progress = TrialProgress(one, double)
    network = progress.network()
    rule = plain(list(network.parameters()))
    for rows in torch.split(progress.order(), progress.batches):
        inputs, targets = double.train.batch(rows)
        rule.zero_grad()
        F.cross_entropy(network(inputs), targets).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(network.parameters(), clip)
        rule.step()
    _, state = alone(double, one)
    assert distance(state, {"model": network.state_dict()}) < 1e-9
