"""What is measured of reconstruction errors, and what is shown of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpsearch.spec.problem import REFERENCE, Problem
from hpsearch.spec.task import TASKS
from hpsearch.tasks import Result
from hpsearch.tasks.anomaly import learning
from hpsearch.tasks.anomaly.errors import Errors
from tests.later import Later

sk = Later("sklearn.metrics")

PROBLEM = Problem("anomaly", "rows", (3,), 3, ("bag", "boot", "coat"), normal=("bag", "coat"))
BARE = Problem("anomaly", "rows", (3,), 3, ())
TASK = TASKS["anomaly"]


def part(count: int = 60, ties: bool = False) -> tuple[Tensor, Tensor]:
    """Errors (2, N, 1) of rows of three classes and of training rows, and their targets."""
    generator = torch.Generator().manual_seed(0)
    errors = torch.rand(2, count, 1, generator=generator)
    targets = torch.randint(0, 3, (count,), generator=generator)
    targets[-20:] = REFERENCE
    return (errors * 5).round() if ties else errors, targets


def measured(errors: Tensor, targets: Tensor, problem: Problem = PROBLEM) -> Any:
    return learning.measure(errors, targets, problem, ["auroc"])


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_is_scikit_learns(ties: bool) -> None:
    errors, targets = part(ties=ties)
    metrics = measured(errors, targets).metrics
    seen = targets != REFERENCE
    for slot in range(2):
        area = sk.roc_auc_score(targets[seen] == 1, errors[slot, seen, 0])
        assert float(metrics["auroc"][slot]) == pytest.approx(area, abs=1e-6)


def test_where_all_rows_are_normal_there_is_no_auroc() -> None:
    errors, targets = part()
    assert {*measured(errors, targets.clamp(max=0), BARE).metrics} == {"reconstruction"}


def test_the_error_is_that_of_normal_rows_alone() -> None:
    errors, targets = part()
    normal = (targets == 0) | (targets == 2)
    expected = errors[:, normal, 0].mean(dim=1)
    assert torch.allclose(measured(errors, targets).metrics["reconstruction"], expected)
    loss = learning.loss("mse", [{}, {}], targets, PROBLEM)
    assert torch.allclose(loss(errors, targets), expected)
    of_every_row = learning.loss("mse", [{}, {}], targets, BARE)(errors, targets)
    assert torch.allclose(of_every_row, errors[:, targets != REFERENCE, 0].mean(dim=1))


def test_the_threshold_is_a_quantile_of_the_training_rows() -> None:
    errors, targets = part()
    details = measured(errors, targets).details
    for slot in range(2):
        limit = np.quantile(errors[slot, -20:, 0].numpy(), 0.95)
        assert float(details["threshold"][slot]) == pytest.approx(limit, rel=1e-6)
        above = [int((errors[slot, targets == one, 0] > limit).sum()) for one in range(3)]
        assert details["strange"][slot].tolist() == above
    assert details["rows"][0].tolist() == [int((targets == one).sum()) for one in range(3)]
    assert details["normal"][0].tolist() == [True, False, True]


def test_without_training_rows_there_is_no_threshold() -> None:
    errors, targets = part()
    assert not measured(errors[:, :40], targets[:40]).details


def test_a_rows_error_and_its_loss_are_the_means_over_its_numbers() -> None:
    inputs = torch.randn(5, 2, 3)
    halves = nn.Sequential(nn.Flatten(), nn.Linear(6, 6))
    off = halves(inputs) - inputs.flatten(1)
    square, absolute = off.square().mean(1), off.abs().mean(1)
    assert torch.equal(Errors(halves, "mse")(inputs), square.unsqueeze(1))
    errors = Errors(halves, "l1")(inputs)
    assert torch.allclose(errors, torch.stack([square, absolute], dim=1))
    loss = learning.loss("l1", [{}], torch.zeros(5, dtype=torch.int64), PROBLEM)
    assert torch.allclose(loss(errors.unsqueeze(0), torch.zeros(5).long()), absolute.mean())


def test_a_row_above_the_threshold_is_strange() -> None:
    problem = Problem("anomaly", "rows", (3,), 3, (), threshold=0.5)
    found = learning.predictions(torch.tensor([[0.4, 9], [0.6, 0]], dtype=torch.float64), problem)
    assert found.values == ("normal", "strange")
    assert found.scores is not None
    assert found.scores.tolist() == [0.4, 0.6]


def result(auroc: float, mean: float) -> Result:
    details = {"threshold": 0.25, "rows": [40, 0, 10], "strange": [2, 0, 9],
               "normal": [True, True, False]}  # fmt: skip
    return Result(details, ("a", "b", "c"), "auroc", {}, {"auroc": auroc}, {"auroc": mean})


def test_classes_and_kinds_are_counted_at_the_threshold() -> None:
    listed, matrix = TASK.tables(result(0.9, 0.5))
    assert listed.rows == (
        ("a", "normal", "40", "2", "0.05"), ("c", "strange", "10", "9", "0.90"),
    )  # fmt: skip
    assert matrix.rows == (("normal", "38", "2"), ("strange", "1", "9"))
    details = {"threshold": 0.25, "rows": [40], "strange": [2], "normal": [True]}
    assert TASK.summary(result(0.9, 0.5)) == (
        "calls 2 of 40 normal and 9 of 10 strange validation rows strange"
    )
    (alone,) = TASK.tables(Result(details, (), "reconstruction", {}))
    assert alone.rows == (("all", "normal", "40", "2", "0.05"),)


@pytest.mark.parametrize(
    ("auroc", "mean", "remark"),
    [
        (0.95, 0.75, ""),
        (0.75, 0.75, "is of no use: auroc 0.75 is no better than the distance to the mean row"),
        (0.55, 0.495, "is of no use: auroc 0.55 is hardly better than chance"),
    ],
)
def test_a_network_that_finds_nothing_is_said_to_be_of_no_use(
    auroc: float, mean: float, remark: str
) -> None:
    assert TASK.remark(result(auroc, mean)).startswith(remark)
    assert bool(TASK.remark(result(auroc, mean))) is bool(remark)


def test_nothing_is_remarked_without_labels() -> None:
    assert not TASK.remark(Result({}, (), "reconstruction", {}, {"reconstruction": 1.0}))
