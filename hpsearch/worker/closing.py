"""The end of a study with a finish: its trials have ended, and the test part is looked at, once.

That it is about to be is in the database before anybody looks. Whoever dies between the two leaves
that note, and the next worker comes to the same result: the networks are trained, nothing is drawn.
"""

from __future__ import annotations

import logging
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from hpsearch import plan
from hpsearch.errors import CheckpointError
from hpsearch.final import Entry, Repeat, verdict
from hpsearch.search import Search
from hpsearch.spec import StudySpec
from hpsearch.store.mirror import Mirror
from hpsearch.store.values import Study
from hpsearch.training.candidate import Candidate, derived_seed
from hpsearch.training.checkpoint import Checkpoints
from hpsearch.training.data import Dataset, test_part
from hpsearch.training.verdict import score
from hpsearch.worker.context import Context
from hpsearch.worker.material import data_settings

__all__ = ["candidate", "conclude"]

_log = logging.getLogger(__name__)


def candidate(
    spec: StudySpec, search: Search, ticket: int, origin: int, trial: FrozenTrial
) -> Candidate:
    """What training sees of a trial."""
    seed = derived_seed(spec.search.seed, *search.seed(origin))
    return Candidate(ticket, spec.family, spec.settings(search.values(trial)), seed)


def conclude(
    context: Context, study: Study, spec: StudySpec, search: Search, mirror: Mirror,
    dataset: Dataset, place: str,
) -> bool:  # fmt: skip
    """Give the verdict where it is due; whether it was.

    Raises CheckpointError where a network of the finish is not to be had here.
    """
    use = context.ledger.begin_verdict(study.study_id)
    if use is None:
        return False
    mirror.refresh()
    stage = search.stages[-1]
    trials = {t.user_attrs["ticket"]: t for t in mirror.trials() if _is_of(stage, t)}
    part = test_part(data_settings(spec, Path(study.base)), context.device)
    checkpoints = Checkpoints(place)

    def look(repeat: Repeat, _values: object) -> dict[str, float]:
        trial = trials[repeat.ticket]
        state = checkpoints.load(repeat.ticket)
        if state is None:
            raise CheckpointError(
                f"the network of trial {trial.number} is not in {checkpoints.place}: start a "
                "worker where it was trained, or name a place that all reach, HPSEARCH_CHECKPOINTS"
            )
        found = candidate(spec, search, repeat.ticket, _origin(trial), trial)
        return score(found, state, dataset, part, spec.metric)

    best = mirror.best()
    assert best is not None
    assert best.value is not None
    found = verdict(
        _entries(stage, list(trials.values()), search), best.value, spec.metric, spec.direction,
        look, len(part.targets), use,
    )  # fmt: skip
    context.ledger.end_verdict(study.study_id, use, found.as_json() if found else {})
    _log.info("%s: the test part has been looked at", study.name)
    return True


def _entries(stage: plan.Stage, trials: list[FrozenTrial], search: Search) -> list[Entry]:
    """The trials of a finish by what they trained; of a ticket that was run again, the last."""
    last = {_origin(t): t for t in sorted(trials, key=lambda t: t.user_attrs["ticket"])}
    repeats: list[list[Repeat]] = [[] for _ in stage.bases]
    for origin, trial in sorted(last.items()):
        turn, at = divmod(origin - stage.first, len(stage.bases))
        value = trial.value if trial.state is TrialState.COMPLETE else None
        repeats[at].append(Repeat(trial.number, trial.user_attrs["ticket"], turn, value))
    return [Entry(base, tuple(r)) for base, r in zip(stage.bases, repeats, strict=True)]


def _origin(trial: FrozenTrial) -> int:
    return int(trial.system_attrs["hpsearch:drawn_by"])


def _is_of(stage: plan.Stage, trial: FrozenTrial) -> bool:
    return trial.user_attrs.get("stage") == stage.name and _origin(trial) >= stage.first
