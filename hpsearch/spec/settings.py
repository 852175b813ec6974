"""What a study file can name: data sources, network families, training settings, metrics.

This is the one place where the names, types, ranges and defaults stand. `spec` checks study files
against it, `training` builds from it, the JSON Schema and the docs are made from it. It imports
nothing heavy, so that a bad study file is answered at once.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FAMILIES",
    "FINAL",
    "GROUPS",
    "JOINT",
    "LATER",
    "LEARNS_AFTER",
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "POLISH",
    "PRUNERS",
    "PURE",
    "SAMPLERS",
    "SCHEDULES",
    "SOURCES",
    "TRAINING",
    "WARMUP",
    "Direction",
    "Kind",
    "Metric",
    "Setting",
    "Source",
    "Task",
    "Value",
    "defaults",
    "group_of",
    "settings_of",
]

Value = bool | int | float | str | tuple[int, ...] | None
"""What a parameter can be. A tuple is a list of layer sizes, such as `[512, 512]`."""

Kind = Literal["int", "float", "bool", "choice", "sizes", "int_or_sizes"]
Task = Literal["classification", "regression"]
Direction = Literal["maximize", "minimize"]

GROUPS = ("architecture", "learning_rate", "batch_size", "regularization", "optimizer")
"""The priority groups, most important first."""

WARMUP, POLISH, JOINT, FINAL = "warmup", "polish", "joint", "final"
"""The stages of a search that are not a group's: before those, after them, in place of all of them,
and the finish."""


@dataclass(frozen=True)
class Setting:
    """One setting of a network or of its training: its name, type, range, default and meaning."""

    name: str
    kind: Kind
    default: Value
    doc: str
    low: float | None = None
    """Smallest value that makes sense, inclusive unless `open_low`."""
    high: float | None = None
    """Largest value that makes sense, inclusive unless `open_high`."""
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    later: bool = False
    """Whether it came after 0.1; see `LATER`."""

    @property
    def expected(self) -> str:
        """What a value has to be, in words for an error message."""
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices)
        noun = {
            "int": "a whole number",
            "float": "a number",
            "bool": "true or false",
            "sizes": "a list of whole numbers of 1 or more, such as [128, 64]",
            "int_or_sizes": "a whole number of 1 or more, or a list of them such as [32, 64]",
        }[self.kind]
        bounds = []
        if self.kind in ("int", "float") and self.low is not None:
            bounds.append(f"above {self.low:g}" if self.open_low else f"of {self.low:g} or more")
        if self.kind in ("int", "float") and self.high is not None:
            bounds.append(f"below {self.high:g}" if self.open_high else f"at most {self.high:g}")
        return " ".join([noun, " and ".join(bounds)]).rstrip()

    def nearest(self, value: float, before: float) -> float:
        """A number, or the bound that it goes beyond on its way from `before`; half the way there
        where the bound itself is not allowed."""
        if self.accepts(value):
            return value
        bound = self.low if value < before else self.high
        assert bound is not None
        return bound if self.accepts(bound) else (before + bound) / 2

    def accepts(self, value: object) -> bool:
        """Whether `value` is of this setting's type and inside its range.

        `None` is accepted only where it is the default: "leave it to hpsearch".
        """
        if value is None:
            return self.default is None
        if self.kind == "choice":
            return isinstance(value, str) and value in self.choices
        if self.kind == "bool":
            return isinstance(value, bool)
        if self.kind in ("sizes", "int_or_sizes") and isinstance(value, (list, tuple)):
            return bool(value) and all(_is_int(v) and v >= 1 for v in value)
        if self.kind == "sizes":
            return False
        if self.kind in ("int", "int_or_sizes") and not _is_int(value):
            return False
        return _is_number(value) and self._in_range(float(value))  # type: ignore[arg-type]

    def _in_range(self, value: float) -> bool:
        if self.low is not None and (value <= self.low if self.open_low else value < self.low):
            return False
        if self.high is None:
            return True
        return value < self.high if self.open_high else value <= self.high


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    """A finite number; true and false are not numbers."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= 1e308  # also refuses nan and the infinities
    )


@dataclass(frozen=True)
class Metric:
    """A number measured on validation data after every epoch."""

    direction: Direction
    tasks: tuple[Task, ...]
    doc: str
    low: float = 0.0
    """The least that it can be."""

    @property
    def high(self) -> float:
        """The most that it can be."""
        return 1.0 if self.direction == "maximize" else math.inf


@dataclass(frozen=True)
class Source:
    """Where data comes from."""

    doc: str
    images: bool
    """Whether inputs have the shape (channels, height, width)."""
    own_test: bool = False
    """Whether the source brings its own test part, so that `data.test` has no meaning."""
    folder: str = ""
    """The folder below `data.root` in which torchvision keeps it."""
    file: str = ""
    """One file in that folder, by which its presence is known."""
    task: Task | None = "classification"


ACTIVATIONS = (
    "relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "none",
)  # fmt: skip

_ACTIVATION = Setting(
    "activation", "choice", "relu", "Function between layers; `none` makes the network linear.",
    choices=ACTIVATIONS,
)  # fmt: skip
_BATCH_NORM = Setting("batch_norm", "bool", False, "Normalise every layer's output over the batch.")
_DROPOUT = Setting(
    "dropout", "float", 0.0, "Share of a layer's outputs set to zero while training.",
    low=0, high=1, open_high=True,
)  # fmt: skip
_INIT = Setting(
    "init", "choice", "default",
    "How weights start: PyTorch's own way, Glorot's, He's, or orthogonal.",
    choices=("default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
             "orthogonal"),
)  # fmt: skip

FAMILIES: Mapping[str, tuple[Setting, ...]] = MappingProxyType({
    "mlp": (
        Setting("depth", "int", 2, "Number of hidden layers; 0 is a linear model.", low=0, high=64),
        Setting("width", "int", 128, "Units in each hidden layer.", low=1, high=65536),
        Setting("widths", "sizes", None,
                "Units of each hidden layer, one by one; in place of depth and width."),
        _ACTIVATION, _BATCH_NORM, _DROPOUT, _INIT,
    ),
    "cnn": (
        Setting("blocks", "int", 2,
                "Number of blocks: convolution, BatchNorm, max-pool, activation, dropout.",
                low=1, high=16),
        Setting("channels", "int_or_sizes", 32,
                "Channels of the first block, doubled in each one after; or a list, one a block.",
                low=1, high=4096),
        Setting("kernel", "int", 3,
                "Width of the square convolution; borders are padded, so sizes stay.",
                low=1, high=15),
        _BATCH_NORM, _ACTIVATION, _DROPOUT,
        Setting("head", "choice", "flatten",
                "How the maps become a vector: all of them, or the mean of each (gap).",
                choices=("flatten", "gap")),
        Setting("dense", "int", 0, "Units of a dense layer before the last one; 0 for none.",
                low=0, high=65536),
        _INIT,
    ),
})  # fmt: skip
"""Network family -> its settings."""

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")
SCHEDULES = ("constant", "step", "exponential", "cosine", "one_cycle", "plateau")
LOSSES: Mapping[str, tuple[Task, ...]] = MappingProxyType({
    "cross_entropy": ("classification",),
    "bce": ("classification",),
    "mse": ("regression",),
    "l1": ("regression",),
    "huber": ("regression",),
})  # fmt: skip
"""Loss -> the tasks it serves. `bce` (with logits) is for two classes."""

TRAINING: tuple[Setting, ...] = (
    Setting("lr", "float", 1e-3, "Learning rate: the peak, where a schedule moves it.",
            low=0, high=1000, open_low=True),
    Setting("batch_size", "int", 64, "Rows in one step of the optimizer.", low=1, high=1 << 20),
    Setting("epochs", "int", None, "Passes over the training data; `budget.epochs` unless said.",
            low=1, high=100_000),
    Setting("optimizer", "choice", "adam", "Rule that turns gradients into steps.",
            choices=OPTIMIZERS),
    Setting("momentum", "float", 0.9, "Share of the last step kept: SGD and RMSprop.",
            low=0, high=1, open_high=True),
    Setting("nesterov", "bool", False, "Nesterov's form of momentum: SGD with momentum above 0."),
    Setting("beta1", "float", 0.9, "Decay of the mean of gradients: Adam and AdamW.",
            low=0, high=1, open_high=True),
    Setting("beta2", "float", 0.999, "Decay of the mean of squared gradients: Adam and AdamW.",
            low=0, high=1, open_high=True),
    Setting("weight_decay", "float", 0.0, "Pull of the weights towards zero.", low=0, high=100),
    Setting("schedule", "choice", "constant", "How the learning rate moves over the epochs.",
            choices=SCHEDULES),
    Setting("warmup", "float", 0.0, "Epochs over which the learning rate rises from near zero.",
            low=0, high=100_000),
    Setting("decay", "float", None,
            "Factor of one drop: step (0.1), exponential (0.95 an epoch), plateau (0.1).",
            low=0, high=1, open_low=True),
    Setting("decay_every", "int", None,
            "Epochs between drops of `step`; a third of all epochs unless said.",
            low=1, high=100_000),
    Setting("patience", "int", 3,
            "Epochs without a better validation metric before `plateau` drops.",
            low=0, high=100_000),
    Setting("loss", "choice", None,
            "What training minimises; by the task unless said: bce for two classes, "
            "cross_entropy for more, mse for numbers.",
            choices=tuple(LOSSES)),
    Setting("label_smoothing", "float", 0.0, "Share of the target spread over all classes.",
            low=0, high=1, open_high=True),
    Setting("class_weight", "choice", "none",
            "Weight of a row in training: 1, or `balanced`, by how rare its class is, rows / "
            "(classes x rows of the class). Metrics and the validation loss are never weighted.",
            choices=("none", "balanced"), later=True),
    Setting("clip", "float", None, "Largest norm of the gradient; longer ones are shortened to it.",
            low=0, high=1e6, open_low=True),
)  # fmt: skip
"""The settings of training, the same for every family."""

METRICS: Mapping[str, Metric] = MappingProxyType({
    "accuracy": Metric("maximize", ("classification",), "share of rows classified rightly"),
    "precision": Metric("maximize", ("classification",), "mean over classes"),
    "recall": Metric("maximize", ("classification",), "mean over classes"),
    "f1": Metric("maximize", ("classification",), "mean over classes"),
    "auroc": Metric("maximize", ("classification",), "area under the ROC curve, mean over classes"),
    "loss": Metric("minimize", ("classification", "regression"), "the training loss, unsmoothed"),
    "mse": Metric("minimize", ("regression",), "mean squared error, in the target's unit squared"),
    "rmse": Metric("minimize", ("regression",), "root of the mean squared error"),
    "mae": Metric("minimize", ("regression",), "mean absolute error, in the target's unit"),
    "r2": Metric(
        "maximize", ("regression",), "share of the variance explained", low=-math.inf
    ),
})  # fmt: skip
"""Metric -> direction and tasks. One steers the search; all of the task's are recorded beside it,
but `auroc`, which takes longer than an epoch of a small network, only where it steers."""

SOURCES: Mapping[str, Source] = MappingProxyType({
    "digits": Source("1,797 images of 8 x 8, 10 classes; part of scikit-learn", images=True),
    "fashion_mnist": Source("70,000 images of 28 x 28, 10 classes", images=True, own_test=True,
                            folder="FashionMNIST", file="raw/train-images-idx3-ubyte"),
    "mnist": Source("70,000 images of 28 x 28, 10 classes", images=True, own_test=True,
                    folder="MNIST", file="raw/train-images-idx3-ubyte"),
    "cifar10": Source("60,000 images of 32 x 32 in colour, 10 classes", images=True, own_test=True,
                      folder="cifar-10-batches-py", file="data_batch_1"),
    "csv": Source("a table: a row a line, a name a column", images=False, task=None),
})  # fmt: skip
"""Data source -> what it is."""

PURE = frozenset({"grid", "random", "qmc"})
"""Samplers that do not look at other trials."""

LEARNS_AFTER: Mapping[str, int] = MappingProxyType({"bayesian": 3, "tpe": 10, "cmaes": 1})
"""Of every other sampler, ended trials before it looks at them: Optuna's own defaults, but for the
Gaussian process of `bayesian`. From 3 on, in place of 10, it finds better ones in the next dozen
(docs/strategy.md)."""

SAMPLERS: Mapping[str, str] = MappingProxyType({
    "auto": "a grid where it fits into its stage, else bayesian",
    "grid": "every combination exactly once",
    "random": "a pure function of seed and ticket number",
    "bayesian": "a Gaussian process; TPE where that is slow, parameters are conditional, or most "
                "trials are pruned",
    "tpe": "tree-structured Parzen estimator",
    "cmaes": "covariance matrix adaptation",
    "qmc": "scrambled Sobol points, a pure function of seed and ticket number",
})  # fmt: skip

PRUNERS = ("asha", "hyperband", "median", "percentile", "patient", "threshold", "none")


def settings_of(family: str) -> Mapping[str, Setting]:
    """Every setting that a candidate of `family` has, by name: the network's, then training's."""
    return {s.name: s for s in (*FAMILIES[family], *TRAINING)}


LATER: Mapping[str, Value] = MappingProxyType({
    setting.name: setting.default
    for setting in (*itertools.chain(*FAMILIES.values()), *TRAINING)
    if setting.later
})  # fmt: skip
"""Settings that came after 0.1 -> their defaults. At its default none is part of what a candidate
is known by, so that checkpoints of before still belong to their candidates."""


_OWN_GROUP: Mapping[str, str] = {
    "lr": "learning_rate", "schedule": "learning_rate", "warmup": "learning_rate",
    "decay": "learning_rate", "decay_every": "learning_rate", "patience": "learning_rate",
    "batch_size": "batch_size", "epochs": "batch_size",
    "dropout": "regularization", "weight_decay": "regularization",
    "label_smoothing": "regularization", "clip": "regularization",
    "class_weight": "regularization",
    "optimizer": "optimizer", "momentum": "optimizer", "nesterov": "optimizer",
    "beta1": "optimizer", "beta2": "optimizer", "loss": "optimizer",
}  # fmt: skip


def group_of(name: str) -> str:
    """The group that a setting belongs to where a study does not say another."""
    return _OWN_GROUP.get(name, "architecture")


def defaults(family: str) -> dict[str, Value]:
    """The value of every setting of `family` that a study file does not mention."""
    return {name: setting.default for name, setting in settings_of(family).items()}
