"""The checkpoint of a trial that has ended, checked to be that of its network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.checkpoints.checkpoint import Checkpoints
from hpsearch.errors import CheckpointError
from hpsearch.runner import Saved
from hpsearch.stages.candidates import candidate_of
from hpsearch.stages.stage import Stage

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Trial
    from hpsearch.runner.candidate import Candidate
    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger

__all__ = ["candidate_trained", "saved_network"]


def candidate_trained(ledger: Ledger, study_id: int, spec: StudySpec, trial: Trial) -> Candidate:
    """What the trial trained, its seed included."""
    stages = [Stage.from_json(stage, spec.space) for stage in ledger.stages(study_id)]
    draw_index = ledger.draw_index(study_id, trial.ticket)
    values = {**spec.space.assignment(trial.params), **trial.off}
    return candidate_of(spec, stages, draw_index, values, key=trial.ticket)


def saved_network(place: str, candidate: Candidate, trial: Trial) -> Saved:
    """The checkpoint of the trial in `place`, with the network of the epoch that counts.

    Raises CheckpointError where it is not there, or is that of another candidate or epoch.
    """
    checkpoints = Checkpoints(place)
    state = checkpoints.load(trial.ticket)
    if state is None:
        raise CheckpointError(
            f"the network of trial {trial.number} is not in {checkpoints.place}; name the place "
            f"where it is with --checkpoints, or ask on the machine where it was trained"
        )
    saved = Saved(state)
    if saved.digest != candidate.digest:
        raise CheckpointError(
            f"the checkpoint {checkpoints.path(trial.ticket)} is not of trial {trial.number}: its "
            f"settings or its seed differ"
        )
    if saved.kept_epoch != trial.best_epoch:
        raise CheckpointError(
            f"the network of trial {trial.number} was not kept after its epoch "
            f"{trial.best_epoch}: {checkpoints.place} has that of epoch {saved.kept_epoch}"
        )
    return saved
