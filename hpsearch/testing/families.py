"""The promises of a family of networks.

Shapes: `K` slots, `N` rows.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import itertools
import math
import pkgutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.spec import conflicts
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.problem import Problem
from hpsearch.spec.task import reconstructing, usual
from hpsearch.testing.promise import check_docs, check_imports, promise
from hpsearch.training.networks import made
from hpsearch.training.stacking.agreement import WRONG, disagreement, same
from hpsearch.training.stacking.network import attributes

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.spec.family import Family
    from hpsearch.spec.problem import Kind
    from hpsearch.spec.settings import Setting, Value

__all__ = ["check_family"]

SHAPES: Mapping[Kind, tuple[int, ...]] = {
    "rows": (7,), "images": (3, 32, 32), "sequences": (12, 3), "tokens": (12,),
}  # fmt: skip
_ODD: Mapping[Kind, tuple[tuple[int, ...], ...]] = {"images": ((1, 7, 12), (2, 1, 5))}
"""Other shapes that a network has to give again to the number."""
N, K = 6, 3
_TOKENS = 100
_CLOSE = 1e-9
"""Relative, in double precision: what is left of another order of sums."""

Settings = Mapping[str, Any]


def check_family(family: Family, shapes: Mapping[Kind, tuple[int, ...]] | None = None) -> None:
    """Raise AssertionError, which says what is wrong, where a family breaks a promise.

    Its declaration imports no PyTorch, which a fresh Python is asked where the declaration lies in
    the package of `build`. For each kind of input that it takes:

    - its settings are described, and its `build` takes each of them by name;
    - its rules give a text for any task, known or not, and name the settings that they look at;
    - the defaults, each choice of a setting and both values of a flag make a network; a number at
      its lower end, and a whole number one above its default, makes one, breaks a rule of the
      family or raises ValueError;
    - a network gives (N, outputs) of finite float32, for classes as for numbers, or as many
      numbers as an input has where it learns its own inputs; not probabilities, as losses take
      logits; and in evaluation the same for a row, whichever rows are beside it;
    - the same seed makes the same first weights, another makes others, and `build` leaves the seed
      of PyTorch's generator as it is;
    - a step of training has a finite loss, and a gradient for each of its trained parameters;
    - it can be loaded again without being drawn first, and computes in double precision;
    - settings with `per_slot` leave the layers as they are, and a stack computes what each of its
      networks does alone, where one can be made;
    - settings with `more="capacity"` make the network larger, if more of them makes one: twice the
      default, or one more; and some value of each makes another network, or one that gives
      something else in training;
    - `count`, where it is declared, is the number of trained parameters.

    Args:
        family: The declaration.
        shapes: Of one input of a kind, where the usual ones do not suit the family: rows (7,),
            images (3, 32, 32), sequences (12, 3), tokens (12,).
    """
    _check_declaration(family)
    check_imports(family, family.build)
    for kind in sorted(family.takes):
        shape, tokens = {**SHAPES, **(shapes or {})}[kind], _TOKENS if kind == "tokens" else 0
        classes = Problem(usual("classes").name, kind, shape, 3, ("a", "b", "c"), vocabulary=tokens)
        numbers = Problem(usual("numbers").name, kind, shape, 1, (), vocabulary=tokens)
        if "inputs" in family.targets:
            _Check(family, _own_inputs(kind, shape)).all()
            for sides in _ODD.get(kind, ()):
                _Check(family, _own_inputs(kind, sides)).outputs({})
        if "classes" in family.targets:
            _Check(family, classes).all()
        if "numbers" in family.targets:
            _Check(family, numbers).outputs({})


def _own_inputs(kind: Kind, shape: tuple[int, ...]) -> Problem:
    """A problem whose target is the inputs."""
    return Problem(
        reconstructing()[0].name, kind, shape, math.prod(shape), ("a", "b"), normal=("a",)
    )


def _check_declaration(family: Family) -> None:
    check_docs(family.doc, family.settings)
    build = pkgutil.resolve_name(family.build)
    takes = inspect.signature(build).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        lacking = [s.name for s in family.settings if s.built and s.name not in takes]
        promise(not lacking, f"{family.build} does not take {', '.join(lacking)}")


class _Check:
    """The promises for one problem."""

    def __init__(self, family: Family, problem: Problem) -> None:
        self._family, self._problem = family, problem
        generator = torch.Generator().manual_seed(0)
        shape = (N, *problem.shape)
        self._inputs = (
            torch.randint(problem.vocabulary, shape, generator=generator)
            if problem.kind == "tokens"
            else torch.randn(shape, generator=generator)
        )
        if problem.kind == "tokens":  # a short row, and one without a single word
            self._inputs[0, 1:], self._inputs[1] = 0, 0

    def all(self) -> None:
        """Every promise."""
        self._check_rules()
        self.outputs({})
        for setting in self._family.settings:
            for value in _choices(setting):
                self.outputs({setting.name: value})
            self._check_numbers(setting)
            if setting.more == "capacity":
                self._check_larger(setting)
            if setting.built:
                self._check_used(setting)
        self._check_seed()
        self._check_training()
        self._check_loading()
        self._check_slots()

    def outputs(self, settings: Settings) -> None:
        """It gives (N, outputs) of finite float32."""
        where, wanted = self._where(settings), (N, self._problem.outputs)
        network = self._network(settings).eval()
        try:
            outputs = network(self._inputs)
        except Exception as error:
            raise AssertionError(f"{where} fails: {type(error).__name__}: {error}") from error
        given = type(outputs).__name__
        promise(isinstance(outputs, torch.Tensor), f"{where} gives a {given}, not a tensor")
        shape = tuple(outputs.shape)
        promise(shape == wanted, f"{where} gives {shape}, not {wanted}")
        promise(outputs.dtype == torch.float32, f"{where} gives {outputs.dtype}, not float32")
        promise(bool(outputs.isfinite().all()), f"{where} gives outputs that are not finite")
        promise(not self._are_probabilities(outputs), f"{where} gives probabilities: leave softmax "
                "out, as losses take logits")  # fmt: skip

    def _are_probabilities(self, outputs: Tensor) -> bool:
        """Whether outputs for classes are what softmax gives."""
        inside = bool(((outputs >= 0) & (outputs <= 1)).all())
        sums = outputs.detach().sum(dim=1)
        return inside and outputs.shape[1] > 1 and torch.allclose(sums, torch.ones(N), atol=1e-4)

    def _check_rules(self) -> None:
        settings = _Read(self._family.vocabulary().defaults)
        for rule in self._family.rules:
            names = " and ".join(rule.wanted)
            settings.names.clear()
            for task, classes in ((None, None), (self._problem.task, len(self._problem.classes))):
                try:
                    why = rule.breach(settings, task, classes)
                except Exception as error:
                    raise AssertionError(
                        f"the rule on {names} fails for task {task}, {classes} classes: "
                        f"{type(error).__name__}: {error}"
                    ) from error
                promise(isinstance(why, str), f"the rule on {names} gives {why!r}, not a text")
            unnamed = ", ".join(sorted(settings.names - {*rule.wanted}))
            promise(not unnamed, f"the rule on {names} looks at {unnamed} too: name all in wanted, "
                    "as hpsearch check goes by them")  # fmt: skip

    def _network(self, settings: Settings, seed: int = 0) -> nn.Module:
        try:
            return self._built(settings, seed)
        except ValueError as error:
            raise AssertionError(f"{self._where(settings)} cannot be built: {error}") from error

    def _built(self, settings: Settings, seed: int = 0) -> nn.Module:
        candidate = {**self._family.vocabulary().defaults, **settings}
        classes = len(self._problem.classes)
        conflicts.check(candidate, self._family.rules, self._problem.task, classes)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            network = made(self._family, self._problem, candidate)
            seeded = torch.default_generator.initial_seed()
        promise(
            seeded == seed,
            "build seeds PyTorch's global generator, and every seed makes the same network: leave "
            "torch.manual_seed out",
        )
        self._check_count(network, candidate)
        return network

    def _check_count(self, network: nn.Module, candidate: Settings) -> None:
        counted = self._family.counted(self._problem, candidate)
        trained = sum(w.numel() for w in network.parameters() if w.requires_grad)
        promise(
            counted in (None, trained),
            f"count says {counted} for {trained} trained parameters of {self._where(candidate)}",
        )

    def _where(self, settings: Settings) -> str:
        named = ", ".join(f"{name} {value}" for name, value in settings.items()) or "the defaults"
        return f"{self._family.name} for {self._problem.kind} with {named}"

    def _check_numbers(self, setting: Setting) -> None:
        for value in _numbers(setting):
            try:
                self._built({setting.name: value})
            except SettingsError:
                continue
            self.outputs({setting.name: value})

    def _check_larger(self, setting: Setting) -> None:
        for small, large in _smaller_and_larger(setting):
            try:
                one, other = (_weights(self._built({setting.name: v})) for v in (small, large))
            except ValueError:  # too much of it for these inputs
                continue
            promise(
                one < other,
                f'{setting.name} says more="capacity", and {small} makes {one:,} weights, {large} '
                f"makes {other:,}",
            )
            return

    def _check_used(self, setting: Setting) -> None:
        """That its values differ beside the defaults, or beside another value of another setting,
        or other choices of two."""
        others = [other for other in self._family.settings if other is not setting]
        numbers, choices = (
            [{other.name: value} for other in others for value in values(other)]
            for values in (_numbers, _choices)
        )
        pairs = ({**one, **other} for one, other in itertools.combinations(choices, 2))
        low, *more = dict.fromkeys((*_weaker_and_stronger(setting), *_values(setting)))
        compared = False
        for settings in itertools.chain(({},), choices, numbers, pairs):
            with contextlib.suppress(ValueError):  # not beside these, or too much for the inputs
                plain = self._in_training({**settings, setting.name: low})
                for value in more:
                    if not _equal(plain, self._in_training({**settings, setting.name: value})):
                        return
                    compared = True
        promise(not compared, f"{setting.name} changes nothing: with {', '.join(map(str, more))} a "
                f"network is the same, and gives the same in training, as with {low}")  # fmt: skip

    def _in_training(self, settings: Settings) -> dict[str, Tensor]:
        """What a network has, and what it gives, in training."""
        network = self._built(settings).train()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(1)
            outputs: Tensor = network(self._inputs)
        return {**network.state_dict(), "outputs": outputs}

    def _check_seed(self) -> None:
        one, same, other = (self._network({}, seed).state_dict() for seed in (7, 7, 8))
        promise(
            _equal(one, same),
            "the same seed makes other weights: take random numbers from PyTorch's global "
            "generator alone",
        )
        promise(
            not _equal(one, other),
            "another seed makes the same first weights: draw them from PyTorch's global generator",
        )

    def _check_training(self) -> None:
        network = self._network({}).train()
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
        targets = torch.arange(N) % self._problem.outputs
        for _ in range(2):
            optimizer.zero_grad()
            loss = F.cross_entropy(network(self._inputs), targets)
            number = float(loss.detach())
            promise(math.isfinite(number), f"training has a loss of {number}")
            loss.backward()  # type: ignore[no-untyped-call]
            idle = [name for name, weight in network.named_parameters()
                    if weight.requires_grad and weight.grad is None]  # fmt: skip
            promise(not idle, f"{', '.join(idle[:3])} get no gradient: nothing uses them, or what "
                    "they compute is detached")  # fmt: skip
            optimizer.step()

    def _check_loading(self) -> None:
        network = self._network({}).eval()
        with torch.device("meta"):  # as a network is made whose weights lie in a file
            again = self._network({})
        again.load_state_dict(network.state_dict(), assign=True)
        same = torch.equal(again.eval()(self._inputs), network(self._inputs))
        promise(
            same,
            "a network with the weights of another gives other outputs: all that it computes with "
            "has to lie in its parameters, its buffers and its settings",
        )
        network, inputs = copy.deepcopy(network).double(), _double(self._inputs)
        outputs = network(inputs)
        promise(outputs.dtype == torch.float64, "in double precision it does not compute in it")
        for row in range(2):
            alone = network(inputs[row : row + 1])
            promise(
                _close(alone[0], outputs[row]),
                f"{self._where({})}: in evaluation a row gives other outputs alone than with "
                "others beside it",
            )

    # --- stacks -------------------------------------------------------------------------------

    def _check_slots(self) -> None:
        slots = self._slots()
        for network in slots[1:]:
            promise(
                same(attributes(network), attributes(slots[0]))
                and _shapes(network) == _shapes(slots[0]),
                f"{self._where({})}: values of a setting with per_slot make other layers",
            )
        inputs_KN = torch.stack([self._of_slot(k) for k in range(K)])
        why = disagreement(slots, self._slots()[0], inputs_KN)
        promise(not why.startswith(WRONG), f"{self._where({})}: {why}")

    def _slots(self) -> list[nn.Module]:
        """K networks, with different values of the settings that may differ."""
        slots = []
        for k in range(K):
            values = {s.name: _values(s) for s in self._family.settings if s.per_slot}
            network = self._network({n: v[k % len(v)] for n, v in values.items()}, seed=k)
            slots.append(network)
        return slots

    def _of_slot(self, k: int) -> Tensor:
        """Inputs of a slot, which no other has; those of a row of padding stay padding."""
        if self._problem.kind == "tokens":
            return torch.where(self._inputs > 0, (self._inputs + k) % _TOKENS, self._inputs)
        return _double(self._inputs) * (1 + k / K)


class _Read(dict[str, Any]):
    """Settings that know which of them were looked at."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.names = set[str]()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """That of `dict`."""
        self.names.add(name)
        return super().get(name, default)


def _choices(setting: Setting) -> tuple[Value, ...]:
    """Every value of a setting that has few."""
    return (False, True) if setting.kind == "bool" else setting.choices


def _low(setting: Setting) -> Value:
    """A number, or a list of sizes, at the lower end; None where there is none."""
    if setting.kind == "sizes":
        return (1,)
    return setting.least


def _numbers(setting: Setting) -> tuple[Value, ...]:
    """Those at the lower end and, as whole numbers can have to divide each other, one above the
    default."""
    low, default = _low(setting), setting.default
    above = default + 1 if setting.kind == "int" and isinstance(default, int) else None
    return tuple(v for v in (low, above) if v is not None and setting.accepts(v))


def _values(setting: Setting) -> tuple[Value, ...]:
    """Some values, the default among them."""
    low = _low(setting)
    others = (low,) if low not in (None, setting.default) else ()
    if setting.kind == "float" and setting.accepts(0.5):
        others = (*others, 0.5)
    return (setting.default, *(v for v in _choices(setting) if v != setting.default), *others)


def _smaller_and_larger(setting: Setting) -> Iterator[tuple[Value, Value]]:
    """Pairs of values of which the second makes a larger network, if it makes one."""
    if setting.kind == "sizes":
        yield (8,), (16,)
    elif setting.kind == "bool":
        yield False, True
    else:
        usual = setting.default if isinstance(setting.default, (int, float)) else 0
        small = usual or 16
        yield from ((small, more) for more in (2 * small, small + 1) if setting.accepts(more))


def _weaker_and_stronger(setting: Setting) -> tuple[Value, ...]:
    """The value of a setting that does least, and some that do more."""
    if setting.kind == "bool":
        return False, True
    low = setting.default if setting.least is None else setting.least
    values = (0.5, setting.high, setting.default) if setting.kind == "float" else (
        2, setting.high, setting.default)  # fmt: skip
    more = (value for value in values if value not in (None, low) and setting.accepts(value))
    return low, *dict.fromkeys(more)


def _weights(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _double(inputs: Tensor) -> Tensor:
    return inputs.double() if inputs.is_floating_point() else inputs


def _close(one: Tensor, other: Tensor) -> bool:
    size = max(1.0, float(other.detach().abs().max()))
    return bool((one.detach() - other.detach()).abs().max() <= _CLOSE * size)
