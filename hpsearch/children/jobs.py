"""What a study with own training code has run, as its runner takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.children.candidates import Job
from hpsearch.code import Code
from hpsearch.spec.own_training import evaluation_of

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec

__all__ = ["job_of"]


def job_of(spec: StudySpec, code: Code, threads: int | None) -> Job:
    """The job of a study that trains by own code.

    Args:
        spec: The study.
        code: Its code.
        threads: A worker's; None: as many as PyTorch would take.
    """
    train, resources = spec.train, spec.resources
    assert train is not None
    return Job(
        spec.family, code, spec.metric, spec.direction, train.command, train.metrics,
        evaluate=evaluation_of(train, code.folder),
        fresh=train.fresh,
        memory_bytes=resources.memory_bytes,
        seconds=None if resources.minutes is None else 60 * resources.minutes,
        cpus=resources.cpus,
        threads=threads,
    )  # fmt: skip
