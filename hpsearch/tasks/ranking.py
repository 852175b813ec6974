"""How well a score tells two kinds of rows apart, for many candidates at once.

Shapes: `K` slots, `L` rows of the low kind, `H` rows of the high one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["auroc"]


def auroc(low_KL: Tensor, high_KH: Tensor) -> Tensor:
    """How often a high row has a larger score than a low one, ties by half: the area under the ROC
    curve (Mann and Whitney 1947; Hanley and McNeil 1982), (K,). NaN where a kind has no rows.

    It is counted in whole numbers, so what is told apart without a fault is exactly 1.
    """
    low_KL, high_KH = low_KL.contiguous().sort(dim=1).values, high_KH.contiguous()
    below, upto = (
        torch.searchsorted(low_KL, high_KH, right=right).sum(dim=1) for right in (False, True)
    )
    return (below + upto) / (2 * low_KL.shape[1] * high_KH.shape[1])
