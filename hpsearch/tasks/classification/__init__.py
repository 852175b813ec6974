"""One of several classes."""

import math

from hpsearch.tasks import Loss, Metric, Setting, Task
from hpsearch.tasks.classification.showing import baseline, remark, tables

__all__ = ["CLASS_WEIGHT", "FOCAL_GAMMA", "LABEL_SMOOTHING", "TASK"]

LABEL_SMOOTHING = Setting(
    "label_smoothing", "float", 0.0, "Share of the target spread over all classes.",
    low=0, high=1, open_high=True,
    group="regularization", per_slot=True, more="regularization",
)  # fmt: skip
CLASS_WEIGHT = Setting(
    "class_weight", "choice", "none",
    "Weight of a row in training: 1, or `balanced`, by how rare its class is, rows / "
    "(classes x rows of the class). Metrics and the validation loss are never weighted.",
    choices=("none", "balanced"), later=True,
    group="regularization", per_slot=True,
)  # fmt: skip
FOCAL_GAMMA = Setting(
    "focal_gamma", "float", 2.0,
    "Gamma of the loss `focal`: the higher, the less rows count that are already classified "
    "well. 0 is cross-entropy.",
    low=0, high=20, later=True, rescales=True,
    group="optimizer", per_slot=True,
)  # fmt: skip


def _focal_guess(classes: int) -> float:
    """The focal loss, at the default gamma, of the answer that all classes are as probable."""
    return float((1 - 1 / classes) ** 2 * math.log(classes)) if classes > 1 else 1.0


TASK = Task(
    name="classification",
    doc="Predicts which of several classes a row belongs to.",
    target="classes",
    losses=(
        Loss("bce", "binary cross-entropy of one output, the logit of the second class", classes=2,
             scale="nats", outputs=1),
        Loss("cross_entropy", "cross-entropy of an output a class", scale="nats"),
        Loss("focal", "the same, in which rows that are classified well count less, by "
             "`focal_gamma`", guess=_focal_guess),
    ),
    metrics=(
        Metric("accuracy", "maximize", "share of rows classified correctly", 0, 1),
        Metric("precision", "maximize", "mean over classes", 0, 1, varied=True, macro=True),
        Metric("recall", "maximize", "mean over classes", 0, 1, varied=True, macro=True),
        Metric("f1", "maximize", "mean over classes", 0, 1, varied=True, macro=True),
        Metric("auroc", "maximize", "area under the ROC curve, mean over classes", 0, 1,
               varied=True, costly=True),
        Metric("loss", "minimize", "the training loss, unsmoothed", 0),
    ),
    learning="hpsearch.tasks.classification.learning",
    baseline=baseline,
    settings=(LABEL_SMOOTHING, CLASS_WEIGHT, FOCAL_GAMMA),
    usual=True,
    tables=tables,
    remark=remark,
)  # fmt: skip
