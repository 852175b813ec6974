"""The candidates of a study, made in one place: anyone who looks for a trial's network, trains it
or measures one like it comes to the same settings and the same seed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from hpsearch.runner.candidate import Candidate, derived_seed
from hpsearch.spec import StudySpec
from hpsearch.spec.space import Assignment
from hpsearch.stages.stage import Stage

__all__ = ["candidate_of", "example_of", "stage_of"]


def stage_of(stages: Sequence[Stage], draw_index: int) -> Stage:
    """The stage, of those opened, that a ticket is drawn in."""
    return stages[bisect_right(stages, draw_index, key=attrgetter("first")) - 1]


def candidate_of(
    spec: StudySpec, stages: Sequence[Stage], draw_index: int, values: Assignment, key: int = -1
) -> Candidate:
    """What the ticket of that draw index trains.

    Args:
        spec: The study.
        stages: Its stages that have been opened, the ticket's among them.
        draw_index: The number that the ticket is drawn and seeded by.
        values: The values of its parameters.
        key: What a runner calls it.
    """
    return example_of(spec, values, *stage_of(stages, draw_index).seed(draw_index), key=key)


def example_of(spec: StudySpec, values: Assignment, *purpose: object, key: int = -1) -> Candidate:
    """A candidate of the study that is no ticket's; its seed is one for that `purpose`."""
    seed = derived_seed(spec.search.seed, *purpose)
    return Candidate(key, spec.family, spec.settings(values), seed, spec.task)
