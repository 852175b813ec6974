"""A study and its trials at one moment, for people and programs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from hpsearch.errors import DamagedError, line
from hpsearch.forecast import pace
from hpsearch.insight import diagnosis
from hpsearch.insight.diagnosis import Diagnosis, Word, Yardstick
from hpsearch.insight.recipe import Step, steps
from hpsearch.spec import StudySpec
from hpsearch.spec.ranges import Edge, edges
from hpsearch.spec.settings import FINAL, RECIPE, Direction
from hpsearch.spec.space import Assignment
from hpsearch.spec.task import LOSS, TASKS, Result, Table, Task, usual
from hpsearch.stages import outline
from hpsearch.stages.finish import ends
from hpsearch.store.values import Study

__all__ = ["Snapshot", "StageSummary", "Trial"]

_SAME = 1e-6
"""Metrics that differ by less than this share are the same: they are kept in single precision."""
_MOST_DAMAGES = 10


@dataclass(frozen=True)
class Trial:
    """A trial as hpsearch shows it."""

    number: int
    """Optuna's number: the order in which trials began."""
    ticket: int
    state: str
    """RUNNING, COMPLETE, PRUNED or FAIL."""
    value: float | None
    """Of one that is complete the study's metric after the epoch that counts, `best_epoch`; of any
    other after its last one so far."""
    params: Mapping[str, Any]
    epoch: int
    """Epochs finished."""
    curve: Mapping[int, float]
    """The metric after each epoch."""
    metrics: Mapping[str, float]
    """All metrics after `best_epoch`, once the trial has ended."""
    stage: str
    sampler: str
    attempts: int
    worker: str
    reason: str | None
    started: datetime | None
    ended: datetime | None
    details: Mapping[str, Any] = field(default_factory=dict)
    """What the task measured of the network that is kept beside metrics, by name; not in a row for
    JSON, but in that of `best`."""
    untrainable: bool = False
    """Whether it failed since its settings can never be trained."""
    unsaved: str | None = None
    """Why its last epochs have no checkpoint."""
    best_epoch: int = 0
    """The epoch that counts: its best one, or its last where the study keeps that."""
    last_metrics: Mapping[str, float] = field(default_factory=dict)
    """All metrics after the last epoch, where another one counts."""
    parameters: int | None = None
    """Numbers of its network that were trained; None where that is not known."""
    off: Mapping[str, Any] = field(default_factory=dict)
    """Settings of regularisation at the value that does nothing, where its parameters or the
    study's constants do not say so: of trials that learnt by heart, and of those around them."""
    code: str | None = None
    """The first digits of the hash of the own code that trained it, of all of them where it has
    changed meanwhile; None: it has none, or that was not noted yet."""
    checkpoint: str | None = None
    """Path or URL of its network: of the one handed over only, once `Reader.located` has looked."""

    @property
    def train_loss(self) -> float | None:
        """The training loss after its last epoch; None before its end."""
        return (self.last_metrics or self.metrics).get("train_loss")

    def as_dict(self) -> dict[str, Any]:
        """Plain values: times in ISO 8601, in local time."""
        times = {k: t and t.isoformat() for k, t in (("started", self.started),
                                                     ("ended", self.ended))}  # fmt: skip
        return {k: v for k, v in {**asdict(self), **times}.items() if k != "details"}


@dataclass(frozen=True)
class StageSummary:
    """What one stage of a search has come to."""

    name: str
    trials: int
    best: float | None
    """The best value in it; None before one of its trials has completed."""


@dataclass(frozen=True)
class Snapshot:
    """A study and its trials at one moment."""

    study: Study
    trials: tuple[Trial, ...]
    best: Trial | None
    """The best trial of the search that completed; the first of equals. Optuna's too."""
    verdict: Mapping[str, Any] | None = None
    """What the last finish found, the fields of `final.Verdict`; None: there was none yet."""
    searching: int = 0
    """Tickets of its budget that are the search's: neither retries nor a finish's."""
    handed: Trial | None = None
    """After a finish, of the winner's trainings the best on validation data."""
    spent_s: Mapping[int, float] = field(default_factory=dict)
    """Seconds of training of the trials by their numbers, where the study follows the recipe."""
    damaged: tuple[str, ...] = ()
    """A line for each trial that cannot be read and is left out."""
    opened: tuple[Mapping[str, Any], ...] = ()
    """The stages so far, in the order in which they were opened: plain values of `Stage`."""
    to_retry: int = 0
    """Trials that failed and that `hpsearch retry` would run again."""

    def complain(self) -> None:
        """DamagedError where trials were left out, which says which and why."""
        if self.damaged:
            damages = "\n".join(f"  {damage}" for damage in self.damaged[:_MOST_DAMAGES])
            more = len(self.damaged) - _MOST_DAMAGES
            raise DamagedError(
                f"study {self.study.name!r} has trials that cannot be read and are left out; "
                f"something other than hpsearch wrote them:\n{damages}"
                + (f"\n  and {more} more" if more > 0 else "")
            )

    @property
    def metric(self) -> str:
        """The metric that steers the search."""
        return self.spec.metric

    @property
    def network(self) -> Trial | None:
        """The trial whose network is handed over: a finish's, or else the best one."""
        return self.handed or self.best

    @property
    def direction(self) -> Direction:
        """Whether the metric is to grow or to shrink."""
        return self.spec.direction

    @property
    def fruitless(self) -> int:
        """The trainings of the last finish where none of them completed; 0: one did, or it
        has not ended, or there was none."""
        judged = -1 if self.verdict is None else self.verdict["last_trial"]
        finish = [t for t in self.trials if t.stage == FINAL and t.number > judged]
        nothing = self.study.finish == "done" and all(t.state != "COMPLETE" for t in finish)
        return len(finish) if nothing else 0

    @property
    def later(self) -> int:
        """Trials that began after the last finish and are not part of it."""
        judged = math.inf if self.verdict is None else self.verdict["last_trial"]
        return sum(trial.number > judged for trial in self.trials)

    @property
    def epochs(self) -> int:
        """The most epochs that a trial runs."""
        return self.spec.budget.epochs

    @property
    def baselines(self) -> tuple[tuple[str, float], ...]:
        """What simple answers give by the study's metric, and which: first the constant answer of
        the task, then those of the source. None where that is not known: of studies of 0.1, of
        the loss of numbers, and of a loss that is measured in another way than the usual one."""
        data = self.study.data or {}
        every = [data.get("baseline") or {"values": {}}, *data.get("baselines", ())]
        task = self.task
        if task is None or not self.spec.has_baselines(task):
            return ()
        return tuple(
            (answer["name"], float(answer["values"][self.metric]))
            for answer in every
            if self.metric in answer["values"]
        )

    @property
    def classes(self) -> Sequence[str]:
        """Names of the target's classes; none where it is a number."""
        return tuple((self.study.data or {}).get("classes", ()))

    def is_above(self, baseline: float) -> bool:
        """Whether the best trial is better than a simple answer; true where there is none yet."""
        if self.best is None or self.best.value is None:
            return True
        gain = self.best.value - baseline
        least = _SAME * abs(baseline)
        return gain > least if self.study.direction == "maximize" else gain < -least

    @property
    def task(self) -> Task | None:
        """What is learnt; None: own training code knows."""
        if self.spec.data is None:
            return None
        name = self.spec.data.task
        return usual("classes" if self.classes else "numbers") if name is None else TASKS[name]

    def result(self, trial: Trial) -> Result:
        """A trial's network as its task shows it beyond the metrics."""
        settings = {**self.spec.space.constants, **trial.params, **trial.off}
        baseline = (self.study.data or {}).get("baseline") or {"values": {}}
        return Result(
            trial.details,
            self.classes,
            self.metric,
            settings,
            trial.metrics,
            baseline["values"],
            self.spec.space.names,
        )

    def shown(self, metric: str) -> str:
        """What a metric is called where it stands beside others."""
        declared = None if self.task is None else self.task.metric(metric)
        return metric if declared is None else declared.shown

    def remark(self, trial: Trial) -> str:
        """What its task remarks of a trial's network, "" for nothing. The one handed over after a
        finish is judged by the test part: it was chosen on validation data, where its metrics are
        too good."""
        if self.task is None:
            return ""
        result, handed = self.result(trial), self.handed
        if self.verdict and handed is not None and trial.number == handed.number:
            result = replace(result, metrics=self.verdict["network"])
        with TASKS.blamed(self.task.name):
            return self.task.remark(result)

    def summary(self, trial: Trial) -> str:
        """What its task says of a trial's network in a line; "" for nothing."""
        if self.task is None:
            return ""
        with TASKS.blamed(self.task.name):
            return self.task.summary(self.result(trial))

    def tables(self, trial: Trial) -> tuple[Table, ...]:
        """What its task shows of a trial's network beyond its metrics."""
        if self.task is None:
            return ()
        with TASKS.blamed(self.task.name):
            return tuple(self.task.tables(self.result(trial)))

    @property
    def is_whole(self) -> bool:
        """Whether its budget has all trials that the search has a use for: that of a grid may."""
        most = outline.limit(self.spec)
        return most is not None and self.searching >= most

    @cached_property
    def leader(self) -> Trial | None:
        """`best`, or while the search runs a trial under way that is better by now, with the value
        that it has so far: it is no result yet."""
        leader = self.best
        for trial in self.running if self.verdict is None else ():
            if not trial.curve or trial.stage == FINAL:
                continue
            ahead = self._so_far(trial)
            if self.is_better(ahead, leader):
                leader = ahead
        return leader

    def _so_far(self, trial: Trial) -> Trial:
        """A trial under way as if it ended now."""
        if self.spec.keep == "last":
            return trial
        epoch = diagnosis.best_epoch(trial.curve, self.spec.direction)
        return replace(trial, value=trial.curve[epoch], best_epoch=epoch)

    def is_better(self, trial: Trial, than: Trial | None) -> bool:
        """Whether a trial's value beats that of another one."""
        if trial.value is None or than is None or than.value is None:
            return trial.value is not None
        better = trial.value - than.value
        return better > 0 if self.study.direction == "maximize" else better < 0

    def top(self, count: int | None = None) -> tuple[Trial, ...]:
        """The best trials that completed, the best first."""
        sign = 1 if self.study.direction == "maximize" else -1
        done = [t for t in self.trials if t.state == "COMPLETE" and t.value is not None]
        return tuple(sorted(done, key=lambda t: (-sign * (t.value or 0.0), t.number))[:count])

    @property
    def searched(self) -> tuple[Trial, ...]:
        """The same of the search alone: a finish trains a few of them again and again."""
        return tuple(trial for trial in self.top() if trial.stage != FINAL)

    @cached_property
    def spec(self) -> StudySpec:
        """What is searched."""
        return StudySpec.from_document(self.study.document)

    def values(self, trial: Trial) -> Assignment:
        """A trial's parameters as the study file has them: Optuna keeps lists of sizes as text."""
        try:
            return self.spec.space.assignment(trial.params)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise DamagedError(
                f"study {self.study.name!r}, trial {trial.number}: its parameters are not those "
                f"that are searched: {line(error)}"
            ) from None

    def word(self, trial: Trial) -> Word | None:
        """What the trial's learning curve looks like; None before its end, or if none can tell."""
        if trial.state not in ("COMPLETE", "PRUNED") or self._yardstick is None:
            return None
        loss = self._loss(trial)
        return diagnosis.diagnose(
            list(trial.curve.values()), trial.last_metrics or trial.metrics, self._yardstick,
            loss=loss, diverged=trial.reason == "diverged",
            balanced=self._setting(trial, "class_weight") == "balanced",
        )  # fmt: skip

    def guessed(self, trial: Trial) -> float:
        """The training loss of a network like the trial's that has learnt nothing."""
        assert self._yardstick is not None  # of own training code nobody asks
        return self._yardstick.guessed(self._loss(trial))

    def _loss(self, trial: Trial) -> str | None:
        loss: str | None = self._setting(trial, LOSS)
        return loss

    def _setting(self, trial: Trial, name: str) -> Any:
        return trial.params.get(name, self.spec.space.constants.get(name))

    @cached_property
    def recipe(self) -> tuple[Step, ...]:
        """What the steps of the recipe have come to; none where the study follows no recipe."""
        return steps(self, self.spent_s) if self.spec.search.strategy == RECIPE else ()

    @cached_property
    def _yardstick(self) -> Yardstick | None:
        if self.task is None:
            return None
        data = self.study.data or {"classes": [], "rows": {"validation": 0}}
        losses = (data.get("baseline") or {}).get("values", {})
        return Yardstick(
            self.spec.objective, self.task, len(data["classes"]), data["rows"]["validation"],
            next((value for _, value in self.baselines), None),
            losses.get(LOSS) if data["classes"] else None,
        )  # fmt: skip

    @cached_property
    def diagnosis(self) -> Diagnosis | None:
        """What the learning curves of the search's best trials look like."""
        best = {trial.number: self.word(trial) for trial in self.searched[: diagnosis.BEST]}
        return diagnosis.summary(best, self._diverged)

    @property
    def _diverged(self) -> int:
        """How many trials diverged. Of thousands no whole curve is judged for that."""
        yardstick = self._yardstick
        if yardstick is None:
            return 0
        guesses: dict[str | None, float] = {}
        count = 0
        for trial in self.trials:
            if trial.state in ("COMPLETE", "PRUNED"):
                loss = self._loss(trial)
                if loss not in guesses:
                    guesses[loss] = yardstick.guessed(loss)
                blown = diagnosis.is_blown(trial.last_metrics or trial.metrics, guesses[loss])
                count += blown or trial.reason == "diverged"
        return count

    @property
    def advised(self) -> Word | None:
        """The word to act on: the study's where its winner has it, or where it has no winner."""
        word = self.diagnosis.word if self.diagnosis else None
        return word if self.network is None or self.word(self.network) is word else None

    @property
    def is_perfect(self) -> bool:
        """Whether nothing is better than the best value of the search: there is nothing beyond."""
        if self.best is None or self.best.value is None:
            return False
        value = self.best.value
        if self.direction == "minimize":
            return value == max(self.spec.objective.low, 0.0)
        return abs(value - ends(self.spec.objective, [value])[1]) <= _SAME

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        """Where the winner lies at an edge of what was searched, and there may be better beyond."""
        if self.network is None or self.is_perfect:
            return ()
        return edges(self.spec, self.values(self.network))

    def row(self, trial: Trial) -> dict[str, Any]:
        """A trial of this study for JSON."""
        return {**trial.as_dict(), "diagnosis": self.word(trial)}

    @property
    def stages(self) -> tuple[StageSummary, ...]:
        """The stages that have a trial, in the order in which they began."""
        by_stage: dict[str, list[Trial]] = {}
        for trial in sorted(self.trials, key=lambda t: t.ticket):
            by_stage.setdefault(trial.stage, []).append(trial)
        sign = 1 if self.study.direction == "maximize" else -1
        summaries = []
        for name, of_stage in by_stage.items():
            values = [t.value for t in of_stage if t.state == "COMPLETE" and t.value is not None]
            best = max(values, key=lambda value: sign * value, default=None)
            summaries.append(StageSummary(name, len(of_stage), best))
        return tuple(summaries)

    @property
    def running(self) -> tuple[Trial, ...]:
        """Trials under way, or waiting for a worker to continue with them."""
        return tuple(t for t in self.trials if t.state == "RUNNING")

    @cached_property
    def progress(self) -> pace.Progress:
        """How far the study is, for the time that it still takes."""
        study, spec = self.study, self.spec.with_final(self.study.final)
        search = [trial for trial in self.trials if trial.stage != FINAL]
        unissued = max(study.tickets - len(self.trials), 0)
        due = {"due": outline.final_tickets(spec), "open": unissued}.get(study.finish or "", 0)
        finishing = sum(self.epochs - t.epoch for t in self.running if t.stage == FINAL)
        return pace.Progress(
            ended=tuple(trial.epoch for trial in search if trial.state != "RUNNING"),
            running=tuple(trial.epoch for trial in search if trial.state == "RUNNING"),
            waiting=0 if study.is_out_of_time else max(unissued - due, 0),
            finish=due * self.epochs + finishing,
            epochs=sum(trial.epoch for trial in self.trials),
            work_s=study.active_s,
            limit_s=study.left_s,
        )

    def left(self, tempo: pace.Tempo | None = None) -> pace.Span | None:
        """Seconds that an open study still takes, at this tempo or that since its start; None while
        that cannot be told."""
        is_open = self.study.state == "open"
        return pace.left(self.spec, self.progress, tempo) if is_open else None

    @cached_property
    def codes(self) -> Mapping[str, int]:
        """How many trials each state of the study's own code has trained, the first one first."""
        return Counter(trial.code for trial in self.trials if trial.code is not None)

    def count(self, state: str) -> int:
        """Number of trials in a state."""
        return sum(t.state == state for t in self.trials)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the study without its trials."""
        study, left = self.study, self.left()
        baselines = [{"name": name, "value": value} for name, value in self.baselines]
        return {
            "name": study.name,
            "state": study.state,
            "metric": self.metric,
            "direction": study.direction,
            "budget": {"trials": study.tickets, "epochs": self.epochs, "hours": study.hours},
            "issued": study.issued,
            "ended": study.ended,
            "complete": self.count("COMPLETE"),
            "pruned": self.count("PRUNED"),
            "failed": self.count("FAIL"),
            "running": self.count("RUNNING"),
            "active_seconds": round(study.active_s, 1),
            "left_seconds": left and round(left.expected, 1),
            "priority": study.priority,
            "max_parallel": study.max_parallel,
            "data": study.data,
            "sanity": study.sanity,
            "stages": [asdict(stage) for stage in self.stages],
            "recipe": [asdict(step) for step in self.recipe],
            "diagnosis": asdict(self.diagnosis) if self.diagnosis else None,
            "best": self.row(self.best) if self.best else None,
            "network": self.row(self.network) if self.network else None,
            "leader": self.row(self.leader) if self.leader else None,
            "baseline": baselines[0] if baselines else None,
            "baselines": baselines,
            "edges": [asdict(edge) for edge in self.edges],
            "finish": study.finish,
            "final": self.verdict,
        }
