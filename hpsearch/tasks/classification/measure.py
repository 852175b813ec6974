"""The numbers measured of classes after every epoch, for many candidates at once.

Shapes: `K` slots, `N` rows, `C` classes. All functions take the whole part at once, on any device,
and leave the numbers there, so that the caller can fetch all of them with one wait for the device.

The counts behind accuracy, precision, recall and f1 are one `bincount` for all slots: 0.05 ms for
32 slots of 270 rows, where torchmetrics takes 12 ms, and 0.2 ms for 8 of 9,000, where it takes 4 ms
(and its import 1.8 s). The tests hold every number against torchmetrics'. `auroc` is torchmetrics'
own and is measured only where the study asks for it: it sorts every class of every slot.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["confusion", "metrics_of", "of_each_class"]


def metrics_of(
    logits: Tensor, targets_N: Tensor, *, auroc: bool = False, count_KCC: Tensor | None = None
) -> dict[str, Tensor]:
    """Accuracy over rows; precision, recall, f1 (and auroc) as the mean over classes; (K,) each.

    `logits` are float32 (K, N, C), or (K, N, 1) for the second of two classes against the first;
    `count_KCC` is their `confusion`, where it has been counted already. Classes that appear neither
    in the targets nor in the predictions count for nothing.
    """
    logits = of_each_class(logits)
    if count_KCC is None:
        count_KCC = confusion(logits, targets_N)
    right_KC = count_KCC.diagonal(dim1=1, dim2=2)
    true_KC, predicted_KC = count_KCC.sum(dim=2), count_KCC.sum(dim=1)
    there_KC = true_KC + predicted_KC > 0

    def mean(share_KC: Tensor) -> Tensor:
        return (share_KC * there_KC).sum(dim=1) / there_KC.sum(dim=1)

    metrics = {
        "accuracy": right_KC.sum(dim=1) / len(targets_N),
        "precision": mean(right_KC / predicted_KC.clamp(min=1)),
        "recall": mean(right_KC / true_KC.clamp(min=1)),
        "f1": mean(2 * right_KC / (true_KC + predicted_KC).clamp(min=1)),
    }
    if auroc:
        metrics["auroc"] = torch.stack([_auroc(logits_NC, targets_N) for logits_NC in logits])
    return metrics


def of_each_class(logits: Tensor) -> Tensor:
    """(K, N, C), where two classes have one logit too."""
    return torch.cat([torch.zeros_like(logits), logits], dim=2) if logits.shape[2] == 1 else logits


def confusion(logits: Tensor, targets_N: Tensor) -> Tensor:
    """(K, C, C): rows of the class of the second axis that were given that of the third.

    `logits` are those of `metrics_of`.
    """
    logits = of_each_class(logits)
    predicted_KN, classes = logits.argmax(dim=2), logits.shape[2]
    slots = len(predicted_KN)
    slot_K1 = torch.arange(slots, device=predicted_KN.device).unsqueeze(1)
    cell_KN = (slot_K1 * classes + targets_N) * classes + predicted_KN
    counts = torch.bincount(cell_KN.flatten(), minlength=slots * classes * classes)
    return counts.view(slots, classes, classes)


def _auroc(logits_NC: Tensor, targets_N: Tensor) -> Tensor:
    """The mean over classes that have rows: torchmetrics would count the others as 0."""
    from torchmetrics.functional.classification import multiclass_auroc

    rows, classes = logits_NC.shape
    with warnings.catch_warnings():  # it warns of these classes
        warnings.simplefilter("ignore")
        area_C: Tensor = multiclass_auroc(
            logits_NC.softmax(dim=1), targets_N, classes, average="none", validate_args=False
        )
    count_C = torch.bincount(targets_N, minlength=classes)
    return area_C[(count_C > 0) & (count_C < rows)].mean()
