"""The functions of `tasks.learning.Learning` for anomalies.

Shapes: `K` slots, `N` rows, `M` errors of a row (`Errors`), `C` classes. Targets are int64 (N,), or
(K, N) in training: the class of each row, 0 where there are none, `REFERENCE` for training rows
that are measured beside the validation rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hpsearch.spec.problem import REFERENCE
from hpsearch.tasks import ranking
from hpsearch.tasks.anomaly.errors import LOSSES
from hpsearch.tasks.anomaly.showing import NORMAL, STRANGE
from hpsearch.tasks.learning import LossFunction, Measured, Predicted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.spec.problem import Problem

__all__ = ["constant_loss", "encode", "loss", "measure", "predictions"]

_QUANTILE = 0.95
"""The share of training rows whose error is at most the threshold: about one normal row in twenty
is called strange."""


def encode(targets: NDArray[Any], problem: Problem) -> Tensor:
    """The classes' indices as they are, int64 (N,)."""
    return torch.from_numpy(targets)


def loss(
    name: str, settings: Sequence[Mapping[str, Any]], targets: Tensor, problem: Problem
) -> LossFunction:
    """The mean over normal rows; the slots' settings change nothing."""
    every = bool(_normal(targets, problem).all())

    def mean(errors_KNM: Tensor, targets: Tensor) -> Tensor:
        loss_KN = errors_KNM[:, :, -1]
        if every:  # as in training
            return loss_KN.mean(dim=1)
        normal = _normal(targets, problem).expand(loss_KN.shape)
        return loss_KN.where(normal, 0).sum(dim=1) / normal.sum(dim=1)

    return mean


def measure(
    outputs_KNC: Tensor, targets: Tensor, problem: Problem, wanted: Collection[str]
) -> Measured:
    """All metrics, by each row's squared error; beside them the threshold, by the training rows
    among these, and the rows of each class above it."""
    error_KN, normal_N = outputs_KNC[:, :, 0], _normal(targets, problem)
    reference_N = targets == REFERENCE
    strange_N = ~(normal_N | reference_N)
    usual_KN = error_KN[:, normal_N]
    metrics = {"reconstruction": usual_KN.mean(dim=1)}
    if strange_N.any():  # else there is nothing to tell normal rows from
        metrics["auroc"] = ranking.auroc(usual_KN, error_KN[:, strange_N])
    if not reference_N.any():
        return Measured(metrics)
    threshold_K = error_KN[:, reference_N].quantile(_QUANTILE, dim=1)
    above_KN = (error_KN > threshold_K.unsqueeze(1)).to(error_KN.dtype)
    classes = max(len(problem.classes), 1)
    member_NC = torch.stack([targets == one for one in range(classes)], dim=1).to(error_KN.dtype)
    return Measured(metrics, {
        "threshold": threshold_K,
        "strange": (above_KN @ member_NC).long(),
        "rows": member_NC.sum(dim=0).long().expand(len(error_KN), -1),
        "normal": _normal(torch.arange(classes, device=targets.device), problem).expand(
            len(error_KN), -1
        ),
    })  # fmt: skip


def constant_loss(
    name: str, settings: Mapping[str, Any], targets: Tensor, problem: Problem
) -> float:
    """The loss of the mean of these inputs (N, D)."""
    constant = targets.mean(dim=0, keepdim=True).expand_as(targets)
    return float(LOSSES[name](constant, targets))


def predictions(outputs_NC: Tensor, problem: Problem) -> Predicted:
    """Each row's error, and whether that is above the threshold."""
    score_N = outputs_NC[:, 0]
    assert problem.threshold is not None
    above = (score_N > problem.threshold).tolist()
    verdicts = tuple(STRANGE if is_above else NORMAL for is_above in above)
    return Predicted(verdicts, scores=score_N.numpy())


def _normal(targets: Tensor, problem: Problem) -> Tensor:
    """Whether rows are normal, by their class; training rows among validation rows do not count."""
    if not problem.normal:
        return targets != REFERENCE
    # The last one is that of REFERENCE, -1.
    kinds = [name in problem.normal for name in problem.classes] + [False]
    return torch.tensor(kinds, device=targets.device)[targets]
