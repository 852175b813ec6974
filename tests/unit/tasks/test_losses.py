from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hpsearch.spec.problem import Problem
from hpsearch.spec.task import TASKS, possible
from hpsearch.tasks.classification import losses as of_classes
from hpsearch.tasks.classification.losses import balanced, weights_of
from hpsearch.tasks.learning import LossFunction, learning
from hpsearch.tasks.regression import learning as of_numbers


def task_of(loss: str) -> str:
    return next(task.name for task in possible(None) if task.loss(loss))


def outputs_of(loss: str, classes: int) -> int:
    problem = Problem(task_of(loss), "rows", (1,), 0, tuple(map(str, range(classes))))
    return TASKS[problem.task].outputs(loss, problem)


def loss_of(name: str, *options: Tensor | None) -> LossFunction:
    if task_of(name) == "regression":
        return of_numbers.loss_of(name)
    return of_classes.loss_of(name, *options)


@pytest.mark.parametrize(
    ("task", "classes", "expected", "outputs"),
    [
        ("classification", 2, "bce", 1),
        ("classification", 3, "cross_entropy", 3),
        ("regression", 0, "mse", 1),
    ],
)
def test_the_task_names_the_loss(task, classes, expected, outputs) -> None:
    assert TASKS[task].chosen_loss(None, classes) == expected
    assert outputs_of(expected, classes) == outputs


def test_cross_entropy_will_do_for_two_classes() -> None:
    assert TASKS["classification"].chosen_loss("cross_entropy", 2) == "cross_entropy"
    assert outputs_of("cross_entropy", 2) == 2


SMOOTHING = (0.0, 0.1, 0.7)
"""Of three slots."""


@pytest.mark.parametrize("smoothing", [None, SMOOTHING])
@pytest.mark.parametrize("shared", [False, True])
def test_cross_entropy_is_torchs_in_every_slot(smoothing, shared: bool) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 50, 4), torch.randint(0, 4, (50,) if shared else (3, 50))
    ours = loss_of("cross_entropy", smoothing and torch.tensor(smoothing))(logits, targets)
    theirs = [
        F.cross_entropy(logits[k], targets.expand(3, 50)[k], label_smoothing=share)
        for k, share in enumerate(smoothing or [0.0] * 3)
    ]
    assert ours.tolist() == pytest.approx([float(loss) for loss in theirs], rel=1e-6)


@pytest.mark.parametrize("smoothing", [None, SMOOTHING])
@pytest.mark.parametrize("shared", [False, True])
def test_bce_is_cross_entropy_of_two_classes(smoothing, shared: bool) -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 50, 1), torch.randint(0, 2, (50,) if shared else (3, 50))
    both = torch.cat([torch.zeros(3, 50, 1), logits], dim=2)
    shares = smoothing and torch.tensor(smoothing)
    ours = loss_of("bce", shares)(logits, targets)
    assert ours.shape == (3,)
    assert torch.allclose(ours, loss_of("cross_entropy", shares)(both, targets), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "plain"), [("l1", F.l1_loss), ("mse", F.mse_loss), ("huber", F.smooth_l1_loss)]
)
@pytest.mark.parametrize("shared", [False, True])
def test_losses_of_numbers_are_torchs_in_every_slot(name: str, plain, shared: bool) -> None:
    torch.manual_seed(0)
    predictions, targets = torch.randn(3, 50, 1) * 3, torch.randn(*([] if shared else [3]), 50, 1)
    theirs = [float(plain(predictions[k], targets.expand(3, 50, 1)[k])) for k in range(3)]
    assert loss_of(name)(predictions, targets).tolist() == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("name", [loss.name for task in possible(None) for loss in task.losses])
def test_a_slot_that_is_not_finite_leaves_the_others_alone(name: str) -> None:
    torch.manual_seed(0)
    sane = torch.randn(3, 20, outputs_of(name, 4))
    of_class = task_of(name) == "classification"
    targets = torch.randint(0, 2, (3, 20)) if of_class else sane[..., :1] / 2
    mad = sane.clone()
    mad[1] = torch.nan
    gradients = []
    for outputs in (sane, mad):
        outputs.requires_grad_()
        loss = loss_of(name, None, None, torch.full((3,), 2.0))(outputs, targets)
        loss.sum().backward()
        gradients.append((loss[[0, 2]].tolist(), outputs.grad[[0, 2]].tolist()))
    assert gradients[0] == gradients[1]
    assert loss[1].isnan()


@pytest.mark.parametrize("smoothing", [None, SMOOTHING])
@pytest.mark.parametrize("name", ["cross_entropy", "bce"])
def test_each_row_weighs_as_its_class_in_slots_that_want_it(name: str, smoothing) -> None:
    torch.manual_seed(0)
    classes = 4 if name == "cross_entropy" else 2
    logits = torch.randn(3, 50, outputs_of(name, classes))
    targets = torch.randint(0, classes, (3, 50))
    weights = weights_of(["balanced", "none", "balanced"], targets[0], classes)
    assert weights is not None
    shares = smoothing and torch.tensor(smoothing)
    weighted = loss_of(name, shares, weights)(logits, targets)
    rows = torch.stack([
        loss_of(name, shares)(logits[:, n : n + 1], targets[:, n : n + 1]) for n in range(50)
    ], dim=1)  # fmt: skip
    of_class = balanced(targets[0], classes)
    expected = [(rows[k] * of_class[targets[k]]).mean() for k in (0, 2)]
    assert weighted[[0, 2]].tolist() == pytest.approx([float(v) for v in expected], rel=1e-5)
    assert float(weighted[1]) == float(loss_of(name, shares)(logits, targets)[1])


GAMMA = (0.0, 0.5, 3.0)
"""Of three slots."""


@pytest.mark.parametrize("smoothing", [None, SMOOTHING])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
def test_focal_is_the_papers_in_every_slot(classes: int, shared: bool, smoothing) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 50, classes, dtype=torch.float64) * 3
    targets = torch.randint(0, classes, (50,) if shared else (3, 50))
    own = [x and torch.tensor(x, dtype=torch.float64) for x in (smoothing, GAMMA)]
    ours = loss_of("focal", own[0], None, own[1])(logits, targets)
    for k, gamma in enumerate(GAMMA):
        p_NC = logits[k].softmax(dim=1)
        each_NC = -((1 - p_NC) ** gamma) * p_NC.log()
        asked_NC = F.one_hot(targets.expand(3, 50)[k], classes).double()
        share = smoothing[k] if smoothing else 0.0
        spread_NC = (1 - share) * asked_NC + share / classes
        assert float(ours[k]) == pytest.approx(float((each_NC * spread_NC).sum(1).mean()))


def test_focal_of_two_classes_goes_by_the_difference_of_their_logits() -> None:
    """Equation 3 of the paper, whose p is a sigmoid."""
    torch.manual_seed(0)
    logits, targets = torch.randn(1, 50, 2), torch.randint(0, 2, (50,))
    ours = loss_of("focal", None, None, torch.tensor([2.0]))(logits, targets)
    p_N = (logits[0, :, 1] - logits[0, :, 0]).sigmoid()
    right_N = torch.where(targets == 1, p_N, 1 - p_N)
    theirs = (-((1 - right_N) ** 2) * right_N.log()).mean()
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_focal_has_a_gradient_where_a_row_is_certain(gamma: float) -> None:
    logits = torch.tensor([[[80.0, 0.0], [0.0, 80.0], [0.0, 0.0]]], requires_grad=True)
    loss = loss_of("focal", None, None, torch.tensor([gamma]))(logits, torch.tensor([0, 0, 0]))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()
    assert logits.grad[0, 1, 0] < 0  # the row that is wrong is pulled the right way
    assert abs(float(logits.grad[0, 0, 0])) < 1e-6


def test_focal_without_gamma_is_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(3, 50, 4), torch.randint(0, 4, (50,))
    focal = loss_of("focal", None, None, torch.zeros(3))(logits, targets)
    assert torch.allclose(focal, loss_of("cross_entropy")(logits, targets))


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_the_constant_loss_of_focal_is_the_least_there_is(gamma: float) -> None:
    targets = torch.tensor([0] * 9 + [1])
    problem = Problem("classification", "rows", (1,), 2, ("a", "b"))
    chosen = {"focal_gamma": gamma, "label_smoothing": 0.0, "class_weight": "none"}
    said = learning("classification").constant_loss("focal", chosen, targets, problem)
    p = torch.linspace(1e-4, 1 - 1e-4, 10_000, dtype=torch.float64)
    each = -0.9 * (1 - p) ** gamma * p.log() - 0.1 * p**gamma * (1 - p).log()
    assert said == pytest.approx(float(each.min()), rel=1e-3)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    import numpy as np
    from sklearn.utils.class_weight import compute_class_weight

    targets = torch.tensor([0] * 90 + [1] * 9 + [2])
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=targets.numpy())
    assert balanced(targets, 3).tolist() == pytest.approx(theirs.tolist())
    assert float(balanced(targets, 3)[targets].mean()) == pytest.approx(1.0)
    assert balanced(targets, 4)[3] == 0, "a class without a row is never met"
    assert weights_of(["none", "none"], targets, 3) is None
