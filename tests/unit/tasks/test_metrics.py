from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
import torch

from hpsearch.spec.problem import Problem
from hpsearch.spec.task import TASKS
from hpsearch.tasks.classification.measure import metrics_of as classification_metrics
from hpsearch.tasks.regression import learning as of_numbers
from hpsearch.tasks.regression.learning import metrics_of as regression_metrics
from tests.later import Later

sk = Later("sklearn.metrics")
tm = Later("torchmetrics.functional.classification")
tm_numbers = Later("torchmetrics.functional.regression")

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def slots(metrics: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """The numbers of each slot."""
    return [
        dict(zip(metrics, map(float, row), strict=True))
        for row in zip(*metrics.values(), strict=True)
    ]


def by_scikit_learn(logits: Tensor, targets: Tensor) -> dict[str, float]:
    probabilities, predicted = logits.double().softmax(1).numpy(), logits.argmax(1).numpy()
    macro = {"average": "macro", "zero_division": 0.0}
    there = sorted(set(targets.tolist()))
    ranked = probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
    if len(there) < probabilities.shape[1]:  # it refuses a class without rows: one by one then
        areas = [sk.roc_auc_score(targets == c, probabilities[:, c]) for c in there]
        auroc = sum(areas) / len(areas)
    else:
        auroc = sk.roc_auc_score(targets, ranked, multi_class="ovr")
    return {
        "accuracy": sk.accuracy_score(targets, predicted),
        "precision": sk.precision_score(targets, predicted, **macro),
        "recall": sk.recall_score(targets, predicted, **macro),
        "f1": sk.f1_score(targets, predicted, **macro),
        "auroc": auroc,
    }


def by_torchmetrics(logits: Tensor, targets: Tensor) -> dict[str, float]:
    classes = logits.shape[1]
    macro = {
        "precision": tm.multiclass_precision,
        "recall": tm.multiclass_recall,
        "f1": tm.multiclass_f1_score,
    }
    found = {name: metric(logits, targets, classes) for name, metric in macro.items()}
    found["accuracy"] = tm.multiclass_accuracy(logits, targets, classes, average="micro")
    with warnings.catch_warnings():  # a class without rows counts as 0 there
        warnings.simplefilter("ignore")
        areas = tm.multiclass_auroc(logits.double().softmax(1), targets, classes, average="none")
    found["auroc"] = areas[targets.unique()].mean()
    return {name: float(value) for name, value in found.items()}


def uneven(classes: int, rows: int = 200, missing: int | None = None) -> tuple[Tensor, Tensor]:
    """Logits of four slots, and targets: the slots are right more and more often.

    Of three classes or more the first slot never predicts the last; no row is of `missing`.
    """
    torch.manual_seed(classes)
    targets = torch.randint(0, classes, (rows,))
    if missing is not None:
        targets[targets == missing] = (missing + 1) % classes
    logits = torch.randn(4, rows, classes)
    logits[:, range(rows), targets] += torch.arange(4.0).unsqueeze(1)
    logits[:, :, 0] += 1  # so that the mean over classes is not the mean over rows
    logits[0, :, -1] -= 100 if classes > 2 else 0
    return logits, targets


@pytest.mark.parametrize(
    ("classes", "missing"), [(2, None), (3, None), (5, None), (10, None), (5, 4), (5, 2), (10, 0)]
)
def test_classification_is_what_both_libraries_measure(classes: int, missing: int | None) -> None:
    logits, targets = uneven(classes, missing=missing)
    ours = slots(classification_metrics(logits, targets, auroc=True))
    assert len(ours) == 4
    for slot, mine in zip(logits, ours, strict=True):
        assert mine == pytest.approx(by_scikit_learn(slot, targets), rel=1e-5)
        assert mine == pytest.approx(by_torchmetrics(slot, targets), rel=1e-5)
    assert len({mine["f1"] for mine in ours}) == 4


def test_a_class_that_is_nowhere_in_one_slot_counts_for_nothing_in_that_one() -> None:
    logits, targets = uneven(5, missing=4)
    assert {4} & set(logits[0].argmax(1).tolist()) == set()
    assert {4} < set(logits[1].argmax(1).tolist())
    together = slots(classification_metrics(logits, targets))
    for k in range(4):
        assert slots(classification_metrics(logits[k : k + 1], targets)) == [together[k]]


def test_one_logit_is_the_second_of_two_classes() -> None:
    torch.manual_seed(0)
    logit, targets = torch.randn(3, 100, 1), torch.randint(0, 2, (100,))
    two = torch.cat([torch.zeros(3, 100, 1), logit], dim=2)
    ours = slots(classification_metrics(logit, targets, auroc=True))
    theirs = slots(classification_metrics(two, targets, auroc=True))
    for k in range(3):
        assert ours[k] == pytest.approx(theirs[k])
        right = float(((logit[k, :, 0] > 0).long() == targets).float().mean())
        assert ours[k]["accuracy"] == pytest.approx(right)


def test_a_class_without_rows_is_no_trouble() -> None:
    logits = torch.eye(3)[[0, 0, 1, 1]].unsqueeze(0) * 5
    (ours,) = slots(classification_metrics(logits, torch.tensor([0, 0, 1, 1]), auroc=True))
    assert ours == dict.fromkeys(("accuracy", "precision", "recall", "f1", "auroc"), 1.0)


@pytest.mark.parametrize("outputs", [1, 5])
def test_a_slot_that_is_not_finite_leaves_the_others_alone(outputs: int) -> None:
    logits, targets = uneven(max(outputs, 2))
    logits = logits[:, :, :outputs]
    mad = logits.clone()
    mad[1] = torch.nan
    sane, found = (slots(classification_metrics(x, targets, auroc=True)) for x in (logits, mad))
    assert [found[k] for k in (0, 2, 3)] == [sane[k] for k in (0, 2, 3)]


def test_auroc_only_where_asked_for() -> None:
    assert "auroc" not in classification_metrics(torch.randn(2, 9, 3), torch.arange(9) % 3)


def by_margins(logits: Tensor, targets: Tensor) -> float:
    """The area under the curve of the odds of each class, which never saturate."""
    areas = []
    for one in range(logits.shape[1]):
        others = [other for other in range(logits.shape[1]) if other != one]
        margins = logits[:, one].double() - logits[:, others].double().logsumexp(1)
        areas.append(sk.roc_auc_score(targets == one, margins))
    return sum(areas) / len(areas)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_auroc_ranks_rows_whose_softmax_is_1(classes: int) -> None:
    logits, targets = uneven(classes)
    logits *= 200
    assert (logits.double().softmax(2) == 1).double().mean() > 0.02, "nor do twice the digits help"
    areas = classification_metrics(logits, targets, auroc=True)["auroc"].tolist()
    assert areas == pytest.approx([by_margins(slot, targets) for slot in logits], abs=1e-6)
    assert classification_metrics(logits.double(), targets, auroc=True)["auroc"].tolist() == areas


def test_auroc_of_rows_in_order_is_1_and_of_equal_ones_a_half() -> None:
    targets = torch.arange(101) // 90
    sure = torch.stack([torch.zeros(101), 20 + torch.arange(101.0)], dim=1).unsqueeze(0)
    assert classification_metrics(sure, targets, auroc=True)["auroc"].tolist() == [1.0]
    for classes in (1, 2, 3):
        same = torch.full((1, 101, classes), 0.3)
        assert classification_metrics(same, targets, auroc=True)["auroc"].tolist() == [0.5]


def test_auroc_of_one_class_is_no_number() -> None:
    logits = torch.randn(2, 9, 3)
    areas = classification_metrics(logits, torch.zeros(9, dtype=torch.int64), auroc=True)["auroc"]
    assert areas.isnan().all()


def test_regression_is_what_both_libraries_measure() -> None:
    torch.manual_seed(0)
    targets = torch.rand(100, 1) * 50_000
    predictions = targets + torch.randn(3, 100, 1) * torch.tensor([500.0, 5e3, 5e4]).view(3, 1, 1)
    for p, ours in zip(predictions, slots(regression_metrics(predictions, targets)), strict=True):
        mse = sk.mean_squared_error(targets, p)
        mae, r2 = sk.mean_absolute_error(targets, p), sk.r2_score(targets, p)
        assert ours == pytest.approx({"mse": mse, "rmse": mse**0.5, "mae": mae, "r2": r2}, rel=1e-4)
        theirs = {
            "mse": tm_numbers.mean_squared_error(p, targets),
            "rmse": tm_numbers.mean_squared_error(p, targets, squared=False),
            "mae": tm_numbers.mean_absolute_error(p, targets),
            "r2": tm_numbers.r2_score(p, targets),
        }
        assert ours == pytest.approx({n: float(v) for n, v in theirs.items()}, rel=1e-4)


@pytest.mark.parametrize(("mean", "std"), [(1.7e9, 10.0), (1e6, 1.0), (0.0, 1e25)])
def test_numbers_of_any_size_are_measured_to_their_digits(mean: float, std: float) -> None:
    problem = Problem("regression", "rows", (1,), 1, (), target_mean=mean, target_std=std)
    outputs, targets = torch.tensor([[[0.0], [1.0]]]), torch.tensor([[0.0], [1.1]])
    ours = of_numbers.measure(outputs, targets, problem, ()).metrics
    assert float(ours["rmse"]) == pytest.approx(std * 0.005**0.5)
    assert float(ours["mae"]) == pytest.approx(std * 0.05)
    assert float(ours["r2"]) == pytest.approx(1 - 0.005 / 0.3025)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_every_metric_is_measured(task: str) -> None:
    if task == "classification":
        logits, targets = torch.randn(2, 9, 3), torch.arange(9) % 3
        ours = classification_metrics(logits, targets, auroc=True)
    else:
        ours = regression_metrics(torch.randn(2, 9, 1), torch.randn(9, 1))
    wanted = {metric.name for metric in TASKS[task].metrics}
    assert {*ours, "loss"} == wanted
    assert {number.shape for number in ours.values()} == {(2,)}
