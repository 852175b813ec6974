"""Settings that can never be trained together."""

from __future__ import annotations

import pytest

from hpsearch.spec.conflicts import SettingsError, check
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.task import TASKS

KNOWN = FAMILIES["mlp"].vocabulary()
MLP = KNOWN.defaults


@pytest.mark.parametrize(
    ("settings", "task", "classes", "why"),
    [
        ({"batch_norm": True, "batch_size": 1}, None, None, "batches of 2 rows or more"),
        (
            {"label_smoothing": 0.1},
            "regression",
            0,
            "for classification; the loss mse is for anomaly and regression",
        ),
        (
            {"label_smoothing": 0.1, "loss": "l1"},
            None,
            None,
            "the loss l1 is for anomaly and regression",
        ),
        ({"class_weight": "balanced"}, "regression", 0, "class_weight is for classification"),
        ({"loss": "mse"}, "classification", None, "regression, not for classification"),
        ({"loss": "cross_entropy"}, "regression", 0, "for classification, not for regression"),
        ({"loss": "bce"}, "classification", 3, "for 2 classes and there are 3"),
    ],
)
def test_what_can_never_be_trained_is_refused(settings, task, classes, why) -> None:
    with pytest.raises(SettingsError, match=why):
        check({**MLP, **settings}, KNOWN.rules, task, classes)


@pytest.mark.parametrize(
    ("settings", "task", "classes"),
    [
        ({"batch_norm": True, "batch_size": 2}, None, None),
        ({"batch_size": 1}, None, None),
        ({"label_smoothing": 0.1}, None, None),  # by the look of the target, which is not known
        ({"label_smoothing": 0.1}, "classification", 2),
        ({"label_smoothing": 0.0}, "regression", 0),
        ({"loss": "bce"}, "classification", None),
    ],
)
def test_what_may_be_trained_is_not(settings, task, classes) -> None:
    check({**MLP, **settings}, KNOWN.rules, task, classes)


@pytest.mark.parametrize(
    ("task", "classes", "expected"),
    [
        ("classification", 2, "bce"),
        ("classification", 3, "cross_entropy"),
        ("regression", 0, "mse"),
    ],
)
def test_the_task_names_the_loss(task, classes, expected) -> None:
    assert TASKS[task].chosen_loss(None, classes) == expected
    with pytest.raises(SettingsError):
        TASKS[task].chosen_loss("l1" if classes else "bce", classes)
