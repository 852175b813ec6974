"""The part of a task that needs PyTorch, and how it is found.

Shapes: `K` slots, `N` rows, `C` outputs of a network.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from torch import Tensor

from hpsearch.code import explained, place_of
from hpsearch.errors import CodeError, line
from hpsearch.spec.task import LOSS, TASKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.spec.problem import Problem
    from hpsearch.spec.task import Task

__all__ = [
    "Learning", "LossFunction", "Measured", "Predicted", "functions_of", "learning",
]  # fmt: skip

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""(outputs (K, N, C), targets (K, N, ...) or (N, ...)) -> the mean over each slot's rows, (K,)."""


@dataclass(frozen=True)
class Measured:
    """What is measured of K slots on a part of the data."""

    metrics: Mapping[str, Tensor]
    """(K,) each, on the device of the outputs."""
    details: Mapping[str, Tensor] = field(default_factory=dict)
    """(K, ...) each, by name: what is kept of the best epoch, for the task's `tables`."""


@dataclass(frozen=True)
class Predicted:
    """What a network answers for N rows."""

    values: tuple[str, ...] | tuple[float, ...]
    """The class's name, or the number in the target's own unit."""
    probabilities: NDArray[np.float64] | None = None
    """(N, classes), in the order of the problem's; None where there are none."""
    scores: NDArray[np.float64] | None = None
    """(N,), how strange each row is; None where that is not what is predicted."""


class Learning(Protocol):
    """The functions of a task. A module that has them is one.

    `problem.outputs` is 0 before a network is built.
    """

    def encode(self, targets: NDArray[Any], problem: Problem) -> Tensor:
        """Targets as training takes them, (N, ...) on the CPU.

        Args:
            targets: (N,): int64 indices of `problem.classes`, or float64 numbers in their own unit.
                Where the target is the inputs: indices, or 0 without classes, and -1 for the
                training rows that are measured beside the validation rows.
            problem: With the mean and the deviation of the training rows' numbers.
        """

    def loss(
        self, name: str, settings: Sequence[Mapping[str, Any]], targets: Tensor, problem: Problem
    ) -> LossFunction:
        """What K slots minimise, each by its own settings.

        It is called with other rows in every step, and recorded as a CUDA graph where there is a
        GPU: nothing in it may depend on values, and a slot that is not finite must leave the others
        alone.

        Args:
            name: The name of the loss.
            settings: Of each slot, all settings of its candidate.
            targets: Of the training rows, encoded, on the device; where the loss is measured, those
                of the rows measured. Nothing but regularisation may depend on them.
            problem: What is learnt.
        """

    def measure(
        self, outputs_KNC: Tensor, targets: Tensor, problem: Problem, wanted: Collection[str]
    ) -> Measured:
        """The metrics `wanted`, or more, of all slots at once; `loss` is measured without it.

        The numbers stay on the device, so that the caller can fetch all of them with one wait.

        Args:
            outputs_KNC: Of the networks for all rows of a part, float32 or float64.
            targets: Encoded, (N, ...).
            problem: What is learnt.
            wanted: Names of metrics.
        """

    def constant_loss(
        self, name: str, settings: Mapping[str, Any], targets: Tensor, problem: Problem
    ) -> float:
        """The loss of the best outputs that are the same for each row, about.

        Args:
            name: The name of the loss.
            settings: Of the candidate, without regularisation.
            targets: Encoded, of a few rows; where the target is the inputs, these (N, D).
            problem: What is learnt.
        """

    def predictions(self, outputs_NC: Tensor, problem: Problem) -> Predicted:
        """Outputs, float64 on the CPU, in words or in the target's unit."""


@cache
def learning(task: str) -> Learning:
    """The functions of the task of that name. What goes wrong in those of an installed package is
    a CodeError with its place. Raises PluginError where the task is not here."""
    return functions_of(TASKS[task])


def functions_of(task: Task) -> Learning:
    """The functions of a task, imported when they are first asked for.

    Raises CodeError where they cannot be.
    """
    package = TASKS.brought(task.name)
    label = package or f"task {task.name}"
    try:
        module = pkgutil.resolve_name(task.learning)
    except Exception as error:
        why = explained(error) if package else line(error)
        raise CodeError(f"{label}: cannot load {task.learning}: {why}") from error
    names = [name for name in vars(Learning) if not name.startswith("_")]
    if lacking := [name for name in names if not callable(getattr(module, name, None))]:
        raise CodeError(f"{label}: {task.learning} has no {', '.join(lacking)}")
    functions = cast("Learning", module)
    return _Brought(task.name, functions) if package else functions


class _Brought:
    """The functions of an installed package's task: what goes wrong in them is a CodeError that
    names the package and the place in it."""

    def __init__(self, task: str, functions: Learning) -> None:
        self._task, self._functions = task, functions

    def encode(self, targets: NDArray[Any], problem: Problem) -> Tensor:
        with TASKS.blamed(self._task):
            return self._functions.encode(targets, problem)

    def loss(
        self, name: str, settings: Sequence[Mapping[str, Any]], targets: Tensor, problem: Problem
    ) -> LossFunction:
        with TASKS.blamed(self._task):
            function = self._functions.loss(name, settings, targets, problem)

        def loss(outputs_KNC: Tensor, targets: Tensor) -> Tensor:
            with TASKS.blamed(self._task):
                return function(outputs_KNC, targets)

        return loss

    def measure(
        self, outputs_KNC: Tensor, targets: Tensor, problem: Problem, wanted: Collection[str]
    ) -> Measured:
        with TASKS.blamed(self._task):
            measured = self._functions.measure(outputs_KNC, targets, problem, wanted)
            metrics = measured.metrics
        if lacking := [name for name in wanted if name != LOSS and name not in metrics]:
            raise CodeError(
                f"{TASKS.brought(self._task)}: {place_of(self._functions.measure)}: measure gives "
                f"no {', '.join(lacking)}, which the task declares"
            )
        return measured

    def constant_loss(
        self, name: str, settings: Mapping[str, Any], targets: Tensor, problem: Problem
    ) -> float:
        with TASKS.blamed(self._task):
            return self._functions.constant_loss(name, settings, targets, problem)

    def predictions(self, outputs_NC: Tensor, problem: Problem) -> Predicted:
        with TASKS.blamed(self._task):
            return self._functions.predictions(outputs_NC, problem)
