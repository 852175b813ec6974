"""The first step of the recipe: one batch is learnt by heart, which proves that the problem can be
solved with this network, this loss and these labels.

It asks more than `overfit_check`, which only looks whether anything is learnt at all: the loss has
to come near zero and every row has to be right. Source: Karpathy, "A recipe for training neural
networks" (2019), "overfit one batch".
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from hpsearch.errors import line
from hpsearch.preflight.overfit_check import steady
from hpsearch.runner.candidate import Candidate
from hpsearch.sources.dataset import Dataset, Resident
from hpsearch.spec.settings import WHOLE, Value
from hpsearch.spec.task import LOSS, TASKS
from hpsearch.tasks.losses import constant_loss
from hpsearch.training import devices
from hpsearch.training.evaluation import measure
from hpsearch.training.solo import Solo
from hpsearch.training.trial_progress import TrialProgress

__all__ = ["Batch", "learn_one_batch"]

_MOST_ROWS = 256
"""Of a batch: more rows prove no more, and take longer."""
_STEPS, _REPEATS = 1000, 10
"""The most steps, and after how many the loss is looked at."""
_SOON = 10
"""Looks after which a rate is given up at which the loss has not begun to fall."""
_ZERO, _FALL = 0.01, 0.95
"""Shares of the loss of the best constant output. Below the first a batch is learnt; above the
second the loss has not begun to fall. Networks that give their inputs again through a smaller code
have learnt a batch once it has."""
_RATES = (1e-1, 1e-2, 1e-3, 1e-4)
"""Learning rates that are tried where the candidate's own does not do."""
_LONGEST_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """What came of learning one batch by heart."""

    rows: int
    loss: float
    """Of the batch at the end, without regularisation."""
    guess: float
    """That of the best constant output."""
    metric: str | None
    """A share of rows that are right, such as accuracy; None where the task has none."""
    value: float | None
    rate: float
    """The learning rate that gave it."""
    own_rate: float
    """The candidate's."""
    steps: int
    seconds: float
    """Wall-clock time of all that was tried."""
    learnt: bool
    """Whether the loss is near zero, and every row is right."""


def learn_one_batch(
    candidate: Candidate, dataset: Dataset, device: torch.device, interrupted: Callable[[], bool]
) -> Batch | None:
    """Train a candidate on one batch of its own, without regularisation, until it knows it by
    heart: at its own learning rate, then at others. It takes ten seconds at most.

    None where that is unknown: training meets the reason again, where it is reported.
    """
    started = time.monotonic()

    def is_over() -> bool:
        return interrupted() or time.monotonic() - started > _LONGEST_S

    try:
        batch = _learnt(candidate, dataset, device, is_over)
    except Exception as error:
        devices.empty_cache(device)
        _log.warning("whether one batch can be learnt by heart is unknown: %s", line(error))
        return None
    return replace(batch, seconds=time.monotonic() - started)


def _learnt(
    candidate: Candidate, dataset: Dataset, device: torch.device, is_over: Callable[[], bool]
) -> Batch:
    lesson, tried = _Lesson(candidate, dataset, device), list[Batch]()
    own = float(candidate.settings["lr"])  # type: ignore[arg-type]
    for rate in (own, *(rate for rate in _RATES if rate != own)):
        batch = lesson.taught(rate, is_over)
        tried += [] if batch is None else [batch]
        if is_over() or (batch and batch.learnt):
            break
    if not tried:
        raise TimeoutError(f"it takes more than {_LONGEST_S:g} s")
    return replace(min(tried, key=lambda b: (not b.learnt, b.loss)), own_rate=own)


class _Lesson:
    """One batch of a candidate's, and how well it is known."""

    def __init__(self, candidate: Candidate, dataset: Dataset, device: torch.device) -> None:
        progress = TrialProgress(candidate, dataset)
        size = candidate.settings["batch_size"]
        most = _MOST_ROWS if size == WHOLE else min(int(size), _MOST_ROWS)  # type: ignore[arg-type]
        order = progress.order()[:most].to(dataset.train.targets.device)
        inputs, targets = dataset.train.batch(order)
        self._settings: dict[str, Value] = {
            **candidate.settings, **steady(candidate), "batch_size": len(order),
            "epochs": _STEPS // _REPEATS,
        }  # fmt: skip
        self._candidate, self._device, self._loss = candidate, device, progress.loss
        self._part = Resident(inputs, targets)
        repeated = Resident(torch.cat([inputs] * _REPEATS), torch.cat([targets] * _REPEATS))
        self._dataset = replace(dataset, train=repeated, validation=self._part)
        task = TASKS[dataset.task]
        of_target = inputs.flatten(1) if task.target == "inputs" else targets
        self._guess = constant_loss(
            dataset.task, self._loss, self._settings, of_target, dataset.problem()
        )
        self._enough = self._guess * (_FALL if task.target == "inputs" else _ZERO)
        shares = (m.name for m in task.metrics if (m.low, m.high) == (0, 1) and not m.varied)
        self._metric = next(shares, None)

    def taught(self, rate: float, is_over: Callable[[], bool]) -> Batch | None:
        """How well it is known after some steps at a learning rate, at the end or once it is known;
        None where the loss is not finite, or there was no time."""
        settings, batch = {**self._settings, "lr": rate}, None
        progress = TrialProgress(replace(self._candidate, settings=settings), self._dataset)
        trainer = Solo(progress, self._device)
        while not progress.finished and trainer.train(is_over) is not None:
            progress.epoch += 1
            metrics = self._measured(trainer.outputs(progress.dataset.validation), settings)
            if not math.isfinite(metrics[LOSS]):
                break
            batch = self._known(metrics, rate, progress.epoch)
            if batch.learnt or (progress.epoch >= _SOON and batch.loss > _FALL * batch.guess):
                break
        return batch

    def _measured(self, outputs_KNC: torch.Tensor, settings: Mapping[str, Any]) -> dict[str, float]:
        metric = self._metric or LOSS
        (results,) = measure(
            outputs_KNC, self._part.targets, self._dataset, self._loss, [settings], metric
        )
        return dict(results.metrics)

    def _known(self, metrics: Mapping[str, float], rate: float, passes: int) -> Batch:
        value = metrics.get(self._metric) if self._metric else None
        right = value is None or value == 1.0
        return Batch(
            rows=len(self._part), loss=metrics[LOSS], guess=self._guess, metric=self._metric,
            value=value, rate=rate, own_rate=rate, steps=passes * _REPEATS, seconds=0.0,
            learnt=right and metrics[LOSS] < self._enough,
        )  # fmt: skip
