"""What the next tickets are: pure functions of the study file and a ticket's number."""

from __future__ import annotations

from hpsearch.errors import StudyFileError
from hpsearch.space import Assignment, Grid, Space
from hpsearch.spec import StudySpec

__all__ = ["conditional", "grid_space", "limit", "start_point", "tickets"]


def grid_space(spec: StudySpec) -> Space:
    """The part of the space that is searched by grid."""
    return spec.space.part([p.name for p in spec.space if spec.search.sampler[p.group] == "grid"])


def conditional(spec: StudySpec, sampler: str) -> bool:
    """Whether any parameter that `sampler` draws depends on another one."""
    return any(p.when for p in spec.space if spec.search.sampler[p.group] == sampler)


def limit(spec: StudySpec) -> int | None:
    """The most tickets that the search has a use for: a grid ends, all else does not.

    With nothing to search, each trial is the same network from another seed.
    """
    return Grid(spec.space).size if set(spec.search.sampler.values()) == {"grid"} else None


def tickets(spec: StudySpec) -> int:
    """The number of tickets of the study: its budget, or the whole grid where that is less."""
    counts = [n for n in (spec.budget.trials, limit(spec)) if n is not None]
    if not counts:
        raise StudyFileError("budget.trials is missing: only a grid ends by itself")
    return min(counts)


def start_point(spec: StudySpec, number: int) -> Assignment | None:
    """The starting point that ticket `number` runs, or None where a sampler draws."""
    return spec.start[number] if number < len(spec.start) else None
