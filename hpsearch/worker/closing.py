"""The end of a study with a finish: its trials have ended, and the test part is used, once.

That it is about to be is in the database before anybody looks. Whoever dies between the two leaves
that note, and the next worker comes to the same result: the networks are trained, nothing is drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from hpsearch.diagnosis import best_epoch
from hpsearch.errors import CheckpointError
from hpsearch.final import Entry, Repeat, verdict
from hpsearch.places import data_settings
from hpsearch.search import Search
from hpsearch.space import Assignment
from hpsearch.spec import StudySpec
from hpsearch.stages import Stage
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Study
from hpsearch.training.checkpoint import Checkpoints
from hpsearch.training.course import kept
from hpsearch.training.data import Dataset, test_part
from hpsearch.training.verdict import Trained
from hpsearch.worker.context import Context

__all__ = ["conclude"]

_log = logging.getLogger(__name__)


def conclude(
    context: Context, study: Study, spec: StudySpec, search: Search, mirror: Mirror,
    dataset: Dataset, place: str,
) -> set[int] | None:  # fmt: skip
    """Give the verdict where it is due: the tickets whose networks are of use after it.

    None where it is not due. Where nothing was trained to its end there is no verdict, and the test
    part is not used.

    Raises CheckpointError where a network of the finish is not to be had here.
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
        return _handed_over(context, study, mirror)
    use = context.ledger.begin_verdict(current)
    if use is None:
        return None
    part = test_part(data_settings(spec, Path(study.base)), dataset, dataset.record, context.device)
    checkpoints = Checkpoints(place)

    def look(repeat: Repeat, values: Assignment) -> dict[str, float]:
        state = checkpoints.load(repeat.ticket)
        if state is None:
            number = trials[repeat.ticket].number
            raise CheckpointError(
                f"the network of trial {number} is not in {checkpoints.place}: start a worker "
                "where it was trained, or name a place that all reach, HPSEARCH_CHECKPOINTS; where "
                f"it is lost, hpsearch final {study.name} begins another finish"
            )
        trial, (epoch, model) = trials[repeat.ticket], kept(state)
        curve = trial.intermediate_values
        counts = best_epoch(curve, spec.direction) if spec.keep == "best" else trial.last_step
        if epoch != counts:
            raise CheckpointError(
                f"the network of trial {trial.number} could not be saved after its epoch {counts}: "
                f"{checkpoints.place} has that of epoch {epoch}; "
                f"hpsearch final {study.name} begins another finish"
            )
        network = Trained(spec.family, spec.settings(values), model, dataset)
        return network.score(network.outputs(part.inputs), part.targets, spec.metric)

    best = mirror.best()
    try:
        found = verdict(
            _entries(stage, trials.values()), best.value if best else None, spec.metric,
            spec.direction, look, len(part.targets), use, stage.count or 0,
        )  # fmt: skip
    except CheckpointError:
        if context.ledger.begin_verdict(current) is None:
            return None  # another worker has given it meanwhile, and cleared away
        raise
    context.ledger.end_verdict(current, use, found.as_json())
    _log.info("%s: the test part has been used", study.name)
    return {found.best_ticket}


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
    for (turn, at), trial in sorted(last.items()):
        value = trial.value if trial.state is TrialState.COMPLETE else None
        repeats[at].append(Repeat(trial.number, trial.user_attrs["ticket"], turn, value))
    return [Entry(base, tuple(r)) for base, r in zip(stage.bases, repeats, strict=True)]


def _trials_of(stage: Stage, mirror: Mirror) -> list[FrozenTrial]:
    """The trials of this finish, and of none before it, by ticket."""
    found = [t for t in mirror.trials() if t.user_attrs.get("final", [None])[0] == stage.first]
    return sorted(found, key=lambda t: int(t.user_attrs["ticket"]))
