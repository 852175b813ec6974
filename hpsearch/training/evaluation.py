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

    from hpsearch.sources.dataset import Prepared

__all__ = ["in_parts", "measure"]

_ROWS = 1024
_NUMBERS = 1 << 22
_IN_CACHE = 1 << 18
"""What one pass without gradients takes at the most: rows, and inputs of all slots together. The
maps of a convolution are several times its images: beyond a CPU's cache a row takes twice as long.
"""


def in_parts(inputs: Tensor, slots: int, *, images: bool) -> tuple[Tensor, ...]:
    """Inputs (N, ...) in as many rows at a time as pass through `slots` networks fastest."""
    most = _IN_CACHE if images and inputs.device.type == "cpu" else _NUMBERS
    rows = most // (slots * inputs[0].numel())
    return torch.split(inputs, min(max(rows, 1), _ROWS))


def measure(
    outputs_KNC: Tensor,
    targets: Tensor,
    problem: Prepared,
    loss: str,
    train_loss_K: Tensor,
    metric: str,
    count_KCC: Tensor | None = None,
) -> list[dict[str, float]]:
    """For each slot `train_loss`, the unsmoothed `loss` and the metrics of the task.

    `count_KCC` is the `confusion` of the outputs, where it has been counted already.
    """
    found = {
        "train_loss": train_loss_K,
        "loss": losses.loss_of(loss)(outputs_KNC, targets),
    }
    if problem.task == "classification":
        found |= classification_metrics(
            outputs_KNC, targets, auroc=metric == "auroc", count_KCC=count_KCC
        )
    else:
        found |= regression_metrics(
            *(x * problem.target_std + problem.target_mean for x in (outputs_KNC, targets))
        )
    # All numbers with one wait for the device.
    rows = torch.stack([tensor.float() for tensor in found.values()], dim=1).tolist()
    return [dict(zip(found, row, strict=True)) for row in rows]
