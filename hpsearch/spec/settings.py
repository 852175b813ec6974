"""What a study file can name: training settings, samplers, pruners.

This is the one place where their names, types, ranges and defaults stand. `spec` checks study files
against it, `training` builds from it, the JSON Schema and the docs are made from it. It imports
nothing heavy, so that a bad study file is answered at once. The settings of networks stand with
their families (`spec.family`), losses and metrics with their tasks (`spec.task`).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, get_args

from hpsearch.code import is_reference

if TYPE_CHECKING:
    from collections.abc import Mapping


__all__ = [
    "EARLY",
    "EPOCHS",
    "FINAL",
    "GROUPS",
    "HEART",
    "JOINT",
    "LEARNS_AFTER",
    "OPTIMIZERS",
    "POLISH",
    "PRECISIONS",
    "PRUNERS",
    "PURE",
    "RECIPE",
    "REGULARISE",
    "RESERVED",
    "SAMPLERS",
    "SCHEDULES",
    "TRAINING",
    "TUNE",
    "WARMUP",
    "WHOLE",
    "Direction",
    "Group",
    "More",
    "Setting",
    "Value",
    "ValueKind",
]

Value = bool | int | float | str | tuple[int, ...] | None
"""What a parameter can be. A tuple is a list of layer sizes, such as `[512, 512]`."""

ValueKind = Literal["int", "float", "bool", "choice", "text", "sizes", "int_or_sizes", "any"]
"""`any` is whatever a study file can say: of parameters that only a study's own code knows."""
Direction = Literal["maximize", "minimize"]
More = Literal["capacity", "regularization"]

Group = Literal["architecture", "learning_rate", "batch_size", "regularization", "optimizer"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""The priority groups, most important first."""

WARMUP, POLISH, JOINT, FINAL = "warmup", "polish", "joint", "final"
"""The stages of a search that are not a group's: before those, after them, in place of all of them,
and the finish."""

RECIPE, HEART, REGULARISE, TUNE = "recipe", "by heart", "regularise", "fine-tune"
"""The strategy that follows the recipe, and its stages: the training rows are learnt by heart, then
the network is kept from learning what is chance, then its training is tuned around the winner."""

EARLY = "early polish"
"""A ticket of the polish's share that is drawn before its time, by a worker that would wait."""


@dataclass(frozen=True)
class Setting:
    """One setting of a network or of its training: its name, type, range, default and meaning."""

    name: str
    kind: ValueKind
    default: Value
    doc: str
    low: float | None = None
    """Smallest value that makes sense, inclusive unless `open_low`."""
    high: float | None = None
    """Largest value that makes sense, inclusive unless `open_high`."""
    open_low: bool = False
    open_high: bool = False
    choices: tuple[str, ...] = ()
    group: Group = "architecture"
    """The group that it belongs to where a study does not name another."""
    per_slot: bool = False
    """Whether candidates that are trained as one stack may differ in it: it changes neither the
    layers nor what they compute but for first weights and the shares of `nn.Dropout`."""
    more: More | None = None
    """What a higher value gives more of: `capacity`, a larger network that can fit more, or
    `regularization`, which keeps it from fitting what is chance."""
    later: bool = False
    """Whether it came after the first release: at its default it is then no part of what a
    candidate is known by, so that checkpoints and networks of before still belong to it."""
    rescales: bool = False
    """Whether losses under different values of it cannot be compared."""
    required: bool = False
    """Whether it has no default, so that a study has to set or search it."""
    own_code: bool = False
    """Whether a function of the study's own code can stand for a choice: `FILE.py:FUNCTION`."""
    built: bool = True
    """Of a family's setting, whether networks are built by it. `build` is not given the others:
    they say which of a network's parameters are trained, and training goes by them."""

    @property
    def expected(self) -> str:
        """What a value has to be, in words for an error message."""
        if self.kind == "choice":
            own = ", or a function of your own, FILE.py:FUNCTION" if self.own_code else ""
            return f"one of {', '.join(self.choices)}{own}"
        noun = {
            "int": "a whole number",
            "float": "a number",
            "bool": "true or false",
            "text": "a text",
            "sizes": "a list of whole numbers of 1 or more, such as [128, 64]",
            "int_or_sizes": "a whole number of 1 or more, or a list of them such as [32, 64]",
            "any": "a number, a text, true, false, null or a list of whole numbers",
        }[self.kind]
        bounds = []
        if self.kind in ("int", "float") and self.low is not None:
            bounds.append(f"above {self.low:g}" if self.open_low else f"of {self.low:g} or more")
        if self.kind in ("int", "float") and self.high is not None:
            bounds.append(f"below {self.high:g}" if self.open_high else f"at most {self.high:g}")
        words = ", or ".join([" and ".join(bounds), *self.choices])
        return f"{noun} {words}".rstrip()

    @property
    def least(self) -> int | float | None:
        """The smallest number that it accepts; None where it has no lower end, or is no number."""
        if self.low is None or self.open_low or self.kind not in ("int", "float", "int_or_sizes"):
            return None
        return self.low if self.kind == "float" else int(self.low)

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
        if self.kind == "any":
            return _is_plain(value)
        if value is None:
            return self.default is None and not self.required
        if isinstance(value, str):
            own = self.own_code and is_reference(value)
            return self.kind == "text" or value in self.choices or own
        if self.kind in ("choice", "text"):
            return False
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


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_int, value))
    return value is None or isinstance(value, (bool, str)) or _is_number(value)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    """A finite number; true and false are not numbers."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= 1e308  # also refuses nan and the infinities
    )


WHOLE = "all"
"""The `batch_size` that is the whole training part."""

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop", "nadam", "radam", "adagrad")
PRECISIONS = ("auto", "float32", "bf16")
SCHEDULES = ("constant", "step", "exponential", "cosine", "one_cycle", "plateau")

EPOCHS = Setting(
    "epochs", "int", None, "Passes over the training data; by default `budget.epochs`.",
    low=1, high=100_000, group="batch_size", per_slot=True,
)  # fmt: skip
"""The setting of training that own training code has too."""

TRAINING: tuple[Setting, ...] = (
    Setting("lr", "float", 1e-3, "Learning rate: the peak, where a schedule moves it.",
            low=0, high=1000, open_low=True,
            group="learning_rate", per_slot=True),
    Setting("batch_size", "int", 64,
            "Rows in one step of the optimizer; `all` for the whole training part.",
            low=1, high=1 << 20, choices=(WHOLE,),
            group="batch_size"),
    EPOCHS,
    Setting("optimizer", "choice", "adam",
            "PyTorch's optimizer of that name. The steps of Adagrad only get shorter, so it "
            "needs larger rates, 1e-2 or more.",
            choices=OPTIMIZERS,
            group="optimizer"),
    Setting("momentum", "float", 0.9, "Share of the last step that is kept, for SGD and RMSprop.",
            low=0, high=1, open_high=True,
            group="optimizer", per_slot=True),
    Setting("nesterov", "bool", False, "Nesterov's form of momentum, for SGD with momentum above "
                                       "0.",
            group="optimizer"),
    Setting("beta1", "float", 0.9, "Decay of the mean of gradients, for Adam, AdamW, NAdam, RAdam.",
            low=0, high=1, open_high=True,
            group="optimizer", per_slot=True),
    Setting("beta2", "float", 0.999,
            "Decay of the mean of squared gradients, for Adam, AdamW, NAdam, RAdam.",
            low=0, high=1, open_high=True,
            group="optimizer", per_slot=True),
    Setting("weight_decay", "float", 0.0, "Pull of the weights towards zero.", low=0, high=100,
            group="regularization", per_slot=True, more="regularization"),
    Setting("schedule", "choice", "constant", "How the learning rate moves over the epochs.",
            choices=SCHEDULES,
            group="learning_rate", per_slot=True),
    Setting("warmup", "float", 0.0, "Epochs over which the learning rate rises from near zero.",
            low=0, high=100_000,
            group="learning_rate", per_slot=True),
    Setting("decay", "float", None,
            "Factor of one drop: step (0.1), exponential (0.95 an epoch), plateau (0.1).",
            low=0, high=1, open_low=True,
            group="learning_rate", per_slot=True),
    Setting("decay_every", "int", None,
            "Epochs between drops of `step`, after the warm-up; by default a third of all epochs, "
            "rounded up.",
            low=1, high=100_000,
            group="learning_rate", per_slot=True),
    Setting("patience", "int", 3,
            "Epochs without a better validation metric before `plateau` drops.",
            low=0, high=100_000,
            group="learning_rate", per_slot=True),
    Setting("loss", "choice", None,
            "What training minimises; by default the task's own loss.",
            group="optimizer", own_code=True),
    Setting("precision", "choice", "auto",
            "What products and convolutions are computed in: `float32`; `bf16`, bfloat16 by "
            "PyTorch's autocast, with weights, losses, metrics and the optimizer in float32; "
            "`auto`, bfloat16 for networks with convolutions on an NVIDIA GPU that has it, else "
            "float32, there rounded to TF32.",
            choices=PRECISIONS, later=True,
            group="optimizer"),
    Setting("clip", "float", None, "Largest norm of the gradient; longer ones are shortened to it.",
            low=0, high=1e6, open_low=True,
            group="regularization", per_slot=True),
)  # fmt: skip
"""The settings of training, the same for every family. Tasks add theirs, and names of losses."""

RESERVED = frozenset({
    *GROUPS, "min", "max", "step", "log", "count", "values", "default", "when", "cap",
    *(setting.name for setting in TRAINING),
})  # fmt: skip
"""Names that mean something else in a study file than a setting of a family or a task."""

PURE = frozenset({"grid", "random", "qmc"})
"""Samplers that do not look at other trials."""

LEARNS_AFTER: Mapping[str, int] = MappingProxyType({"bayesian": 3, "tpe": 10, "cmaes": 1})
"""Of every other sampler, ended trials before it looks at them: Optuna's own defaults, but for the
Gaussian process of `bayesian`. From 3 on, in place of 10, it finds better ones in the next dozen
(docs/explanation/stages.md)."""

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
