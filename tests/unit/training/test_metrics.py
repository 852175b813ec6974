from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from sklearn import metrics as sk

from hpsearch import catalog
from hpsearch.training.metrics import classification_metrics, regression_metrics

if TYPE_CHECKING:
    import numpy as np


def plain(metrics) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def expected(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    predicted = probabilities.argmax(1)
    macro = {"average": "macro", "zero_division": 0.0}
    two = probabilities.shape[1] == 2
    return {
        "accuracy": sk.accuracy_score(targets, predicted),
        "precision": sk.precision_score(targets, predicted, **macro),
        "recall": sk.recall_score(targets, predicted, **macro),
        "f1": sk.f1_score(targets, predicted, **macro),
        "auroc": sk.roc_auc_score(targets, probabilities[:, 1] if two else probabilities,
                                  multi_class="ovr"),
    }  # fmt: skip


@pytest.mark.parametrize("classes", [2, 5])
def test_classification_is_what_scikit_learn_measures(classes: int) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(200, classes), torch.randint(0, classes, (200,))
    logits[range(200), targets] += 1
    logits[:, 0] += 1  # uneven, so that macro and micro differ
    ours = classification_metrics(logits, targets, auroc=True)
    assert plain(ours) == pytest.approx(expected(logits.softmax(1).numpy(), targets.numpy()), 1e-5)


def test_one_logit_is_the_second_of_two_classes() -> None:
    torch.manual_seed(0)
    logit, targets = torch.randn(100, 1), torch.randint(0, 2, (100,))
    two = torch.cat([torch.zeros(100, 1), logit], dim=1)
    ours = plain(classification_metrics(logit, targets, auroc=True))
    assert ours == pytest.approx(plain(classification_metrics(two, targets, auroc=True)))
    assert ours["accuracy"] == pytest.approx(
        float(((logit[:, 0] > 0).long() == targets).float().mean())
    )


def test_a_class_without_rows_is_no_trouble() -> None:
    logits = torch.eye(3)[[0, 0, 1, 1]] * 5
    ours = plain(classification_metrics(logits, torch.tensor([0, 0, 1, 1]), auroc=True))
    assert ours == dict.fromkeys(("accuracy", "precision", "recall", "f1", "auroc"), 1.0)


def test_auroc_only_where_asked_for() -> None:
    assert "auroc" not in classification_metrics(torch.randn(9, 3), torch.arange(9) % 3)


def test_regression_is_what_scikit_learn_measures() -> None:
    torch.manual_seed(0)
    targets = torch.rand(100, 1) * 50_000
    predictions = targets + torch.randn(100, 1) * 5_000
    ours = plain(regression_metrics(predictions, targets))
    p, t = predictions.numpy(), targets.numpy()
    assert ours == pytest.approx(
        {
            "mse": sk.mean_squared_error(t, p),
            "rmse": sk.mean_squared_error(t, p) ** 0.5,
            "mae": sk.mean_absolute_error(t, p),
            "r2": sk.r2_score(t, p),
        },
        rel=1e-4,
    )


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_metric_of_the_catalog_is_measured(task: str) -> None:
    if task == "classification":
        ours = classification_metrics(torch.randn(9, 3), torch.arange(9) % 3, auroc=True)
    else:
        ours = regression_metrics(torch.randn(9, 1), torch.randn(9, 1))
    wanted = {name for name, metric in catalog.METRICS.items() if task in metric.tasks}
    assert {*ours, "loss"} == wanted
