"""What becomes of the trials of one study on one device: their reports, checkpoints and ends.

A report is delivered after its checkpoint, an end after the network that it may be wanted for. The
keeper writes what is delivered; what has become of it is learnt by `settle`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, MutableMapping, Sequence

from hpsearch.runner import Runner, Saved
from hpsearch.spec.settings import FINAL
from hpsearch.store.mirror import Mirror
from hpsearch.store.states import TrialState
from hpsearch.store.values import Study
from hpsearch.worker.context import Context
from hpsearch.worker.running import Running
from hpsearch.worker.study_checkpoints import StudyCheckpoints

__all__ = ["Outbox"]

_SAVE_S = 0.8
"""Between two rounds of checkpoints, and how long reports wait for them. A crash costs no more than
that of training; an epoch that takes longer is saved and reported at its end."""

_UNVOUCHED_S = 5.0
"""For which a report waits for the next one, as own training code can be saved at a report only;
then it is delivered without a checkpoint. Code that is silent, or hangs, may not report again."""

_LOG_S = 10.0
"""Between two times that what is in training writes logs elsewhere."""

_TIDY_S = 1.0
"""Between two looks for networks that are of no use any more, while there is work."""

_log = logging.getLogger(__name__)


class Outbox:
    """The way of trials from the runner to the checkpoints and to the keeper.

    Args:
        context: The worker's.
        study: Which.
        mirror: Its trials.
        runner: What trains them.
        saves: Where their checkpoints lie.
        running: Ticket -> what is under way; anyone who takes a ticket puts it there.
    """

    def __init__(
        self, context: Context, study: Study, mirror: Mirror, runner: Runner,
        saves: StudyCheckpoints,
        running: MutableMapping[int, Running],
    ) -> None:  # fmt: skip
        self._keeper = context.keeper
        self._study, self._mirror, self._runner, self._saves = study, mirror, runner, saves
        self._running = running
        self._saved_at = time.monotonic()
        self._logged_at = time.monotonic()
        self._untidy, self._tidied_at = False, time.monotonic()
        self._deleted = False
        """Whether it has been said that the study is deleted."""
        self._unconfirmed: set[int] = set()
        """Tickets whose end is on its way to the database."""

    def save_where_due(self) -> None:
        """`save`, but not too often: checkpoints take time."""
        now = time.monotonic()
        if now - self._saved_at >= _SAVE_S:
            self._save(later=True)
        if now - self._logged_at >= _LOG_S:
            self._save_logs(self._running.values())
            self._logged_at = time.monotonic()

    def save(self, *, later: bool = False) -> None:
        """Write the checkpoints of what is in training, and deliver what they vouch for.

        `later`: whether it stays in training here, so that a report without a checkpoint may wait
        for one; else that report is dropped, and its epoch trained again by anyone who continues.
        """
        self._save(later=later)
        self._save_logs(self._running.values())

    def _save_logs(self, chosen: Iterable[Running]) -> None:
        for running in chosen:
            if running.number in self._runner.keys:
                self._saves.save_log(running.lease, self._runner.log(running.number))

    def _save(self, *, later: bool) -> None:
        """Write the checkpoints of what is in training, and then deliver what they vouch for.

        A report is delivered after its checkpoint: anyone who takes a trial over can add a report
        that is missing, not an epoch. A trial continues without a checkpoint: its values are in the
        database then, and the disk may have room again later. So is a report that nothing follows
        for some seconds: anyone who continues from an earlier epoch takes it back. Of one whose
        epoch was broken off nothing can be saved any more: anyone who continues trains what is not
        delivered again.
        """
        whole, now = list[Running](), time.monotonic()
        for running in self._running.values():
            if running.pending is None:
                continue
            saved = self._saved(running)
            if saved is None:  # own training code can be saved after an epoch and not within it
                late = running.pending.reports and now - running.reported_at >= _UNVOUCHED_S
                if not later:
                    running.drop_reports()
                elif late:
                    whole.append(running)
                continue
            if running.pending.reports:
                self._checkpoint(running, saved, last=False)
            whole.append(running)
        self._deliver(whole)
        if whole:
            self._saved_at = time.monotonic()

    def _saved(self, running: Running) -> Saved | None:
        number = running.number
        return self._runner.saved(number) if number in self._runner.keys else None

    def _checkpoint(self, running: Running, saved: Saved | None, *, last: bool) -> None:
        """Save it, and note on the trial where that has come to fail, or to work again."""
        why: str | None = "its last epoch was broken off"
        if saved is not None:
            why = self._saves.save(running.lease, saved, last=last)
        before, running.unsaved = running.unsaved, why
        if (before is None) == (why is None):
            return
        if why is not None and not self._saves.is_deleted():  # else `_part_with` says that
            _log.warning("trial %d continues, but %s", running.trial.number, why)
        running.put(user_attrs={"checkpoint": why})

    def finish(self, candidates: Sequence[Running]) -> None:
        """Deliver the ends of those that have come to one, and clear them away."""
        ended = [running for running in candidates if running.ending is not None]
        for running in ended:
            if (
                self._is_wanted(running) and not running.lost
            ):  # the network itself, for anyone who asks for it
                self._checkpoint(running, self._saved(running), last=True)
        self._save_logs(ended)
        writes = [(running, running.pending) for running in ended]
        self._deliver(ended)
        for running, write in writes:
            assert write is not None
            ending = write.ending
            assert ending is not None
            _log.info("trial %d of %s: %s", running.trial.number, self._study.name,
                      ending.state.name)  # fmt: skip
            self._mirror.end(running.trial_id, ending.state, ending.value, write.user_attrs)
            self.let_go(running.number)
            self._unconfirmed.add(running.number)

    def _is_wanted(self, running: Running) -> bool:
        """Whether its network is the best so far, or one that the finish will look at."""
        ending = running.ending
        if ending is None or ending.state != TrialState.COMPLETE:
            return False
        finishes = running.trial.user_attrs["stage"] == FINAL
        return finishes or self._mirror.would_be_best(running.trial, ending.value)

    def _deliver(self, chosen: Iterable[Running]) -> None:
        """Hand what is to be written of them to the keeper."""
        self._keeper.put([write for running in chosen for write in running.take()])

    def let_go(self, number: int) -> None:
        """Train it here no more."""
        del self._running[number]
        if number in self._runner.keys:
            self._runner.remove(number)

    def settle(self, *, busy: bool = False) -> None:
        """Take note of what has become of the writes so far.

        `busy`: whether there is more to do at once, so that networks are looked for less often that
        are of no use any more.
        """
        ended, lost = self._keeper.take_outcomes(self._study.study_id)
        for _, number, fence in lost:
            self._part_with(number, fence)
        self._unconfirmed -= {number for _, number, _ in ended | lost}
        self._untidy |= bool(ended or lost)
        now = time.monotonic()
        if self._untidy and (not busy or now - self._tidied_at >= _TIDY_S):
            self._untidy, self._tidied_at = not self._tidy(), now

    def look(self) -> None:
        """Take note of what others have done too, and clear away what has become of no use by it:
        a trial of theirs may be the best by now, or have been ended from elsewhere."""
        self.settle()
        if not self._saves.clear_if_deleted():  # SQLite may have given its id to another one
            self._mirror.refresh()
            self._untidy = True
            self.settle()

    def _part_with(self, number: int, fence: int) -> None:
        running = self._running.get(number)
        if running is None or running.lease.fence == fence:  # else this worker itself has it again
            if running is not None:
                self.let_go(number)
            self._mirror.drop_ticket(number)
            if self._saves.clear_if_deleted():
                if not self._deleted:
                    _log.warning("study %s has been deleted: its trials end here", self._study.name)
                self._deleted = True
                return
        _log.warning("ticket %d has another holder by now: its late reports are refused", number)

    def _tidy(self) -> bool:
        """Of trials that have ended, only the networks of the best one and of a finish are of use;
        whether the others are gone.

        One whose end is not in the database yet is not touched: should this worker die now, the
        next one needs it. Nor is any while that is so of the best.
        """
        best = self._mirror.best()
        if best is not None and best.user_attrs["ticket"] in self._unconfirmed:
            return False
        ended = {t.user_attrs["ticket"]: t for t in self._mirror.trials() if t.state.is_finished()}
        final = {number for number, t in ended.items() if t.user_attrs["stage"] == FINAL}
        final |= {best.user_attrs["ticket"]} if best is not None else set()
        return self._saves.keep_only(final, ended.keys() - self._unconfirmed)
