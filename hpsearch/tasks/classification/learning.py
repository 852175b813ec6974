"""The functions of `tasks.learning.Learning` for classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hpsearch.tasks.classification.losses import loss_of, weights_of
from hpsearch.tasks.classification.measure import confusion, metrics_of, of_each_class
from hpsearch.tasks.constant import least_constant_loss
from hpsearch.tasks.learning import LossFunction, Measured, Predicted

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.spec.problem import Problem

__all__ = ["constant_loss", "encode", "loss", "measure", "predictions"]

_MOST_CLASSES = 50
"""With more the confusion matrix is not kept: it would be larger than all else of a trial."""


def encode(targets: NDArray[Any], problem: Problem) -> Tensor:
    """The classes' indices as they are, int64 (N,)."""
    return torch.from_numpy(targets)


def loss(
    name: str, settings: Sequence[Mapping[str, Any]], targets: Tensor, problem: Problem
) -> LossFunction:
    """The mean over rows, labels smoothed and rows weighted as each slot's settings say."""
    shares = [float(slot["label_smoothing"]) for slot in settings]
    smoothing = torch.tensor(shares, device=targets.device) if any(shares) else None
    names = [str(slot["class_weight"]) for slot in settings]
    gammas = [float(slot["focal_gamma"]) for slot in settings] if name == "focal" else []
    gamma = torch.tensor(gammas, device=targets.device) if gammas else None
    return loss_of(name, smoothing, weights_of(names, targets, len(problem.classes)), gamma)


def measure(
    outputs_KNC: Tensor, targets: Tensor, problem: Problem, wanted: Collection[str]
) -> Measured:
    """All metrics by one count of who is taken for whom, `auroc` where it is wanted."""
    count_KCC = confusion(outputs_KNC, targets)
    metrics = metrics_of(outputs_KNC, targets, auroc="auroc" in wanted, count_KCC=count_KCC)
    has_matrix = len(problem.classes) <= _MOST_CLASSES
    return Measured(metrics, {"confusion": count_KCC} if has_matrix else {})


def constant_loss(
    name: str, settings: Mapping[str, Any], targets: Tensor, problem: Problem
) -> float:
    """The entropy of the classes' shares: the cross-entropy of these shares as the answer.

    No formula says which answer is best by the focal loss: the shares are not.
    """
    if name == "focal":
        focal = loss(name, [settings], targets, problem)
        return least_constant_loss(focal, targets, len(problem.classes))
    share = torch.unique(targets, return_counts=True)[1] / len(targets)
    return float(-(share * share.log()).sum())


def predictions(outputs_NC: Tensor, problem: Problem) -> Predicted:
    """The most probable class of each row, and the probabilities of all."""
    logits_NC = of_each_class(outputs_NC.unsqueeze(0)).squeeze(0)
    names = tuple(problem.classes[at] for at in logits_NC.argmax(dim=1).tolist())
    return Predicted(names, logits_NC.softmax(dim=1).numpy())
