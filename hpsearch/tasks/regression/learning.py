"""The functions of `tasks.learning.Learning` for numbers.

Shapes: `K` slots, `N` rows; a network has one output. Networks learn standardised numbers; metrics
and predictions are in the target's own unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.tasks.learning import LossFunction, Measured, Predicted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.spec.problem import Problem

__all__ = [
    "constant_loss", "encode", "loss", "loss_of", "measure", "metrics_of", "predictions",
]  # fmt: skip

_PLAIN: Mapping[str, Callable[..., Tensor]] = {
    "mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss,
}  # fmt: skip


def encode(targets: NDArray[Any], problem: Problem) -> Tensor:
    """Numbers standardised by the training rows', float32 (N, 1)."""
    numbers = torch.from_numpy(targets)
    return ((numbers - problem.target_mean) / problem.target_std).float().unsqueeze(1)


def loss(
    name: str, settings: Sequence[Mapping[str, Any]], targets: Tensor, problem: Problem
) -> LossFunction:
    """The mean over rows; the slots' settings change nothing."""
    return loss_of(name)


def loss_of(name: str) -> LossFunction:
    """The loss function of that name."""
    plain = _PLAIN[name]

    def loss(predictions_KN1: Tensor, targets: Tensor) -> Tensor:
        targets_KN1 = targets.expand_as(predictions_KN1)
        return plain(predictions_KN1, targets_KN1, reduction="none").flatten(1).mean(dim=1)

    return loss


def measure(
    outputs_KNC: Tensor, targets: Tensor, problem: Problem, wanted: Collection[str]
) -> Measured:
    """All metrics, in the target's own unit, by the standardised numbers: in that unit targets that
    are far from 0 would lose their digits in single precision."""
    return Measured(metrics_of(outputs_KNC, targets, problem.target_std))


def metrics_of(outputs_KN1: Tensor, targets_N1: Tensor, std: float = 1.0) -> dict[str, Tensor]:
    """mse, rmse, mae and r2, (K,) each; N is 2 or more.

    Args:
        outputs_KN1: Of the networks.
        targets_N1: What they should be.
        std: What 1 of both is in the unit of the metrics.
    """
    error_KN, targets_N = (outputs_KN1 - targets_N1).squeeze(2), targets_N1.squeeze(1)
    mse_K = error_KN.square().mean(dim=1)
    return {
        "mse": mse_K * std * std,
        "rmse": mse_K.sqrt() * std,
        "mae": error_KN.abs().mean(dim=1) * std,
        "r2": 1 - mse_K / targets_N.var(correction=0),
    }


def constant_loss(
    name: str, settings: Mapping[str, Any], targets: Tensor, problem: Problem
) -> float:
    """The loss of the mean of these rows."""
    constant = targets.mean(dim=0, keepdim=True).expand_as(targets)
    return float(loss_of(name)(constant.unsqueeze(0), targets))


def predictions(outputs_NC: Tensor, problem: Problem) -> Predicted:
    """The number in the target's own unit."""
    numbers = outputs_NC.squeeze(1) * problem.target_std + problem.target_mean
    return Predicted(tuple(numbers.tolist()))
