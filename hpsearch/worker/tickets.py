"""Tickets become trials: they are claimed, get parameters or continue from a checkpoint, and are
put on the runner."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from optuna.trial import FrozenTrial

from hpsearch import passwords
from hpsearch.errors import CheckpointError, UnreachableError, line
from hpsearch.insight.diagnosis import best_epoch
from hpsearch.runner import Saved
from hpsearch.runner.candidate import Candidate
from hpsearch.runner.epoch import Epoch
from hpsearch.stages.candidates import candidate_of
from hpsearch.store.values import TRAINED_BY, Lease
from hpsearch.worker.claiming import Claiming
from hpsearch.worker.judging import Judging
from hpsearch.worker.parts import Parts
from hpsearch.worker.runners import keeping_of
from hpsearch.worker.running import Running

__all__ = ["Tickets"]

_LOOK_S = 5.0
"""Between two looks at other workers' trials, where nothing is drawn by them."""

_KNOWN_S = 20.0
"""Between two looks at trials that somebody brings from elsewhere."""

_log = logging.getLogger(__name__)


class Tickets:
    """Takes tickets of one study on one device."""

    def __init__(self, parts: Parts, judging: Judging) -> None:
        context = parts.context
        self._parts, self._context, self._judging = parts, context, judging
        self._worker, self._ledger, self._keeper = context.name, context.ledger, context.keeper
        self._study, self._spec, self._running = parts.study, parts.spec, parts.running
        self._mirror, self._search, self._runner = parts.mirror, parts.search, parts.runner
        self._keeping = keeping_of(parts.spec)
        self._claiming = Claiming(
            context.ledger, parts.study, parts.spec, parts.search, parts.runner
        )
        self._looked_at = self._asked_at = -float("inf")
        manifest = parts.context.manifest if parts.study.code is not None else None
        self._code = manifest.short if manifest is not None else None
        """By which own code trials are trained here; None: they are trained by none."""

    def rest(self) -> None:
        """There was no ticket: do not ask again at once."""
        self._claiming.rest()

    def trained(self, seconds: float) -> None:
        """One epoch of one candidate took so long."""
        self._claiming.trained(seconds)

    def take(self) -> bool:
        """Take tickets for what room there is; False where the study has none to give."""
        self._parts.staging.follow()
        request = self._claiming.wish([running.candidate for running in self._running.values()])
        if request is None:
            return True
        if self._running and not self._is_next():
            self._claiming.rest()
            return True
        leases = self._ledger.claim(
            self._worker, self._study.study_id, request.up_to, request.wanted,
            ahead=request.ahead, own=self._keeper.keys, beside=bool(self._running),
            needs=self._study.needs,
        )  # fmt: skip
        for lease in leases:
            self._keeper.watch(lease)
        try:
            if leases:
                self._begin(leases)
        except Exception as error:
            left = [lease for lease in leases if lease.number not in self._running]
            away = isinstance(error, UnreachableError)
            self._abandon(left, None if away else f"worker {self._worker} failed: {line(error)}")
            raise
        return bool(leases)

    def _is_next(self) -> bool:
        """Whether this worker would choose the study again if it had to choose now."""
        waiting = self._ledger.waiting(self._context.serves, but=self._worker)
        return bool(waiting) and waiting[0].uid == self._study.uid

    def _abandon(self, leases: Sequence[Lease], lost: str | None) -> None:
        """Give back tickets that never came to be trained here."""
        for lease in leases:
            self._keeper.forget(lease)
            self._mirror.drop_ticket(lease.number)
        with suppress(UnreachableError):  # then a renewal gives them back
            self._ledger.release(leases, lost)

    def _begin(self, leases: Sequence[Lease]) -> None:
        """Give tickets their trials, or take up those they have, and put them on the runner."""
        self._look(leases)
        if not all(self._parts.staging.covers(lease) for lease in leases):
            self._parts.ask(self._parts.staging.read)
        self._begin_new([lease for lease in leases if lease.trial_id is None])
        for lease in leases:
            if lease.trial_id is None:
                continue
            trial = self._parts.ask(partial(self._mirror.hold, lease.trial_id))
            if trial is None:  # its study is gone
                self._keeper.forget(lease)
                continue
            running = self._started(lease, trial)
            _log.info("trial %d of %s is taken over", trial.number, self._study.name)
            self._go_on(running)

    def _look(self, leases: Sequence[Lease]) -> None:
        """Read other workers' trials, where these tickets are drawn by what they gave.

        Now and then in any case: anyone who knows the best trial can let go of other networks.
        """
        now = time.monotonic()
        if self._search.learns and now - self._asked_at >= _KNOWN_S:
            study_id = self._study.study_id
            self._search.learn(self._parts.ask(lambda: self._ledger.known(study_id)))
            self._asked_at = now
        needed = self._search.learns or any(lease.retry_of is not None for lease in leases)
        if needed or now - self._looked_at >= _LOOK_S:
            self._parts.ask(self._mirror.refresh)
            self._looked_at = now
        else:
            self._mirror.apply()

    def _begin_new(self, leases: Sequence[Lease]) -> None:
        proposals = self._search.propose(leases)
        drawn = list(zip(leases, proposals, strict=True))
        fits = self._fits([self._candidate(*pair) for pair in drawn])
        for (lease, proposal), fit in zip(drawn, fits, strict=True):
            proposal.user_attrs.update(attempts=lease.fence, worker=self._worker, stack=fit)
            if self._code is not None:
                proposal.user_attrs[TRAINED_BY] = self._code
        begun = self._parts.ask(lambda: self._ledger.begin(drawn))
        for (lease, proposal), row in zip(drawn, begun, strict=True):
            if row is None:  # the ticket was taken over
                self._mirror.drop_ticket(lease.number)
                self._keeper.forget(lease)
                continue
            running = self._started(lease, self._mirror.adopt(proposal, *row))
            _log.info("trial %d of %s begins", running.trial.number, self._study.name)
            self._runner.add(running.candidate)

    def _fits(self, new: Sequence[Candidate]) -> list[str]:
        """For each of them how many of its shape are trained at once, and why."""
        together = [*new, *(running.candidate for running in self._running.values())]
        count = Counter(map(self._runner.shape, together))
        alone = [count[self._runner.shape(one)] == 1 for one in new]
        fits = [self._runner.fit(one, alone=own) for one, own in zip(new, alone, strict=True)]
        return [
            f"alone: {fit.reason}" if fit.slots == 1 else f"up to {fit.slots} at once: {fit.reason}"
            for fit in fits
        ]

    def _started(self, lease: Lease, trial: FrozenTrial) -> Running:
        if lease.number in self._running:  # by an older lease, which this worker lost in its sleep
            self._parts.outbox.let_go(lease.number)
        running = Running(
            lease, trial, self._candidate(lease, trial), keeps_best=self._keeping.best,
            suspect=lease.crashes > 0 and self._runner.stacks,
        )  # fmt: skip
        self._running[lease.number] = running
        return running

    def _candidate(self, lease: Lease, trial: FrozenTrial) -> Candidate:
        values = self._search.values(trial)
        return candidate_of(
            self._spec, self._search.stages, lease.draw_index, values, key=lease.number
        )

    # --- trials that others have begun --------------------------------------------------------

    def _go_on(self, running: Running) -> None:
        """Put a trial on the runner, from its checkpoint if there is one that fits."""
        candidate = running.candidate
        self._note_code(running)
        try:
            reported = bool(running.trial.intermediate_values)
            saved = self._parts.saves.load(running.lease, reported=reported)
            self._runner.add(candidate, saved)
        except CheckpointError as error:
            self._runner.add(candidate)
            self._lose(running, passwords.hide(error))
            return
        if saved is not None:
            _log.info("trial %d continues from epoch %d", running.trial.number, saved.epoch)
            self._catch_up(running, saved)

    def _note_code(self, running: Running) -> None:
        """Note on a trial that others have begun that other code trains it from now on."""
        before = running.trial.user_attrs.get(TRAINED_BY)
        if self._code is not None and self._code not in (before or "").split(", "):
            both = self._code if before is None else f"{before}, {self._code}"
            running.put(user_attrs={TRAINED_BY: both})

    def _catch_up(self, running: Running, saved: Saved) -> None:
        """Make the reports agree with the checkpoint, which has the whole learning curve.

        What its last worker could not report any more is reported now. What it reported without
        being able to save it is trained again. Where it trained from another checkpoint, or from
        none, and came to other values, all its reports give way to those of this one: a curve is
        that of one attempt. A checkpoint of the last epoch gives that epoch's report again.
        """
        reported, epoch = running.trial.intermediate_values, saved.epoch
        running.last, running.kept = saved.curve[-1], saved.kept
        if any(_differs(reported.get(one.epoch, one.value), one.value) for one in saved.curve):
            self._rewind(
                running, 0, f"continues from epoch {epoch} of another attempt than the one reported"
            )
        elif max(reported, default=0) > epoch:
            self._rewind(running, epoch, f"continues from epoch {epoch}: no later one was saved")
        missing = [report for report in saved.curve if report.epoch not in reported]
        for report in missing:
            self._mirror.report(running.trial_id, report.epoch, report.value)
        if missing:
            finished = self._keeping.ends(saved.curve, saved.best_epoch, running.epochs)
            ending = None if finished else self._judging.pruned(running)
            notes = self._mirror.take_notes(running.trial_id)
            running.put(reports=missing, system_attrs=notes, ending=ending)
            self._parts.outbox.finish([running])

    def _lose(self, running: Running, why: str) -> None:
        """It begins again, unless it comes to its end before: then its reports are what it has."""
        running.lost = why
        if curve := running.trial.intermediate_values:
            last = max(curve)
            last_epoch = best_epoch(curve, self._spec.direction) if self._keeping.best else last
            running.last, running.kept = (
                Epoch(epoch, curve[epoch], {self._spec.metric: curve[epoch]}, 0.0)
                for epoch in (last, last_epoch)
            )

    def begin_lost_again(self) -> None:
        """Begin those again whose checkpoint is lost."""
        for running in self._running.values():
            if running.lost:
                self._rewind(running, 0, f"starts again: {running.lost}")
                running.last, running.kept, running.lost = None, None, ""

    def _rewind(self, running: Running, epoch: int, why: str) -> None:
        """Its learning curve goes back too, or the pruner would judge it by the old one."""
        _log.warning("trial %d %s", running.trial.number, why)
        self._mirror.rewind(running.trial_id, epoch)
        running.put(kept=epoch, user_attrs={"restarted": passwords.hide(why)})


def _differs(one: float, other: float) -> bool:
    """Whether two values of an epoch are not the same; NaN is the same as NaN."""
    return one != other and not (math.isnan(one) and math.isnan(other))
