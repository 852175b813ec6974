"""A training loop that trains nothing, for hpsearch and for Optuna: the rest is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

    import hpsearch


def train(run: hpsearch.Run) -> None:
    """hpsearch's."""
    for epoch in run.epochs():
        run.report(value=run.lr + epoch)


def objective(trial: optuna.Trial, epochs: int) -> float:
    """Optuna's."""
    lr = trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True)
    trial.suggest_float("label_smoothing", 0.0, 0.2)
    trial.suggest_float("beta1", 0.8, 0.99)
    for epoch in range(1, epochs + 1):
        trial.report(lr + epoch, epoch)
    return lr + epochs
