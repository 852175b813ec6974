"""One study on one device: tickets become trials, trials are trained, judged and recorded."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from optuna.trial import FrozenTrial, TrialState

from hpsearch import passwords
from hpsearch.catalog import METRICS
from hpsearch.errors import CheckpointError, DataError, HpsearchError, UnreachableError, line
from hpsearch.places import checkpoint_place
from hpsearch.search import Search
from hpsearch.spec import StudySpec
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Ending, EpochReport, Hold, Study, Write
from hpsearch.training.array import Array, Failure, Report
from hpsearch.training.candidate import Candidate, derived_seed
from hpsearch.training.data import Dataset, DataSettings, load
from hpsearch.training.stack import shape_of
from hpsearch.worker.context import Context
from hpsearch.worker.intake import Intake
from hpsearch.worker.saves import Saves

__all__ = ["Bench"]

T = TypeVar("T")

_SAVE_S = 0.8
"""Between two rounds of checkpoints, and how long reports wait for them. A crash costs no more than
that of training; an epoch that takes longer is saved and reported at its end."""

_log = logging.getLogger(__name__)


@dataclass
class _Running:
    """A trial under way on this worker."""

    hold: Hold
    trial: FrozenTrial
    candidate: Candidate
    metrics: Mapping[str, float] = field(default_factory=dict)
    """After the last epoch."""
    detail: str = ""
    """More than a word about a failure."""
    unsaved: str | None = None
    """Why its last epoch has no checkpoint."""
    undelivered: Write | None = None
    """What is to be written, once the checkpoint is there."""


class Bench:
    """All that one study needs on one device: its data, its search, and the array."""

    def __init__(self, context: Context, study: Study) -> None:
        self._context = context
        self._worker, self._ledger = context.name, context.ledger
        self._keeper, self._stop = context.keeper, context.stop
        self._study = study
        self._spec = StudySpec.from_document(study.document)
        if self._spec.name != study.name:  # which becomes the name of a folder
            raise HpsearchError(f"the study file in the database is of {self._spec.name!r}")
        dataset = load(_data_settings(self._spec, Path(study.base)), context.device)
        self._check_metric(dataset)
        self._agree_on_data(dataset)
        database = context.ledger.database
        self._mirror = Mirror(database, study.study_id, study.name, study.direction)
        self._search = Search(self._spec, self._mirror)
        place = checkpoint_place(database, study, context.options.checkpoints)
        self._saves = Saves(place)
        self._array = Array(
            dataset,
            self._spec.metric,
            context.device,
            stack=self._spec.search.slots,
            interrupted=context.stop.is_set,
        )
        self._intake = Intake(context.ledger, study, self._spec, self._search, self._array)
        self._running: dict[int, _Running] = {}
        self._saved_at = time.monotonic()
        self._unconfirmed: set[int] = set()
        """Tickets whose end is on its way to the database."""
        _log.info("serving study %s on %s", study.name, context.device)

    def _check_metric(self, dataset: Dataset) -> None:
        """The task of a table may be known only now, from its target."""
        metric = self._spec.metric
        if dataset.task not in METRICS[metric].tasks:
            fitting = ", ".join(n for n, m in METRICS.items() if dataset.task in m.tasks)
            raise DataError(
                f"the metric of study {self._study.name!r} is {metric}, and by its target "
                f"{self._spec.data.target!r} the table is for {dataset.task}; "
                f"set metric to one of {fitting}, or set data.task"
            )

    def _agree_on_data(self, dataset: Dataset) -> None:
        """All workers of a study must train on the same rows, split in the same way."""
        study_id, found = self._study.study_id, dataset.record
        kept = self._context.patiently(lambda: self._ledger.record_data(study_id, found))
        for part in ("fingerprint", "split"):
            if kept.get(part) != found[part]:
                raise DataError(
                    f"the data of study {self._study.name!r} is not what it was when the study "
                    f"began: its {part} differs; put the same data here, or start a study under "
                    "another name"
                )

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
        if self._keeper.away is None and not self._keeper.unsettled_s:
            with suppress(UnreachableError):
                self._take()

    def _take(self) -> None:
        wish = self._intake.wish([running.candidate for running in self._running.values()])
        if wish is None:
            return
        if self._running and not self._is_next():
            self._intake.rest()
            return
        study_id = self._study.study_id
        holds = self._ledger.claim(self._worker, study_id, wish.up_to, wish.wanted)
        if not holds:
            self._intake.rest()
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
        self._ask(self._mirror.refresh)
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
        for candidate in new:
            if count[shape_of(candidate)] == 1:
                said.append("alone: no other of its shape was at hand")
            else:
                fit = self._array.fit(candidate)
                said.append(f"up to {fit.slots} at once: {fit.reason}")
        return said

    def _started(self, hold: Hold, trial: FrozenTrial) -> _Running:
        running = _Running(hold, trial, self._candidate(hold, trial))
        self._running[hold.number] = running
        return running

    def _candidate(self, hold: Hold, trial: FrozenTrial) -> Candidate:
        settings = self._spec.settings(self._search.values(trial))
        return Candidate(
            key=hold.number,
            family=self._spec.family,
            settings=settings,
            seed=_seed(self._spec.search.seed, hold.origin),
        )

    def _place(self, running: _Running) -> None:
        """Put a trial on the array, from its checkpoint if there is one that fits."""
        candidate = running.candidate
        try:
            reported = bool(running.trial.intermediate_values)
            state = self._saves.load(running.hold, reported=reported)
            self._array.add(candidate, state)
        except CheckpointError as error:
            self._array.add(candidate)
            self._rewind(running, 0, f"starts again: {error}")
            return
        if state is not None:
            _log.info("trial %d goes on from epoch %d", running.trial.number, state["epoch"])
            self._catch_up(running, [EpochReport(**report) for report in state["curve"]])

    def _catch_up(self, running: _Running, curve: Sequence[EpochReport]) -> None:
        """Make the reports agree with the checkpoint, which has the whole learning curve.

        What its last worker could not report any more is reported now. What it reported without
        being able to save it is trained again. A checkpoint of the last epoch gives that epoch's
        report again.
        """
        known, epoch = running.trial.intermediate_values, curve[-1].epoch
        if max(known, default=0) > epoch:
            self._rewind(running, epoch, f"goes on from epoch {epoch}: no later one was saved")
        missing = [report for report in curve if report.epoch not in known]
        for report in missing:
            self._mirror.report(running.trial._trial_id, report.epoch, report.value)
        if missing:
            running.metrics = missing[-1].metrics
            last = epoch == running.candidate.settings["epochs"]
            self._record([self._write(running, missing, None if last else self._pruned(running))])

    def _rewind(self, running: _Running, epoch: int, why: str) -> None:
        """Its learning curve goes back too, or the pruner would judge it by the old one."""
        _log.warning("trial %d %s", running.trial.number, why)
        trial_id = running.trial._trial_id
        self._mirror.rewind(trial_id, epoch)
        attrs = {"restarted": passwords.hide(why)}
        self._record([Write(running.hold, trial_id, kept=epoch, user_attrs=attrs)])

    # --- training -----------------------------------------------------------------------------

    def _train_one_epoch(self) -> None:
        started = time.monotonic()
        writes = [self._judge(report) for report in self._array.epoch()]
        self._search.trained(time.monotonic() - started)
        self._record(writes)
        if time.monotonic() - self._saved_at >= _SAVE_S:
            self._save()

    def _judge(self, report: Report) -> Write:
        """What is to be written for an epoch: its report, and whether the trial ends with it."""
        running = self._running[report.key]
        if report.failure is not None:
            return self._write(running, [], self._failed(running, report))
        assert report.value is not None
        done = EpochReport(report.epoch, report.value, report.metrics, report.seconds)
        running.metrics = report.metrics
        self._mirror.report(running.trial._trial_id, report.epoch, report.value)
        if report.finished:
            ending: Ending | None = Ending(TrialState.COMPLETE, report.value)
        else:
            ending = self._pruned(running)
        return self._write(running, [done], ending)

    def _save(self) -> None:
        """Write the checkpoints of what is in training, and then deliver what they vouch for.

        A report is delivered after its checkpoint: whoever takes a trial over can add a report
        that is missing, not an epoch. A trial goes on without a checkpoint: its values are in the
        database then, and the disk may have room again later.
        """
        waiting = [r for r in self._running.values() if r.undelivered and r.undelivered.reports]
        for running in waiting:
            self._note(running, self._saved(running, last=False))
        self._deliver(list(self._running.values()))
        self._saved_at = time.monotonic()

    def _saved(self, running: _Running, *, last: bool) -> dict[str, Any]:
        """What is to be noted on the trial where that has come to change."""
        number = running.hold.number
        why = self._saves.save(running.hold, lambda: self._array.state(number), last=last)
        before, running.unsaved = running.unsaved, why
        if (before is None) == (why is None):
            return {}
        if why is not None:
            _log.warning("trial %d goes on, but %s", running.trial.number, why)
        return {"checkpoint": why}

    def _pruned(self, running: _Running) -> Ending | None:
        """How the trial ends if the pruner would stop it after its last report."""
        trial = running.trial
        if not self._search.should_prune(trial):
            return None
        reason = f"pruned by {self._spec.search.pruner.name} after epoch {trial.last_step}"
        return Ending(TrialState.PRUNED, _last_value(trial), reason)

    def _failed(self, running: _Running, report: Report) -> Ending:
        assert report.failure is not None
        running.detail = passwords.hide(report.message)
        if report.failure is Failure.DIVERGED:
            return Ending(TrialState.PRUNED, _last_value(running.trial), report.failure.value)
        reason = report.failure.value
        if report.failure is Failure.ERROR:
            reason = f"error: {running.detail}"
        _log.warning("trial %d failed: %s", running.trial.number, report.message or reason)
        return Ending(TrialState.FAIL, None, reason)

    def _write(
        self,
        running: _Running,
        reports: Sequence[EpochReport],
        ending: Ending | None,
        user_attrs: Mapping[str, Any] | None = None,
    ) -> Write:
        attrs = dict(user_attrs or {})
        if ending is not None and running.metrics:
            attrs["metrics"] = dict(running.metrics)
        if ending is not None and running.detail:
            attrs["detail"] = running.detail
        trial_id = running.trial._trial_id
        notes = self._mirror.take_notes(trial_id)
        return Write(
            running.hold, trial_id, reports=reports, user_attrs=attrs, system_attrs=notes,
            ending=ending,
        )  # fmt: skip

    def _record(self, writes: Sequence[Write]) -> None:
        """Keep them until the next checkpoints; what has ended is delivered at once."""
        for write in writes:
            running = self._running[write.hold.number]
            before = running.undelivered
            running.undelivered = before.then(write) if before else write
        ended = [write for write in writes if write.ending is not None]
        for write in ended:
            running, ending = self._running[write.hold.number], write.ending
            if ending and ending.state is TrialState.COMPLETE and self._is_best(ending.value):
                # The network itself, for whoever asks for the best one.
                self._note(running, self._saved(running, last=True))
        self._deliver([self._running[write.hold.number] for write in ended])
        for write in ended:
            self._clear_away(write)

    def _clear_away(self, write: Write) -> None:
        number, ending = write.hold.number, write.ending
        assert ending is not None
        trial = self._running[number].trial.number
        _log.info("trial %d of %s: %s", trial, self._study.name, ending.state.name)
        self._mirror.end(write.trial_id, ending.state, ending.value)
        self._let_go(number)
        self._unconfirmed.add(number)

    def _is_best(self, value: float | None) -> bool:
        """Whether no trial that is known to have ended is as good."""
        best = self._mirror.best()
        return best is None or self._mirror.is_better(value, best.value)

    def _note(self, running: _Running, attrs: Mapping[str, Any]) -> None:
        if attrs and running.undelivered is not None:
            noted = Write(running.hold, running.trial._trial_id, user_attrs=attrs)
            running.undelivered = running.undelivered.then(noted)

    def _deliver(self, chosen: Iterable[_Running]) -> None:
        """Hand what is known of them to the keeper."""
        writes = [running.undelivered for running in chosen if running.undelivered is not None]
        for running in chosen:
            running.undelivered = None
        self._keeper.put(writes)

    def _let_go(self, number: int) -> None:
        del self._running[number]
        if number in self._array.keys:
            self._array.remove(number)

    def settle(self) -> None:
        """Take note of what has become of the writes so far."""
        ended, lost = self._keeper.take_outcomes(self._study.study_id)
        for _, number, fence in lost:
            self._part_with(number, fence)
        self._unconfirmed -= {number for _, number, _ in ended | lost}
        if ended:
            self._tidy()

    def _part_with(self, number: int, fence: int) -> None:
        _log.warning("ticket %d has another holder by now: its late reports are refused", number)
        running = self._running.get(number)
        if running is not None:
            if running.hold.fence != fence:
                return  # taken over by this worker itself
            self._let_go(number)
        self._mirror.drop_ticket(number)
        if self._is_deleted():  # whoever deleted it could not know what would be saved after that
            self._saves.clear()

    def _is_deleted(self) -> bool:
        try:
            return all(study.uid != self._study.uid for study in self._ledger.studies())
        except UnreachableError:
            return False

    def _tidy(self) -> None:
        """Of trials that have ended, only the best one's checkpoint is of use.

        One whose end is not in the database yet is not touched: should this worker die now, the
        next one needs it.
        """
        best = self._mirror.best()
        ended = {t.user_attrs["ticket"] for t in self._mirror.trials() if t.state.is_finished()}
        kept = best.user_attrs["ticket"] if best is not None else None
        self._saves.keep_only(kept, ended - self._unconfirmed)

    def _obey(self) -> None:
        """Give back or end what is under way where the study or this worker has been stopped."""
        self.settle()
        state = self._keeper.state(self._study.study_id)
        if state == "stopped":
            self._record([
                self._write(r, [], Ending(TrialState.PRUNED, _last_value(r.trial), "stopped"))
                for r in self._running.values()
            ])  # fmt: skip
        elif state == "paused" or self._stop.is_set():
            self.give_back()

    def give_back(self, lost: str | None = None) -> None:
        """The next worker goes on from the last checkpoint; without a database, later.

        `lost` says what went wrong, where something did: that counts against the trials.
        """
        holds = [running.hold for running in self._running.values()]
        if not holds:
            return
        for running in self._running.values():
            if not self._array.has_state(running.hold.number):
                running.undelivered = None  # whoever goes on trains these epochs again
        self._save()
        self._keeper.flush(self._context.options.grace_s / 2)
        with suppress(UnreachableError):
            self._ledger.release(holds, lost)
        trials = ", ".join(str(running.trial.number) for running in self._running.values())
        _log.info("gave back trial %s of %s", trials, self._study.name)
        for running in list(self._running.values()):
            self._keeper.forget(running.hold)
            self._mirror.drop(running.trial._trial_id)
            self._let_go(running.hold.number)


def _last_value(trial: FrozenTrial) -> float | None:
    """What Optuna gives a pruned trial as its value: the last report."""
    return trial.intermediate_values[trial.last_step] if trial.last_step is not None else None


def _seed(study_seed: int, origin: int) -> int:
    """The candidate's own seed: of its first weights, the order of its data, its dropout."""
    return derived_seed(study_seed, "candidate", origin)


def _data_settings(spec: StudySpec, base: Path) -> DataSettings:
    data = spec.data
    return DataSettings(
        source=data.source,
        path=base / data.path if data.path else None,
        target=data.target,
        task=data.task,
        root=base / data.root if data.root else None,
        validation=data.validation,
        test=data.test or 0.0,
        seed=data.seed,
        limit=data.limit,
        ignore=tuple(data.ignore),
    )
