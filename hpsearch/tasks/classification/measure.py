"""The numbers measured of classes after every epoch, for many candidates at once.

Shapes: `K` slots, `N` rows, `C` classes. All functions take the whole part at once, on any device,
and leave the numbers there, so that the caller can fetch all of them with one wait for the device.

The counts behind accuracy, precision, recall and f1 are one `bincount` for all slots: 0.05 ms for
32 slots of 270 rows, where torchmetrics takes 12 ms, and 0.2 ms for 8 of 9,000, where it takes
4 ms. `auroc` sorts the rows of every class of every slot, and is measured only where the study asks
for it: 15 ms for those 32 slots and 10 classes, where torchmetrics takes 80 ms. The tests hold
all numbers against torchmetrics'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hpsearch.tasks import ranking

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
        metrics["auroc"] = _auroc(logits, targets_N)
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


def _auroc(logits: Tensor, targets_N: Tensor) -> Tensor:
    """The mean over classes that have rows, and of which there are others, (K,)."""
    classes = logits.shape[2]
    member_CN = targets_N == torch.arange(classes, device=targets_N.device).unsqueeze(1)
    margin_CKN = _margins(logits).permute(2, 0, 1).contiguous()
    area_CK = torch.stack([
        ranking.auroc(margin_KN[:, ~member_N], margin_KN[:, member_N])
        for margin_KN, member_N in zip(margin_CKN, member_CN, strict=True)
    ])  # fmt: skip
    count_C1 = member_CN.sum(dim=1, keepdim=True)
    has_both_C1 = (count_C1 > 0) & (count_C1 < len(targets_N))
    return area_CK.where(has_both_C1, 0).sum(dim=0) / has_both_C1.sum()


def _margins(logits: Tensor) -> Tensor:
    """How far each class is ahead of all others together, (K, N, C): the logarithm of its odds.

    It ranks rows as the probability does, which in single precision is 1 for each logit that is 17
    above the others.
    """
    if logits.shape[2] == 2:
        return logits - logits.flip(2)
    logits = logits - logits.amax(dim=2, keepdim=True)  # which keeps the digits of the nearest
    total_KN1 = logits.logsumexp(dim=2, keepdim=True)
    others_KNC = total_KN1 + (-(logits - total_KN1).exp()).log1p()
    # Of the likeliest class the difference from all would be lost.
    top_KN1 = logits.argmax(dim=2, keepdim=True)
    top_others_KN1 = logits.scatter(2, top_KN1, -torch.inf).logsumexp(dim=2, keepdim=True)
    return logits - others_KNC.scatter(2, top_KN1, top_others_KN1)
