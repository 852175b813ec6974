"""A task: what is learnt from data, by which losses and metrics; and which tasks there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from hpsearch.code import is_reference
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.declared import check_declared
from hpsearch.spec.registry import Registry
from hpsearch.spec.settings import TRAINING, Direction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.spec.problem import Problem
    from hpsearch.spec.settings import Setting

__all__ = [
    "LOSS", "TASKS", "Baseline", "Loss", "Metric", "Result", "Table", "Target", "Task",
    "beside", "having", "metric_of", "possible", "reconstructing", "training", "usual",
    "usual_among",
]  # fmt: skip

Target = Literal["classes", "numbers", "inputs"]
"""What the target of a row is: one of several classes, a number, or the row's own inputs. Data of
any target can be used for the last: a class then says only which rows are normal."""


@dataclass(frozen=True)
class Metric:
    """A number measured on validation data after every epoch."""

    name: str
    direction: Direction
    doc: str
    low: float = -math.inf
    """The least that it can be."""
    high: float = math.inf
    """The most that it can be."""
    varied: bool = False
    """Whether it takes targets of every kind to measure it: a row of each class, or numbers that
    are not all the same."""
    costly: bool = False
    """Whether it takes longer than an epoch of a small network: it is measured only where a study
    improves it."""
    macro: bool = False
    """Whether it is the mean of what each class gives, however many rows that has."""

    @property
    def shown(self) -> str:
        """Its name where it stands beside others: in a study of two classes it would be read as
        that of the second one."""
        return f"{self.name} (macro)" if self.macro else self.name

    def error(self, value: float) -> float:
        """How far a value is from the best that there can be; from 0 where there is no best."""
        best = self.high if self.direction == "maximize" else self.low
        distance = value - best if math.isfinite(best) else value
        return -distance if self.direction == "maximize" else distance


@dataclass(frozen=True)
class Loss:
    """What training can minimise."""

    name: str
    doc: str
    classes: int | None = None
    """Of how many classes the target has to be; None: of any number, or it is a number."""
    scale: str = ""
    """Losses of one scale can be compared by their values; by default none with any other."""
    guess: float | Callable[[int], float] | None = None
    """What a network gets that has learnt nothing: a number, or a function of the number of
    classes; None: log(classes)."""
    outputs: int | Callable[[int], int] | None = None
    """How many numbers a network gives for each row: a number, or a function of the number of
    classes; None: one a class, one for a number, and as many as an input has where that is the
    target."""


@dataclass(frozen=True)
class Baseline:
    """What a constant answer gives on the validation part."""

    name: str
    """The answer, in a few words."""
    values: Mapping[str, float]
    """Metrics by name; those that cannot be known are left out."""


@dataclass(frozen=True)
class Table:
    """A table to show: the first column has names, the others have figures."""

    title: str
    """What it shows, in a word or two."""
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    crossed: bool = False
    """Whether the heads of the figures are the names of the rows: in a narrow console they are
    shortened, or stand there by number."""
    note: str = ""
    """How to read it."""


@dataclass(frozen=True)
class Result:
    """What a study shows of a trained network beyond its metrics."""

    details: Mapping[str, Any]
    """What `measure` gave beside the metrics, as plain values."""
    classes: Sequence[str]
    metric: str
    """The one that the study improves."""
    settings: Mapping[str, Any]
    """Of the candidate, as far as the study names them."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of the epoch that is kept."""
    baseline: Mapping[str, float] = field(default_factory=dict)
    """Metrics of the baseline, as far as they are known."""
    searched: Collection[str] = ()
    """Names of the settings that the study searches."""


def _no_tables(_: Result) -> Sequence[Table]:
    return ()


def _nothing(_: Result) -> str:
    return ""


@dataclass(frozen=True)
class Task:
    """What is learnt, declared without importing PyTorch.

    Raises ValueError where the declaration contradicts itself.
    """

    name: str
    """What a study file calls it: `data: {task: NAME}`."""
    doc: str
    """What it is, in a sentence or two."""
    target: Target
    """What the target of a row is."""
    losses: tuple[Loss, ...]
    """Where a study names none, the first that suits the number of classes is minimised."""
    metrics: tuple[Metric, ...]
    """Each, but for `train_loss`, that it measures: `loss` among them, the loss on validation data
    without regularisation. The first is improved where a study can leave the metric out."""
    learning: str
    """Dotted path of a module with the functions of `tasks.learning.Learning`: the part of the task
    that needs PyTorch."""
    baseline: Callable[[NDArray[Any], NDArray[Any], Sequence[str]], Baseline] | None
    """(targets of the training rows, of the validation rows, the names of the classes) -> what the
    best constant answer gives. None where the target is the inputs: there it is measured of a
    network that answers the mean training row."""
    around: str | None = None
    """Dotted path, `package.module:function`, of `around(network, loss) -> nn.Module`, where losses
    and metrics go by more than a network's outputs: the module that is trained, with the network
    inside. Its outputs are what the functions of `learning` are given."""
    settings: tuple[Setting, ...] = ()
    """Settings of training that mean something to this task alone. Those of the group
    `regularization` are at their default where the validation loss is measured."""
    usual: bool = False
    """Whether it is that of a target of its kind where a study names none."""
    tables: Callable[[Result], Sequence[Table]] = _no_tables
    """What `hpsearch best` shows beyond the metrics."""
    summary: Callable[[Result], str] = _nothing
    """What a network does, in a line that stands beside its metrics; "" for nothing more."""
    remark: Callable[[Result], str] = _nothing
    """What is wrong with a network whatever its metrics say, such as "predicts one class only"."""

    def __post_init__(self) -> None:
        _check_word("target", self.target, get_args(Target))
        for noun, names in (
            ("loss", [loss.name for loss in self.losses]),
            ("metric", [metric.name for metric in self.metrics]),
        ):
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"there are two of the {noun} {', '.join(sorted(twice))}")
        if (self.target == "inputs") is not (self.baseline is None):
            raise ValueError("a task has a baseline, unless its target is the inputs")
        if not self.losses or LOSS not in [metric.name for metric in self.metrics]:
            raise ValueError(f"a task has a loss or more, and {LOSS!r} among its metrics")
        for metric in self.metrics:
            _check_word(f"direction of {metric.name}", metric.direction, get_args(Direction))
            if metric.name == "train_loss" or not metric.low < metric.high:
                raise ValueError(f"the metric {metric.name} is reserved, or has no range")
        check_declared(self.settings)

    def usual_metric(self, *, labelled: bool) -> Metric:
        """The metric that is improved where a study names none.

        Args:
            labelled: Whether there are rows of every kind to measure it by.
        """
        return next(metric for metric in self.metrics if labelled or not metric.varied)

    def metric(self, name: str) -> Metric | None:
        """Its metric of that name; None: it has none."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    def loss(self, name: str) -> Loss | None:
        """Its loss of that name; None: it has none."""
        return next((loss for loss in self.losses if loss.name == name), None)

    def usual_loss(self, classes: int | None) -> Loss | None:
        """The loss that is minimised where a study names none; None where there is none for so
        many classes, or that depends on their number, which is not known."""
        for loss in self.losses:
            if loss.classes in (None, classes):
                return loss
            if classes is None:
                return None
        return None

    def chosen_loss(self, name: str | None, classes: int) -> str:
        """The loss to minimise: `name`, which may be one of the study's own code, or the usual one
        where that is None.

        Raises SettingsError where it is none of this task's, or not for so many classes.
        """
        if is_reference(name) and self.around is None:
            return str(name)
        if why := self.refusal(name, classes):
            raise SettingsError(why)
        loss = self.usual_loss(classes) if name is None else self.loss(name)
        assert loss is not None
        return loss.name

    def refusal(self, name: str | None, classes: int | None) -> str:
        """Why a loss, or the usual one, cannot be minimised; "" where it can, or may."""
        if name is None:
            lacking = classes is not None and self.usual_loss(classes) is None
            return f"no loss of {self.name} is for {classes} classes" if lacking else ""
        if is_reference(name):
            return "" if self.around is None else f"{self.name} takes no loss of the study's own"
        loss = self.loss(name)
        if loss is None:
            return f"the loss {name} is for {having(name)}, not for {self.name}"
        if loss.classes is None or classes in (None, loss.classes):
            return ""
        return f"the loss {name} is for {loss.classes} classes and there are {classes}"

    def outputs(self, loss: str, problem: Problem) -> int:
        """How many numbers a network has to give for each row of a problem, with that loss, which
        may be one of the study's own code."""
        own = self.loss(loss)
        number = None if own is None else own.outputs
        if number is not None:
            with TASKS.blamed(self.name):
                return number(len(problem.classes)) if callable(number) else number
        if self.target == "inputs":
            return math.prod(problem.shape)
        return len(problem.classes) if self.target == "classes" else 1

    def is_usual_scale(self, name: str | None) -> bool:
        """Whether a loss can be compared by its values with the one that is minimised where a study
        names none."""
        usual, loss = self.losses[0], None if name is None else self.loss(name)
        same = loss is not None and (loss is usual or loss.scale == usual.scale != "")
        return name is None or same

    def guess(self, name: str | None, classes: int) -> float:
        """The loss of a network that has learnt nothing, about; 1 where nothing is known of it, and
        of a loss of the study's own infinity, which no value is near."""
        if is_reference(name):
            return math.inf
        loss = self.loss(name) if name is not None else self.usual_loss(classes or None)
        if loss is None or loss.guess is None:
            return math.log(classes) if classes > 1 else 1.0
        with TASKS.blamed(self.name):
            return loss.guess(classes) if callable(loss.guess) else loss.guess


def _check_word(field: str, word: str, words: Sequence[str]) -> None:
    if word not in words:
        raise ValueError(f"{field}: expected one of {', '.join(words)}; got {word!r}")


LOSS = "loss"
"""The metric that every task has: the loss on the validation part, without regularisation."""

TASKS: Registry[Task] = Registry(Task, "hpsearch.tasks")
"""Those that hpsearch comes with, `hpsearch/tasks/NAME`, and those of installed packages."""


def usual(target: Target) -> Task:
    """The task of a target where a study names none."""
    return next(task for task in possible(None) if task.target == target)


def reconstructing() -> tuple[Task, ...]:
    """The tasks whose target is the inputs themselves."""
    return tuple(task for task in TASKS.all().values() if task.target == "inputs")


def possible(name: str | None) -> tuple[Task, ...]:
    """The task of that name, or where a study names none those that a table may turn out to be."""
    if name is not None:
        return (TASKS[name],)
    return tuple(task for task in TASKS.all(installed=False).values() if task.usual)


def usual_among(losses: Sequence[object], task: str | None) -> str | None:
    """The loss of the task, or of one that is possible, that comes first there of these; None where
    they are none of its own."""
    own = (loss.name for task in possible(task) for loss in task.losses)
    return next((name for name in own if name in losses), None)


def beside(name: str | None) -> tuple[Task, ...]:
    """The tasks of which a candidate has settings: all of hpsearch's own, and the one named."""
    own = TASKS.all(installed=False)
    return *own.values(), *([] if name is None or name in own else [TASKS[name]])


def training(tasks: Sequence[Task]) -> tuple[Setting, ...]:
    """The settings of training where one of these tasks is learnt, each once."""
    losses = dict.fromkeys(loss.name for task in tasks for loss in task.losses)
    shared = (
        replace(setting, choices=tuple(losses)) if setting.name == "loss" else setting
        for setting in TRAINING
    )
    own = (setting for task in tasks for setting in task.settings)
    return tuple(dict.fromkeys((*shared, *own)))


def metric_of(name: str, task: str | None) -> Metric:
    """The metric of that name of a study's task; KeyError where there is none.

    Args:
        name: The metric.
        task: None where the study leaves it to the look of a table.
    """
    for candidate in possible(task):
        if metric := candidate.metric(name):
            return metric
    raise KeyError(name)


def having(loss: str) -> str:
    """Names of the tasks here that have a loss."""
    tasks = [task for task in TASKS.all().values() if task.loss(loss)]
    return " and ".join(task.name for task in tasks) or "another task"
