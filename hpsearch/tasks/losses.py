"""What training minimises: a loss of the task, or a function of the study's own code.

Shapes: `K` slots, `N` rows, `C` outputs of a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hpsearch.code import explained, function, is_reference
from hpsearch.errors import CodeError
from hpsearch.spec.task import TASKS
from hpsearch.tasks.constant import NoGradientError, least_constant_loss
from hpsearch.tasks.learning import LossFunction, learning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.spec.problem import Problem

__all__ = ["constant_loss", "loss_function"]


def loss_function(
    task: str, name: str, settings: Sequence[Mapping[str, Any]], targets: Tensor, problem: Problem
) -> LossFunction:
    """What K slots minimise; see `Learning.loss`.

    A function of the study's own code is called slot by slot, with the slot's outputs (N, C) and
    its targets (N, ...) as the task encodes them, and gives a number, or one a row: then the mean
    counts. Raises CodeError where it gives something else, or cannot be run.
    """
    if not is_reference(name):
        return learning(task).loss(name, settings, targets, problem)
    own, rank = function(name), targets.dim()

    def loss(outputs_KNC: Tensor, targets: Tensor) -> Tensor:
        shared = targets.dim() == rank
        pairs = ((o, targets if shared else targets[slot]) for slot, o in enumerate(outputs_KNC))
        return torch.stack([_mean(name, own(o, t), len(o)) for o, t in pairs])

    return loss


def _mean(name: str, value: Any, rows: int) -> Tensor:
    if not isinstance(value, Tensor):
        raise CodeError(f"{name} has to give a tensor, and gave a {type(value).__name__}")
    if value.dim() and tuple(value.shape) not in ((rows,), (rows, 1)):
        raise CodeError(
            f"{name} has to give one number, or one for each of {rows} rows, and gave the shape "
            f"{tuple(value.shape)}"
        )
    if not value.is_floating_point():
        raise CodeError(f"{name} has to give floating-point numbers, and gave {value.dtype}")
    return value.mean()


def constant_loss(
    task: str, name: str, settings: Mapping[str, Any], targets: Tensor, problem: Problem
) -> float:
    """The loss of the best outputs that are the same for each row, about; see
    `Learning.constant_loss`.

    That of a function of the study's own code is searched for, as nothing is known of it. Raises
    CodeError where it cannot be run.
    """
    if not is_reference(name):
        return learning(task).constant_loss(name, settings, targets, problem)
    loss = loss_function(task, name, [settings], targets, problem)
    try:
        return least_constant_loss(loss, targets, TASKS[task].outputs(name, problem))
    except NoGradientError as error:
        raise CodeError(f"the loss has no gradient: {explained(error, kind=False)}") from error
