"""What is measured of networks after an epoch.

Shapes: `K` slots, `N` rows of the part, `C` outputs.
"""

from __future__ import annotations

import math
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from hpsearch.errors import CodeError
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.task import LOSS, TASKS
from hpsearch.tasks.learning import learning
from hpsearch.tasks.losses import loss_function

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from hpsearch.sources.dataset import Dataset, Part, Prepared
    from hpsearch.tasks.learning import LossFunction

__all__ = ["Results", "check_outputs", "in_parts", "measure", "plain", "trained_loss"]

_ROWS = 1024
_NUMBERS = 1 << 22
_IN_CACHE = 1 << 18
"""What one pass without gradients takes at most: rows, and inputs of all slots together. The
maps of a convolution are several times its images, as are the vectors of words and what recurrent
layers give: beyond a CPU's cache a row takes twice as long.
"""


class Results(NamedTuple):
    """What one slot came to on a part of the data."""

    metrics: Mapping[str, float]
    details: Mapping[str, Tensor]
    """On the CPU."""


def in_parts(rows: Tensor | Part, slots: int, *, grows: bool) -> Iterator[Tensor]:
    """Inputs (N, ...), or those of a part, in as many rows at a time as pass through `slots`
    networks fastest.

    `grows` says that the networks make several times as many numbers of an input as it has.
    """
    most = _IN_CACHE if grows and rows.device.type == "cpu" else _NUMBERS
    shape = rows.shape[1:] if isinstance(rows, torch.Tensor) else rows.shape
    size = min(max(most // (slots * math.prod(shape)), 1), _ROWS)
    if isinstance(rows, torch.Tensor):
        return iter(torch.split(rows, size))
    return rows.pieces(size)


def trained_loss(
    dataset: Dataset, name: str, settings: Sequence[Mapping[str, Any]]
) -> LossFunction:
    """What the slots of these settings minimise."""
    train = dataset.train.targets
    return loss_function(dataset.task, name, settings, train, dataset.problem())


def check_outputs(outputs: Tensor, expected: tuple[int, ...]) -> None:
    """Raise SettingsError where a network gives outputs of another shape than (..., N, C),
    CodeError where it gives another number of rows: a loss may take some of them all the same."""
    if outputs.shape != expected:
        if outputs.dim() > 1 and outputs.shape[1] != expected[1]:
            raise CodeError(
                f"the network gives {outputs.shape[1]} rows for {expected[1]}: it, or the source "
                "of the data, has rows that were not asked for, or leaves some out"
            )
        gave, wanted = (f"(N, {', '.join(map(str, s))})" for s in (outputs.shape[2:], expected[2:]))
        if outputs.shape[:2] != expected[:2]:
            gave, wanted = str(tuple(outputs.shape[1:])), str(expected[1:])
        raise SettingsError(f"the network gives {gave}, and has to give {wanted}")


def plain(task: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate's settings without what regularises the task's loss: those to measure by."""
    own = {s.name: s.default for s in TASKS[task].settings if s.group == "regularization"}
    return {**settings, **own}


def measure(
    outputs_KNC: Tensor,
    targets: Tensor,
    problem: Prepared,
    loss: str,
    settings: Sequence[Mapping[str, Any]],
    metric: str,
    train_loss_K: Tensor | None = None,
) -> list[Results]:
    """For each slot its metrics and the details of its task.

    Args:
        outputs_KNC: Of the networks, for all rows of a part.
        targets: Of these rows.
        problem: What is learnt.
        loss: The name of the loss.
        settings: The `plain` ones of each slot.
        metric: Measured in any case, the one that the study improves: it may take long.
        train_loss_K: That of the epoch; None: there is none.
    """
    task, functions, fitted = TASKS[problem.task], learning(problem.task), problem.problem()
    loss_of = loss_function(problem.task, loss, settings, targets, fitted)
    wanted = [m.name for m in task.metrics if m.name == metric or not m.costly]
    results = functions.measure(outputs_KNC, targets, fitted, wanted)
    numbers = {} if train_loss_K is None else {"train_loss": train_loss_K}
    numbers |= {LOSS: loss_of(outputs_KNC, targets), **results.metrics}
    # All numbers with one wait for the device.
    rows = torch.stack([tensor.float() for tensor in numbers.values()], dim=1).tolist()
    slots = zip(*(tensor.cpu().unbind() for tensor in results.details.values()), strict=True)
    details = slots if results.details else repeat((), len(rows))
    return [
        Results(dict(zip(numbers, row, strict=True)), dict(zip(results.details, own, strict=True)))
        for row, own in zip(rows, details, strict=True)
    ]
