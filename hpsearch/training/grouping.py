"""Who is trained with whom: candidates of one shape in stacks, as many as pay; others alone."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from hpsearch.runner import Failure, Fit, Report
from hpsearch.training import devices
from hpsearch.training.member import Member, State, described
from hpsearch.training.solo import Solo
from hpsearch.training.stacking.cuda_graphs import records
from hpsearch.training.stacking.shaping import Shapes
from hpsearch.training.stacking.slots import fit, fixed, objection
from hpsearch.training.stacking.stack import Stack
from hpsearch.training.stacking.stand_in import CannotStackError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import torch

    from hpsearch.runner.candidate import Candidate
    from hpsearch.sources.dataset import Dataset
    from hpsearch.training.member import Trainer
    from hpsearch.training.trial_progress import TrialProgress

__all__ = ["Grouping"]

_log = logging.getLogger(__name__)


class Grouping:
    """The trainers of an array, and which of its members each has.

    Args:
        members: The array's, by key; anyone who adds or removes one does so there.
        dataset: What they are trained on.
        device: Where.
        stack: The most candidates of one shape to train as one; None: as many as pay.
    """

    def __init__(
        self, members: dict[int, Member], dataset: Dataset, device: torch.device, stack: int | None
    ) -> None:
        self._members, self._dataset, self._device = members, dataset, device
        self._stack = stack
        self.shapes = Shapes(dataset)
        self._fits: dict[Hashable, Fit] = {}
        self.trainers: list[Trainer] = []

    def of(self, trainer: Trainer) -> list[Member]:
        """The members that it trains."""
        return [member for member in self._members.values() if member.trainer is trainer]

    def fit(self, candidate: Candidate, epoch: int = 0) -> Fit:
        """How many candidates of the shape of this one are trained at once, and why."""
        shape = self.shapes(candidate, epoch)
        if shape not in self._fits:
            self._fits[shape] = self._fit(candidate, epoch)
        return self._fits[shape]

    def known(self, candidate: Candidate) -> Fit:
        """The same without a trial of it: of the only one of a new shape nothing is known."""
        shape = self.shapes(candidate)
        if shape in self._fits or self._stack == 1:
            return self.fit(candidate)
        return Fit(1, "no other of its shape was at hand")

    def _fit(self, candidate: Candidate, epoch: int) -> Fit:
        try:
            if self._stack is not None:
                return fixed(candidate, self._dataset, self._stack, epoch)
            return fit(candidate, self._dataset, self._device, epoch)
        except Exception as error:  # the first epoch meets it again, where it is reported
            devices.empty_cache(self._device)
            return Fit(1, described(error))

    def _shape(self, course: TrialProgress) -> Hashable:
        return self.shapes(course.candidate, course.epoch)

    def free(self) -> None:
        """Take what is over from its trainer, and what another trainer continues with, and let
        slots and trainers go that nobody has."""
        for member in self._members.values():
            over = member.state is not State.TRAINING
            if member.trainer is not None and (over or member.built.outgrown):
                member.saved, member.trainer = member.checkpoint(), None
        self._compact()

    def _compact(self) -> None:
        self.trainers = [trainer for trainer in self.trainers if self.of(trainer)]
        for trainer in self.trainers:
            if isinstance(trainer, Stack):
                members = {id(member.progress) for member in self.of(trainer)}
                gone = [k for k, c in enumerate(trainer.members) if id(c) not in members]
                if gone:
                    trainer.leave(gone)

    def place(self, members: Sequence[Member]) -> list[Report]:
        """Give members that have been built their trainers; reports of those that fail by it."""
        by_shape: dict[Hashable, list[Member]] = {}
        for member in members:
            by_shape.setdefault(self._shape(member.built), []).append(member)
        reports: list[Report] = []
        for shape, group in by_shape.items():
            reports += self._place(shape, group)
        return reports

    def _place(self, shape: Hashable, group: Sequence[Member]) -> list[Report]:
        """Put candidates of one shape into stacks that have room, or each by itself."""
        lonely = len(group) == 1 and shape not in self._fits
        slots = 1 if lonely else self.fit(group[0].candidate, group[0].built.epoch).slots
        if slots == 1:
            return [report for member in group if (report := self._alone(member, lonely))]
        waiting = list(group)
        try:
            while waiting:
                stack = self._stack_with_room(shape, slots) or self._new_stack(waiting[0])
                taken = waiting[: slots - len(stack.members)]
                stack.join([(member.built, member.resumed) for member in taken])
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
        for trainer in self.trainers:
            if (
                isinstance(trainer, Stack)
                and len(trainer.members) < slots
                and trainer.members
                and self._shape(trainer.members[0]) == shape
            ):
                return trainer
        return None

    def _new_stack(self, member: Member) -> Stack:
        stack = Stack(member.built, self._device)
        self.trainers.append(stack)
        return stack

    def _alone(self, member: Member, lonely: bool) -> Report | None:
        try:
            member.trainer = self._single(member, lonely)
        except Exception as error:
            return self.fail(member, error)
        member.saved = None
        self.trainers.append(member.trainer)
        return None

    def _single(self, member: Member, lonely: bool) -> Trainer:
        """A trainer of one; of the only one of its shape a stack, where its steps are recorded."""
        if lonely and self._stack != 1 and records(self._device):
            with suppress(CannotStackError):
                if not objection(member.candidate, self._dataset, member.built.epoch):
                    stack = Stack(member.built, self._device)
                    stack.join([(member.built, member.resumed)])
                    return stack
        return Solo(member.built, self._device, member.resumed)

    def _demote(self, shape: Hashable, error: Exception, tried: int) -> None:
        """Train fewer of a shape at once from now on: half where memory ran out, else one."""
        memory = devices.is_out_of_memory(error)
        before = self._fits[shape].slots if shape in self._fits else 1
        slots = max(min(before, tried // 2), 1) if memory else 1
        self._fits[shape] = Fit(slots, f"fewer than before: {described(error)}")
        _log.warning("trains %d at once from now on: %s", slots, described(error))

    def dissolve(self, stack: Stack, error: Exception) -> None:
        """A stack has failed as a whole: its candidates begin the epoch again in smaller ones."""
        group = self.of(stack)
        shape = self._shape(group[0].built)
        stack.rewind()
        for member in group:
            member.saved, member.trainer = member.checkpoint(), None
        self.trainers.remove(stack)
        self._demote(shape, error, len(stack.members))
        del stack
        devices.empty_cache(self._device)

    def fail(self, member: Member, error: Exception) -> Report:
        """The report of its failure. What it had on the device is free after that."""
        report = member.failed(error)
        if isinstance(member.trainer, Solo):
            self.trainers.remove(member.trainer)
            member.trainer = None
        if report.failure is not Failure.DIVERGED:
            devices.empty_cache(self._device)
        return report

    def let_go(self, trainer: Trainer | None) -> None:
        """One of its members has been removed: let it go where that was the last."""
        if trainer is not None and not self.of(trainer):
            self.trainers.remove(trainer)
