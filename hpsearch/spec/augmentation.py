"""Augmentation: what is done to training images, each with a draw of its own, and the settings that
say how much of it.

This is the one list of them: an operation is an entry here, and a function that changes pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.spec.conflicts import Rule
from hpsearch.spec.settings import Setting
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hpsearch.spec.problem import Kind
    from hpsearch.spec.settings import Value

__all__ = [
    "AUGMENTATION", "MIXUP", "MIXUP_RULE", "OPERATIONS", "Operation", "amounts", "augments",
    "fullest", "unsuited",
]  # fmt: skip

_KIND: Kind = "images"
"""The inputs that are augmented."""


@dataclass(frozen=True)
class Operation:
    """Something that is done to each training image by a draw of its own."""

    settings: tuple[Setting, ...]
    """How much of it. Nothing is done where the first is at its default."""
    draws: int
    """How many random numbers an image takes."""
    apply: str
    """Dotted path of `apply(pixels_NCHW, draws_ND, *values_N) -> pixels_NCHW`. Pixels are from 0 to
    1, on the device, and may be written to; `draws`, from 0 to below 1, and a tensor for each of
    `settings` are float32 on the CPU, so that what is drawn is the same on every device. What
    becomes of an image depends on its own pixels, draws and values alone."""

    @property
    def name(self) -> str:
        """That of its first setting."""
        return self.settings[0].name


OPERATIONS: tuple[Operation, ...] = (
    Operation((
        Setting("scale", "float", 1.0,
                "Smallest share of an image that is cut out, at a random place and with sides of "
                "3 : 4 to 4 : 3, and enlarged to the whole.",
                low=0, high=1, open_low=True,
                group="regularization", per_slot=True, later=True),),
        draws=4, apply="hpsearch.training.augmentation.geometry:scale"),
    Operation((
        Setting("flip", "bool", False, "Mirror half of the images, left to right.",
                group="regularization", per_slot=True, later=True, more="regularization"),),
        draws=1, apply="hpsearch.training.augmentation.geometry:flip"),
    Operation((
        Setting("flip_vertical", "bool", False, "Mirror half of the images, top to bottom.",
                group="regularization", per_slot=True, later=True, more="regularization"),),
        draws=1, apply="hpsearch.training.augmentation.geometry:flip_vertical"),
    Operation((
        Setting("rotate", "float", 0.0,
                "Most degrees by which images are turned, in either direction; what comes in is "
                "black.",
                low=0, high=180,
                group="regularization", per_slot=True, later=True, more="regularization"),),
        draws=1, apply="hpsearch.training.augmentation.geometry:rotate"),
    Operation((
        Setting("crop", "int", 0,
                "Most pixels by which images are moved, in each direction: a random crop of the "
                "image with a black frame that wide.",
                low=0, high=1024,
                group="regularization", per_slot=True, later=True, more="regularization"),),
        draws=2, apply="hpsearch.training.augmentation.geometry:crop"),
    Operation((
        Setting("randaugment", "int", 0,
                "Magnitude of RandAugment, in torchvision's 31 steps; 0 for none.",
                low=0, high=30,
                group="regularization", per_slot=True, later=True, more="regularization"),
        Setting("randaugment_ops", "int", 2,
                "Number of RandAugment's operations on each image, drawn from 14.",
                low=1, high=8,
                group="regularization", per_slot=True, later=True, more="regularization")),
        draws=16, apply="hpsearch.training.augmentation.randaugment:randaugment"),
    Operation((
        Setting("color", "float", 0.0,
                "How far brightness, contrast and saturation are changed: each by a factor "
                "between 1 minus this and 1 plus this.",
                low=0, high=1,
                group="regularization", per_slot=True, later=True, more="regularization"),),
        draws=3, apply="hpsearch.training.augmentation.colors:color"),
    Operation((
        Setting("erase", "float", 0.0,
                "Share of the images of which a random rectangle is blackened, 2 to 33 % of the "
                "area.",
                low=0, high=1,
                group="regularization", per_slot=True, later=True, more="regularization"),),
        draws=5, apply="hpsearch.training.augmentation.geometry:erase"),
)  # fmt: skip
"""In the order in which they are done."""

MIXUP = Setting(
    "mixup", "float", 0.0,
    "Mix each image with another one of its batch, and their targets: the alpha of the beta "
    "distribution that shares are drawn from. 0: none.",
    low=0, high=100,
    group="regularization", per_slot=True, later=True, more="regularization",
)  # fmt: skip

AUGMENTATION: tuple[Setting, ...] = (*(s for one in OPERATIONS for s in one.settings), MIXUP)
"""All settings of it. Each is off at its default."""


def _unmixed(settings: Mapping[str, Value], task: str | None, classes: int | None) -> str:
    if not settings[MIXUP.name] or task is None or TASKS[task].target != "inputs":
        return ""
    return f"mixup mixes targets, and {task} has none"


MIXUP_RULE = Rule({MIXUP.name: "0, as the target is the inputs themselves"}, _unmixed)
"""That there are targets to mix."""


def amounts(settings: Mapping[str, Value], declared: Mapping[str, Setting]) -> dict[str, Value]:
    """How much of everything is done where a candidate has these settings: its values of
    `AUGMENTATION`.

    Of a name that means something else in `declared`, its vocabulary's settings, it is the default.
    """
    return {s.name: settings[s.name] if declared[s.name] == s else s.default for s in AUGMENTATION}


def augments(settings: Mapping[str, Value], declared: Mapping[str, Setting]) -> bool:
    """Whether training images are changed, so that no two epochs see the same; see `amounts`."""
    values = amounts(settings, declared)
    switches = (*(operation.settings[0] for operation in OPERATIONS), MIXUP)
    return any(values[switch.name] != switch.default for switch in switches)


def unsuited(settings: Iterable[Setting], kind: Kind | None) -> list[str]:
    """The names of those settings that do nothing to inputs of a kind; of an unknown one, none."""
    return [s.name for s in settings if s in AUGMENTATION and kind not in (None, _KIND)]


def fullest(setting: Setting, options: Iterable[Value]) -> Value:
    """That of several values by which the most is done: the last one that is not the default."""
    return next((v for v in reversed([*options]) if v != setting.default), setting.default)
