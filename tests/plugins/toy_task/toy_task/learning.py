"""Steps from class to class: P(class k) = P(step taken) ^ k * P(step k not taken).

Continuation ratios: Fienberg, "The analysis of cross-classified categorical data" (1980).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from hpsearch.tasks.learning import LossFunction, Measured, Predicted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.families import Problem

__all__ = ["constant_loss", "encode", "loss", "measure", "predictions"]


def encode(targets: NDArray[Any], problem: Problem) -> Tensor:
    """Indices, (N,)."""
    return torch.from_numpy(targets)


def loss(
    name: str, settings: Sequence[Mapping[str, Any]], targets: Tensor, problem: Problem
) -> LossFunction:
    """The mean over rows of the negative logarithm of the probability, and the pull."""
    pull = torch.tensor([float(slot["pull"]) for slot in settings], device=targets.device)

    def steps(logits: Tensor, targets: Tensor) -> Tensor:
        at = torch.arange(logits.shape[2], device=logits.device)
        grade = targets.expand(logits.shape[:2]).unsqueeze(2)
        taken, refused = F.softplus(-logits) * (at < grade), F.softplus(logits) * (at == grade)
        likelihood = (taken + refused).sum(dim=2).mean(dim=1)
        return likelihood + pull * logits.square().mean(dim=(1, 2))

    return steps


def measure(
    outputs_KNC: Tensor, targets: Tensor, problem: Problem, wanted: Collection[str]
) -> Measured:
    """All of them."""
    off = (_logs(outputs_KNC).argmax(dim=2) - targets).abs()
    counts = torch.stack([(off == by).sum(dim=1) for by in range(len(problem.classes))], dim=1)
    metrics = {"distance": off.float().mean(dim=1), "near": (off <= 1).float().mean(dim=1)}
    return Measured(metrics, {"off": counts})


def _logs(logits_KNC: Tensor) -> Tensor:
    """The logarithm of the probability of each class, (K, N, C + 1)."""
    reached = F.pad(F.logsigmoid(logits_KNC).cumsum(dim=2), (1, 0))
    return reached + F.pad(F.logsigmoid(-logits_KNC), (0, 1))


def constant_loss(
    name: str, settings: Mapping[str, Any], targets: Tensor, problem: Problem
) -> float:
    """The entropy of the shares."""
    share = torch.unique(targets, return_counts=True)[1] / len(targets)
    return float(-(share * share.log()).sum())


def predictions(outputs_NC: Tensor, problem: Problem) -> Predicted:
    """The most probable class."""
    logs = _logs(outputs_NC.unsqueeze(0))[0]
    return Predicted(
        tuple(problem.classes[at] for at in logs.argmax(dim=1).tolist()), logs.exp().numpy()
    )
