"""The end of a study with a finish: its trials have ended, and the test part is used, once.

That it is about to be is in the database before anybody looks. Anyone who dies between the two
leaves that note, and the next worker comes to the same result: the networks are trained, nothing is
drawn."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.trial import FrozenTrial, TrialState

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError, NotFoundError
from hpsearch.handover.trained import Trained
from hpsearch.insight.diagnosis import best_epoch
from hpsearch.runner import Saved
from hpsearch.search import Search
from hpsearch.sources.dataset import Dataset
from hpsearch.sources.opening import open_test_part
from hpsearch.spec import StudySpec
from hpsearch.spec.space import Assignment
from hpsearch.stages.candidates import candidate_of
from hpsearch.stages.finish import Entry, Repeat, Verdict, finalists, verdict
from hpsearch.stages.stage import Stage
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Study
from hpsearch.worker.context import Context

if TYPE_CHECKING:
    from torch import Tensor

    from hpsearch.runner.epoch import Epoch
    from hpsearch.sources.dataset import Part

__all__ = ["Concluded", "conclude"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Concluded:
    """What is left of a finish that has its verdict."""

    tickets: set[int]
    """Those whose networks are of use after it."""
    test: Part | None = None
    """The test part; None: it was not used."""
    curves: Mapping[int, Sequence[Epoch]] = field(default_factory=dict)
    """The epochs of trainings that the test part was used for, by ticket."""


def conclude(
    context: Context, study: Study, spec: StudySpec, search: Search, mirror: Mirror,
    dataset: Dataset, place: str,
) -> Concluded | None:  # fmt: skip
    """Give the verdict where it is due: what is left then.

    None where it is not due. Where nothing was trained to its end there is no verdict, and the test
    part is not used.

    Raises CheckpointError where a network of the finish is unavailable here.
    """
    stage = search.stages[-1]
    current = context.ledger.current(study)
    if current is None or not current.awaits_verdict or current.opened != stage.end:
        return None
    mirror.refresh()
    trials = {t.user_attrs["ticket"]: t for t in _trials_of(stage, mirror)}
    if all(t.state is not TrialState.COMPLETE for t in trials.values()):
        context.ledger.end_finish(current)
        _log.warning("%s: no training of its finish completed; the test part was not used",
                     study.name)  # fmt: skip
        return Concluded(_handed_over(context, study, mirror))
    entries = _entries(stage, trials.values())
    networks = _Networks(context, study, spec, search, trials, place)
    try:
        for entry in finalists(entries, spec.direction):
            for repeat in entry.whole:
                networks.load(repeat)  # before anything is said of the test part
        use = context.ledger.begin_verdict(current)
        if use is None:
            return None
        found, test = _judge(context, study, spec, entries, networks, mirror, dataset, use)
    except (CheckpointError, NotFoundError):
        if not context.ledger.may_conclude(current):
            # Another worker has given it meanwhile, and cleared away, or the study is deleted.
            return None
        raise
    context.ledger.end_verdict(current, use, found.as_json())
    _log.info("%s: the test part has been used", study.name)
    return Concluded({found.best_ticket}, test, networks.curves)


def _judge(
    context: Context, study: Study, spec: StudySpec, entries: list[Entry], networks: _Networks,
    mirror: Mirror, dataset: Dataset, use: int,
) -> tuple[Verdict, Part]:  # fmt: skip
    """Use the test part: what it says, and the part itself."""
    part, baselines = open_test_part(spec, Path(study.base), dataset, context.device)

    def look(repeat: Repeat, values: Assignment) -> dict[str, float]:
        network = Trained(spec.family, spec.settings(values), networks.load(repeat), dataset)
        return network.score(
            network.outputs_of(part, dataset.cache), part.targets, spec.metric
        )  # fmt: skip

    best = mirror.best()
    asked = networks.stage.count or 0
    found = verdict(
        entries, best.value if best else None, spec.objective, look,
        len(part.targets), use, asked, {simple.name: simple.values for simple in baselines},
    )  # fmt: skip
    return found, part


class _Networks:
    """The networks of a finish, each checked to be that of its training, after the right epoch."""

    def __init__(
        self, context: Context, study: Study, spec: StudySpec, search: Search,
        trials: Mapping[int, FrozenTrial], place: str,
    ) -> None:  # fmt: skip
        """`trials` by ticket."""
        self._context, self._study, self._spec, self._search = context, study, spec, search
        self._trials, self._checkpoints = trials, Checkpoints(place)
        self.stage = search.stages[-1]
        self.curves: dict[int, Sequence[Epoch]] = {}
        """Those of the trainings loaded so far, by ticket."""

    def load(self, repeat: Repeat) -> dict[str, Tensor]:
        """The network of that training. Raises CheckpointError where it is unavailable."""
        trial, checkpoints = self._trials[repeat.ticket], self._checkpoints
        again = f"hpsearch final {self._study.name} begins another finish"
        state = checkpoints.load(repeat.ticket)
        if state is None:
            raise CheckpointError(
                f"the network of trial {trial.number} is not in {checkpoints.place}: start a "
                "worker where it was trained, or name a place that all reach, "
                f"HPSEARCH_CHECKPOINTS; where it is lost, {again}"
            )
        saved = Saved(state)
        if saved.digest != self._digest(trial, repeat.ticket):
            raise CheckpointError(
                f"the checkpoint {checkpoints.path(repeat.ticket)} is not of trial {trial.number}: "
                f"its settings or its seed differ; put the right one there, or {again}"
            )
        curve = trial.intermediate_values
        best = self._spec.keep == "best"
        counts = best_epoch(curve, self._spec.direction) if best else trial.last_step
        if saved.kept_epoch != counts:
            raise CheckpointError(
                f"the network of trial {trial.number} could not be saved after its epoch {counts}: "
                f"{checkpoints.place} has that of epoch {saved.kept_epoch}; {again}"
            )
        self.curves[repeat.ticket] = saved.curve
        return saved.network

    def _digest(self, trial: FrozenTrial, ticket: int) -> str:
        draw_index = self._context.ledger.draw_index(self._study.study_id, ticket)
        values = self._search.values(trial)
        return candidate_of(self._spec, self._search.stages, draw_index, values).digest


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
        repeats[at].append(Repeat(trial.number, trial.user_attrs["ticket"], repeat, value))
    return [Entry(base, tuple(r)) for base, r in zip(stage.bases, repeats, strict=True)]


def _trials_of(stage: Stage, mirror: Mirror) -> list[FrozenTrial]:
    """The trials of this finish, and of none before it, by ticket."""
    found = [t for t in mirror.trials() if t.user_attrs.get("final", [None])[0] == stage.first]
    return sorted(found, key=lambda t: int(t.user_attrs["ticket"]))
