"""Brings what MLflow lacks of a study, and nothing twice, whatever has died before.

What has been delivered is read from MLflow itself, by the tags that runs are known by, and then
kept in memory for as long as every request is answered. After an error it is read again: the
request may have arrived. Of a trial that has begun again, as its checkpoint was lost, the run is
put into MLflow's bin, for a metric's row cannot be taken back, and another one is made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.tracking import facts
from hpsearch.tracking.facts import MODEL, TICKET, Facts

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.store.values import TimedEpoch
    from hpsearch.tracking.runs import Run, Runs

__all__ = ["Delivery"]

_PARENT = "mlflow.parentRunId"
_MODEL = "model"
"""The folder among a run's files that `mlflow.pyfunc.load_model` is pointed to."""

_PICTURES = "pictures"
"""The same, with the pictures that hpsearch has drawn."""

Place = tuple[str, int, int]
Mark = tuple[str, int, int, str]
"""What shows that something may have come to a trial: state, attempts, epochs, worker."""
Courses = Callable[[Mapping[int, int]], Mapping[int, "list[TimedEpoch]"]]
"""`Ledger.courses` of the study."""


@dataclass
class _Known:
    """A run, and what it has by now."""

    run_id: str
    tags: dict[str, str]
    params: set[str]
    status: str
    places: set[Place] = field(default_factory=set)
    epoch: int = 0
    """The last epoch that has been delivered."""
    mark: Mark | None = None
    """How the trial was when it was delivered last."""
    settled: bool = False
    """Whether it has all, and nothing is to come."""


class Delivery:
    """The way of one study to one MLflow."""

    def __init__(self, runs: Runs, courses: Courses, guard: Callable[[], None]) -> None:
        """
        Args:
            runs: Where to.
            courses: What the study's epochs gave.
            guard: Called before each run is looked at; raises where somebody else delivers by now.
        """
        self._runs, self._courses, self._guard = runs, courses, guard
        self._study: _Known | None = None
        self._trials: dict[str, _Known] | None = None
        """By ticket; None: what there is has to be looked at."""

    @property
    def run_id(self) -> str | None:
        """The id of the study's run; None: it is not known."""
        return self._study.run_id if self._study else None

    @property
    def ended(self) -> int:
        """Trials that have ended and are there with all they have."""
        return sum(record.settled for record in (self._trials or {}).values())

    def forget(self) -> None:
        """Look at what there is before the next delivery: somebody else may have delivered."""
        self._study = self._trials = None

    def deliver(self, snapshot: Snapshot) -> None:
        """Bring all that is missing. TrackingError where MLflow is of no use now."""
        if not snapshot.trials:
            return
        try:
            self._deliver(snapshot)
        except BaseException:
            self.forget()
            raise

    def _deliver(self, snapshot: Snapshot) -> None:
        if self._trials is None:
            self._look(snapshot)
        assert self._trials is not None
        facts_ = facts.of_study(snapshot)
        parent = self._study = self._study or self._create(facts_)
        self._bring(parent, facts_)
        self._adopt(parent)
        due = [trial for trial in snapshot.trials if self._is_due(trial)]
        courses = self._courses({trial.number: self._after(trial) for trial in due})
        for trial in due:
            self._guard()
            self._bring_trial(snapshot, trial, courses[trial.number], parent)

    # --- what is there --------------------------------------------------------------------------

    def _look(self, snapshot: Snapshot) -> None:
        """Learn what MLflow has of the study. Where two made the same run at once, the first by its
        id stays."""
        runs: dict[str | None, Run] = {}
        for run in sorted(self._runs.of_study(snapshot.study.uid), key=lambda one: one.run_id):
            ticket = run.tags.get(TICKET)
            if ticket in runs:
                self._guard()
                self._runs.delete(run.run_id)
            else:
                runs[ticket] = run
        study = runs.pop(None, None)
        self._study = None if study is None else self._known(study, has_ended=False)
        self._trials = {str(t): self._known(run, run.has_ended) for t, run in runs.items()}

    def _known(self, run: Run, has_ended: bool) -> _Known:
        """What a run has. One of a trial that has ended has all: that is said of it last."""
        points = set() if has_ended else self._runs.points(run)
        return _Known(
            run.run_id, dict(run.tags), set(run.params), run.status,
            {point.place for point in points}, settled=has_ended,
        )  # fmt: skip

    def _adopt(self, parent: _Known) -> None:
        """Put the trials' runs below the study's run, which may be another one than it was."""
        for record in (self._trials or {}).values():
            if record.tags.get(_PARENT) != parent.run_id:
                self._runs.add(record.run_id, (), tags={_PARENT: parent.run_id})
                record.tags[_PARENT] = parent.run_id

    def _is_due(self, trial: Trial) -> bool:
        record = (self._trials or {}).get(str(trial.ticket))
        return record is None or (not record.settled and record.mark != _mark(trial))

    def _after(self, trial: Trial) -> int:
        """The last of its epochs that need not be read. All are, once it has ended, or where it may
        have begun again: they are compared with those that are there."""
        record = (self._trials or {}).get(str(trial.ticket))
        if record is None or trial.state != "RUNNING" or record.mark is None:
            return 0
        goes_on = record.mark[1] == trial.attempts and record.epoch <= trial.epoch
        return record.epoch if goes_on else 0

    # --- what is brought ------------------------------------------------------------------------

    def _create(self, wanted: Facts, parent: _Known | None = None) -> _Known:
        self._guard()
        tags = {**facts.versions(), **wanted.tags, **wanted.identity}
        if parent is not None:
            tags[_PARENT] = parent.run_id
        run = self._runs.create(wanted.name, wanted.started_ms, tags)
        return _Known(run.run_id, tags, set(), run.status)

    def _bring_trial(
        self, snapshot: Snapshot, trial: Trial, epochs: list[TimedEpoch], parent: _Known
    ) -> None:
        assert self._trials is not None
        whole = self._after(trial) == 0
        wanted = facts.of_trial(snapshot, trial, epochs)
        record = self._trials.get(str(trial.ticket))
        stale = record is not None and record.places - {point.place for point in wanted.points}
        if record is not None and whole and stale:
            self._runs.delete(record.run_id)
            record = None
        if record is None:
            record = self._trials[str(trial.ticket)] = self._create(wanted, parent)
        self._bring(record, wanted)
        record.epoch, record.mark = trial.epoch, _mark(trial)
        if wanted.status in facts.ENDED:
            record.settled, record.places = True, set()

    def _bring(self, record: _Known, wanted: Facts) -> None:
        """Bring to a run what it lacks; that it has ended comes last."""
        points = [point for point in wanted.points if point.place not in record.places]
        params = {k: v for k, v in wanted.params.items() if k not in record.params}
        tags = {k: v for k, v in wanted.tags.items() if record.tags.get(k) != v}
        if points or params or tags:
            self._runs.add(record.run_id, points, params, tags)
        record.places |= {point.place for point in points}
        record.params |= params.keys()
        record.tags |= tags
        if wanted.status == record.status:
            return
        if wanted.status in facts.ENDED:
            self._runs.end(record.run_id, wanted.status, wanted.ended_ms)
        else:
            self._runs.reopen(record.run_id)
        record.status = wanted.status

    def lacks_model(self, snapshot: Snapshot) -> bool:
        """Whether a study has ended whose network is not there."""
        if self._study is None or snapshot.network is None or snapshot.spec.train is not None:
            return False  # what own training code keeps only that code can load
        over = self._study.status in facts.ENDED
        return over and self._study.tags.get(MODEL) != _model(snapshot)

    def bring_model(self, snapshot: Snapshot, folder: Path) -> None:
        """Put the study's network, a model in `folder`, among the files of its run."""
        assert self._study is not None
        self._runs.put_folder(self._study.run_id, folder, _MODEL)
        tags = {MODEL: _model(snapshot)}
        self._runs.add(self._study.run_id, (), tags=tags)
        self._study.tags |= tags

    def bring_pictures(self, pictures: Mapping[str | None, Mapping[str, bytes]]) -> None:
        """Put pictures among the files of the runs that they are of, where they are not yet.

        Args:
            pictures: By ticket, None for those of the study as a whole: name -> content.
        """
        for ticket, wanted in pictures.items():
            record = self._study if ticket is None else (self._trials or {}).get(ticket)
            if record is None:
                continue
            present = self._runs.files(record.run_id, _PICTURES)
            new = {name: png for name, png in wanted.items() if present.get(name) != len(png)}
            if new:
                with tempfile.TemporaryDirectory(prefix="hpsearch-mlflow-") as folder:
                    for name, png in new.items():
                        (Path(folder) / name).write_bytes(png)
                    self._runs.put_folder(record.run_id, Path(folder), _PICTURES)


def _mark(trial: Trial) -> Mark:
    return trial.state, trial.attempts, trial.epoch, trial.worker


def _model(snapshot: Snapshot) -> str:
    """Which network it is that a study hands over."""
    network = snapshot.network
    assert network is not None
    return f"trial {network.number}, epoch {network.best_epoch}"
