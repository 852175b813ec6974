"""The runner of networks that hpsearch trains itself: the candidates that one device trains at the
same time.

Candidates of one shape are trained as one stack, as many as pay; others one after another. How a
candidate is packed does not change its result but for the last digits, and which units dropout
drops.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from hpsearch.errors import CheckpointError, HpsearchError, line
from hpsearch.runner import Failure, Fit, Report, Saved
from hpsearch.spec.conflicts import SettingsError
from hpsearch.spec.settings import METRICS
from hpsearch.training import devices
from hpsearch.training.evaluation import measure
from hpsearch.training.metrics import confusion
from hpsearch.training.solo import Solo
from hpsearch.training.stacking.cuda_graphs import records
from hpsearch.training.stacking.layers import CannotStackError
from hpsearch.training.stacking.slots import fit, fixed
from hpsearch.training.stacking.stack import Stack, shape_of, shapes_by
from hpsearch.training.trial_progress import DivergedError, TrialProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    import torch

    from hpsearch.runner.candidate import Candidate
    from hpsearch.runner.epoch import Keeping
    from hpsearch.sources.dataset import Dataset

__all__ = ["Array"]

_MOST_CLASSES = 50
"""With more the confusion matrix is not kept: it would be larger than all else of a trial."""

_log = logging.getLogger(__name__)

Trainer = Solo | Stack


class _State(Enum):
    TRAINING = auto()
    OVER = auto()
    """Finished or paused: nothing is left to train here."""
    LOST = auto()
    """Failed, or broken off in an epoch by itself: there is no state of it."""


@dataclass(eq=False)
class _Member:
    """A candidate in the array. It is built in its first epoch, where a failure can be reported."""

    candidate: Candidate
    saved: Saved | None
    until: int | None
    progress: TrialProgress | None = None
    trainer: Trainer | None = None
    state: _State = _State.TRAINING

    def report(self) -> Report:
        """That of its last epoch, which may have brought it to its end here."""
        progress = _progress(self)
        paused = self.until is not None and progress.epoch >= self.until and not progress.finished
        if progress.finished or paused:
            self.state = _State.OVER
        return Report(
            self.candidate.key, progress.curve[-1], progress.kept,
            finished=progress.finished, paused=paused,
        )  # fmt: skip


def _never() -> bool:
    return False


class Array:
    """Trains candidates on one device, an epoch of each at a time: a `runner.Runner`.

    Args:
        dataset: What they are trained on, on the device.
        metric: A key of `settings.METRICS`; ValueError where it does not suit the data.
        device: Where.
        stack: The most candidates of one shape to train as one: 1 for each by itself, None for as
            many as a dry run finds to pay.
        keeping: Which epoch of a candidate counts; None: its last one.
        interrupted: Asked between any two batches. Once it says True the epoch is broken off.
        over: Asked before a stack, or a candidate by itself, begins an epoch. Once it says True
            none does.
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
        self._keeping = keeping
        self._interrupted, self._over = interrupted, over
        self._members: dict[int, _Member] = {}
        self._trainers: list[Trainer] = []
        self._fits: dict[Hashable, Fit] = {}

    @property
    def keys(self) -> tuple[int, ...]:
        """Keys of the candidates that it has, in the order in which they came."""
        return tuple(self._members)

    @property
    def stacks(self) -> bool:
        """Whether more than one candidate may be trained at once."""
        return self._stack != 1

    def shape(self, candidate: Candidate) -> Hashable:
        """Candidates of one shape can be trained as one."""
        return shape_of(candidate)

    def shaping(self, family: str, names: Iterable[str]) -> frozenset[str]:
        """Those of the parameters on which the shape of a candidate of that family depends."""
        return frozenset(shapes_by(family, names))

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
        except Exception as error:  # the first epoch meets it again, where it is reported
            devices.empty_cache(self._device)
            return Fit(1, _line(error))

    def add(
        self, candidate: Candidate, saved: Saved | None = None, until: int | None = None
    ) -> None:
        """Take a candidate in for the next epoch, from its start or from where it was saved.

        It is trained until its last epoch, or until the epoch `until` is done. Raises
        CheckpointError where `saved` is not of this candidate, or does not fit it.
        """
        if candidate.key in self._members:
            raise ValueError(f"candidate {candidate.key} is in the array already")
        if saved is not None:
            try:
                self._new_progress(candidate).restore(saved)
            except CheckpointError:
                raise
            except Exception:  # the first epoch meets it again, where it is reported
                devices.empty_cache(self._device)
        self._members[candidate.key] = _Member(candidate, saved, until)

    def _new_progress(self, candidate: Candidate) -> TrialProgress:
        return TrialProgress(candidate, self._dataset, self._keeping)

    def remove(self, key: int) -> None:
        """Let a candidate go, finished or not."""
        trainer = self._members.pop(key).trainer
        if trainer is not None and not self._group(trainer):
            self._trainers.remove(trainer)

    def saved(self, key: int) -> Saved | None:
        """A checkpoint of that candidate after its last whole epoch, copied to the CPU.

        None after a failure, where an interruption broke its epoch off, and before its first epoch.
        """
        return _saved(self._members[key])

    def reports(self, timeout_s: float = 0.0) -> Iterator[Report]:
        """Train every candidate for one epoch and yield a report of each as it is ready.

        That takes as long as it takes, whatever `timeout_s` is: there is nothing to wait for.

        A candidate that has finished, failed or paused stays until it is removed, and is passed
        over. One that is added as it was saved after the last epoch that it is trained for gives
        that epoch's report again. While a report is in the caller's hands its candidate may be
        removed and others added; these wait for the next epoch. After an interruption nothing more
        is yielded. Where a stack runs out of memory its candidates are put into two and give their
        reports the next time.
        """
        yield from self._still_here(self._settle())
        for trainer in list(self._trainers):
            group = self._group(trainer)
            if not group:  # removed meanwhile
                continue
            if self._over():
                return
            reports = self._train(trainer, group)
            if reports is None:
                return
            yield from self._still_here(reports)

    def _still_here(self, reports: Iterable[Report]) -> Iterator[Report]:
        """Without those of candidates that the caller removes on the way."""
        members = dict(self._members)
        return (r for r in reports if self._members.get(r.key) is members[r.key])

    def _group(self, trainer: Trainer) -> list[_Member]:
        return [member for member in self._members.values() if member.trainer is trainer]

    # --- who is trained with whom -------------------------------------------------------------

    def _settle(self) -> list[Report]:
        """Free slots of what is over, and fill them; a report of what has come to its end."""
        for member in self._members.values():
            if member.state is not _State.TRAINING and member.trainer is not None:
                member.saved, member.trainer = _saved(member), None
        self._compact()
        waiting = [m for m in self._members.values() if _waits(m)]
        reports = [report for member in waiting if (report := self._prepare(member))]
        by_shape: dict[Hashable, list[_Member]] = {}
        for member in filter(_waits, waiting):
            by_shape.setdefault(shape_of(member.candidate), []).append(member)
        for shape, group in by_shape.items():
            reports += self._place(shape, group)
        return reports

    def _compact(self) -> None:
        self._trainers = [trainer for trainer in self._trainers if self._group(trainer)]
        for trainer in self._trainers:
            if isinstance(trainer, Stack):
                members = {id(member.progress) for member in self._group(trainer)}
                gone = [k for k, c in enumerate(trainer.members) if id(c) not in members]
                if gone:
                    trainer.leave(gone)

    def _prepare(self, member: _Member) -> Report | None:
        """Build it; its report if that failed, or if it was at its end here before it came."""
        try:
            member.progress = self._new_progress(member.candidate)
            if member.saved is None:
                return None
            member.progress.restore(member.saved)
        except Exception as error:
            return self._failed(member, error)
        report = member.report()
        return report if member.state is _State.OVER else None

    def _place(self, shape: Hashable, group: Sequence[_Member]) -> list[Report]:
        """Put candidates of one shape into stacks that have room, or each by itself."""
        lonely = len(group) == 1 and shape not in self._fits
        slots = 1 if lonely else self.fit(group[0].candidate).slots
        if slots == 1:
            return [report for member in group if (report := self._alone(member, lonely))]
        waiting = list(group)
        try:
            while waiting:
                stack = self._stack_with_room(shape, slots) or self._new_stack(waiting[0])
                taken = waiting[: slots - len(stack.members)]
                stack.join([(_progress(member), _resumed(member)) for member in taken])
                for member in taken:
                    member.trainer, member.saved = stack, None
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

    def _new_stack(self, member: _Member) -> Stack:
        stack = Stack(_progress(member).network(), self._dataset, self._device)
        self._trainers.append(stack)
        return stack

    def _alone(self, member: _Member, lonely: bool) -> Report | None:
        try:
            member.trainer = self._single(member, lonely)
        except Exception as error:
            return self._failed(member, error)
        member.saved = None
        self._trainers.append(member.trainer)
        return None

    def _single(self, member: _Member, lonely: bool) -> Trainer:
        """A trainer of one; of the only one of its shape a stack, where its steps are recorded."""
        progress, state = _progress(member), _resumed(member)
        if lonely and self.stacks and records(self._device):
            with suppress(CannotStackError):
                stack = Stack(progress.network(), self._dataset, self._device)
                stack.join([(progress, state)])
                return stack
        return Solo(progress, self._dataset, self._device, state)

    def _demote(self, shape: Hashable, error: Exception, tried: int) -> None:
        """Train fewer of a shape at once from now on: half where memory ran out, else one."""
        memory = devices.is_out_of_memory(error)
        before = self._fits[shape].slots if shape in self._fits else 1
        slots = max(min(before, tried // 2), 1) if memory else 1
        self._fits[shape] = Fit(slots, f"fewer than before: {_line(error)}")
        _log.warning("trains %d at once from now on: %s", slots, _line(error))

    # --- training -----------------------------------------------------------------------------

    def _train(self, trainer: Trainer, group: Sequence[_Member]) -> list[Report] | None:
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
            places = {id(progress): place for place, progress in enumerate(trainer.members)}
            reports = [
                self._report(member, *measured[places[id(member.progress)]], seconds)
                for member in group
            ]
            trainer.keep()
            return reports
        if isinstance(trainer, Stack):
            self._dissolve(trainer, group, fault)
            return []
        return [self._failed(member, fault) for member in group]

    def _measured(
        self, trainer: Trainer
    ) -> list[tuple[dict[str, float], torch.Tensor | None]] | None:
        """Metrics and confusion matrix of each slot; None after an interruption."""
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
        self, member: _Member, metrics: Mapping[str, float], counts_CC: torch.Tensor | None,
        seconds: float,
    ) -> Report:  # fmt: skip
        try:
            _progress(member).advance(self._metric, metrics, seconds, counts_CC)
        except DivergedError as error:
            return self._failed(member, error)
        return member.report()

    def _break_off(self, trainer: Trainer, group: Sequence[_Member]) -> None:
        if isinstance(trainer, Stack):
            trainer.rewind()
            return
        for member in group:
            member.state = _State.LOST

    def _dissolve(self, stack: Stack, group: Sequence[_Member], error: Exception) -> None:
        """A stack has failed as a whole: its candidates begin the epoch again in smaller ones."""
        shape = shape_of(group[0].candidate)
        stack.rewind()
        for member in group:
            member.saved, member.trainer = _saved(member), None
        self._trainers.remove(stack)
        self._demote(shape, error, len(stack.members))
        del stack
        devices.empty_cache(self._device)

    def _failed(self, member: _Member, error: Exception) -> Report:
        if isinstance(error, DivergedError):
            failure, message = Failure.DIVERGED, str(error)
        else:
            memory, never = devices.is_out_of_memory(error), isinstance(error, SettingsError)
            failure = Failure.SETTINGS if never else Failure.ERROR
            failure, message = Failure.OUT_OF_MEMORY if memory else failure, _line(error)
        member.state, member.saved = _State.LOST, None
        if isinstance(member.trainer, Solo):
            self._trainers.remove(member.trainer)
            member.trainer = None
        if failure is not Failure.DIVERGED:
            devices.empty_cache(self._device)
        curve = member.progress.curve if member.progress else []
        last = curve[-1] if curve else None
        return Report(member.candidate.key, last, failure=failure, message=message)


def _waits(member: _Member) -> bool:
    """Whether it is still to be put into a trainer."""
    return member.trainer is None and member.state is _State.TRAINING


def _progress(member: _Member) -> TrialProgress:
    assert member.progress is not None
    return member.progress


def _resumed(member: _Member) -> Mapping[str, object] | None:
    """The state that its trainer begins with; None: its start."""
    return None if member.saved is None else member.saved.state


def _saved(member: _Member) -> Saved | None:
    if member.state is _State.LOST:
        return None
    if member.trainer is None:
        return member.saved
    progress = _progress(member)
    if progress.epoch == 0:
        return None
    return Saved(member.trainer.state(member.trainer.members.index(progress)))


def _line(error: Exception) -> str:
    """The error in one line; ours speak for themselves, others need the name of their class."""
    said, kind = line(error), type(error).__name__
    speaks = isinstance(error, (ValueError, HpsearchError)) or said == kind
    return said if speaks else f"{kind}: {said}"
