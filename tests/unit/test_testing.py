"""The checks for families: ours and a foreign one pass, and each broken promise is found."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from hpsearch.families import Family, Rule, Setting
from hpsearch.spec.family import FAMILIES
from hpsearch.testing import check_family
from tests.building import own_families
from tests.plugins import install


@pytest.mark.parametrize("name", own_families())
def test_our_families_keep_their_promises(name: str) -> None:
    assert FAMILIES[name].name == name
    check_family(FAMILIES[name])


def test_a_family_of_another_package_does_too(tmp_path, monkeypatch) -> None:
    install("toy_family", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    check_family(importlib.import_module("toy_family").FAMILY)
    monkeypatch.delitem(sys.modules, "toy_family.network")
    monkeypatch.delitem(sys.modules, "toy_family")


UNITS = Setting("units", "int", 4, "Units.", low=1, more="capacity")
SLOPE = Setting("slope", "float", 0.1, "Slope.", low=0, high=1, per_slot=True)
SHAPE = Setting("size", "int", 4, "Size.", low=2, per_slot=True)
DROP = Setting("drop", "float", 0.0, "Share.", low=0, high=1, open_high=True, more="regularization")
KIND = Setting("kind", "choice", "a", "Kind.", choices=("a", "b"))


def plain(problem, **settings) -> nn.Sequential:
    units = settings.get("units", 4)
    return nn.Sequential(nn.Flatten(), nn.Linear(7, units), nn.Linear(units, problem.outputs))


def evenly(problem, units) -> nn.Module:
    return plain(problem, units=units)


def even(problem, units) -> nn.Module:
    return nn.Sequential(nn.Linear(7, units // 2 * 2), nn.Linear(units, problem.outputs))


class Unused(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer, self.extra = nn.Linear(7, outputs), nn.Linear(7, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def unused(problem, **settings) -> nn.Module:
    return Unused(problem.outputs)


class Detached(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(7, 4), nn.Linear(4, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).detach())


def detached(problem, **settings) -> nn.Module:
    return Detached(problem.outputs)


def one_output(problem, **settings) -> nn.Module:
    return nn.Sequential(nn.Linear(7, 1))


def double(problem, **settings) -> nn.Module:
    return Double(problem.outputs)


def own_generator(problem, **settings) -> nn.Module:
    network = plain(problem)
    with torch.no_grad():
        next(network.parameters()).normal_(generator=torch.Generator().manual_seed(COUNT.pop()))
    return network


def seeding(problem, **settings) -> nn.Module:
    torch.manual_seed(0)
    return plain(problem)


def one_seed(problem, **settings) -> nn.Module:
    network, generator = plain(problem), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.normal_(generator=generator)
    return network


COUNT = list(range(100))


def infinite(problem, **settings) -> nn.Module:
    network = plain(problem)
    nn.init.constant_([*network.parameters()][-1], float("inf"))
    return network


def no_such_kind(problem, **settings) -> nn.Module:
    if settings["kind"] == "b":
        raise ValueError("no b")
    return plain(problem)


def constant_size(problem, **settings) -> nn.Module:
    return plain(problem)


def own_slope(problem, slope) -> nn.Module:
    return nn.Sequential(nn.Linear(7, 4), nn.LeakyReLU(slope), nn.Linear(4, problem.outputs))


def own_shape(problem, size) -> nn.Module:
    return plain(problem, units=size)


def nothing(problem, **settings) -> nn.Module:
    return plain(problem)


def outside(problem, **settings) -> nn.Module:
    return Outside(problem.outputs)


class Outside(nn.Module):
    """Keeps what it has drawn where no checkpoint sees it."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(7, outputs)
        self.drawn = torch.randn(outputs, device="cpu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + self.drawn.to(x)


class Double(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(7, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).double()


class Diverging(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(7, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) / (0 if self.training else 1)


def diverging(problem, **settings) -> nn.Module:
    return Diverging(problem.outputs)


def softmax(problem, **settings) -> nn.Module:
    return nn.Sequential(nn.Linear(7, problem.outputs), nn.Softmax(dim=1))


class Centred(nn.Module):
    """Each row less the mean of all rows."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(7, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x - x.mean(dim=0))


def centred(problem, **settings) -> nn.Module:
    return Centred(problem.outputs)


@pytest.mark.parametrize(
    ("build", "settings", "words"),
    [
        (softmax, (), "with the defaults gives probabilities: leave softmax out"),
        (centred, (), "a row gives other outputs alone than with others beside it"),
        (
            nothing,
            (DROP,),
            "drop changes nothing: with 0.5.* a network is the same",
        ),
        (plain, (KIND,), "kind changes nothing: with b a network is the same"),
        (unused, (), "extra.weight, extra.bias get no gradient"),
        (detached, (), "body.weight, body.bias get no gradient"),
        (one_output, (), r"with the defaults gives \(6, 1\), not \(6, 3\)"),
        (double, (), "float32"),
        (infinite, (), "not finite"),
        (own_generator, (), "the same seed makes other weights"),
        (seeding, (), "build seeds PyTorch's global generator"),
        (one_seed, (), "another seed makes the same first weights"),
        (no_such_kind, (KIND,), "with kind b cannot be built: odd: no b"),
        (constant_size, (UNITS,), "units says more=.capacity., and 4 makes 47 weights, 8 makes 47"),
        (own_slope, (SLOPE,), "values of a setting with per_slot make other layers"),
        (own_shape, (SHAPE,), "per_slot make other layers"),
        (own_slope, (UNITS,), "own_slope does not take units"),
        (even, (replace(UNITS, low=4),), "odd for rows with units 5 fails: RuntimeError"),
        (nothing, (replace(UNITS, doc="Units"),), "units needs a doc"),
        (outside, (), "has to lie in its parameters"),
        (diverging, (), "training has a loss of"),
    ],
)
def test_a_broken_promise_is_found(build, settings, words: str) -> None:
    family = Family("odd", "Odd.", frozenset({"rows"}), settings, f"{__name__}:{build.__name__}")
    with pytest.raises(AssertionError, match=words):
        check_family(family)


def bounded(problem, units) -> nn.Module:
    if units > 7:
        raise ValueError(f"{units} units for 7 numbers")
    return plain(problem, units=units)


def test_a_larger_network_that_the_inputs_have_no_room_for_is_skipped() -> None:
    check_family(Family("odd", "Odd.", frozenset({"rows"}), (UNITS,), f"{__name__}:bounded"))
    large = replace(UNITS, default=7)
    check_family(Family("odd", "Odd.", frozenset({"rows"}), (large,), f"{__name__}:bounded"))
    with pytest.raises(AssertionError, match="4 makes 47 weights, 5 makes 47"):
        check_family(
            Family("odd", "Odd.", frozenset({"rows"}), (UNITS,), f"{__name__}:bounded_constant")
        )


def bounded_constant(problem, units) -> nn.Module:
    bounded(problem, units)
    return plain(problem)


@pytest.mark.parametrize(
    ("breach", "words"),
    [
        (lambda s, *_: s["unitz"], "the rule on units fails for task None, None classes: KeyError"),
        (lambda s, task, classes: task.upper()[:0], "AttributeError: 'NoneType'"),
        (lambda s, *_: str(s["lr"])[:0], "the rule on units looks at lr too: name all"),
        (lambda *_: None, "the rule on units gives None, not a text"),
    ],
)
def test_a_rule_that_fails_is_found(breach, words: str) -> None:
    rules = (Rule({"units": "others"}, breach),)
    family = Family(
        "odd", "Odd.", frozenset({"rows"}), (UNITS,), f"{__name__}:plain", rules=rules
    )  # fmt: skip
    with pytest.raises(AssertionError, match=words):
        check_family(family)


def test_a_declaration_that_imports_torch_is_found(tmp_path, monkeypatch) -> None:
    install("toy_family", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    declaration = tmp_path / "toy_family" / "__init__.py"
    declaration.write_text(f"import torch\n{declaration.read_text()}")
    (tmp_path / "torch.py").touch()  # what a fresh Python loads, in no time
    family = importlib.import_module("toy_family").FAMILY
    with pytest.raises(AssertionError, match="toy_family, which declares toy, imports torch"):
        check_family(family)
    monkeypatch.delitem(sys.modules, "toy_family.network", raising=False)
    monkeypatch.delitem(sys.modules, "toy_family")


def test_numbers_that_a_rule_of_the_family_refuses_need_make_no_network() -> None:
    rule = Rule({"units": "an even number"}, lambda s, *_: "units is odd" if s["units"] % 2 else "")
    check_family(
        Family("odd", "Odd.", frozenset({"rows"}), (UNITS,), f"{__name__}:evenly", rules=(rule,))
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": (Setting("lr", "float", 0.1, ""),)}, "can be called 'lr'"),
        ({"settings": (Setting("values", "int", 1, ""),)}, "can be called 'values'"),
        ({"settings": (UNITS, UNITS)}, "two settings 'units'"),
        ({"settings": (replace(UNITS, default=0),)}, "default of units is no value of it"),
        ({"either": (("width",), ("units",))}, "either: there is no setting width"),
        ({"rules": (Rule({"unitz": "more"}, lambda *_: ""),)}, "rules: there is no setting unitz"),
        ({"takes": frozenset({"pictures"})}, "takes: expected some of rows, images"),
        ({"takes": frozenset()}, "takes: expected some of rows, images"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_none(changes, words: str) -> None:
    usual = {"name": "odd", "doc": "Odd.", "takes": frozenset({"rows"}), "settings": (UNITS,)}
    with pytest.raises(ValueError, match=words):
        Family(**{**usual, "build": "a:b", **changes})


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("kind", "kind of units: expected one of int, float, .*; got 'size'"),
        ("group", "group of units: expected one of architecture, .*; got 'size'"),
        ("more", "more of units: expected one of capacity, regularization; got 'size'"),
    ],
)
def test_a_word_that_a_setting_does_not_know_is_refused(field: str, words: str) -> None:
    odd = replace(UNITS, **{field: "size"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=words):
        Family("odd", "Odd.", frozenset({"rows"}), (odd,), "a:b")
