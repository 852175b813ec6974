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

from hpsearch.errors import line
from hpsearch.spec.registry import PluginError
from hpsearch.spec.task import TASKS

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
    """The functions of the task of that name. Raises PluginError where it is not here."""
    return functions_of(TASKS[task])


def functions_of(task: Task) -> Learning:
    """The functions of a task, imported when they are first asked for.

    Raises PluginError where they cannot be.
    """
    try:
        module = pkgutil.resolve_name(task.learning)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(
            f"task {task.name}: cannot load {task.learning}: {line(error)}"
        ) from error
    names = [name for name in vars(Learning) if not name.startswith("_")]
    if lacking := [name for name in names if not callable(getattr(module, name, None))]:
        raise PluginError(f"task {task.name}: {task.learning} has no {', '.join(lacking)}")
    return cast("Learning", module)
