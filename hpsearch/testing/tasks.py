"""The promises of a task.

Shapes: `K` slots, `N` rows, `C` outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode

from hpsearch.errors import line
from hpsearch.spec.problem import Problem
from hpsearch.spec.registry import named
from hpsearch.spec.task import LOSS, Result
from hpsearch.tasks.learning import functions_of
from hpsearch.testing.promise import check_docs, check_imports, promise
from hpsearch.testing.values import best_of, is_near, is_within, others

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hpsearch.spec.task import Loss, Target, Task
    from hpsearch.tasks.learning import Predicted

__all__ = ["check_task"]

K, N = 3, 40
_ROWS = {2: (24, 16), 3: (20, 14, 6)}
"""Of each class, by the number of classes: as many as that is unlike any other, N in all."""
_CLASSES: Mapping[Target, tuple[tuple[str, ...], ...]] = {
    "numbers": ((),),
    "classes": (("no", "yes"), ("a", "b", "c")),
    "inputs": (("normal", "strange"),),
}
"""The sets of classes to check, by the target."""
_D = 4
"""Numbers in a row."""
_FITTED = 0.02
"""How near outputs that were fitted come to the best, as a share of what random ones are off."""
_STEPS = 150
"""Of fitting outputs, or one output for all rows."""


def check_task(task: Task) -> None:
    """Raise AssertionError, which says what is wrong, where a task breaks a promise.

    For each of its losses, and for two classes and three where the target is a class. Where it is
    the inputs, a network gives outputs for inputs of two classes, one of them normal, and what the
    task puts around it gives what is measured:

    - its declaration imports no PyTorch;
    - its settings are described, and each choice of one gives a loss that is finite, with finite
      gradients;
    - slots at once give what each gives alone, whatever their settings, in losses and in metrics,
      also beside a slot that is not finite;
    - metrics are those declared, within their bounds for any outputs, fitted ones among them;
    - the loss and `measure` need no values of tensors, as `.item()`, `.numpy()` and branches do;
    - `guess`, if it is declared, is a finite number;
    - outputs that are fitted to the targets get the best value of each metric, or come near it, and
      predictions that are the targets;
    - predictions have a value a row, and a probability a class if any;
    - the baseline, if there is one, is what the best constant outputs get by the usual loss, and
      `constant_loss` is about the loss of these;
    - tables have as many cells in a row as heads, with and without details.
    """
    _check_declaration(task)
    check_imports(task, task.learning)
    for classes in _CLASSES[task.target]:
        for loss in task.losses:
            if loss.classes in (None, len(classes)):
                _Check(task, loss, classes).all()


def _check_declaration(task: Task) -> None:
    check_docs(task.doc, task.settings)
    losses, metrics = ([(d.name, d.doc) for d in all_] for all_ in (task.losses, task.metrics))
    for name, doc in (*losses, *metrics):
        promise(bool(doc.strip()), f"{name} needs a doc, a few words")


class _Check:
    """The promises for one loss and one set of classes."""

    def __init__(self, task: Task, loss: Loss, classes: tuple[str, ...]) -> None:
        self._task, self._loss, self._classes = task, loss, classes
        self._functions = functions_of(task)
        random = np.random.default_rng(0)
        self._raw: NDArray[Any] = (
            random.permutation(np.repeat(np.arange(len(classes)), _ROWS[len(classes)]))
            if classes
            else random.normal(50, 3, N)
        )
        mean, std = (0.0, 1.0) if classes else (float(self._raw.mean()), float(self._raw.std()))
        normal = classes[:1] if task.target == "inputs" else ()
        problem = Problem(task.name, "rows", (_D,), 0, classes, mean, std, normal=normal,
                          threshold=_FITTED if normal else None)  # fmt: skip
        self._problem = problem
        self._inputs = torch.from_numpy(random.normal(0, 1, (N, _D))).float()
        self._outputs = task.outputs(loss.name, problem)
        self._targets = self._functions.encode(self._raw, problem)
        self._defaults = {setting.name: setting.default for setting in task.settings}

    def all(self) -> None:
        """Every promise."""
        outputs = self._outputs
        promise(isinstance(outputs, int) and outputs >= 1, f"{self._where()}: {outputs} outputs")
        promise(len(self._targets) == N, f"encode gives {len(self._targets)} targets of {N}")
        promise(bool(self._targets.isfinite().all()), "encode gives what is not finite")
        self._check_guess()
        settings = [self._defaults, *self._choices()]
        for slot in settings:
            self._check_gradients(slot)
        self._check_slots([settings[at % len(settings)] for at in range(K)])
        self._check_metrics()
        self._check_device(self._defaults)
        self._check_fitted()
        self._check_constant()

    def _check_guess(self) -> None:
        try:
            guess = self._task.guess(self._loss.name, len(self._classes))
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            raise AssertionError(f"{self._where()}: guess fails: {why}") from error
        number = isinstance(guess, (int, float)) and math.isfinite(guess)
        promise(number, f"{self._where()}: guess gives {guess!r}, not a finite number")

    def _where(self, settings: Mapping[str, Any] | None = None) -> str:
        named = "".join(f", {name} {value}" for name, value in (settings or {}).items())
        of = f" of {len(self._classes)} classes" if self._classes else ""
        return f"{self._task.name}{of} with the loss {self._loss.name}{named}"

    def _choices(self) -> list[dict[str, Any]]:
        """Settings that differ from the defaults in one."""
        return [
            {**self._defaults, setting.name: value}
            for setting in self._task.settings
            for value in others(setting)
        ]

    # --- losses -------------------------------------------------------------------------------

    def _loss_of(
        self, settings: Sequence[Mapping[str, Any]], outputs_KNC: Tensor, targets: Tensor
    ) -> Tensor:
        """Of each slot, (K,)."""
        function = self._functions.loss(self._loss.name, settings, self._targets, self._problem)
        return function(self._around(outputs_KNC), targets)

    def _around(self, outputs_KNC: Tensor) -> Tensor:
        """What is measured of these outputs."""
        if self._task.around is None:
            return outputs_KNC
        around = named(self._task.around)
        return torch.stack([
            around(_Given(outputs_NC), self._loss.name)(self._inputs) for outputs_NC in outputs_KNC
        ])  # fmt: skip

    def _random(self, scale: float = 1.0, slots: int = K) -> Tensor:
        generator = torch.Generator().manual_seed(slots)
        return torch.randn(slots, N, self._outputs, generator=generator) * scale

    def _check_gradients(self, settings: Mapping[str, Any]) -> None:
        outputs = self._random(3.0, slots=1).requires_grad_()
        loss = self._loss_of([settings], outputs, self._targets)
        where = self._where(settings)
        promise(loss.shape == (1,), f"{where}: the loss of a slot has the shape {(*loss.shape,)}")
        (gradient,) = torch.autograd.grad(loss.sum(), [outputs])
        finite = bool(loss.isfinite().all() and gradient.isfinite().all())
        promise(finite, f"{where}: the loss of random outputs, or its gradient, is not finite")

    def _check_device(self, settings: Mapping[str, Any]) -> None:
        """That nothing depends on values: tensors that have none are enough to compute with."""
        outputs, names = self._around(self._random()), [m.name for m in self._task.metrics]
        loss = self._functions.loss(self._loss.name, [settings] * K, self._targets, self._problem)
        measure = partial(self._functions.measure, problem=self._problem, wanted=names)
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            without = mode.from_tensor(outputs), mode.from_tensor(self._targets)
            for what, function in (("the loss", loss), ("measure", measure)):
                try:
                    function(*without)
                except Exception as error:
                    if what == "measure" and isinstance(error, DynamicOutputShapeException):
                        continue  # a mask or a count is slow there, and works
                    raise AssertionError(
                        f"{self._where()}: {what} needs values of tensors, which lie on the "
                        f"device: leave out .item(), .numpy() and branches by them: {line(error)}"
                    ) from error

    def _check_slots(self, settings: Sequence[Mapping[str, Any]]) -> None:
        outputs, mad = self._random(), self._random()
        mad[1] = torch.nan
        where = self._where()
        spread = self._targets.expand(K, *self._targets.shape)  # in training each has its own rows
        together, beside_mad = (
            self._loss_of(settings, x, targets)
            for x, targets in ((outputs, spread), (mad, self._targets))
        )
        for k, slot in enumerate(settings):
            alone = self._loss_of([slot], outputs[k : k + 1], self._targets)[0]
            promise(is_near(together[k], alone), f"{where}: a slot has another loss beside others")
            if k != 1:
                same = is_near(beside_mad[k], alone)
                promise(same, f"{where}: a slot that is not finite changes the loss of others")
        numbers, beside = self._measured(outputs), self._measured(mad)
        for k in range(K):
            (alone_1,) = self._measured(outputs[k : k + 1])
            for name, value in alone_1.items():
                same = is_near(numbers[k][name], value)
                promise(same, f"{where}: a slot has another {name} beside others")
                same = k == 1 or is_near(beside[k][name], value)
                promise(same, f"{where}: a slot that is not finite changes {name} of others")

    # --- metrics ------------------------------------------------------------------------------

    def _measured(
        self, outputs_KNC: Tensor, targets: Tensor | None = None
    ) -> list[dict[str, float]]:
        """All metrics of each slot."""
        targets = self._targets if targets is None else targets
        names = [metric.name for metric in self._task.metrics if metric.name != LOSS]
        measured = self._around(outputs_KNC)
        metrics = self._functions.measure(measured, targets, self._problem, names).metrics
        where = self._where()
        promise({*metrics} == {*names}, f"{where}: measures {[*metrics]}, and declares {names}")
        for name, value_K in metrics.items():
            shape = (*value_K.shape,)
            promise(shape == (len(outputs_KNC),), f"{where}: {name} has the shape {shape}")
        loss_K = self._loss_of([self._defaults] * len(outputs_KNC), outputs_KNC, targets)
        numbers = {**metrics, LOSS: loss_K}
        return [{name: float(v[k]) for name, v in numbers.items()} for k in range(len(loss_K))]

    def _check_metrics(self) -> None:
        for scale in (0.0, 1.0, 30.0):
            outputs = self._random(scale)
            for values in self._measured(outputs):
                for metric in self._task.metrics:
                    promise(
                        is_within(values[metric.name], metric),
                        f"{self._where()}: {metric.name} is {values[metric.name]} for some "
                        f"outputs, and declared from {metric.low} to {metric.high}",
                    )
            details = self._functions.measure(
                self._around(outputs), self._targets, self._problem, ()
            ).details
            promise(
                all(len(detail) == K for detail in details.values()),
                f"{self._where()}: details have no axis for slots",
            )
            self._check_tables({name: detail[0].tolist() for name, detail in details.items()})
        self._check_tables({})

    def _check_tables(self, details: Mapping[str, Any]) -> None:
        metric = self._task.metrics[0].name
        result = Result(details, self._classes, metric, self._defaults)
        self._task.remark(result)
        for table in self._task.tables(result):
            widths = {len(row) for row in table.rows}
            promise(
                widths <= {len(table.heads)},
                f"the table {table.title!r} has {len(table.heads)} heads and rows of {widths}",
            )

    # --- fitted outputs -----------------------------------------------------------------------

    def _fitted(self, rows: int) -> Tensor:
        """Outputs that minimise the loss, one for each row or one for all: (1, N, C)."""
        free = torch.zeros(1, rows, self._outputs, requires_grad=True)
        optimizer = torch.optim.Adam([free], lr=0.5)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
        for _ in range(_STEPS):
            optimizer.zero_grad()
            loss = self._loss_of([self._defaults], free.expand(1, N, -1), self._targets)
            (loss.sum() * rows).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            falling.step()
        return free.detach().expand(1, N, -1)

    def _check_fitted(self) -> None:
        outputs, where = self._fitted(N), self._where()
        (fitted,) = self._measured(outputs)
        random = self._measured(self._random())
        for metric in self._task.metrics:
            value = fitted[metric.name]
            promise(
                is_within(value, metric),
                f"{where}: {metric.name} is {value:.4g} of outputs fitted to the targets, and "
                f"declared from {metric.low} to {metric.high}",
            )
            off = min(metric.error(values[metric.name]) for values in random)
            left = metric.error(fitted[metric.name])
            good = left < off if math.isinf(best_of(metric)) else left <= _FITTED * max(off, 1e-3)
            promise(
                good,
                f"{where}: {metric.name} is {fitted[metric.name]:.4g} of outputs fitted to the "
                f"targets, and at best {best_of(metric):g}: look at its direction and bounds",
            )
        self._check_predictions(outputs)

    def _check_predictions(self, outputs_1NC: Tensor) -> None:
        where = self._where()
        for outputs in (outputs_1NC, self._random(slots=1)):
            self._check_form(self._predicted(outputs))
        values = self._predicted(outputs_1NC).values
        if self._classes:
            truth = tuple(self._classes[at] for at in self._raw)
            promise(values == truth, f"{where}: fitted outputs predict other classes")
        else:
            off = np.abs(np.asarray(values, float) - self._raw).max()
            near = bool(off <= 5 * _FITTED * self._problem.target_std)
            promise(near, f"{where}: fitted outputs predict numbers that are off by {off:.3g}")

    def _check_form(self, predicted: Predicted) -> None:
        where = self._where()
        promise(
            len(predicted.values) == N, f"{where}: {len(predicted.values)} predictions of {N} rows"
        )
        for value in predicted.values:
            right = value in self._classes if self._classes else isinstance(value, float)
            promise(right, f"{where}: predicts {value!r}")
        if self._task.target == "inputs":
            promise(predicted.scores is not None and len(predicted.scores) == N,
                    f"{where}: needs a score for each row")  # fmt: skip
        shares = predicted.probabilities
        if shares is not None:
            shape = (N, len(self._classes))
            promise(shares.shape == shape, f"{where}: probabilities of {shares.shape}")
            whole = bool(np.allclose(shares.sum(axis=1), 1) and (shares >= 0).all())
            promise(whole, f"{where}: the probabilities of a row do not sum to 1")

    def _predicted(self, outputs_1NC: Tensor) -> Predicted:
        return self._functions.predictions(
            self._around(outputs_1NC)[0].double(), replace(self._problem, outputs=self._outputs)
        )

    # --- constant outputs ---------------------------------------------------------------------

    def _check_constant(self) -> None:
        (values,) = self._measured(self._fitted(1))
        where, best = self._where(), values[LOSS]
        targets = self._targets
        if self._task.target == "inputs":
            targets = self._inputs[targets == 0]  # the normal ones
        declared = self._functions.constant_loss(
            self._loss.name, self._defaults, targets, self._problem
        )
        promise(
            0.98 * best <= declared <= 1.5 * best,
            f"{where}: constant_loss is {declared:.4g}, the best constant outputs get {best:.4g}",
        )
        constant = self._task.baseline
        if constant is None or self._loss is not self._task.usual_loss(len(self._classes)):
            return
        baseline = constant(self._raw, self._raw, self._classes)
        for name, value in baseline.values.items():
            promise(name in values, f"the baseline has {name}, which is no metric")
            promise(
                math.isclose(value, values[name], rel_tol=0.05, abs_tol=0.01),
                f"{where}: the baseline says {name} {value:.4g}, and the best constant outputs get "
                f"{values[name]:.4g}",
            )


class _Given(nn.Module):
    """(N, D) -> (N, C): outputs that are there already."""

    def __init__(self, outputs_NC: Tensor) -> None:
        super().__init__()
        self._outputs_NC = outputs_NC

    def forward(self, x: Tensor) -> Tensor:
        """These outputs, whatever the inputs."""
        return self._outputs_NC
