"""Which parameters of a network are trained in which epoch, and at which factor of the rate.

A network that can be tuned in parts has `features(inputs) -> (N, F)`, a module `head`, and
`forward(x) == head(features(x))`. All that is not its head is its backbone. While the backbone is
at rest it is in evaluation mode, so that its features of a row are always the same: they are
computed once, and what is trained then is the head alone, on features in place of rows.

A trainer knows nothing of `tune`. It is given a module, data, and groups of parameters with a pace
each; where another epoch has other ones, its candidate continues in another trainer.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn

from hpsearch.processes.threads import all_threads
from hpsearch.runner.candidate import derived_seed
from hpsearch.sources.rows import Derived
from hpsearch.spec.conflicts import SettingsError
from hpsearch.training import devices
from hpsearch.training.evaluation import in_parts

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping

    from torch import Tensor

    from hpsearch.sources.rows import Part
    from hpsearch.spec.family import Family
    from hpsearch.spec.problem import Problem

__all__ = [
    "Group",
    "Pace",
    "Scope",
    "SharedBackbone",
    "Tuning",
    "backbone_key",
    "head_of",
    "prepared",
    "set_training",
    "trained_modules",
]

_HEAD = "head."
"""How the names of the head's parameters begin."""
_NORMS = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm,
    nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
)  # fmt: skip
"""Layers that belong to the one before them."""
_AT_REST = "_at_rest"
"""An attribute of modules that stay in evaluation mode."""


@dataclass(frozen=True)
class Pace:
    """How some parameters are trained."""

    since: int = 0
    """Epochs that are over before they are."""
    factor: float = 1.0
    """On the learning rate."""


_USUAL = Pace()


class Group(NamedTuple):
    """Parameters that are trained at one pace."""

    places: tuple[int, ...]
    """Their places among the parameters that a trainer was given the names of."""
    pace: Pace


@dataclass(frozen=True)
class Tuning:
    """What the settings of a candidate say of its parameters."""

    backbone: Pace | None = _USUAL
    """None: they are never trained."""
    split: bool = False
    """Whether the network is seen as a backbone and a head, which begins anew."""
    freeze: int = 0
    """Layers, from the first one on, that are never trained."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Tuning:
        """The tuning of a candidate. Where weights are drawn there is nothing to tune."""
        freeze = settings.get("freeze", 0)
        tune = settings.get("tune", "scratch")
        if tune == "scratch" or settings.get("weights", "none") == "none":
            return cls(freeze=freeze)
        if tune == "head":
            return cls(None, split=True, freeze=freeze)
        since = round(settings["thaw_at"] * settings["epochs"]) if tune == "head_then_all" else 0
        return cls(Pace(since, settings["backbone_lr"]), split=True, freeze=freeze)

    @staticmethod
    def check(settings: Mapping[str, Any]) -> None:
        """SettingsError where a head alone is to be trained, on drawn weights."""
        tune = settings.get("tune")
        if tune in ("head", "head_then_all") and settings.get("weights", "none") == "none":
            raise SettingsError(f"tune is {tune}, and the network begins with drawn weights: name "
                                "others in network.weights, or set tune to all")  # fmt: skip

    def rests(self, epoch: int) -> bool:
        """Whether the backbone is not trained in the epoch that follows after so many."""
        return self.backbone is None or epoch < self.backbone.since

    def spans(self, epochs: int) -> list[tuple[int, int]]:
        """For each time in which the same is trained the epochs before it, and its own."""
        thaw = epochs if self.backbone is None else min(self.backbone.since, epochs)
        return [span for span in ((0, thaw), (thaw, epochs - thaw)) if span[1]]

    def groups(self, names: Iterable[str], *, head: bool) -> list[Group]:
        """The parameters of these names by their pace.

        Args:
            names: Of all parameters that are trained, in the trainer's order.
            head: Whether the names are those within the head.
        """
        paces: dict[bool, list[int]] = {}
        for place, name in enumerate(names):
            paces.setdefault(self.split and not head and not name.startswith(_HEAD), []).append(
                place
            )
        assert self.backbone is not None or True not in paces
        return [
            Group(tuple(places), (self.backbone or _USUAL) if below else _USUAL)
            for below, places in paces.items()
        ]


def prepared(network: nn.Module, tuning: Tuning, seed: int, *, rests: bool) -> nn.Module:
    """The network with a new head, and without gradients and in evaluation mode where it rests.

    Args:
        network: Of the candidate's family; it is changed.
        tuning: The candidate's.
        seed: The candidate's.
        rests: Whether the backbone does.

    Raises SettingsError where the network has no head, or not so many layers.
    """
    if tuning.split:
        _begin_anew(head_of(network), seed)
    if tuning.split and rests:
        for name, module in network.named_modules():
            if not f"{name}.".startswith(_HEAD):
                _rest(module)
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name.startswith(_HEAD))
    if tuning.freeze:
        layers = _layers(network)
        if tuning.freeze >= len(layers):
            raise SettingsError(
                f"freeze is {tuning.freeze}, and the network has {len(layers)} layers with weights:"
                f" set it to {len(layers) - 1} or less"
            )
        for layer in layers[: tuning.freeze]:
            for module in layer:
                _rest(module)
                for parameter in module.parameters(recurse=False):
                    parameter.requires_grad_(False)
    return network


def trained_modules(network: nn.Module, tuning: Tuning) -> Iterator[nn.Module]:
    """Those of the modules of which something is trained in some epoch."""
    return (head_of(network) if tuning.backbone is None else network).modules()


def _layers(network: nn.Module) -> list[list[nn.Module]]:
    """The modules that have parameters of their own, by layer. A norm belongs to the layer that it
    stands beside in one module, else to the next one, as do parameters of a module around layers,
    such as positions."""
    layers: list[list[nn.Module]] = []
    waiting: list[nn.Module] = []
    beside = ""
    for name, module in network.named_modules():
        if next(module.parameters(recurse=False), None) is None:
            continue
        parent = name.rpartition(".")[0]
        norm = isinstance(module, _NORMS)
        if norm and layers and not waiting and parent == beside:
            layers[-1].append(module)
        elif norm or any(True for child in module.children() for _ in child.parameters()):
            waiting.append(module)
        else:
            layers.append([*waiting, module])
            waiting, beside = [], parent
    return layers


def _rest(module: nn.Module) -> None:
    setattr(module, _AT_REST, True)
    module.training = False


def set_training(network: nn.Module) -> None:
    """Let layers measure and drop, but for those that are at rest."""
    network.train()
    for module in network.modules():
        if getattr(module, _AT_REST, False):
            module.training = False


def head_of(network: nn.Module) -> nn.Module:
    """The head of a network that can be tuned in parts; SettingsError for another."""
    head = getattr(network, "head", None)
    if not isinstance(head, nn.Module) or not callable(getattr(network, "features", None)):
        raise SettingsError(
            f"a {type(network).__name__} has no `features` and `head`: set tune to scratch"
        )
    return head


def _begin_anew(head: nn.Module, seed: int) -> None:
    """Draw the head's numbers by the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, "head"))
        for module in head.modules():
            if next(module.parameters(recurse=False), None) is not None or any(
                True for _ in module.buffers(recurse=False)
            ):
                reset = getattr(module, "reset_parameters", None)
                if reset is None:
                    raise SettingsError(
                        f"the head has a {type(module).__name__}, which cannot be drawn anew: it "
                        "has no reset_parameters"
                    )
                reset()


@dataclass(frozen=True)
class Scope:
    """The part of a network's state that a trainer has: all of it, or that of the head."""

    prefix: str = ""
    places: tuple[int, ...] = ()
    """Where the parameters of the head are among those of the network."""
    rest: Mapping[str, Tensor] = field(default_factory=dict)
    """The state of all else, by the network's names."""

    def within(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        """A state of the network, as a trainer of this part resumes from it."""
        if not self.prefix:
            return state
        numbers = {i: place for place, i in enumerate(self.places)}
        optimizer = {numbers[i]: own for i, own in state["optimizer"].items() if i in numbers}
        return {**state, "optimizer": optimizer} | {
            name: self._cut(state[name]) for name in ("model", "best") if name in state
        }

    def _cut(self, numbers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            name.removeprefix(self.prefix): tensor
            for name, tensor in numbers.items()
            if name.startswith(self.prefix)
        }

    def whole(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The network's state by that of this part. Tensors are shared, not copied."""
        if not self.prefix:
            return dict(state)
        optimizer = {self.places[i]: own for i, own in state["optimizer"].items()}
        return {**state, "optimizer": optimizer} | {
            name: {**self.rest, **{self.prefix + own: t for own, t in state[name].items()}}
            for name in ("model", "best")
            if name in state
        }


def backbone_key(family: Family, problem: Problem, settings: Mapping[str, Any]) -> Hashable:
    """Candidates of one key have the same backbone, for as long as it rests: what per_slot settings
    change, first weights and dropout, does not count then."""
    own = (settings[s.name] for s in family.settings if s.built and not s.per_slot)
    return family.name, problem, settings["precision"], settings.get("weights"), *own


class SharedBackbone:
    """A network whose backbone rests, shared by all whose heads are trained on its features."""

    def __init__(self, network: nn.Module, part: Part, precision: str) -> None:
        """
        Args:
            network: One that was `prepared` at rest, on the CPU.
            part: Inputs like those that it will be given.
            precision: The setting of that name.

        Raises SettingsError where its features are no vectors.
        """
        self._images = any(weight.dim() == 4 for weight in network.parameters())
        self._network, self._device, self._precision = network.eval(), part.device, precision
        if self._images:  # with the channels last convolutions take two thirds of the time
            self._network.to(memory_format=torch.channels_last)
        named = [name for name, _ in network.named_parameters()]
        state = {name: t for name, t in network.state_dict().items() if not name.startswith(_HEAD)}
        self.scope = Scope(
            _HEAD, tuple(i for i, name in enumerate(named) if name.startswith(_HEAD)), state
        )
        few = torch.zeros(1, dtype=torch.int64, device=self._device)
        example = self._features(self._network, part.batch(few)[0].cpu())
        if example.dim() != 2:
            raise SettingsError(
                f"`features` gives {tuple(example.shape)} for one row, and has to give (1, F)"
            )
        self._shape, self._item_bytes = tuple(example.shape[1:]), example.element_size()

    def is_of(self, network: nn.Module) -> bool:
        """Whether a network has this backbone, number by number."""
        numbers = network.state_dict()
        return all(torch.equal(t, numbers[name].to(t)) for name, t in self.scope.rest.items())

    @property
    def device_bytes(self) -> int:
        """What it takes on the device: nothing on a GPU, where it is only while it computes."""
        if self._device.type != "cpu":
            return 0
        return sum(t.numel() * t.element_size() for t in self._network.state_dict().values())

    def features(self, part: Part) -> Derived:
        """The features of a part, which are computed when they are first needed."""
        return Derived(part, self._of_all, self._shape, self._item_bytes)

    def _of_all(self, part: Part) -> Tensor:
        """(N, F), on the device."""
        network, on_cpu = self._network, self._device.type == "cpu"
        if not on_cpu:
            network = copy.deepcopy(network).to(self._device)
        pieces = in_parts(part, 1, grows=True)
        with all_threads():
            return torch.cat([self._features(network, inputs) for inputs in pieces])

    @torch.no_grad()
    def _features(self, network: nn.Module, inputs: Tensor) -> Tensor:
        if inputs.is_floating_point():
            inputs = inputs.to(next(network.parameters()).dtype)
        if self._images:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        half = devices.computes_in_half(inputs.device, self._precision, maps=self._images)
        with (
            devices.half(inputs.device, half),
            devices.all_digits(inputs.device, self._precision),
        ):
            features: Tensor = network.features(inputs)  # type: ignore[operator]
        return features.float() if half else features

    def head(self, network: nn.Module, seed: int) -> nn.Module:
        """The head of a network of the same family, drawn anew, on the CPU.

        Args:
            network: One with the candidate's settings; its numbers do not count.
            seed: The candidate's.
        """
        head = head_of(network).to_empty(device="cpu")
        _begin_anew(head, seed)
        return head
