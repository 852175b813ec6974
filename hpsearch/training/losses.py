"""What training minimises.

Shapes: `N` batch, `K` classes. Targets of classes are int64 (N,), of numbers float32 (N, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional as F  # noqa: N812 -- its usual name

from hpsearch.catalog import LOSSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.catalog import Task

__all__ = ["Loss", "loss_name", "loss_of", "outputs_of"]

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits or predictions, targets) -> the mean over the batch, a tensor of no dimensions."""


def loss_name(name: str | None, task: Task, classes: int) -> str:
    """The loss to use: `name`, or by the task where that is None. ValueError for a bad match."""
    if name is None:
        if task == "regression":
            return "mse"
        return "bce" if classes == 2 else "cross_entropy"
    if task not in LOSSES[name]:
        raise ValueError(f"the loss {name} is for {' and '.join(LOSSES[name])}, not for {task}")
    if name == "bce" and classes != 2:
        raise ValueError(f"the loss bce is for two classes and there are {classes}")
    return name


def outputs_of(loss: str, classes: int) -> int:
    """How many outputs a network needs for that loss: K for cross_entropy, else 1."""
    return classes if loss == "cross_entropy" else 1


def loss_of(name: str, label_smoothing: float = 0.0) -> Loss:
    """The loss function of that name.

    Label smoothing spreads that share of the target evenly over all classes (Szegedy et al. 2016),
    as `torch.nn.functional.cross_entropy` does, and for bce likewise. ValueError for numbers.
    """
    if label_smoothing and name in _PLAIN:
        raise ValueError(f"label_smoothing is for classes; the loss {name} is for numbers")
    if name == "cross_entropy":
        return partial(F.cross_entropy, label_smoothing=label_smoothing)
    if name == "bce":
        return partial(_bce, label_smoothing=label_smoothing)
    return _PLAIN[name]


_PLAIN: Mapping[str, Loss] = {"mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss}


def _bce(logits_N1: Tensor, targets_N: Tensor, label_smoothing: float) -> Tensor:
    targets_N1 = targets_N.unsqueeze(1).to(logits_N1.dtype)
    if label_smoothing:
        targets_N1 = targets_N1 * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(logits_N1, targets_N1)
