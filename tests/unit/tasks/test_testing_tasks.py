"""The checks for tasks: ours and a foreign one pass, and each broken promise is found."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from hpsearch.errors import CodeError
from hpsearch.spec.family import FAMILIES
from hpsearch.spec.registry import PluginError
from hpsearch.spec.task import TASKS
from hpsearch.tasks import Baseline, Loss, Metric, Setting, Table, Task
from hpsearch.tasks.classification import learning as of_classes
from hpsearch.tasks.learning import Measured, Predicted, functions_of
from hpsearch.tasks.regression import learning as of_numbers
from hpsearch.testing import check_task
from tests.plugins import install

if TYPE_CHECKING:
    from pathlib import Path

CLASSES, NUMBERS = TASKS["classification"], TASKS["regression"]


@pytest.mark.parametrize("name", TASKS.own)
def test_our_tasks_keep_their_promises(name: str) -> None:
    assert TASKS[name].name == name
    check_task(TASKS[name])


def test_a_task_of_another_package_does_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("toy_task", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    check_task(importlib.import_module("toy_task").TASK)
    monkeypatch.delitem(sys.modules, "toy_task.learning")
    monkeypatch.delitem(sys.modules, "toy_task")


def test_a_declaration_that_imports_torch_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("toy_task", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    declaration = tmp_path / "toy_task" / "__init__.py"
    declaration.write_text(f"{declaration.read_text()}\nimport torch\n")
    (tmp_path / "torch.py").touch()  # what a fresh Python loads, in no time
    task = importlib.import_module("toy_task").TASK
    with pytest.raises(AssertionError, match=r"toy_task, which declares \w+, imports torch"):
        check_task(task)
    monkeypatch.delitem(sys.modules, "toy_task.learning", raising=False)
    monkeypatch.delitem(sys.modules, "toy_task")


def test_a_test_in_the_package_may_import_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("toy_task", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "toy_task" / "test_it.py").write_text(
        "from hpsearch.testing import check_task\nfrom toy_task import TASK\n"
    )
    for name in ("toy_task", "toy_task.learning"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    test = importlib.import_module("toy_task.test_it")
    test.check_task(test.TASK)
    for name in ("toy_task.test_it", "toy_task.learning", "toy_task"):
        del sys.modules[name]


def with_functions(monkeypatch: pytest.MonkeyPatch, task: Task, **functions: Any) -> Task:
    module = of_classes if task is CLASSES else of_numbers
    made = SimpleNamespace(**{name: getattr(module, name) for name in module.__all__} | functions)
    monkeypatch.setattr(sys.modules[__name__], "MADE", made, raising=False)
    return replace(task, learning=f"{__name__}:MADE")


def mixing(outputs_KNC, targets, problem, wanted):
    found = of_numbers.measure(outputs_KNC, targets, problem, wanted).metrics
    return Measured({**found, "mae": found["mae"].mean().expand(len(outputs_KNC))})


def without_mae(outputs_KNC, targets, problem, wanted):
    found = dict(of_numbers.measure(outputs_KNC, targets, problem, wanted).metrics)
    del found["mae"]
    return Measured(found)


def contagious(name, settings, targets, problem):
    plain = of_numbers.loss_of(name)

    def loss(outputs, targets):
        return plain(outputs, targets) + 0 * outputs.sum()

    return loss


def by_item(name, settings, targets, problem):
    plain = of_numbers.loss_of(name)
    return lambda outputs, targets: plain(outputs, targets) * (1 + 0 * targets.sum().item())


def by_branch(name, settings, targets, problem):
    plain = of_numbers.loss_of(name)
    return lambda outputs, targets: plain(outputs, targets) * (2 if (targets > 1e9).any() else 1)


def by_numpy(outputs_KNC, targets, problem, wanted):
    targets = torch.from_numpy(targets.numpy())
    return of_numbers.measure(outputs_KNC, targets, problem, wanted)


def steep(name, settings, targets, problem):
    return lambda outputs, targets: (outputs - outputs.detach()).abs().sqrt().mean(dim=(1, 2))


def scalar(name, settings, targets, problem):
    return lambda outputs, targets: of_numbers.loss_of(name)(outputs, targets).mean()


def first_of_slots(name, settings, targets, problem):
    """Forgets that each slot has settings of its own."""
    return of_classes.loss(name, [settings[0]] * len(settings), targets, problem)


def standardised(outputs_NC, problem):
    return Predicted(tuple(outputs_NC.squeeze(1).tolist()))


def of_one_row(outputs_NC, problem):
    return of_numbers.predictions(outputs_NC[:1], problem)


def other_shares(outputs_NC, problem):
    found = of_classes.predictions(outputs_NC, problem)
    assert found.probabilities is not None
    return Predicted(found.values, found.probabilities / 2)


def first_class(outputs_NC, problem):
    return Predicted((problem.classes[0],) * len(outputs_NC))


def numbered(outputs_NC, problem):
    return Predicted(tuple(map(float, range(len(outputs_NC)))))


def flat_details(outputs_KNC, targets, problem, wanted):
    found = of_classes.measure(outputs_KNC, targets, problem, wanted)
    return Measured(found.metrics, {"confusion": found.details["confusion"][0]})


@pytest.mark.parametrize(
    ("task", "functions", "words"),
    [
        (NUMBERS, {"encode": lambda raw, problem: torch.full((40, 1), torch.nan)},
         "encode gives what is not finite"),
        (NUMBERS, {"encode": lambda raw, problem: of_numbers.encode(raw[1:], problem)},
         "encode gives 39 targets of 40"),
        (NUMBERS, {"loss": steep}, "or its gradient, is not finite"),
        (NUMBERS, {"loss": scalar}, r"has the shape \(\)"),
        (NUMBERS, {"loss": by_item}, "the loss needs values of tensors"),
        (NUMBERS, {"loss": by_branch}, "the loss needs values of tensors"),
        (NUMBERS, {"measure": by_numpy}, "measure needs values of tensors"),
        (NUMBERS, {"loss": contagious}, "not finite changes the loss of others"),
        (CLASSES, {"loss": first_of_slots}, "a slot has another loss beside others"),
        (NUMBERS, {"measure": mixing}, "a slot has another mae beside others"),
        (NUMBERS, {"measure": without_mae}, "measures .'mse', 'rmse', 'r2'., and declares"),
        (CLASSES, {"measure": flat_details}, "details have no axis for slots"),
        (NUMBERS, {"constant_loss": lambda *_: 0.1}, "constant_loss is 0.1, the best"),
        (NUMBERS, {"predictions": standardised}, "predict numbers that are off by 5"),
        (NUMBERS, {"predictions": of_one_row}, "1 predictions of 40 rows"),
        (CLASSES, {"predictions": first_class}, "fitted outputs predict other classes"),
        (CLASSES, {"predictions": other_shares}, "do not sum to 1"),
        (CLASSES, {"predictions": numbered}, "predicts 0.0"),
    ],
)  # fmt: skip
def test_a_function_that_breaks_a_promise_is_found(
    monkeypatch: pytest.MonkeyPatch, task: Task, functions: dict[str, Any], words: str
) -> None:
    with pytest.raises(AssertionError, match=words):
        check_task(with_functions(monkeypatch, task, **functions))


def changed(name: str, **changes: Any) -> tuple[Metric, ...]:
    """The metrics of regression, one of them changed."""
    return tuple(replace(m, **changes) if m.name == name else m for m in NUMBERS.metrics)


def narrow(_result: object) -> list[Table]:
    return [Table("narrow", ("a", "b"), (("x",),))]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (replace(NUMBERS, doc="To"), "it needs a doc"),
        (replace(NUMBERS, losses=(Loss("mse", ""),)), "mse needs a doc, a few words"),
        (replace(NUMBERS, metrics=changed("r2", low=0)), "r2 is -.* declared from 0 to 1"),
        (replace(NUMBERS, metrics=changed("r2", high=0.5)), "r2 is 1 of outputs fitted.* to 0.5"),
        (replace(NUMBERS, losses=(replace(NUMBERS.losses[0], guess=lambda n: 1 / n),)),
         "guess fails: ZeroDivisionError"),
        (replace(NUMBERS, metrics=changed("mae", direction="maximize")), "look at its dir"),
        (replace(NUMBERS, metrics=changed("mae", low=-1)), "look at its direction and bounds"),
        (replace(NUMBERS, baseline=lambda *_: Baseline("zero", {"mae": 0.0})),
         "the baseline says mae 0, and the best constant outputs get"),
        (replace(NUMBERS, baseline=lambda *_: Baseline("zero", {"off": 0.0})), "which is no metri"),
        (replace(NUMBERS, tables=narrow), "'narrow' has 2 heads and rows of {1}"),
    ],
)  # fmt: skip
def test_a_declaration_that_breaks_a_promise_is_found(task: Task, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_task(task)


MISSPELT = Metric("odd", "maximise", "odd")  # type: ignore[arg-type]
PULL = Setting("pull", "float", 0.0, "Pull.", low=0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"losses": ()}, "a task has a loss or more"),
        ({"target": "class"}, "target: expected one of classes, numbers, inputs; got 'class'"),
        (
            {"metrics": (*NUMBERS.metrics, MISSPELT)},
            "direction of odd: expected one of maximize, minimize; got 'maximise'",
        ),
        ({"metrics": NUMBERS.metrics[1:]}, "'loss' among its metrics"),
        ({"metrics": (*NUMBERS.metrics, NUMBERS.metrics[1])}, "two of the metric mse"),
        ({"losses": (*NUMBERS.losses, NUMBERS.losses[1])}, "two of the loss l1"),
        ({"settings": (PULL, PULL)}, "two settings 'pull'"),
        ({"settings": (replace(PULL, name="lr"),)}, "can be called 'lr'"),
        ({"settings": (replace(PULL, default=-1.0),)}, "default of pull is no value of it"),
        ({"metrics": (*NUMBERS.metrics, Metric("odd", "minimize", "odd", 1, 1))}, "has no range"),
        ({"metrics": (*NUMBERS.metrics, Metric("train_loss", "minimize", ""))}, "reserved"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_none(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(NUMBERS, **changes)


def test_functions_that_cannot_be_loaded_are_a_line() -> None:
    with pytest.raises(CodeError, match=r"task regression: cannot load no\.such: No module"):
        functions_of(replace(NUMBERS, learning="no.such"))
    with pytest.raises(CodeError, match=r"task regression: hpsearch\.tasks has no encode"):
        functions_of(replace(NUMBERS, learning="hpsearch.tasks"))


def test_a_setting_of_a_task_and_one_of_a_family_have_one_meaning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = FAMILIES["mlp"]
    monkeypatch.setitem(TASKS._loaded, "t", replace(NUMBERS, name="t", settings=(PULL,)))
    known = family.vocabulary("t")
    assert known.defaults["pull"] == 0.0
    assert "pull" not in family.vocabulary().settings
    assert known.settings["loss"].choices == family.vocabulary().settings["loss"].choices
    other = replace(PULL, name="width")
    monkeypatch.setitem(TASKS._loaded, "u", replace(NUMBERS, name="u", settings=(other,)))
    with pytest.raises(
        PluginError, match="the task u has a setting 'width', which means something"
    ):
        family.vocabulary("u")
