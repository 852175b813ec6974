"""The runner of networks that hpsearch trains itself: the candidates that one device trains at the
same time.

Candidates of one shape are trained as one stack, as many as pay; others one after another. How a
candidate is packed does not change its result but for the last digits, and which units dropout
drops.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hpsearch.code.imports import located
from hpsearch.errors import CheckpointError
from hpsearch.spec.task import TASKS
from hpsearch.training import devices
from hpsearch.training.evaluation import Results, check_outputs, measure
from hpsearch.training.grouping import Grouping
from hpsearch.training.member import Member, State
from hpsearch.training.stacking.stack import Stack
from hpsearch.training.trial_progress import DivergedError, TrialProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    import torch

    from hpsearch.runner import Fit, Report, Saved
    from hpsearch.runner.candidate import Candidate
    from hpsearch.runner.epoch import Keeping
    from hpsearch.sources.dataset import Dataset
    from hpsearch.training.member import Trainer

__all__ = ["Array"]


def _never() -> bool:
    return False


class Array:
    """Trains candidates on one device, an epoch of each at a time: a `runner.Runner`.

    Args:
        dataset: What they are trained on, on the device.
        metric: The one that the study improves; ValueError where the task does not have it.
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
        if TASKS[dataset.task].metric(metric) is None:
            raise ValueError(f"the metric {metric} is not for {dataset.task}")
        self._dataset = dataset
        self._metric = metric
        self._device = device
        self._stack = stack
        self._keeping = keeping
        self._interrupted, self._over = interrupted, over
        self._members: dict[int, Member] = {}
        self._grouping = Grouping(self._members, dataset, device, stack)

    @property
    def keys(self) -> tuple[int, ...]:
        """Keys of the candidates that it has, in the order in which they came."""
        return tuple(self._members)

    @property
    def stacks(self) -> bool:
        """Whether more than one candidate may be trained at once."""
        return self._stack != 1

    @property
    def ahead(self) -> int:
        """None: it trains what it has."""
        return 0

    @property
    def waiting(self) -> tuple[int, ...]:
        """None: it trains what it has."""
        return ()

    def shape(self, candidate: Candidate) -> Hashable:
        """Candidates of one shape can be trained as one."""
        return self._grouping.shapes(candidate)

    def shaping(self, example: Candidate, names: Iterable[str]) -> frozenset[str]:
        """Those of the parameters on which the shape of a candidate like this one depends."""
        return self._grouping.shapes.by(example, names)

    def fit(self, candidate: Candidate, *, alone: bool = False) -> Fit:
        """How many candidates of the shape of this one are trained at once, and why.

        The first call for a shape trains copies for a few steps, unless it is `alone`.
        """
        return self._grouping.known(candidate) if alone else self._grouping.fit(candidate)

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
        self._members[candidate.key] = Member(candidate, saved, until)

    def log(self, key: int) -> bytes:
        """Networks write none."""
        return b""

    def close(self) -> None:
        """Let every candidate go."""
        for key in self.keys:
            self.remove(key)

    def _new_progress(self, candidate: Candidate) -> TrialProgress:
        return TrialProgress(candidate, self._dataset, self._keeping)

    def remove(self, key: int) -> None:
        """Let a candidate go, finished or not."""
        self._grouping.let_go(self._members.pop(key).trainer)

    def saved(self, key: int) -> Saved | None:
        """A checkpoint of that candidate after its last whole epoch, copied to the CPU.

        None after a failure, where an interruption broke its epoch off, and before its first epoch.
        """
        return self._members[key].checkpoint()

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
        for trainer in list(self._grouping.trainers):
            group = self._grouping.of(trainer)
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

    def _settle(self) -> list[Report]:
        """Free slots of what is over, and fill them; a report of what has come to its end."""
        self._grouping.free()
        waiting = [member for member in self._members.values() if member.waits]
        reports = [report for member in waiting if (report := self._build(member))]
        return reports + self._grouping.place([member for member in waiting if member.waits])

    def _build(self, member: Member) -> Report | None:
        """Build it; its report if that failed, or if it was at its end here before it came."""
        try:
            member.progress = self._new_progress(member.candidate)
            if member.saved is None:
                return None
            member.progress.restore(member.saved)
        except Exception as error:
            return self._grouping.fail(member, error)
        report = member.entered()
        return None if member.waits else report

    def _train(self, trainer: Trainer, group: Sequence[Member]) -> list[Report] | None:
        """The reports of an epoch whatever happens; None after an interruption."""
        start = time.perf_counter()
        try:
            measured = self._measured(trainer)
        except Exception as error:
            fault = located(error).with_traceback(None)  # which holds tensors
        else:
            if measured is None:
                self._break_off(trainer, group)
                return None
            seconds = (time.perf_counter() - start) / len(group)
            places = {id(progress): place for place, progress in enumerate(trainer.members)}
            reports = [
                self._report(member, measured[places[id(member.progress)]], seconds)
                for member in group
            ]
            trainer.keep()
            return reports
        if isinstance(trainer, Stack):
            self._grouping.dissolve(trainer, fault)
            return []
        return [self._grouping.fail(member, fault) for member in group]

    def _measured(self, trainer: Trainer) -> list[Results] | None:
        """What each slot came to; None after an interruption."""
        losses = trainer.train(self._interrupted)
        if losses is None:
            return None
        members = trainer.members
        part = members[0].dataset.validation
        outputs_KNC = trainer.outputs(part)
        if TASKS[self._dataset.task].around is None:
            outputs = self._dataset.problem(members[0].loss).outputs
            check_outputs(outputs_KNC, (len(members), len(part.targets), outputs))
        return measure(
            outputs_KNC, part.targets, self._dataset, members[0].loss,
            [member.plain for member in members], self._metric, losses,
        )  # fmt: skip

    def _report(self, member: Member, results: Results, seconds: float) -> Report:
        try:
            member.built.advance(self._metric, results, seconds)
        except DivergedError as error:
            return self._grouping.fail(member, error)
        return member.entered()

    def _break_off(self, trainer: Trainer, group: Sequence[Member]) -> None:
        if isinstance(trainer, Stack):
            trainer.rewind()
            return
        for member in group:
            member.state = State.LOST
