"""The times behind a forecast of own training code: of its default configuration for two epochs, or
of the trials that the study has by now."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from hpsearch.children.jobs import job_of
from hpsearch.children.process import FORKS, Nursery
from hpsearch.children.runner import Children
from hpsearch.code import Code
from hpsearch.errors import CodeError, NotFoundError
from hpsearch.forecast.pace import Pace, Shape
from hpsearch.insight.reader import Reader
from hpsearch.insight.snapshot import Snapshot
from hpsearch.runner.epoch import Keeping
from hpsearch.spec import StudySpec, differences
from hpsearch.stages.candidates import example_of
from hpsearch.stages.results import default_point

if TYPE_CHECKING:
    from hpsearch.runner import Report
    from hpsearch.store.ledger import Ledger

__all__ = ["LIMIT_S", "Sample", "of_trials", "own_pace", "sample"]

_EPOCHS = 2
"""The first one may have to load and compile."""
LIMIT_S = 60.0
"""So long the first epochs may take."""
_FEW = 3
"""Trials that say more than a dry run."""
_ANY = 500
"""As many configurations as there may be: nobody knows which parameters the time depends on."""


@dataclass(frozen=True)
class Sample:
    """One configuration that was timed."""

    epoch_s: float
    start_s: float = 0.0
    """Before its first epoch: the start of a program, reading data."""
    memory_bytes: int = 0
    """Of its processes; 0: not known."""
    checkpoint_bytes: int = 0
    """Of the states after its last and its best epoch; 0: it saves nothing, or not known."""


def own_pace(
    spec: StudySpec, folder: Path, ledger: Ledger, device: str, *, devices_: int = 1,
    disk_bytes: int | None = None, say: Callable[[str], None] = lambda words: None,
) -> Pace | None:  # fmt: skip
    """What a device takes for a study with own training code; None where its first epoch takes
    longer than `LIMIT_S`.

    Args:
        spec: The study.
        folder: That of its code, which is run where the study has no trials yet.
        ledger: Where it may have some.
        device: The device.
        devices_: Devices like it that the workers share.
        disk_bytes: Free where checkpoints will lie; None: not known.
        say: Is given a line before anything is run.

    Raises CodeError where its code fails.
    """
    import psutil
    from joblib import cpu_count

    timed = _timed(spec, folder, device, ledger, say)
    if timed is None:
        return None
    samples, words = timed
    shapes = tuple(
        Shape("", ((1, one.epoch_s),), one.memory_bytes, one.memory_bytes, one.checkpoint_bytes)
        for one in samples
    )
    return Pace(
        device=device, devices=devices_,
        seats=cpu_count() if device == "cpu" else devices_ * spec.resources.per_gpu,
        shapes=shapes, draws=tuple(range(len(shapes))), shaping=(), possible=_ANY, data_bytes=0,
        memory_bytes=psutil.virtual_memory().available, disk_bytes=disk_bytes, timed=words,
        start_s=median(one.start_s for one in samples),
    )  # fmt: skip


def _timed(
    spec: StudySpec, folder: Path, device: str, ledger: Ledger, say: Callable[[str], None]
) -> tuple[list[Sample], str] | None:
    """What has been timed, and what that is; None where it takes too long."""
    with suppress(NotFoundError):
        reader = Reader(ledger, spec.name)
        snapshot = reader.snapshot()
        study = snapshot.study
        first_s, all_s = reader.trained_s(study, until=1), reader.trained_s(study)
        both = {number: (first_s[number], all_s[number]) for number in first_s}
        timed = of_trials(snapshot, both, spec)
        if len(timed) >= _FEW:
            return timed, f"{len(timed)} of the {len(snapshot.trials)} trials that the study has"
    if not FORKS:
        raise CodeError("own training code needs Linux, where its processes can be forked")
    say("dry run: the first epochs of the default settings ...")
    with closing(Nursery(device)) as nursery:
        one = sample(spec, folder, nursery, device)
    return None if one is None else ([one], "the first epochs of the default settings")


def of_trials(
    snapshot: Snapshot, timed: Mapping[int, tuple[float, float]], spec: StudySpec
) -> list[Sample]:  # fmt: skip
    """The trials of a study as samples of another one, which may have another budget; none where it
    differs in more than that.

    Those of more than one epoch, where there are a few: the first one has the start of a program
    and the reading of data in it, and most trials that a pruner ends have no other.

    Args:
        snapshot: The study.
        timed: Seconds of the first epoch and of all epochs of its trials, by number: a short one is
            RUNNING for longer.
        spec: The other one.
    """
    left_out = ("budget.", "final", "retry.", "search.", "start", "keep", "checkpoints", "track")
    if not all(line.startswith(left_out) for line in differences(snapshot.spec, spec)):
        return []
    whole = [
        (trial.epoch, *timed[trial.number])
        for trial in snapshot.trials
        if trial.ended and trial.epoch and trial.attempts == 1 and trial.number in timed
    ]
    later = [
        Sample(seconds, max(first_s - seconds, 0.0))
        for epochs, first_s, all_s in whole
        if epochs > 1 and (seconds := (all_s - first_s) / (epochs - 1)) >= 0
    ]
    return later if len(later) >= _FEW else [Sample(all_s / epochs) for epochs, _, all_s in whole]


def sample(
    spec: StudySpec, folder: Path, nursery: Nursery, device: str, limit_s: float = LIMIT_S
) -> Sample | None:
    """Run the default configuration for its first epochs; None where none has ended in time.

    Args:
        spec: The study.
        folder: That of its code.
        nursery: What its process is forked from.
        device: Where.
        limit_s: For all of it.

    Raises CodeError where its code fails.
    """
    job = job_of(spec, Code.at(folder), None)
    runner = Children(job, nursery, device, keeping=Keeping(best=spec.keep == "best"))
    try:
        runner.add(example_of(spec, default_point(spec), "forecast"), until=_EPOCHS)
        return _sampled(runner, spec, time.monotonic() + limit_s)
    finally:
        runner.close()


def _sampled(runner: Children, spec: StudySpec, until: float) -> Sample | None:
    timing = first = None
    while time.monotonic() < until:
        for report in runner.reports(1.0):
            timing = _measured(runner, report)
            first = first or timing
            # A function has its process, and what it imports, from the second trial on.
            if spec.train is not None and (spec.train.fresh or spec.train.command is not None):
                timing = replace(timing, start_s=max(first.epoch_s - timing.epoch_s, 0.0))
            if report.finished or report.paused:
                return timing
    return timing


def _measured(runner: Children, report: Report) -> Sample:
    if report.failure is not None or report.last is None:
        raise CodeError(f"its code fails: {report.message}")
    saved, memory = runner.saved(report.key), runner.memory_bytes(report.key)
    size = 2 * _size(saved.own) if saved is not None and saved.own is not None else 0
    return Sample(report.last.seconds, memory_bytes=memory, checkpoint_bytes=size)


def _size(own: Any) -> int:
    import torch

    buffer = io.BytesIO()
    torch.save(own, buffer)
    return buffer.tell()
