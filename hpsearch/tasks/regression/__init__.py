"""A number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.tasks import Baseline, Loss, Metric, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["TASK", "baseline", "scores"]


def baseline(train: NDArray[Any], validation: NDArray[Any], classes: Sequence[str]) -> Baseline:
    """The mean of the training rows as the answer for every validation row."""
    return Baseline("mean of the target", scores(train.mean(), validation))


def scores(answers: NDArray[Any] | float, targets: NDArray[Any]) -> dict[str, float]:
    """mse, rmse, mae and, where the targets differ, r2 of answers (N,) or of one answer for all, in
    the unit of both."""
    error = targets - answers
    mse, variance = float((error**2).mean()), float(targets.var())
    values = {"mse": mse, "rmse": mse**0.5, "mae": float(abs(error).mean())}
    if targets.max() > targets.min():  # the variance of equal numbers is not quite 0
        values["r2"] = 1 - mse / variance
    return values


TASK = Task(
    name="regression",
    doc="Predicts a number for each row.",
    target="numbers",
    # Of a target of mean 0 and deviation 1, as in a normal distribution, the mean is always off by
    # 1, sqrt(2 / pi), and the same integral of Huber's loss.
    losses=(
        Loss("mse", "mean squared error", guess=1.0),
        Loss("l1", "mean absolute error", guess=0.8),
        Loss("huber", "squared up to an error of 1, absolute beyond", guess=0.42),
    ),
    metrics=(
        Metric("loss", "minimize", "the training loss", 0),
        Metric("mse", "minimize", "mean squared error, in the target's unit squared", 0),
        Metric("rmse", "minimize", "root of the mean squared error", 0),
        Metric("mae", "minimize", "mean absolute error, in the target's unit", 0),
        Metric("r2", "maximize", "share of the variance explained", high=1, varied=True),
    ),
    learning="hpsearch.tasks.regression.learning",
    baseline=baseline,
    usual=True,
)
