"""A candidate of own training code as its runner keeps it: what it has reported, and what it has
saved."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from hpsearch.children.here import Guest
from hpsearch.children.process import Child
from hpsearch.code import Code
from hpsearch.errors import CheckpointError
from hpsearch.runner import Failure, Report, Saved
from hpsearch.runner.candidate import Candidate
from hpsearch.runner.epoch import Epoch, Keeping
from hpsearch.spec.sizes import in_words

__all__ = ["At", "Job", "Member"]

_MEASURE_S = 0.5
"""Between two looks at what a process has in memory."""


@dataclass(frozen=True)
class Job:
    """What is run, and what it may take."""

    function: str
    """`FILE.py:FUNCTION`, or what a command is called."""
    code: Code
    metric: str
    direction: str
    command: tuple[str, ...] | None = None
    """A command line in place of a function."""
    metrics: str = "json"
    """How a command reports: `json`, or a regular expression."""
    evaluate: str | tuple[str, ...] | None = None
    """What tests a candidate: a function, or a command line; None: nothing does."""
    fresh: bool = False
    """Whether each candidate has a new process."""
    memory_bytes: int | None = None
    """The most that its processes may have in memory; None: no limit."""
    seconds: float | None = None
    """The most that a candidate may be at work here; None: no limit."""
    cpus: int | None = None
    """Threads that it has; None: as many as its work pays for."""
    threads: int | None = None
    """Threads of a worker; None: as many as PyTorch would take."""


_MOST_WORDS = 1000
"""Letters of a reason."""
_SEEDS = 1 << 31
"""What own training code is given is below it: NumPy, scikit-learn and Lightning take 32 bits, and
others a whole number of 32 bits with a sign."""


class At(Enum):
    """What a candidate is at."""

    WAITING = auto()
    """It has no process yet."""
    COMPUTING = auto()
    REPORTED = auto()
    """Its process waits to be told whether it continues."""
    OVER = auto()


@dataclass(eq=False)
class Member:
    """One candidate on its runner."""

    job: Job
    keeping: Keeping
    """Which of its epochs counts."""
    candidate: Candidate
    until: int | None = None
    """The epoch after which it is trained no further here."""
    saved: Saved | None = None
    """Where it continues from."""
    at: At = At.WAITING
    child: Child | Guest | None = None
    stays: bool | None = None
    """Whether its process, which has come back, can take another one; None: it has not yet."""
    curve: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    kept: Epoch | None = None
    checkpoint: Saved | None = None
    """Of its last epoch, where one was made."""
    started: float = 0.0
    reported: float = 0.0
    """When its last epoch ended."""
    folder: Path | None = None
    measured: float = 0.0
    """When it was last looked at whether it takes too much."""
    excess: tuple[str, Failure] | None = None
    """What it takes too much of, and what kind of failure that is."""

    @property
    def epoch(self) -> int:
        """Epochs that it has reported."""
        return len(self.curve)

    @property
    def ends(self) -> bool:
        """Whether its last report was that of its last epoch."""
        epochs = int(self.candidate.settings["epochs"])  # type: ignore[arg-type]
        return bool(self.curve) and self.keeping.ends(self.curve, self.best_epoch, epochs)

    @property
    def pauses(self) -> bool:
        """Whether it has come to the epoch up to which it is trained here."""
        return self.until is not None and self.epoch >= self.until

    def restore(self, saved: Saved) -> None:
        """Be where it was saved. Raises CheckpointError where that is of another candidate, or has
        nothing to continue from."""
        key = self.candidate.key
        if saved.digest != self.candidate.digest:
            raise CheckpointError(
                f"the checkpoint is not of candidate {key}: its settings or its seed differ. "
                "Remove it to start over"
            )
        try:
            self.curve, self.best_epoch = list(saved.curve), saved.best_epoch
            self.kept = saved.kept
            own = saved.state["own"]
        except (LookupError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit candidate {key}: {error}. Remove it to start over"
            ) from error
        self.saved = self.checkpoint = saved
        if own is None and not self.ends:
            raise CheckpointError("its code saves nothing that it could continue from (run.save)")

    def order(self, device: str, saved: Path | None, part: str | None = None) -> dict[str, Any]:
        """What its process is to do, as `child.main` takes it.

        Args:
            device: Where, as the worker names it.
            saved: A file of what it had saved; None: it is at its start, or saves nothing.
            part: The part of its data that it is tested on; None: it is trained.
        """
        job, candidate = self.job, self.candidate
        function, command = job.function, job.command
        if part is not None:
            own = job.evaluate
            function, command = (own, None) if isinstance(own, str) else (job.function, own)
        epochs = candidate.settings["epochs"] if part is None else self.epoch
        params = {name: _given(value) for name, value in candidate.settings.items()}
        best_value = self.curve[self.best_epoch - 1].value if self.best_epoch else None
        return {
            "function": function, "command": command, "metrics": job.metrics, "part": part,
            "code": str(job.code.folder),
            "manifest": dict(job.code.manifest.files), "params": params,
            "seed": candidate.seed % _SEEDS, "device": device.partition(":")[0],
            "folder": str(self.folder),
            "epochs": epochs, "epoch": self.epoch, "metric": job.metric,
            "direction": job.direction, "keep_best": self.keeping.best, "best_value": best_value,
            "saved": None if saved is None else str(saved), "cpus": job.cpus,
            "threads": job.threads, "fresh": job.fresh,
        }  # fmt: skip

    def note(self, numbers: Mapping[str, Any]) -> Report:
        """Its process has reported an epoch."""
        metrics = {str(name): float(value) for name, value in numbers.items()}
        value, now = metrics[self.job.metric], time.monotonic()
        if not math.isfinite(value):
            why = f"{self.job.metric} became {value} in epoch {self.epoch + 1}"
            return self.failed(why, Failure.DIVERGED)
        finite = {name: number for name, number in metrics.items() if math.isfinite(number)}
        epoch = Epoch(self.epoch + 1, value, finite, now - self.reported)
        best = self.curve[self.best_epoch - 1].value if self.best_epoch else None
        self.curve.append(epoch)
        sign = 1 if self.job.direction == "maximize" else -1
        if best is None or sign * value > sign * best:
            self.best_epoch = epoch.epoch
        kept_epoch = self.best_epoch if self.keeping.best else epoch.epoch
        self.kept = self.curve[kept_epoch - 1]
        self.at = At.OVER if self.ends or self.pauses else At.REPORTED
        return self.report()

    def report(self) -> Report:
        """That of its last epoch."""
        return Report(
            self.candidate.key, self.curve[-1], self.kept, finished=self.ends,
            paused=self.pauses and not self.ends,
        )  # fmt: skip

    def returned(self, *, stays: bool) -> Report:
        """It came back before its last epoch: complete by what it has reported.

        `stays`: whether its process can take another candidate.
        """
        self.stays = stays
        if not self.curve:
            call = f"run.report({self.job.metric}=...)"
            return self.failed(f"{self.job.function} returned without a report by {call}")
        self.at = At.OVER
        if self.job.command is not None:  # it may have saved something after its last report
            self.checkpoint = None
        epoch = self.curve[-1]
        return Report(
            self.candidate.key, epoch, self.kept, finished=True,
            message=f"returned after epoch {epoch.epoch}",
        )  # fmt: skip

    def failed(self, message: str, failure: Failure = Failure.ERROR) -> Report:
        """It cannot continue, and its process is ended."""
        self.at, child = At.OVER, self.child
        self.checkpoint, self.child = None, None
        log = ""
        if child is not None:
            child.settle() if failure is not Failure.DIVERGED else None
            log = child.log.end()
            child.kill()
        last = self.curve[-1] if self.curve else None
        reason = _text(message)[:_MOST_WORDS]
        return Report(self.candidate.key, last, failure=failure, message=reason, log=_text(log))

    def state(self, own: Any) -> dict[str, Any]:
        """A checkpoint with what its code saves, by the names of `runner.Saved`."""
        best = self.kept
        assert best is not None
        return {
            "digest": self.candidate.digest, "epoch": self.epoch,
            "best_epoch": self.best_epoch, "kept_epoch": best.epoch, "details": {},
            "curve": [epoch.as_json() for epoch in self.curve], "own": own,
        }  # fmt: skip

    def measure(self) -> None:
        """Note what it takes too much of, from time to time."""
        job, child, now = self.job, self.child, time.monotonic()
        if child is None or now - self.measured < _MEASURE_S:
            return
        self.measured = now
        if job.seconds is not None and now - self.started > job.seconds:
            minutes = f"{job.seconds / 60:g} minutes (resources.minutes)"
            self.excess = f"it took longer than {minutes}", Failure.ERROR
        elif job.memory_bytes is not None and (used := child.memory_bytes()) > job.memory_bytes:
            limit = f"{in_words(job.memory_bytes)} (resources.memory)"
            why = f"it took {in_words(used)} of memory, and may take {limit}"
            self.excess = why, Failure.OUT_OF_MEMORY


def _given(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _text(words: str) -> str:
    """Words of own code as text that every database takes."""
    return words.encode(errors="replace").decode().replace("\0", "\\0")
