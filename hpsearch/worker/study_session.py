"""One study on one device: its tickets are taken, trained and judged until there are none."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hpsearch.checkpoints.places import checkpoint_place
from hpsearch.code import function
from hpsearch.errors import CodeError, DataError, HpsearchError, UnreachableError
from hpsearch.search import Search
from hpsearch.spec import StudySpec, versions
from hpsearch.spec.settings import FINAL
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Study
from hpsearch.weights import check_preprocessing, missing
from hpsearch.worker.context import Context
from hpsearch.worker.examiners import examiner_of
from hpsearch.worker.finish import Conclusion
from hpsearch.worker.judging import Judging
from hpsearch.worker.notes import Notes
from hpsearch.worker.open_data import agreed_data
from hpsearch.worker.outbox import Outbox
from hpsearch.worker.parts import Parts
from hpsearch.worker.pictures import Pictures
from hpsearch.worker.runners import runner_of, tester_of
from hpsearch.worker.running import Running
from hpsearch.worker.sanity import assure
from hpsearch.worker.staging import Staging
from hpsearch.worker.study_checkpoints import StudyCheckpoints
from hpsearch.worker.tickets import Tickets

__all__ = ["StudySession"]

_LOOK_S = 5.0
"""Between two looks at what other workers have ended, where nothing is to be trained here."""

_CODE_S = 2.0
"""Between two looks at whether the study's own code is what it was."""

_CLEAR_S = 10.0
"""For the new epoch of a trial that has lost its worker to reach the database."""

_STAY_S = 1.5
"""For which one short trial follows another, until the worker looks again for a study that should
come first."""

_WAIT_BEHIND_S = 1.0
"""What waits here for longer than that is given back: a worker without work may train it."""

_WAIT_S = 1.0
"""For a report, until it is looked again at what has become of the study."""

_log = logging.getLogger(__name__)


class StudySession:
    """All that one study needs on one device: its data, its search, and what trains it."""

    def __init__(self, context: Context, study: Study) -> None:
        self._context, self._study = context, study
        self.code = study.code
        """Digest of its own code when it was opened here; None: it has none."""
        self._ledger, self._keeper, self._stop = context.ledger, context.keeper, context.stop
        self._spec = spec = StudySpec.from_document(study.document)
        if spec.name != study.name:  # which becomes the name of a folder
            raise HpsearchError(f"the study file in the database is of {spec.name!r}")
        if spec.needs_code and study.code is None:
            raise CodeError("the database has no hashes of its own code, and none of it is run")
        for reference in spec.code if spec.train is None else ():  # whose children run it
            function(reference)  # before the data, which may take long to read
        if why := missing(spec, Path(study.base)):
            raise DataError(why)
        self._dataset = None if spec.data is None else agreed_data(context, study, spec)
        if self._dataset is not None:
            check_preprocessing(spec, Path(study.base), self._dataset)
            assure(context, study, spec, self._dataset)
        database = context.ledger.database
        self._mirror = mirror = Mirror(database, study.study_id, study.name, study.direction)
        self._search = search = Search(spec, mirror)
        self._place_of_saves = checkpoint_place(database, study, context.options.checkpoints)
        self._saves = StudyCheckpoints(context.ledger, study, self._place_of_saves)
        self._saves.try_out()
        self._runner = runner_of(
            context, spec, self._dataset, self._place_of_saves, self._is_out_of_time
        )
        self._staging = Staging(context.ledger, study, spec, search, mirror)
        self._running: dict[int, Running] = {}
        self._outbox = Outbox(context, study, mirror, self._runner, self._saves, self._running)
        self._parts = parts = Parts(
            context, study, spec, mirror, search, self._runner, self._staging, self._saves,
            self._outbox, self._running,
        )  # fmt: skip
        self._conclusion = Conclusion(parts, self._place_of_saves)
        self._judging = Judging(parts)
        self._tickets = Tickets(parts, self._judging)
        self._pictures = Pictures(context, study, self._place_of_saves, self._dataset)
        self._notes = Notes(context, study)
        self._looked_at, self._code_due, self._outdated = -float("inf"), -float("inf"), False
        self._first: int | None = None
        """The ticket at whose trial the runner has been since `_first_at`."""
        self._first_at = 0.0
        self._seen: int | None = -1
        """Trials that had ended when this worker last looked after the study; None: it was done."""
        _log.info("serving study %s on %s", study.name, context.device)

    def run(self) -> bool:
        """Claim tickets and train them to their end; whether there were any."""
        prunes, self._outdated = self._spec.search.pruner.name != "none", False
        until = time.monotonic() + _STAY_S
        self._keeper.follow(self._mirror.fetch if prunes else None)
        try:
            self.settle()
            self._fill()
            had_work = bool(self._running)
            self._seen = -1 if had_work else self._seen
            while self._running:
                self._train()
                self._obey()
                self._spare()
                if self._running:
                    self._fill()
                elif not self._runner.stacks and time.monotonic() < until:
                    self._take_next()
        finally:
            self._keeper.follow(None)
        return had_work

    def close(self) -> None:
        """Let go of the device: no other call follows."""
        self._runner.close()

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
            if study is None:
                self._notes.look(now=True)
                self._pictures.begin()

    def draw(self) -> bool:
        """Draw a picture of the study where it has ended; whether there may be more of them."""
        return self._pictures.step()

    def give_back(self, lost: str | None = None) -> None:
        """The next worker continues from the last checkpoint; without a database, later.

        `lost` says what went wrong, where something did: that counts against the trials.
        """
        if not self._running:
            return
        self._outbox.save()
        self._keeper.flush(self._context.options.grace_s / 2)
        waiting = self._waiting  # with which nothing can have gone wrong
        self._release(waiting)
        self._release([r for r in self._running.values() if r not in waiting], lost)
        with suppress(UnreachableError):
            self._saves.clear_if_deleted()  # these leases are not looked at any more

    @property
    def _waiting(self) -> list[Running]:
        """What is held here and has not been begun with."""
        return [self._running[key] for key in self._runner.waiting]

    def _release(self, chosen: Sequence[Running], lost: str | None = None) -> None:
        if not chosen:
            return
        with suppress(UnreachableError):  # then a renewal gives them back
            self._ledger.release([running.lease for running in chosen], lost)
        self._let_go(chosen)

    def _let_go(self, chosen: Sequence[Running]) -> None:
        """Forget what has been given back."""
        trials = ", ".join(str(running.trial.number) for running in chosen)
        _log.info("gave back trial %s of %s", trials, self._study.name)
        for running in chosen:
            self._keeper.forget(running.lease)
            self._mirror.drop(running.trial_id)
            self._outbox.let_go(running.number)

    def _spare(self) -> None:
        """Give back what waits behind a trial that takes longer than those before it."""
        first, now = next(iter(self._running), None), time.monotonic()
        if first != self._first:
            self._first, self._first_at = first, now
        elif now - self._first_at >= _WAIT_BEHIND_S and self._is_reached and self._runner.waiting:
            waiting = self._waiting
            with suppress(UnreachableError):  # they stay, and their leases are renewed
                self._ledger.release([running.lease for running in waiting])
                self._let_go(waiting)

    # --- taking tickets -----------------------------------------------------------------------

    def _fill(self) -> None:
        """Take tickets for what room there is.

        Candidates in training do not wait for a database that is away: there will be another time.
        """
        if self._stop.is_set() or self._is_outdated():
            return
        if not self._running:
            self._take()
            return
        if not self._runner.stacks or not self._may_have_company():
            return
        if self._is_reached:
            with suppress(UnreachableError):
                self._take()

    def _take_next(self) -> None:
        """Take tickets at once, as what was trained is over.

        What follows where there are none, a stage or the verdict, is for when the last ends are
        written.
        """
        if self._stop.is_set() or self._is_outdated():
            return
        if self._is_reached:
            with suppress(UnreachableError):
                self._tickets.take()

    @property
    def _is_reached(self) -> bool:
        """Whether the database has answered of late: training does not wait for one that is
        away."""
        return self._keeper.away is None and not self._keeper.unsettled_s

    def _is_outdated(self) -> bool:
        """Whether the study's own code has been changed: what runs continues, and nothing
        begins."""
        now = time.monotonic()
        if self._study.code is None or now < self._code_due:
            return self._outdated
        self._code_due = now + _CODE_S
        try:
            self._context.check_code(self._study)
        except CodeError:
            self._outdated = True
        return self._outdated

    def _take(self) -> None:
        """Take tickets. Of a study that has none to give a stage or the verdict may be due."""
        if self._tickets.take():
            return
        if self._staging.advance(idle=not self._running):
            self._take()
        elif not self._conclude():
            self._tickets.rest()

    def _conclude(self) -> bool:
        """Give the verdict of a finish where it is due."""
        if self._running or self._search.stages[-1].name != FINAL:
            return False
        examiner = examiner_of(self._parts, self._dataset, tester_of(self._runner))
        concluded = self._conclusion.give(examiner)
        if concluded is None:
            return False
        best = self._mirror.best()
        self._pictures.know(
            concluded.test, concluded.curves, best.user_attrs["ticket"] if best else None
        )
        ended = {t.user_attrs["ticket"] for t in self._mirror.trials() if t.state.is_finished()}
        self._saves.keep_only(concluded.tickets, ended)
        return True

    def _may_have_company(self) -> bool:
        """Whether others may be trained beside what is in training.

        Of a stack that loses its worker again and again any candidate may be the cause: each is
        alone until it has made a new epoch. Where others wait for the same, it makes room for them
        then; it will be trained beside them.
        """
        # One at most: a ticket that has lost its worker is leased by itself.
        running = next((r for r in self._running.values() if r.suspect), None)
        if running is None:
            return True
        self._outbox.save(later=True)
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

    # --- training -----------------------------------------------------------------------------

    def _train(self) -> None:
        """Take what reports are ready, and judge them."""
        if not self._is_out_of_time():
            self._tickets.begin_lost_again()
        started = time.monotonic()
        judged = [self._judging.note(report) for report in self._runner.reports(_WAIT_S)]
        taken_s = time.monotonic() - started
        self._search.trained(taken_s)
        self._tickets.trained(taken_s / len(self._running))
        self._outbox.finish(judged)
        if any(one.lease.crashes and one.number not in self._running for one in judged):
            self._keeper.flush(_CLEAR_S)  # else what kills the worker next would cost it its end
        self._outbox.save_where_due()
        if (why := self._judging.gives_up) is not None:
            raise CodeError(
                f"trials of study {self._study.name!r} fail here one after another, with the same "
                f"error: {why}"
            )

    def _obey(self) -> None:
        """Give back or end what is under way where the study or this worker has been stopped."""
        self._outbox.settle(busy=True)
        state = self._keeper.state(self._study.study_id)
        if state == "stopped":
            self._judging.stop()
        elif state == "paused" or self._stop.is_set():
            self.give_back()
        elif self._is_out_of_time():
            self._judging.spend()
        else:
            self._notes.look()

    def _is_out_of_time(self) -> bool:
        """Whether the hours of the search are spent; by the rules of version 1 its trials
        continue."""
        bounded = self._spec.version > versions.FIRST and self._search.stages[-1].name != FINAL
        return bounded and self._keeper.is_spent(self._study.study_id)
