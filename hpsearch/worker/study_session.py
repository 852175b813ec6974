"""One study on one device: tickets become trials, trials are trained and judged."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from hpsearch import passwords
from hpsearch.checkpoints.places import checkpoint_place
from hpsearch.errors import CheckpointError, HpsearchError, UnreachableError, line
from hpsearch.insight.diagnosis import best_epoch
from hpsearch.search import Search
from hpsearch.spec import StudySpec, versions
from hpsearch.spec.settings import FINAL
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import STOPPED, UNTRAINABLE, Ending, EpochReport, Hold, Study
from hpsearch.training.array import Array, Failure, Report
from hpsearch.training.candidate import Candidate, derived_seed
from hpsearch.training.stacking.stack import shape_of
from hpsearch.training.trial_progress import Keeping, kept_epoch
from hpsearch.worker.claiming import Claiming
from hpsearch.worker.context import Context
from hpsearch.worker.finish import conclude
from hpsearch.worker.open_data import material
from hpsearch.worker.outbox import Outbox
from hpsearch.worker.running import Running
from hpsearch.worker.sanity import assure
from hpsearch.worker.staging import Staging
from hpsearch.worker.study_checkpoints import StudyCheckpoints

__all__ = ["StudySession"]

T = TypeVar("T")

_SPENT = "hours spent"
"""Why a trial ends that the hours of its search do not hold."""

_LOOK_S = 5.0
"""Between two looks at other workers' trials, where nothing is drawn by them."""

_CLEAR_S = 10.0
"""For the new epoch of a trial that has lost its worker to reach the database."""

_log = logging.getLogger(__name__)


class StudySession:
    """All that one study needs on one device: its data, its search, and the array."""

    def __init__(self, context: Context, study: Study) -> None:
        self._context = context
        self._worker, self._ledger = context.name, context.ledger
        self._keeper, self._stop = context.keeper, context.stop
        self._study = study
        self._spec = StudySpec.from_document(study.document)
        if self._spec.name != study.name:  # which becomes the name of a folder
            raise HpsearchError(f"the study file in the database is of {self._spec.name!r}")
        dataset = material(context, study, self._spec)
        assure(context, study, self._spec, dataset)
        database = context.ledger.database
        self._mirror = Mirror(database, study.study_id, study.name, study.direction)
        self._search = Search(self._spec, self._mirror)
        self._dataset = dataset
        self._keeping = Keeping(self._spec.keep == "best", self._spec.budget.stop_after)
        self._place_of_saves = checkpoint_place(database, study, context.options.checkpoints)
        self._saves = StudyCheckpoints(context.ledger, study, self._place_of_saves)
        self._saves.try_out()
        self._array = Array(
            dataset,
            self._spec.metric,
            context.device,
            stack=self._spec.search.slots,
            keeping=self._keeping,
            interrupted=context.stop.is_set,
            over=self._is_out_of_time,
        )
        self._staging = Staging(context.ledger, study, self._spec, self._search, self._mirror)
        self._claiming = Claiming(context.ledger, study, self._spec, self._search, self._array)
        self._running: dict[int, Running] = {}
        self._looked_at = -float("inf")
        self._seen: int | None = -1
        """Trials that had ended when this worker last looked after the study; None: it was done."""
        self._outbox = Outbox(context, study, self._mirror, self._array, self._saves, self._running)
        _log.info("serving study %s on %s", study.name, context.device)

    def run(self) -> bool:
        """Claim tickets and train them to their end; whether there were any."""
        prunes = self._spec.search.pruner.name != "none"
        self._keeper.follow(self._mirror.fetch if prunes else None)
        try:
            self.settle()
            self._fill()
            had_work = bool(self._running)
            while self._running:
                self._train_one_epoch()
                self._obey()
                if self._running:
                    self._fill()
        finally:
            self._keeper.follow(None)
        return had_work

    def settle(self) -> None:
        """Take note of what has become of the writes so far."""
        self._outbox.settle()

    def rest(self, open_: Sequence[Study]) -> None:
        """Nothing is to be trained here now: see, from time to time, what others have ended.

        `open_` are the studies that are open: of one that is not any more that is seen at once.
        """
        self.settle()
        study = next((study for study in open_ if study.uid == self._study.uid), None)
        ended, now = study.ended if study else None, time.monotonic()
        if ended != self._seen and (study is None or now - self._looked_at >= _LOOK_S):
            self._outbox.look()
            self._seen, self._looked_at = ended, now

    # --- taking tickets -----------------------------------------------------------------------

    def _fill(self) -> None:
        """Take tickets for what room there is.

        Candidates in training do not wait for a database that is away: there will be another time.
        """
        if self._stop.is_set():
            return
        if not self._running:
            self._take()
            return
        if not self._may_have_company():
            return
        if self._keeper.away is None and not self._keeper.unsettled_s:
            with suppress(UnreachableError):
                self._take()

    def _take(self) -> None:
        self._staging.follow()
        wish = self._claiming.wish([running.candidate for running in self._running.values()])
        if wish is None:
            return
        if self._running and not self._is_next():
            self._claiming.rest()
            return
        study_id = self._study.study_id
        holds = self._ledger.claim(
            self._worker, study_id, wish.up_to, wish.wanted, beside=bool(self._running)
        )
        if not holds:
            if self._staging.advance():
                self._take()
            elif not self._conclude():
                self._claiming.rest()
            return
        for hold in holds:
            self._keeper.watch(hold)
        try:
            self._begin(holds)
        except Exception as error:
            left = [hold for hold in holds if hold.number not in self._running]
            away = isinstance(error, UnreachableError)
            self._abandon(left, None if away else f"worker {self._worker} failed: {line(error)}")
            raise

    def _conclude(self) -> bool:
        """Give the verdict of a finish where it is due."""
        if self._running or self._search.stages[-1].name != FINAL:
            return False
        kept = conclude(
            self._context, self._study, self._spec, self._search, self._mirror, self._dataset,
            self._place_of_saves,
        )  # fmt: skip
        if kept is not None:
            ended = {t.user_attrs["ticket"] for t in self._mirror.trials()}
            self._saves.keep_only(kept, ended)
        return kept is not None

    def _may_have_company(self) -> bool:
        """Whether others may be trained beside what is in training.

        Of a stack that loses its worker again and again any candidate may be the cause: each is
        alone until it has made a new epoch. Where others wait for the same, it makes room for them
        then; it will be trained beside them.
        """
        # One at the most: a ticket that has lost its worker is leased by itself.
        running = next((r for r in self._running.values() if r.suspect), None)
        if running is None:
            return True
        self._outbox.save()
        if not self._keeper.flush(_CLEAR_S):
            return False
        try:
            suspects = self._ledger.suspects(self._study.study_id)
        except UnreachableError:
            return False
        running.suspect = running.number in suspects
        if not running.suspect and any(suspects.values()) and running.unsaved is None:
            self.give_back()
        return bool(self._running) and not running.suspect

    def _is_next(self) -> bool:
        """Whether this worker would choose the study again if it had to choose now."""
        waiting = self._ledger.waiting(self._context.options.studies, but=self._worker)
        return bool(waiting) and waiting[0].uid == self._study.uid

    def _abandon(self, holds: Sequence[Hold], lost: str | None) -> None:
        """Give back tickets that never came to be trained here."""
        for hold in holds:
            self._keeper.forget(hold)
            self._mirror.drop_ticket(hold.number)
        with suppress(UnreachableError):  # then their leases run out
            self._ledger.release(holds, lost)

    def _begin(self, holds: Sequence[Hold]) -> None:
        """Give tickets their trials, or take up those they have, and put them on the array."""
        self._look(holds)
        if not all(self._staging.covers(hold) for hold in holds):
            self._ask(self._staging.read)
        self._begin_new([hold for hold in holds if hold.trial_id is None])
        for hold in holds:
            if hold.trial_id is None:
                continue
            trial = self._ask(partial(self._mirror.hold, hold.trial_id))
            if trial is None:  # its study is gone
                self._keeper.forget(hold)
                continue
            running = self._started(hold, trial)
            _log.info("trial %d of %s is taken over", trial.number, self._study.name)
            self._place(running)

    def _look(self, holds: Sequence[Hold]) -> None:
        """Read other workers' trials, where these tickets are drawn by what they gave.

        Now and then in any case: whoever knows the best trial can let go of other networks.
        """
        now = time.monotonic()
        needed = self._search.learns or any(hold.retry_of is not None for hold in holds)
        if needed or now - self._looked_at >= _LOOK_S:
            self._ask(self._mirror.refresh)
            self._looked_at = now
        else:
            self._mirror.apply()

    def _begin_new(self, holds: Sequence[Hold]) -> None:
        proposals = self._search.propose(holds)
        candidates = [self._candidate(h, p) for h, p in zip(holds, proposals, strict=True)]
        fits = self._fits(candidates)
        for hold, proposal, fit in zip(holds, proposals, fits, strict=True):
            proposal.user_attrs.update(attempts=hold.fence, worker=self._worker, stack=fit)
        begun = self._ask(lambda: self._ledger.begin(list(zip(holds, proposals, strict=True))))
        for hold, proposal, row in zip(holds, proposals, begun, strict=True):
            if row is None:  # the ticket was taken over
                self._mirror.drop_ticket(hold.number)
                self._keeper.forget(hold)
                continue
            running = self._started(hold, self._mirror.adopt(proposal, *row))
            _log.info("trial %d of %s begins", running.trial.number, self._study.name)
            self._array.add(running.candidate)

    def _ask(self, call: Callable[[], T]) -> T:
        """Of the database: with patience where nothing is in training, once where something is."""
        return call() if self._running else self._context.patiently(call)

    def _fits(self, new: Sequence[Candidate]) -> list[str]:
        """For each of them how many of its shape are trained at once, and why."""
        there = [*new, *(running.candidate for running in self._running.values())]
        count = Counter(map(shape_of, there))
        said = []
        for one in new:
            if count[shape_of(one)] == 1:
                said.append("alone: no other of its shape was at hand")
            else:
                fit = self._array.fit(one)
                said.append(f"up to {fit.slots} at once: {fit.reason}")
        return said

    def _started(self, hold: Hold, trial: FrozenTrial) -> Running:
        if hold.number in self._running:  # by an older hold, which this worker lost in its sleep
            self._outbox.let_go(hold.number)
        suspect = hold.crashes > 0 and self._array.stacks
        running = Running(
            hold, trial, self._candidate(hold, trial), keeps_best=self._keeping.best,
            suspect=suspect,
        )  # fmt: skip
        self._running[hold.number] = running
        return running

    def _candidate(self, hold: Hold, trial: FrozenTrial) -> Candidate:
        settings = self._spec.settings(self._search.values(trial))
        seed = derived_seed(self._spec.search.seed, *self._search.seed(hold.origin))
        return Candidate(hold.number, self._spec.family, settings, seed)

    def _place(self, running: Running) -> None:
        """Put a trial on the array, from its checkpoint if there is one that fits."""
        candidate = running.candidate
        try:
            reported = bool(running.trial.intermediate_values)
            state = self._saves.load(running.hold, reported=reported)
            self._array.add(candidate, state)
        except CheckpointError as error:
            self._array.add(candidate)
            self._lose(running, passwords.hide(error))
            return
        if state is not None:
            _log.info("trial %d goes on from epoch %d", running.trial.number, state["epoch"])
            self._catch_up(running, state)

    def _catch_up(self, running: Running, state: Mapping[str, Any]) -> None:
        """Make the reports agree with the checkpoint, which has the whole learning curve.

        What its last worker could not report any more is reported now. What it reported without
        being able to save it is trained again. A checkpoint of the last epoch gives that epoch's
        report again.
        """
        curve = [EpochReport(**report) for report in state["curve"]]
        known, epoch = running.trial.intermediate_values, curve[-1].epoch
        running.kept = state["curve"][kept_epoch(state) - 1]
        running.last_metrics = curve[-1].metrics
        running.confusion = state.get("confusion")
        if max(known, default=0) > epoch:
            self._rewind(running, epoch, f"goes on from epoch {epoch}: no later one was saved")
        missing = [report for report in curve if report.epoch not in known]
        for report in missing:
            self._mirror.report(running.trial_id, report.epoch, report.value)
        if missing:
            epochs = int(running.candidate.settings["epochs"])  # type: ignore[arg-type]
            last = self._keeping.ends(epoch, state.get("best_epoch", epoch), epochs)
            ending = None if last else self._pruned(running)
            notes = self._mirror.take_notes(running.trial_id)
            running.put(reports=missing, system_attrs=notes, ending=ending)
            self._outbox.finish([running])

    def _lose(self, running: Running, why: str) -> None:
        """It begins again, unless it comes to its end before: then its reports are what it has."""
        curve, metric = running.trial.intermediate_values, self._spec.metric
        running.lost = why
        if curve:
            last = max(curve)
            epoch = best_epoch(curve, self._spec.direction) if self._keeping.best else last
            value = curve[epoch]
            running.kept = {"epoch": epoch, "value": value, "metrics": {metric: value}}
            running.last_metrics = {metric: curve[last]}

    def _begin_lost_again(self) -> None:
        for running in self._running.values():
            if running.lost:
                self._rewind(running, 0, f"starts again: {running.lost}")
                running.kept, running.last_metrics, running.lost = {}, {}, ""

    def _rewind(self, running: Running, epoch: int, why: str) -> None:
        """Its learning curve goes back too, or the pruner would judge it by the old one."""
        _log.warning("trial %d %s", running.trial.number, why)
        self._mirror.rewind(running.trial_id, epoch)
        running.put(kept=epoch, user_attrs={"restarted": passwords.hide(why)})

    # --- training -----------------------------------------------------------------------------

    def _train_one_epoch(self) -> None:
        if not self._is_out_of_time():
            self._begin_lost_again()
        started = time.monotonic()
        judged = [self._judge(report) for report in self._array.epoch()]
        taken_s = time.monotonic() - started
        self._search.trained(taken_s)
        self._claiming.trained(taken_s / len(self._running))
        self._outbox.finish(judged)
        self._outbox.save_where_due()

    def _judge(self, report: Report) -> Running:
        """Note an epoch: its report, and whether the trial ends with it."""
        running = self._running[report.key]
        if report.failure is not None:
            running.put(ending=self._failed(running, report))
            return running
        assert report.value is not None
        done = EpochReport(report.epoch, report.value, report.metrics, report.seconds)
        running.kept, running.last_metrics = report.kept, report.metrics
        running.confusion = report.confusion
        self._mirror.report(running.trial_id, report.epoch, report.value)
        if report.finished:
            stale = report.epoch < int(running.candidate.settings["epochs"])  # type: ignore[arg-type]
            reason = f"no better for {self._keeping.stop_after} epochs" if stale else None
            ending: Ending | None = Ending(TrialState.COMPLETE, report.kept["value"], reason)
        else:
            ending = self._pruned(running)
        notes = self._mirror.take_notes(running.trial_id)
        running.put(reports=[done], system_attrs=notes, ending=ending)
        return running

    def _pruned(self, running: Running) -> Ending | None:
        """How the trial ends if the pruner would stop it after its last report."""
        trial = running.trial
        if not self._search.should_prune(trial):
            return None
        reason = f"pruned by {self._spec.search.pruner.name} after epoch {trial.last_step}"
        return Ending(TrialState.PRUNED, running.last_value, reason)

    def _failed(self, running: Running, report: Report) -> Ending:
        assert report.failure is not None
        running.detail = passwords.hide(report.message)
        if report.failure is Failure.DIVERGED:
            return Ending(TrialState.PRUNED, running.last_value, report.failure.value)
        reason = report.failure.value
        if report.failure in (Failure.ERROR, Failure.SETTINGS):
            reason = f"{report.failure.value}: {running.detail}"
        if report.failure is Failure.SETTINGS:
            running.put(user_attrs={UNTRAINABLE: True})
        _log.warning("trial %d failed: %s", running.trial.number, report.message or reason)
        return Ending(TrialState.FAIL, None, reason)

    # --- what becomes of trials ---------------------------------------------------------------

    def _obey(self) -> None:
        """Give back or end what is under way where the study or this worker has been stopped."""
        self._outbox.settle()
        state = self._keeper.state(self._study.study_id)
        if state == "stopped":
            for running in self._running.values():
                running.put(ending=Ending(TrialState.PRUNED, running.last_value, STOPPED))
            self._outbox.finish(list(self._running.values()))
        elif state == "paused" or self._stop.is_set():
            self.give_back()
        elif self._is_out_of_time():
            self._end_search()

    def _is_out_of_time(self) -> bool:
        """Whether the hours of the search are spent; by the rules of version 1 its trials go on."""
        bounded = self._spec.version > versions.FIRST and self._search.stages[-1].name != FINAL
        return bounded and self._keeper.is_spent(self._study.study_id)

    def _end_search(self) -> None:
        """End what is under way: as a result where its value is the best so far."""
        with suppress(UnreachableError):
            self._mirror.refresh()  # others may have ended better ones
        ended = list(self._running.values())
        best = self._mirror.first([(r.trial, r.kept["value"]) for r in ended if r.kept])
        for running in ended:
            if running.trial is best:
                ending = Ending(TrialState.COMPLETE, running.kept["value"], _SPENT)
            else:
                ending = Ending(TrialState.PRUNED, running.last_value, _SPENT)
            said = {"checkpoint": f"its network is lost: {running.lost}"} if running.lost else {}
            running.put(user_attrs=said, ending=ending)
        self._outbox.finish(ended)

    def give_back(self, lost: str | None = None) -> None:
        """The next worker goes on from the last checkpoint; without a database, later.

        `lost` says what went wrong, where something did: that counts against the trials.
        """
        holds = [running.hold for running in self._running.values()]
        if not holds:
            return
        self._outbox.save()
        self._keeper.flush(self._context.options.grace_s / 2)
        with suppress(UnreachableError):
            self._ledger.release(holds, lost)
            self._saves.clear_if_deleted()  # these holds are not looked at any more
        trials = ", ".join(str(running.trial.number) for running in self._running.values())
        _log.info("gave back trial %s of %s", trials, self._study.name)
        for running in list(self._running.values()):
            self._keeper.forget(running.hold)
            self._mirror.drop(running.trial_id)
            self._outbox.let_go(running.number)
