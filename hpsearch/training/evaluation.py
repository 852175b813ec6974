"""What is measured of networks after an epoch.

Shapes: `K` slots, `N` rows of the part, `C` outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hpsearch.training import losses
from hpsearch.training.metrics import classification_metrics, regression_metrics

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.training.data import Problem

__all__ = ["EVALUATION_ROWS", "measure"]

EVALUATION_ROWS = 1024
"""Rows in one pass without gradients; the result does not depend on it."""


def measure(
    outputs_KNC: Tensor,
    targets: Tensor,
    problem: Problem,
    loss: str,
    train_loss_K: Tensor,
    metric: str,
) -> list[dict[str, float]]:
    """For each slot `train_loss`, the unsmoothed `loss` and the metrics of the task."""
    found = {
        "train_loss": train_loss_K,
        "loss": losses.loss_of(loss)(outputs_KNC, targets),
    }
    if problem.task == "classification":
        found |= classification_metrics(outputs_KNC, targets, auroc=metric == "auroc")
    else:
        found |= regression_metrics(
            *(x * problem.target_std + problem.target_mean for x in (outputs_KNC, targets))
        )
    # All numbers with one wait for the device.
    rows = torch.stack([tensor.float() for tensor in found.values()], dim=1).tolist()
    return [dict(zip(found, row, strict=True)) for row in rows]
