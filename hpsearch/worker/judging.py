"""What reports make of trials: what is written of an epoch, and how a trial ends."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hpsearch import passwords
from hpsearch.children.here import Here
from hpsearch.errors import UnreachableError
from hpsearch.preflight import first_reports
from hpsearch.runner import Failure, Report
from hpsearch.runner.epoch import Epoch
from hpsearch.store.states import TrialState
from hpsearch.store.values import CODE, NOT_BEGUN, STOPPED, UNTRAINABLE, Ending
from hpsearch.worker.parts import Parts
from hpsearch.worker.running import Running

__all__ = ["Judging"]

_SPENT = "hours spent"
"""Why a trial ends that the hours of its search do not hold."""

_ALIKE = 3
"""Trials in a row that end with the same error, after which it is this worker's or the code's."""

_log = logging.getLogger(__name__)


class Judging:
    """The trials of one study on one device, judged by their reports."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._spec, self._search, self._mirror = parts.spec, parts.search, parts.mirror
        self._running, self._outbox = parts.running, parts.outbox
        self._reported = False
        """Whether any trial has reported here."""
        self._has_looked = parts.spec.train is None or not parts.spec.search.sanity
        """Whether the first reports of own training code are known not to need a look."""
        self._errors: list[str] = []
        """The last errors of own training code, or of an installed package's before any trial has
        reported, if they were all the same."""
        self._failed_after = 0
        """Epochs that trials with these errors had, at most: who has more has got past them."""

    @property
    def gives_up(self) -> str | None:
        """The error that code which is not hpsearch's has made here again and again; None: there is
        none."""
        return self._errors[0] if len(self._errors) >= _ALIKE else None

    def note(self, report: Report) -> Running:
        """Note an epoch: its report, and whether the trial ends with it."""
        running = self._running[report.key]
        if report.failure is not None:
            running.put(ending=self._failed(running, report, report.failure))
            return running
        self._reported = True
        last = running.last = report.last
        running.kept, running.parameters = report.kept, report.parameters
        assert last is not None
        assert report.kept is not None
        self._mirror.report(running.trial_id, last.epoch, last.value)
        if running.lease.draw_index == 0 and last.epoch >= first_reports.LOOKS_AT:
            self._look(running, last)
        ending: Ending | None
        if report.finished:
            stale = last.epoch < running.epochs
            waited = f"no better for {self._spec.budget.stop_after} epochs" if stale else None
            ending = Ending(TrialState.COMPLETE, report.kept.value, report.message or waited)
        else:
            ending = self.pruned(running)
        if ending is not None and (report.finished or last.epoch > self._failed_after):
            self._errors.clear()
        notes = self._mirror.take_notes(running.trial_id)
        running.put(reports=[last], system_attrs=notes, ending=ending)
        return running

    def pruned(self, running: Running) -> Ending | None:
        """How the trial ends if the pruner would stop it after its last report."""
        trial = running.trial
        if not self._search.should_prune(trial):
            return None
        reason = f"pruned by {self._spec.search.pruner.name} after epoch {trial.last_step}"
        return Ending(TrialState.PRUNED, running.last_value, reason)

    def stop(self) -> None:
        """End what is under way as its study was stopped."""
        waiting = set(self._parts.runner.waiting)
        for number, running in self._running.items():
            why = NOT_BEGUN if number in waiting else STOPPED
            running.put(ending=Ending(TrialState.PRUNED, running.last_value, why))
        self._outbox.finish(list(self._running.values()))

    def spend(self) -> None:
        """End what is under way as the hours are spent: as a result where its value is the best so
        far."""
        with suppress(UnreachableError):
            self._mirror.refresh()  # others may have ended better ones
        ended = list(self._running.values())
        best = self._mirror.first([(r.trial, r.kept.value) for r in ended if r.kept])
        for running in ended:
            if running.trial is best and running.kept:
                ending = Ending(TrialState.COMPLETE, running.kept.value, _SPENT)
            else:
                ending = Ending(TrialState.PRUNED, running.last_value, _SPENT)
            attrs = {"checkpoint": f"its network is lost: {running.lost}"} if running.lost else {}
            running.put(user_attrs=attrs, ending=ending)
        self._outbox.finish(ended)

    def _failed(self, running: Running, report: Report, failure: Failure) -> Ending:
        message = report.message
        running.detail = passwords.hide(message)
        if report.log:
            running.put(user_attrs={"log": passwords.hide(report.log)})
        if failure is Failure.ERROR:
            self._count(running.detail, report.last.epoch if report.last else 0)
        if failure is Failure.DIVERGED:
            early = report.last is None or report.last.epoch < first_reports.LOOKS_AT
            if running.lease.draw_index == 0 and early and not self._has_looked:
                self._note_look(first_reports.diverged(running.detail))
            return Ending(TrialState.PRUNED, running.last_value, failure.value)
        reason = failure.value
        if failure in (Failure.ERROR, Failure.SETTINGS):
            reason = f"{failure.value}: {running.detail}"
        if failure is Failure.SETTINGS:
            running.put(user_attrs={UNTRAINABLE: True})
        _log.warning("trial %d failed: %s", running.trial.number, message or reason)
        return Ending(TrialState.FAIL, None, reason)

    def _look(self, running: Running, last: Epoch) -> None:
        """Look at the first two reports of the study's first trial, on any worker."""
        curve = running.trial.intermediate_values
        if self._has_looked or any(epoch not in curve for epoch in (1, first_reports.LOOKS_AT)):
            return
        saved = self._parts.runner.saved(running.number)
        saves = saved is not None and saved.own is not None
        self._note_look(first_reports.judged(self._spec, curve, last.seconds, saves=saves))

    def _note_look(self, outcome: Mapping[str, Any]) -> None:
        with suppress(UnreachableError):  # then the next report is looked at
            study = self._parts.study
            recorded = self._parts.context.ledger.record_sanity(study, outcome)
            self._has_looked = True
            if recorded == outcome and outcome["said"]:
                _log.warning("the first trial of %s: %s", study.name, outcome["said"])

    def _count(self, message: str, epochs: int) -> None:
        """A trial has failed after so many epochs: note that of code which is not hpsearch's.

        Networks of packages may fail for some settings alone, so theirs counts only where no trial
        has come to an epoch.
        """
        own = self._spec.train is not None
        if not own and (not self._spec.packages or self._has_reports):
            return
        if self._errors and self._errors[0] != message:
            self._errors.clear()
        self._failed_after = max(epochs, self._failed_after if self._errors else 0)
        self._errors.append(message)
        if own and not self._reported:
            self._blame(message)

    @property
    def _has_reports(self) -> bool:
        return self._reported or any(t.intermediate_values for t in self._mirror.trials())

    def _blame(self, message: str) -> None:
        """Own training code has failed before any trial has reported, and stops its study: it would
        fail all the same in every other trial."""
        study = self._parts.study
        is_here = isinstance(self._parts.context.nursery, Here)  # what it prints is seen there
        log = "" if is_here else f"; hpsearch logs {study.name} shows all that it wrote"
        sentence = (
            f"study {study.name!r} is stopped, as its code fails: {message}{log}. Fix it, or the "
            "study file, and run or submit the study again: nothing of the budget is spent"
        )
        outcome = {"suspect": CODE, "said": sentence, "stops": True}
        with suppress(UnreachableError):  # then the next error does
            self._parts.context.ledger.record_sanity(study, outcome)
