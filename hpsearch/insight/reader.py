"""Snapshots of a study: reads only."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.checkpoints.places import checkpoint_place
from hpsearch.errors import CheckpointError, DamagedError, NotFoundError, line
from hpsearch.insight import diagnosis
from hpsearch.insight.snapshot import Snapshot, Trial
from hpsearch.spec import StudySpec
from hpsearch.spec.settings import FINAL, RECIPE
from hpsearch.spec.task import LOSS
from hpsearch.stages import outline
from hpsearch.store.engine import Database
from hpsearch.store.history import DAMAGE, History, StoredTrial
from hpsearch.store.ledger import Ledger
from hpsearch.store.states import TrialState
from hpsearch.store.values import OFF, TRAINED_BY, UNTRAINABLE, Hold, Study, Worker

if TYPE_CHECKING:
    from hpsearch.store.mirror import Mirror

__all__ = ["Reader"]

_log = logging.getLogger(__name__)

_LOOK_S = 1.0

_SILENT, _SILENT_S = 10, 120.0
"""Times an epoch that a trial may report nothing before that is said, and at least so long ..."""
_UNHEARD_S = 600.0
"""... or so long where nothing has reported yet."""


class Reader:
    """Snapshots of one study, each after the first read by increments."""

    def __init__(
        self, ledger: Ledger, name: str, checkpoints: str | None = None, *, lean: bool = False
    ) -> None:
        """Raises NotFoundError where there is no such study, StudyFileError for a damaged one,
        PluginError for one of a package that is not installed here.

        A `lean` one is for counts, stages and the best few: of other trials that have ended it
        reads neither parameters nor curves, which takes a fraction of the time.
        """
        self._ledger, self._name, self._checkpoints = ledger, name, checkpoints
        self._lean = lean
        self._workers: Sequence[Worker] = ()
        self._look_at = 0.0
        self._open(ledger.study(name))

    def _open(self, study: Study) -> None:
        # First, so that no reader below trips over a damaged row.
        self._spec = StudySpec.from_document(study.document)
        self._uid = study.uid
        self._direction = study.direction
        self._opened: list[Mapping[str, Any]] = []
        self._whole: set[int] = set()
        """Trials that a lean reader has read all of, by Optuna's id."""
        self._seen: dict[int, tuple[StoredTrial, Trial]] = {}
        """Trials as they were read last, by Optuna's id: one that has ended never changes."""
        # What the steps of the recipe have reached hangs on parameters of any trial, and whether
        # one diverged on its loss.
        needs_all = self._spec.search.strategy == RECIPE or LOSS in self._spec.space.names
        self._is_lean = self._lean and not needs_all
        self._history = History[StoredTrial](study.study_id, lean=self._is_lean)

    @property
    def ledger(self) -> Ledger:
        """The verbs of that database."""
        return self._ledger

    @property
    def database(self) -> Database:
        """Where the study is."""
        return self._ledger.database

    def mirror(self, study: Study) -> Mirror:
        """The study of the last snapshot with its trials as Optuna has them, where this reader is
        not lean."""
        from hpsearch.store.mirror import Mirror

        mirror = Mirror(
            self._ledger.database, study.study_id, study.name, study.direction, lenient=True
        )
        mirror.take(self._history.select())
        return mirror

    def snapshot(self) -> Snapshot:
        """The study as it is now."""
        study = self._still()
        if study.uid != self._uid:  # deleted and made again under the same name
            self._open(study)
        self._refresh()
        verdicts = self._ledger.verdicts(study.study_id) if study.finish else []
        verdict, handed = verdicts[-1] if verdicts else None, None
        if self._is_lean:
            self._complete((verdict or {}).get("best_ticket"))
        trials, damaged = self._read()
        best = self._best(trials)
        if verdict is not None:
            handed = next((t for t in trials if t.ticket == verdict.get("best_ticket")), None)
        finish = outline.final_tickets(self._spec.with_final(study.final))
        searching = self._ledger.searching(study, finish)
        return Snapshot(
            study, trials, best, verdict, searching, handed, self._spent_s(study), damaged,
            self._stages(study),
            self._ledger.to_retry(study) if any(t.state == "FAIL" for t in trials) else 0,
        )  # fmt: skip

    def _still(self) -> Study:
        try:
            return self._ledger.study(self._name)
        except NotFoundError:
            raise NotFoundError(
                f"study {self._name!r} has been deleted meanwhile, with its trials under way: "
                "hpsearch delete, or its dashboard"
            ) from None

    def _stages(self, study: Study) -> tuple[Mapping[str, Any], ...]:
        """The stages that have been opened: none ever changes, so each is read once."""
        with suppress(DamagedError):  # whoever searches complains of it; the trials can be read
            self._opened += self._ledger.stages(study.study_id, len(self._opened))
        return tuple(self._opened)

    def workers(self) -> Sequence[Worker]:
        """All workers of the database, of any study; looked up once a second at most, as there may
        be many that have left."""
        now = time.monotonic()
        if now >= self._look_at:
            self._workers, self._look_at = self._ledger.workers(), now + _LOOK_S
        return self._workers

    def at_work(self) -> frozenset[int]:
        """Numbers of the trials that workers hold now; others that are RUNNING wait for one."""
        work = (work for worker in self.workers() for work in worker.of(self._name))
        return frozenset(one.trial for one in work if one.trial is not None)

    def _complete(self, handed: int | None) -> None:
        """Read all of the trials that a lean snapshot shows more of than counts. Where one of them
        is damaged, the next best takes its place."""
        while few := [trial for trial in self._few(handed) if trial.trial_id not in self._whole]:
            with self._ledger.database.read() as connection:
                self._history.complete(connection, few)
            self._whole |= {trial.trial_id for trial in few}

    def _few(self, handed: int | None) -> list[StoredTrial]:
        complete = self._history.select((TrialState.COMPLETE,))
        sign = 1 if self._direction == "maximize" else -1
        searched = [t for t in complete if t.user_attrs.get("stage") != FINAL]
        few = heapq.nsmallest(
            diagnosis.BEST, searched, key=lambda t: (-sign * (t.value or 0.0), t.number)
        )
        return few + [t for t in complete if t.user_attrs.get("ticket") == handed]

    def _refresh(self) -> None:
        """Read new trials, and again those that were under way. One that Optuna's own tools put
        into the study has no ticket and is none of the search's."""
        with self._ledger.database.read() as connection:
            trials = self._history.fetch(connection)
        for trial in trials:
            if "ticket" in trial.user_attrs:
                self._history.put(trial.trial_id, trial)

    def _spent_s(self, study: Study) -> dict[int, float]:
        """The same of a study that follows the recipe; of others nobody asks in each snapshot."""
        return self.trained_s(study) if self._spec.search.strategy == RECIPE else {}

    def trained_s(self, study: Study, until: int | None = None) -> dict[int, float]:
        """Seconds of training of each trial by its number, those after epoch `until` left out."""
        numbers = {trial.trial_id: trial.number for trial in self._history.select()}
        by_ticket = self._ledger.trained_s(study.study_id, until)
        return {numbers[key]: seconds for key, seconds in by_ticket.items() if key in numbers}

    def silent(self, snapshot: Snapshot) -> dict[int, float]:
        """Seconds for which trials of own training code have reported nothing, by their numbers,
        where that is far more than the epochs of the study took.

        One that another worker has begun with is noticed later, by what its epochs took there.
        """
        if snapshot.spec.train is None or not snapshot.running:
            return {}
        trained_s, held_s = (
            self.trained_s(snapshot.study),
            self._ledger.held_s(snapshot.study.study_id),
        )
        each = [
            trained_s[t.number] / t.epoch
            for t in snapshot.trials
            if t.epoch and t.number in trained_s
        ]
        most = max(_SILENT * median(each), _SILENT_S) if each else _UNHEARD_S
        silent = {t.number: held_s.get(t.ticket, 0.0) - trained_s.get(t.number, 0.0)
                  for t in snapshot.running}  # fmt: skip
        return {number: seconds for number, seconds in silent.items() if seconds > most}

    def holds(self, study: Study) -> list[Hold]:
        """When workers held tickets of the study."""
        return self._ledger.holds(study.study_id)

    def _best(self, trials: Sequence[Trial]) -> Trial | None:
        """The best trial of the search that completed and can be read; the first of equals. Of the
        trainings of a finish, the same network trained again, the best one is the luckiest."""
        sign = 1 if self._direction == "maximize" else -1
        complete = [t for t in trials if t.state == "COMPLETE" and t.stage != FINAL]
        return max(complete, key=lambda t: (sign * (t.value or 0.0), -t.number), default=None)

    def _read(self) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
        """The trials, and a line for each that cannot be read."""
        trials, damaged = [], list(self._history.damaged.values())
        for trial in self._history.select():
            try:
                trials.append(self._as_shown(trial))
            except DamagedError as error:
                damaged.append(f"trial {trial.number}: {error}")
        return tuple(trials), tuple(damaged)

    def _as_shown(self, trial: StoredTrial) -> Trial:
        seen = self._seen.get(trial.trial_id)
        if seen is not None and seen[0] is trial and trial.state.is_finished():
            return seen[1]
        shown = _trial(trial)
        self._seen[trial.trial_id] = trial, shown
        return shown

    def tidy(self, snapshot: Snapshot) -> None:
        """Remove the checkpoints that are of no use once a study has come to its end.

        Its workers do so; but one may have been killed before it could, and trials that are ended
        by a command have none.
        """
        if snapshot.study.state not in ("done", "stopped"):
            return
        ended = {t.ticket for t in snapshot.trials if t.state != "RUNNING"}
        tickets = {snapshot.network.ticket} if snapshot.network else set[int]()
        if snapshot.verdict is None or snapshot.study.state != "done":
            tickets |= {t.ticket for t in snapshot.trials if t.stage == FINAL}
        place = checkpoint_place(self._ledger.database, snapshot.study, self._checkpoints)
        try:
            Checkpoints(place).tidy(ended, tickets)
        except CheckpointError as error:
            _log.warning("%s", error)

    def located(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with the place of the checkpoint of the network that is handed over.

        Not part of every snapshot: a place elsewhere takes its time to answer, or does not.
        """
        network = snapshot.network
        if network is None:
            return snapshot
        place = checkpoint_place(self._ledger.database, snapshot.study, self._checkpoints)
        try:
            path = Checkpoints(place).path(network.ticket)
        except CheckpointError as error:
            _log.warning("%s", error)
            return snapshot
        located = replace(network, checkpoint=path)
        if snapshot.handed is None:
            return replace(snapshot, best=located)
        return replace(snapshot, handed=located)


_NUMBER = (int, float)
_TEXT = (str, type(None))
_KINDS: Mapping[str, Any] = {
    "ticket": int, "stage": str, "sampler": str, "attempts": int, "worker": _TEXT, "reason": _TEXT,
    "checkpoint": _TEXT, "metrics": dict, "parameters": int, OFF: dict,
    TRAINED_BY: _TEXT,
}  # fmt: skip
_NEEDED = ("ticket", "stage")


def _check(attrs: Mapping[str, Any]) -> None:
    """DamagedError for attributes that hpsearch does not write."""
    for key in _NEEDED:
        if key not in attrs:
            raise DamagedError(f"its attribute {key} is None")
    for key, value in attrs.items():
        if key in _KINDS and not isinstance(value, _KINDS[key]):
            raise DamagedError(f"its attribute {key} is {value!r}")
    for name, value in attrs.get("metrics", {}).items():
        if not isinstance(value, _NUMBER):
            raise DamagedError(f"its metric {name} is {value!r}")


def _trial(trial: StoredTrial) -> Trial:
    attrs = trial.user_attrs
    _check(attrs)
    if trial.values is not None and len(trial.values) != 1:
        raise DamagedError(f"it has {len(trial.values)} values")
    try:
        params = trial.params
    except DAMAGE as error:
        raise DamagedError(line(error)) from None
    curve = dict(sorted(trial.reports.items()))
    last, epoch = next(reversed(curve.values()), None), max(curve, default=0)
    return Trial(
        number=trial.number,
        ticket=attrs["ticket"],
        state=trial.state.name,
        value=last if trial.state == TrialState.RUNNING else trial.value,
        params=params,
        epoch=epoch,
        curve=curve,
        metrics=attrs.get("metrics", {}),
        stage=attrs["stage"],
        sampler=attrs.get("sampler", ""),
        attempts=attrs.get("attempts", 1),
        worker=attrs.get("worker", ""),
        reason=attrs.get("reason"),
        details=attrs.get("details", {}),
        untrainable=bool(attrs.get(UNTRAINABLE)),
        unsaved=attrs.get("checkpoint"),
        best_epoch=attrs.get("best_epoch", epoch),
        last_metrics=attrs.get("last_metrics", {}),
        parameters=attrs.get("parameters"),
        off=attrs.get(OFF, {}),
        code=attrs.get(TRAINED_BY),
        started=trial.started,
        ended=trial.ended,
    )
