"""Rows unlike those that a network was trained on."""

from hpsearch.tasks import Loss, Metric, Task
from hpsearch.tasks.anomaly.showing import remark, summary, tables

__all__ = ["TASK"]

TASK = Task(
    name="anomaly",
    doc="Finds strange rows: a network learns to reproduce normal rows, and fails at others.",
    target="inputs",
    # Of inputs of mean 0 and deviation 1, as for the standardised numbers of a regression.
    losses=(
        Loss("mse", "mean squared error", guess=1.0),
        Loss("l1", "mean absolute error", guess=0.8),
        Loss("huber", "squared up to an error of 1, absolute beyond", guess=0.42),
    ),
    metrics=(
        Metric("auroc", "maximize", "area under the ROC curve of a row's error", 0, 1,
               varied=True),
        Metric("reconstruction", "minimize", "mean squared error of the normal rows, of "
               "standardised inputs", 0),
        Metric("loss", "minimize", "the training loss of the normal rows", 0),
    ),
    learning="hpsearch.tasks.anomaly.learning",
    baseline=None,
    around="hpsearch.tasks.anomaly.errors:Errors",
    tables=tables,
    summary=summary,
    remark=remark,
)  # fmt: skip
