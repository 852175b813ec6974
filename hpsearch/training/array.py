"""The candidates that one device trains at the same time.

array = Array(dataset, "accuracy", device, stack=None)
array.add(candidate)
while array.keys:
    for report in array.epoch():
        ...
        if report.finished or report.failure:
            array.remove(report.key)

Candidates of one shape are trained as one stack, as many as pay; others one after another. How a
candidate is packed does not change its result but for the last digits, and which units dropout
drops.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hpsearch.errors import CheckpointError, HpsearchError, line
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.settings import METRICS
from hpsearch.training import devices
from hpsearch.training.evaluation import measure
from hpsearch.training.metrics import confusion
from hpsearch.training.solo import Solo
from hpsearch.training.stacking.cuda_graphs import records
from hpsearch.training.stacking.layers import CannotStackError
from hpsearch.training.stacking.slots import Fit, fit, fixed
from hpsearch.training.stacking.stack import Stack, shape_of
from hpsearch.training.trial_progress import DivergedError, Keeping, TrialProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    import torch

    from hpsearch.sources.dataset import Dataset
    from hpsearch.training.candidate import Candidate

__all__ = ["Array", "Failure", "Report"]

_MOST_CLASSES = 50
"""With more the confusion matrix is not kept: it would be larger than all else of a trial."""

_log = logging.getLogger(__name__)


class Failure(StrEnum):
    """Why a candidate cannot go on. The array itself can."""

    DIVERGED = "diverged"
    """A loss or a metric is not a finite number."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device has too little memory for it."""
    SETTINGS = "settings"
    """Its settings can never be trained together."""
    ERROR = "error"
    """A fault."""


@dataclass(frozen=True)
class Report:
    """One candidate after one epoch."""

    key: int
    epoch: int
    """Epochs finished, from 1; after a failure those before it, perhaps 0."""
    value: float | None
    """The study's metric on the validation part; None after a failure."""
    metrics: Mapping[str, float]
    """`train_loss`, the mean over the epoch, and the metrics of the validation part."""
    seconds: float
    """Wall-clock time of this epoch, evaluation included; of a stack's an equal share for each."""
    finished: bool
    """Whether that was the last epoch: all are done, or too many without a better value."""
    failure: Failure | None = None
    message: str = ""
    """One line about the failure."""
    kept: Mapping[str, Any] = field(default_factory=dict)
    """The `epoch` whose network is kept, the best so far or this one, with its `value` and
    `metrics`. Nothing after a failure."""
    confusion: list[list[int]] | None = None
    """Of that epoch, (C, C): validation rows of a class that were given another. None for numbers,
    for many classes and after a failure."""


Trainer = Solo | Stack


@dataclass(eq=False)
class _Held:
    """A candidate in the array. It is built in its first epoch, where a failure can be reported."""

    candidate: Candidate
    state: Mapping[str, Any] | None
    course: TrialProgress | None = None
    trainer: Trainer | None = None
    over: bool = False
    """Finished, failed or spoilt: nothing is left to train."""
    lost: bool = False
    """Failed or spoilt: there is no state of it."""


def _never() -> bool:
    return False


class Array:
    """Trains candidates on one device, an epoch of each at a time.

    `metric` is a key of `catalog.METRICS`; ValueError where it does not suit the data. `stack` is
    the most candidates of one shape to train as one: 1 for each by itself, None for as many as a
    dry run finds to pay. `keeping` says which epoch of a candidate counts. `interrupted` is asked
    between any two batches; once it says True the epoch is broken off. `over` is asked before a
    stack, or a candidate by itself, begins an epoch; once it says True none does.
    """

    def __init__(
        self,
        dataset: Dataset,
        metric: str,
        device: torch.device,
        *,
        stack: int | None = 1,
        keeping: Keeping | None = None,
        interrupted: Callable[[], bool] = _never,
        over: Callable[[], bool] = _never,
    ) -> None:
        if dataset.task not in METRICS[metric].tasks:
            raise ValueError(f"the metric {metric} is not for {dataset.task}")
        self._dataset = dataset
        self._metric = metric
        self._device = device
        self._stack = stack
        self._keeping = keeping or Keeping()
        self._interrupted, self._over = interrupted, over
        self._held: dict[int, _Held] = {}
        self._trainers: list[Trainer] = []
        self._fits: dict[Hashable, Fit] = {}

    @property
    def keys(self) -> tuple[int, ...]:
        """Keys of the candidates held, in the order in which they came."""
        return tuple(self._held)

    @property
    def stacks(self) -> bool:
        """Whether more than one candidate may be trained at once."""
        return self._stack != 1

    def fit(self, candidate: Candidate) -> Fit:
        """How many candidates of the shape of this one are trained at once, and why.

        The first call for a shape trains copies for a few steps.
        """
        shape = shape_of(candidate)
        if shape not in self._fits:
            self._fits[shape] = self._fit(candidate)
        return self._fits[shape]

    def _fit(self, candidate: Candidate) -> Fit:
        try:
            if self._stack is not None:
                return fixed(candidate, self._dataset, self._device, self._stack)
            return fit(candidate, self._dataset, self._device)
        except Exception as error:  # epoch() meets it again, where it is reported
            devices.empty_cache(self._device)
            return Fit(1, _line(error))

    def add(self, candidate: Candidate, state: Mapping[str, Any] | None = None) -> None:
        """Take a candidate in for the next epoch, from its start or from a `state` of it.

        Raises CheckpointError where `state` is not of this candidate, or does not fit it.
        """
        if candidate.key in self._held:
            raise ValueError(f"candidate {candidate.key} is held already")
        if state is not None:
            try:
                self._progress(candidate).restore(state)
            except CheckpointError:
                raise
            except Exception:  # epoch() meets it again, where it is reported
                devices.empty_cache(self._device)
        self._held[candidate.key] = _Held(candidate, state)

    def _progress(self, candidate: Candidate) -> TrialProgress:
        return TrialProgress(candidate, self._dataset, self._keeping)

    def remove(self, key: int) -> None:
        """Let a candidate go, finished or not."""
        trainer = self._held.pop(key).trainer
        if trainer is not None and not self._group(trainer):
            self._trainers.remove(trainer)

    def state(self, key: int) -> dict[str, Any]:
        """A checkpoint of that candidate, for `add`: plain types and tensors, copied to the CPU.

        It is the one after its last whole epoch. Raises CheckpointError after a failure, where an
        interruption broke its epoch off, and before its first epoch.
        """
        held = self._held[key]
        if self.has_state(key):
            if held.trainer is None:
                return dict(held.state or {})
            return held.trainer.state(held.trainer.members.index(_progress(held)))
        raise CheckpointError(f"candidate {key} has nothing to save: it has not been trained")

    def has_state(self, key: int) -> bool:
        """Whether there is a `state` of that candidate."""
        held = self._held[key]
        begun = held.course is not None and held.course.epoch > 0
        return not held.lost and (held.state is not None or (held.trainer is not None and begun))

    def epoch(self) -> Iterator[Report]:
        """Train every candidate for one epoch and yield a report of each as it is ready.

        A candidate that has finished or failed stays until it is removed, and is passed over. One
        that is added with the state of its last epoch gives that epoch's report again, so that
        whoever died before it was noted loses nothing. While a report is in the caller's hands
        its candidate may be removed and others added; these wait for the next epoch. After an
        interruption nothing more is yielded. Where a stack runs out of memory its candidates are
        put into two and give their reports the next time.
        """
        yield from self._still_held(self._settle())
        for trainer in list(self._trainers):
            group = self._group(trainer)
            if not group:  # removed meanwhile
                continue
            if self._over():
                return
            reports = self._train(trainer, group)
            if reports is None:
                return
            yield from self._still_held(reports)

    def _still_held(self, reports: Iterable[Report]) -> Iterator[Report]:
        """Without those of candidates that the caller removes on the way."""
        held = dict(self._held)
        return (report for report in reports if self._held.get(report.key) is held[report.key])

    def _group(self, trainer: Trainer) -> list[_Held]:
        return [held for held in self._held.values() if held.trainer is trainer]

    # --- who is trained with whom -------------------------------------------------------------

    def _settle(self) -> list[Report]:
        """Free slots of what is over, and fill them; a report of what has come to its end."""
        for held in self._held.values():
            if held.over and held.trainer is not None:
                held.state = None if held.lost else self.state(held.candidate.key)
                held.trainer = None
        self._compact()
        fresh = [h for h in self._held.values() if h.trainer is None and not h.over]
        reports = [report for held in fresh if (report := self._prepare(held))]
        ready: dict[Hashable, list[_Held]] = {}
        for held in fresh:
            if not held.over:
                ready.setdefault(shape_of(held.candidate), []).append(held)
        for shape, group in ready.items():
            reports += self._place(shape, group)
        return reports

    def _compact(self) -> None:
        self._trainers = [trainer for trainer in self._trainers if self._group(trainer)]
        for trainer in self._trainers:
            if isinstance(trainer, Stack):
                members = {id(held.course) for held in self._group(trainer)}
                gone = [k for k, c in enumerate(trainer.members) if id(c) not in members]
                if gone:
                    trainer.leave(gone)

    def _prepare(self, held: _Held) -> Report | None:
        """Give it its course; its report if it has failed, or was at its end before it came."""
        try:
            held.course = self._progress(held.candidate)
            if held.state is not None:
                held.course.restore(held.state)
        except Exception as error:
            return self._failed(held, error, 0.0)
        if not held.course.finished:
            return None
        held.over = True
        return _entered(held.course)

    def _place(self, shape: Hashable, group: Sequence[_Held]) -> list[Report]:
        """Put candidates of one shape into stacks that have room, or each by itself."""
        lonely = len(group) == 1 and shape not in self._fits
        slots = 1 if lonely else self.fit(group[0].candidate).slots
        if slots == 1:
            return [report for held in group if (report := self._alone(held, lonely))]
        waiting = list(group)
        try:
            while waiting:
                stack = self._stack_with_room(shape, slots) or self._new_stack(waiting[0])
                taken = waiting[: slots - len(stack.members)]
                stack.join([(_progress(held), held.state) for held in taken])
                for held in taken:
                    held.trainer, held.state = stack, None
                del waiting[: len(taken)]
        except Exception as error:
            self._demote(shape, error, slots)
            return self._place(shape, waiting)
        finally:
            self._compact()
        return []

    def _stack_with_room(self, shape: Hashable, slots: int) -> Stack | None:
        for trainer in self._trainers:
            if (
                isinstance(trainer, Stack)
                and len(trainer.members) < slots
                and trainer.members
                and shape_of(trainer.members[0].candidate) == shape
            ):
                return trainer
        return None

    def _new_stack(self, held: _Held) -> Stack:
        stack = Stack(_progress(held).network(), self._dataset, self._device)
        self._trainers.append(stack)
        return stack

    def _alone(self, held: _Held, lonely: bool) -> Report | None:
        try:
            held.trainer = self._single(held, lonely)
        except Exception as error:
            return self._failed(held, error, 0.0)
        held.state = None
        self._trainers.append(held.trainer)
        return None

    def _single(self, held: _Held, lonely: bool) -> Trainer:
        """A trainer of one; of the only one of its shape a stack, where its steps are recorded."""
        if lonely and self.stacks and records(self._device):
            with suppress(CannotStackError):
                stack = Stack(_progress(held).network(), self._dataset, self._device)
                stack.join([(_progress(held), held.state)])
                return stack
        return Solo(_progress(held), self._dataset, self._device, held.state)

    def _demote(self, shape: Hashable, error: Exception, tried: int) -> None:
        """Train fewer of a shape at once from now on: half where memory ran out, else one."""
        memory = devices.is_out_of_memory(error)
        before = self._fits[shape].slots if shape in self._fits else 1
        slots = max(min(before, tried // 2), 1) if memory else 1
        self._fits[shape] = Fit(slots, f"fewer than before: {_line(error)}")
        _log.warning("trains %d at once from now on: %s", slots, _line(error))

    # --- training -----------------------------------------------------------------------------

    def _train(self, trainer: Trainer, group: Sequence[_Held]) -> list[Report] | None:
        """The reports of an epoch whatever happens; None after an interruption."""
        start = time.perf_counter()
        try:
            measured = self._measured(trainer)
        except Exception as error:
            fault = error.with_traceback(None)  # which holds tensors
        else:
            if measured is None:
                self._break_off(trainer, group)
                return None
            seconds = (time.perf_counter() - start) / len(group)
            places = {id(course): place for place, course in enumerate(trainer.members)}
            reports = [self._report(h, *measured[places[id(h.course)]], seconds) for h in group]
            trainer.keep()
            return reports
        if isinstance(trainer, Stack):
            self._dissolve(trainer, group, fault)
            return []
        return [self._failed(held, fault, time.perf_counter() - start) for held in group]

    def _measured(
        self, trainer: Trainer
    ) -> list[tuple[dict[str, float], torch.Tensor | None]] | None:
        """Metrics and confusion matrix of each slot."""
        losses = trainer.train(self._interrupted)
        if losses is None:
            return None
        part, dataset = self._dataset.validation, self._dataset
        outputs = trainer.outputs(part)
        loss = trainer.members[0].loss
        counts = None
        if dataset.task == "classification" and len(dataset.classes) <= _MOST_CLASSES:
            counts = confusion(outputs, part.targets)
        metrics = measure(outputs, part.targets, dataset, loss, losses, self._metric, counts)
        on_cpu = [None] * len(metrics) if counts is None else counts.cpu().unbind()
        return list(zip(metrics, on_cpu, strict=True))

    def _report(
        self, held: _Held, metrics: Mapping[str, float], counts: torch.Tensor | None, seconds: float
    ) -> Report:
        course = _progress(held)
        try:
            course.advance(self._metric, metrics, seconds)
        except DivergedError as error:
            return self._failed(held, error, seconds)
        if counts is not None and course.kept["epoch"] == course.epoch:
            course.confusion = counts.tolist()
        held.over = course.finished
        return _entered(course)

    def _break_off(self, trainer: Trainer, group: Sequence[_Held]) -> None:
        if isinstance(trainer, Stack):
            trainer.rewind()
            return
        for held in group:
            held.over = held.lost = True

    def _dissolve(self, stack: Stack, group: Sequence[_Held], error: Exception) -> None:
        """A stack has failed as a whole: its candidates begin the epoch again in smaller ones."""
        shape = shape_of(group[0].candidate)
        stack.rewind()
        for held in group:
            key = held.candidate.key
            held.state = self.state(key) if self.has_state(key) else None
            held.trainer = None
        self._trainers.remove(stack)
        self._demote(shape, error, len(stack.members))
        del stack
        devices.empty_cache(self._device)

    def _failed(self, held: _Held, error: Exception, seconds: float) -> Report:
        if isinstance(error, DivergedError):
            failure, message = Failure.DIVERGED, str(error)
        else:
            memory, never = devices.is_out_of_memory(error), isinstance(error, SettingsError)
            failure = Failure.SETTINGS if never else Failure.ERROR
            failure, message = Failure.OUT_OF_MEMORY if memory else failure, _line(error)
        held.over = held.lost = True
        held.state = None
        epoch = held.course.epoch if held.course else 0
        if isinstance(held.trainer, Solo):
            self._trainers.remove(held.trainer)
            held.trainer = None
        if failure is not Failure.DIVERGED:
            devices.empty_cache(self._device)
        return Report(held.candidate.key, epoch, None, {}, seconds, False, failure, message)


def _entered(course: TrialProgress) -> Report:
    """The report of its last epoch."""
    entry, kept = course.curve[-1], course.kept
    return Report(
        course.candidate.key, finished=course.finished, kept=kept, confusion=course.confusion,
        **entry,
    )  # fmt: skip


def _progress(held: _Held) -> TrialProgress:
    assert held.course is not None
    return held.course


def _line(error: Exception) -> str:
    """The error in one line; ours speak for themselves, others need the name of their class."""
    said, kind = line(error), type(error).__name__
    speaks = isinstance(error, (ValueError, HpsearchError)) or said == kind
    return said if speaks else f"{kind}: {said}"
