"""The end of a study with a finish: its trials have ended, and the test part is used, once.

That it is about to be is in the database before anybody looks. Anyone who dies between the two
leaves that note, and the next worker comes to the same result: the networks are trained, nothing is
drawn."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError, NotFoundError
from hpsearch.runner import Saved
from hpsearch.spec.space import Assignment
from hpsearch.stages.finish import Entry, Repeat, Verdict, finalists, uses, verdict
from hpsearch.stages.stage import Stage
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import TESTING, Study
from hpsearch.worker.context import Context
from hpsearch.worker.examiners import Examiner, LeavingError, candidate_tested
from hpsearch.worker.parts import Parts

if TYPE_CHECKING:
    from hpsearch.runner.epoch import Epoch
    from hpsearch.sources.dataset import Part

__all__ = ["Concluded", "Conclusion"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Concluded:
    """What is left of a finish that has its verdict."""

    tickets: set[int]
    """Those whose networks are of use after it."""
    test: Part | None = None
    """The test part; None: it was not used, or own training code has it."""
    curves: Mapping[int, Sequence[Epoch]] = field(default_factory=dict)
    """The epochs of trainings that the test part was used for, by ticket."""


class Conclusion:
    """Gives the verdict of a study's finishes, where no other worker does.

    Of several workers that find it due one measures: to use the test part is a duty, with a lease
    in the database, which another one takes over from a worker that has died.
    """

    def __init__(self, parts: Parts, place: str) -> None:
        """
        Args:
            parts: Those of the study's session.
            place: Where its checkpoints lie.
        """
        self._parts, self._place = parts, place
        self._left_to_others = ""
        """The duty of which it has been logged that another worker has it."""

    def give(self, examiner: Examiner) -> Concluded | None:
        """Give the verdict where it is due: what is left then.

        None where it is not due, another worker gives it, or this one is to leave. Where no
        training completed there is no verdict, and the test part is not used.

        Args:
            examiner: Measures trainings.

        Raises CheckpointError where a network of the finish is unavailable here, CodeError where
        own code fails to test what it has trained.
        """
        if (current := self._due()) is None:
            return None
        duty, keeper = f"{TESTING}{current.opened}", self._parts.context.keeper
        with keeper.duty(current, duty) as is_ours:
            if not is_ours and self._left_to_others != duty:
                self._left_to_others = duty
                _log.info("%s: another worker uses the test part", current.name)
            # Another one may have given it just before this one took the duty.
            if not is_ours or (current := self._due()) is None:
                return None
            return _conclude(self._parts, self._place, examiner, current)

    def _due(self) -> Study | None:
        """The study where its verdict is due, and may be given by this worker."""
        context, study = self._parts.context, self._parts.study
        current = context.ledger.current(study)
        if current is None or not current.awaits_verdict:
            return None
        # Others have what is to test it where it has other code by now.
        is_same = current.opened == self._parts.search.stages[-1].end and current.code == study.code
        return current if is_same else None


def _conclude(
    parts: Parts, place: str, examiner: Examiner, current: Study
) -> Concluded | None:  # fmt: skip
    """Give the verdict, which is due of the study as it is."""
    context, study, mirror = parts.context, parts.study, parts.mirror
    mirror.refresh()
    trials = {t.user_attrs["ticket"]: t for t in _trials_of(parts.search.stages[-1], mirror)}
    if all(t.state is not TrialState.COMPLETE for t in trials.values()):
        if not context.ledger.end_finish(current):
            return None  # some of them are run again by now
        _log.warning("%s: no training of its finish completed; the test part was not used",
                     study.name)  # fmt: skip
        return Concluded(_handed_over(context, study, mirror))
    entries = _entries(parts.search.stages[-1], trials.values())
    networks = _Networks(parts, trials, place)
    try:
        why = examiner.untested()
        if why is None:  # all of them, one at a time, before anything is said of the test part
            repeats = [r for e in finalists(entries, parts.spec.direction) for r in e.whole]
            every = [examiner.untested(networks.load(repeat)) for repeat in repeats]
            why = next(filter(None, every), None)
        use = context.ledger.begin_verdict(current)
        if use is None:
            return None
        concluded = _judge(parts, entries, networks, examiner, current, use, why)
    except (CheckpointError, NotFoundError):
        if not context.ledger.may_conclude(current):
            # Another worker has given it meanwhile, and cleared away, or the study is deleted.
            return None
        raise
    except LeavingError:
        return None
    # What has taken hours of own code to measure is not lost with a database that is away.
    context.patiently(lambda: context.ledger.end_verdict(current, use, concluded.as_json()))
    _log.info("%s: %s", study.name, "the test part has been used" if why is None
              else f"no test part was used: {why}")  # fmt: skip
    return Concluded({concluded.best_ticket}, examiner.part, networks.curves)


def _judge(
    parts: Parts, entries: list[Entry], networks: _Networks, examiner: Examiner, current: Study,
    use: int, why: str | None,
) -> Verdict:  # fmt: skip
    """Use the test part, or what the trainings reported where there is none, for the reason `why`.

    `use` is the number of this use, if it is one. Raises LeavingError where another worker has the
    duty by now, or the study was put down or deleted. Another finish that is asked for meanwhile
    takes nothing from this one.
    """
    spec, best, context = parts.spec, parts.mirror.best(), parts.context
    if why is not None:
        use = 0
    elif spec.data is None:  # finishes without a test part have used none
        use = 1 + uses(context.ledger.verdicts(parts.study.study_id))

    def look(repeat: Repeat, values: Assignment) -> Mapping[str, float]:
        if why is not None:
            return {spec.metric: repeat.value or 0.0}
        now = context.patiently(lambda: context.ledger.current(current))
        if not context.keeper.has_duty or now is None or now.state != "open":
            raise LeavingError
        return examiner.measure(repeat, values, networks.load(repeat))

    if why is None:
        examiner.open()
    return verdict(
        entries, best.value if best else None, spec.objective, look, examiner.rows, use,
        parts.search.stages[-1].count or 0, examiner.baselines, why,
    )  # fmt: skip


class _Networks:
    """The networks of a finish, each checked to be that of its training, after the right epoch."""

    def __init__(self, parts: Parts, trials: Mapping[int, FrozenTrial], place: str) -> None:
        """`trials` by ticket."""
        self._parts, self._trials, self._checkpoints = parts, trials, Checkpoints(place)
        self.curves: dict[int, Sequence[Epoch]] = {}
        """Those of the trainings loaded so far, by ticket."""

    def load(self, repeat: Repeat) -> Saved:
        """The checkpoint of that training. Raises CheckpointError where it is unavailable."""
        parts = self._parts
        trial, checkpoints = self._trials[repeat.ticket], self._checkpoints
        again = f"hpsearch final {parts.study.name} begins another finish"
        state = checkpoints.load(repeat.ticket)
        if state is None:
            raise CheckpointError(
                f"the network of trial {trial.number} is not in {checkpoints.place}: start a "
                "worker where it was trained, or name a place that all reach, "
                f"HPSEARCH_CHECKPOINTS; where it is lost, {again}"
            )
        saved = Saved(state)
        if (
            saved.digest
            != candidate_tested(parts, repeat.ticket, parts.search.values(trial)).digest
        ):
            raise CheckpointError(
                f"the checkpoint {checkpoints.path(repeat.ticket)} is not of trial {trial.number}: "
                f"its settings or its seed differ; put the right one there, or {again}"
            )
        counts = trial.user_attrs.get("best_epoch", trial.last_step)
        if saved.kept_epoch != counts:
            raise CheckpointError(
                f"the network of trial {trial.number} could not be saved after its epoch {counts}: "
                f"{checkpoints.place} has that of epoch {saved.kept_epoch}; {again}"
            )
        self.curves[repeat.ticket] = saved.curve
        return saved


def _handed_over(context: Context, study: Study, mirror: Mirror) -> set[int]:
    """The ticket of the network that the study still hands over: the last verdict's, or its best
    trial's."""
    if verdicts := context.ledger.verdicts(study.study_id):
        return {verdicts[-1]["best_ticket"]}
    best = mirror.best()
    return {best.user_attrs["ticket"]} if best else set()


def _entries(stage: Stage, trials: Iterable[FrozenTrial]) -> list[Entry]:
    """The trials of a finish by what they trained; of a ticket that was run again, the last."""
    last = {tuple(t.user_attrs["final"][1:]): t for t in trials}
    repeats: list[list[Repeat]] = [[] for _ in stage.bases]
    for (repeat, at), trial in sorted(last.items()):
        value = trial.value if trial.state is TrialState.COMPLETE else None
        loss = trial.user_attrs.get("metrics", {}).get("loss", math.inf)
        repeats[at].append(Repeat(trial.number, trial.user_attrs["ticket"], repeat, value, loss))
    return [Entry(base, tuple(r)) for base, r in zip(stage.bases, repeats, strict=True)]


def _trials_of(stage: Stage, mirror: Mirror) -> list[FrozenTrial]:
    """The trials of this finish, and of none before it, by ticket."""
    trials = [t for t in mirror.trials() if t.user_attrs.get("final", [None])[0] == stage.first]
    return sorted(trials, key=lambda t: int(t.user_attrs["ticket"]))
