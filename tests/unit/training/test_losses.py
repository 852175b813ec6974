from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hpsearch.training.losses import loss_name, loss_of, outputs_of


@pytest.mark.parametrize(
    ("task", "classes", "expected", "outputs"),
    [
        ("classification", 2, "bce", 1),
        ("classification", 3, "cross_entropy", 3),
        ("regression", 0, "mse", 1),
    ],
)
def test_the_task_names_the_loss(task, classes, expected, outputs) -> None:
    assert loss_name(None, task, classes) == expected
    assert outputs_of(expected, classes) == outputs


def test_cross_entropy_will_do_for_two_classes() -> None:
    assert loss_name("cross_entropy", "classification", 2) == "cross_entropy"
    assert outputs_of("cross_entropy", 2) == 2


@pytest.mark.parametrize(
    ("name", "task", "classes", "words"),
    [
        ("bce", "classification", 10, "bce is for two classes and there are 10"),
        ("cross_entropy", "regression", 0, "for classification, not for regression"),
        ("l1", "classification", 2, "for regression, not for classification"),
    ],
)
def test_a_loss_that_does_not_suit_is_refused(name, task, classes, words) -> None:
    with pytest.raises(ValueError, match=words):
        loss_name(name, task, classes)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_bce_is_cross_entropy_of_two_classes(smoothing: float) -> None:
    logits, targets = torch.randn(50, 1), torch.randint(0, 2, (50,))
    both = torch.cat([torch.zeros(50, 1), logits], dim=1)
    assert torch.allclose(
        loss_of("bce", smoothing)(logits, targets),
        loss_of("cross_entropy", smoothing)(both, targets),
        atol=1e-6,
    )


def test_losses_of_numbers() -> None:
    predictions, targets = torch.randn(2, 50, 1) * 3
    assert loss_of("l1")(predictions, targets) == (predictions - targets).abs().mean()
    assert loss_of("mse")(predictions, targets) == F.mse_loss(predictions, targets)
    assert loss_of("huber")(predictions, targets) == F.smooth_l1_loss(predictions, targets)
    with pytest.raises(ValueError, match="label_smoothing is for classes"):
        loss_of("mse", 0.1)
