"""The runner of own training code: each candidate in a process of its own."""

from __future__ import annotations

import math
import select
import shutil
import tempfile
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from hpsearch.children.process import Child, Nursery
from hpsearch.children.wire import HangUpError
from hpsearch.code import Code
from hpsearch.errors import CheckpointError
from hpsearch.runner import Failure, Fit, Report, Saved
from hpsearch.runner.candidate import Candidate
from hpsearch.runner.epoch import Epoch, Keeping
from hpsearch.sizes import in_words

__all__ = ["Children", "Job"]

_LOOK_S = 0.25
"""Between two looks at whether a process has ended or the worker is to leave."""
_MEASURE_S = 0.5
"""Between two looks at what a process has in memory."""
_LEAVES_S = 6.0
"""For a child whose trial is over to come back; it ends itself a little earlier."""


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
    fresh: bool = False
    """Whether each candidate has a new process."""
    memory_bytes: int | None = None
    """The most that its processes may have in memory; None: no limit."""
    seconds: float | None = None
    """The most that a candidate may be at work here; None: no limit."""
    threads: int | None = None
    """Threads of PyTorch; None: its own choice."""


class _At(Enum):
    """What a candidate is at."""

    WAITING = auto()
    """It has no process yet."""
    COMPUTING = auto()
    REPORTED = auto()
    """Its process waits to be told whether it continues."""
    OVER = auto()


@dataclass(eq=False)
class _Member:
    candidate: Candidate
    until: int | None
    saved: Saved | None
    """Where it continues from."""
    at: _At = _At.WAITING
    child: Child | None = None
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


class Children:
    """Runs own training code on one device: a `runner.Runner`.

    Args:
        job: What is run.
        nursery: What processes are forked from, for all studies of a worker.
        device: Where: `cpu`, `cuda:0`.
        places: Candidates at once.
        keeping: Which epoch of a candidate counts.
        logs: The folder of what candidates write; None: only their last lines are known.
        interrupted: Once it says True, no report is waited for.
        over: Once it says True no candidate begins another epoch.
    """

    def __init__(
        self, job: Job, nursery: Nursery, device: str, *, places: int = 1,
        keeping: Keeping | None = None, logs: Path | None = None,
        interrupted: Callable[[], bool] = lambda: False,
        over: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._job, self._device, self._places = job, device, places
        self._keeping, self._logs = keeping or Keeping(), logs
        self._interrupted, self._over = interrupted, over
        self._nursery = nursery
        self._members: dict[int, _Member] = {}
        self._idle: list[Child] = []
        self._leaving: list[tuple[Child, float]] = []
        """Children whose candidate is gone, and until when they may take to come back."""
        self._scratch = Path(tempfile.mkdtemp(prefix="hpsearch-"))

    # --- the face of a runner -----------------------------------------------------------------

    @property
    def keys(self) -> tuple[int, ...]:
        """Keys of the candidates that it has, in the order in which they came."""
        return tuple(self._members)

    @property
    def stacks(self) -> bool:
        """Whether more than one candidate may be trained at once."""
        return self._places > 1

    def shape(self, candidate: Candidate) -> Hashable:
        """One for all: any candidates may run beside each other."""
        return self._job.function

    def shaping(self, example: Candidate, names: Iterable[str]) -> frozenset[str]:
        """No parameter decides who runs beside whom."""
        return frozenset()

    def fit(self, candidate: Candidate) -> Fit:
        """How many run at once."""
        return Fit(self._places, f"resources.per_gpu is {self._places}")

    def add(
        self, candidate: Candidate, saved: Saved | None = None, until: int | None = None
    ) -> None:
        """Take a candidate in, from its start or from where it was saved.

        Raises CheckpointError where `saved` is not of this candidate, or has nothing to continue
        from."""
        if candidate.key in self._members:
            raise ValueError(f"candidate {candidate.key} is there already")
        member = _Member(candidate, until, saved)
        if saved is not None:
            self._restore(member, saved)
        self._members[candidate.key] = member

    def _restore(self, member: _Member, saved: Saved) -> None:
        candidate = member.candidate
        if saved.digest != candidate.digest:
            raise CheckpointError(
                f"the checkpoint is not of candidate {candidate.key}: its settings or its seed "
                "differ. Remove it to start over"
            )
        try:
            member.curve, member.best_epoch = list(saved.curve), saved.best_epoch
            member.kept = saved.kept
            own = saved.state["own"]
        except (LookupError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"the checkpoint does not fit candidate {candidate.key}: {error}. Remove it to "
                "start over"
            ) from error
        member.checkpoint = saved
        if own is None and not self._ends(member):
            raise CheckpointError("its code saves nothing that it could continue from (run.save)")

    def reports(self, timeout_s: float) -> Iterator[Report]:
        """What is ready: reports of epochs and of failures.

        A child that has reported waits until the next call: anyone who takes the report may ask for
        a checkpoint of just that epoch, or remove it.
        """
        for member in list(self._members.values()):
            if member.at is _At.WAITING and (report := self._begin_where_room(member)):
                yield report
        if self._over() or self._interrupted():
            return
        for member in list(self._members.values()):
            if member.at is _At.REPORTED:
                self._let_go_on(member)
        deadline, any_ready = time.monotonic() + timeout_s, False
        while not any_ready and not self._interrupted():
            left_s = min(deadline - time.monotonic(), _LOOK_S)
            if left_s <= 0:
                return
            for member in self._ready(left_s):
                if self._members.get(member.candidate.key) is not member:
                    continue  # removed while another's report was in the caller's hands
                report = self._heard(member)
                if report is not None:
                    any_ready = True
                    yield report

    def remove(self, key: int) -> None:
        """Let a candidate go. Its process may come back where it waits, and is ended where it
        computes: what it has reported is all that counts."""
        member = self._members.pop(key)
        child, member.child = member.child, None
        if child is not None:
            if member.at in (_At.REPORTED, _At.OVER) and self._is_told(child, on=False):
                self._leaving.append((child, time.monotonic() + _LEAVES_S))
            else:
                child.kill()
        if member.folder is not None:
            shutil.rmtree(member.folder, ignore_errors=True)

    def saved(self, key: int) -> Saved | None:
        """A checkpoint of that candidate after the epoch that it has just reported; None where it
        has begun the next one without, or has failed."""
        member = self._members[key]
        if member.checkpoint is not None and member.checkpoint.epoch == member.epoch:
            return member.checkpoint
        if member.at not in (_At.REPORTED, _At.OVER) or member.child is None or not member.curve:
            return None
        assert member.folder is not None
        path = member.folder.with_suffix(".pt")
        worked, found = member.child.save(path)
        if not worked:
            return None
        own = None if found is None else _loaded(path)
        member.checkpoint = Saved(self._state(member, own))
        return member.checkpoint

    def close(self) -> None:
        """End all processes of its candidates."""
        for key in self.keys:
            self.remove(key)
        for child in (*self._idle, *(child for child, _ in self._leaving)):
            child.kill()
        shutil.rmtree(self._scratch, ignore_errors=True)

    # --- one candidate ------------------------------------------------------------------------

    def _ends(self, member: _Member) -> bool:
        epochs = int(member.candidate.settings["epochs"])  # type: ignore[arg-type]
        return bool(member.curve) and self._keeping.ends(member.epoch, member.best_epoch, epochs)

    def _begin_where_room(self, member: _Member) -> Report | None:
        """Give it a process if there is a place; its report where it was at its end before it came,
        or cannot be started."""
        if member.curve and (self._ends(member) or self._pauses(member)):
            member.at = _At.OVER
            return self._report(member)
        taken = sum(other.child is not None for other in self._members.values())
        return self._begin(member) if taken < self._places else None

    def _begin(self, member: _Member) -> Report | None:
        member.folder = Path(tempfile.mkdtemp(dir=self._scratch))
        own, path = member.saved.state["own"] if member.saved is not None else None, None
        if own is not None:
            path = member.folder.with_suffix(".pt")
            _store(own, path)
        member.saved = None
        try:
            member.child = self._child()
            member.child.begin(self._order(member, path), self._logs, member.candidate.key)
        except (HangUpError, OSError) as error:
            return self._failed(member, f"its process could not be started: {error}")
        member.at = _At.COMPUTING
        member.started = member.reported = time.monotonic()
        return None

    def _order(self, member: _Member, saved: Path | None) -> Mapping[str, Any]:
        job, candidate = self._job, member.candidate
        params = {name: _given(value) for name, value in candidate.settings.items()}
        kept = member.curve[member.best_epoch - 1].value if member.best_epoch else None
        return {
            "function": job.function, "command": job.command, "metrics": job.metrics,
            "code": str(job.code.folder),
            "manifest": dict(job.code.manifest.files), "params": params, "seed": candidate.seed,
            "device": self._device.partition(":")[0], "folder": str(member.folder),
            "epochs": candidate.settings["epochs"], "epoch": member.epoch, "metric": job.metric,
            "direction": job.direction, "keep_best": self._keeping.best, "best_value": kept,
            "saved": None if saved is None else str(saved), "threads": job.threads,
            "fresh": job.fresh,
        }  # fmt: skip

    def _child(self) -> Child:
        """One that is idle, or a new one."""
        self._welcome(0.0)
        while self._idle:
            child = self._idle.pop()
            if child.ended() is None:
                return child
        while len(self._leaving) >= self._places:  # a device has room for so many processes
            self._welcome(_LOOK_S)
            if self._idle:
                return self._idle.pop()
        return self._nursery.child()

    def _welcome(self, timeout_s: float) -> None:
        """Take back those whose candidate is gone and that are done with it."""
        wires = {child.wire.fileno(): child for child, _ in self._leaving}
        if not wires:
            return
        ready = select.select([*wires], [], [], timeout_s)[0]
        now, staying = time.monotonic(), list[tuple[Child, float]]()
        for child, until in self._leaving:
            said = self._last_words(child) if child.wire.fileno() in ready else None
            if said is not None and said.get("stays"):
                child.settle()
                self._idle.append(child)
            elif said is not None or now >= until or child.ended() is not None:
                child.settle()
                child.kill()
            else:
                staying.append((child, until))
        self._leaving = staying

    def _last_words(self, child: Child) -> Mapping[str, Any] | None:
        """What a child says whose trial is over, as it has come back or failed after all; None
        where that is something else."""
        try:
            message = child.wire.receive(0.0)
            if message is None or not {"returned", "failed"} & message.keys():
                return None
            child.wire.send({"on": False})
        except HangUpError:
            return {}
        return message

    def _is_told(self, child: Child, *, on: bool) -> bool:
        try:
            child.wire.send({"on": on})
        except HangUpError:
            return False
        return True

    def _let_go_on(self, member: _Member) -> None:
        assert member.child is not None
        member.at = _At.COMPUTING
        self._is_told(member.child, on=True)  # where it is gone the next look finds that
        member.reported = time.monotonic()

    def _ready(self, timeout_s: float) -> list[_Member]:
        """Those of which something is to be heard, or that have ended, or take too much."""
        at_work = [m for m in self._members.values() if m.at is _At.COMPUTING]
        wires = {m.child.wire.fileno(): m for m in at_work if m.child is not None}
        found = [wires[number] for number in select.select([*wires], [], [], timeout_s)[0]]
        for member in at_work:  # also of those that report all the time
            self._measure(member)
        rest = [m for m in at_work if m not in found]
        return found + [m for m in rest if m.excess or (m.child and m.child.ended() is not None)]

    def _measure(self, member: _Member) -> None:
        """Note what it takes too much of, from time to time."""
        job, child, now = self._job, member.child, time.monotonic()
        if child is None or now - member.measured < _MEASURE_S:
            return
        member.measured = now
        if job.seconds is not None and now - member.started > job.seconds:
            minutes = f"{job.seconds / 60:g} minutes (resources.minutes)"
            member.excess = f"it took longer than {minutes}", Failure.ERROR
        elif job.memory_bytes is not None and (used := child.memory_bytes()) > job.memory_bytes:
            limit = f"{in_words(job.memory_bytes)} (resources.memory)"
            why = f"it took {in_words(used)} of memory, and may take {limit}"
            member.excess = why, Failure.OUT_OF_MEMORY

    def _heard(self, member: _Member) -> Report | None:
        child = member.child
        assert child is not None
        if member.excess is not None:
            return self._failed(member, *member.excess)
        try:
            message = child.wire.receive(0.0)
        except HangUpError:
            return self._failed(member, f"its process {child.death()}")
        if message is None:
            if (how := child.ended()) is not None:
                return self._failed(member, f"its process {how}")
            return None
        if "failed" in message:
            return self._failed(member, str(message["failed"]))
        if "returned" in message:
            return self._returned(member)
        return self._epoch(member, message)

    def _epoch(self, member: _Member, message: Mapping[str, Any]) -> Report:
        numbers = {str(name): float(value) for name, value in message["numbers"].items()}
        value, now = numbers[self._job.metric], time.monotonic()
        if not math.isfinite(value):
            name, number = self._job.metric, member.epoch + 1
            return self._failed(
                member, f"{name} became {value} in epoch {number}", Failure.DIVERGED
            )
        finite = {name: number for name, number in numbers.items() if math.isfinite(number)}
        epoch = Epoch(member.epoch + 1, value, finite, now - member.reported)
        best = member.curve[member.best_epoch - 1].value if member.best_epoch else None
        member.curve.append(epoch)
        sign = 1 if self._job.direction == "maximize" else -1
        if best is None or sign * value > sign * best:
            member.best_epoch = epoch.epoch
        kept = member.best_epoch if self._keeping.best else epoch.epoch
        member.kept = member.curve[kept - 1]
        ends = self._ends(member) or self._pauses(member)
        member.at = _At.OVER if ends else _At.REPORTED
        return self._report(member)

    def _pauses(self, member: _Member) -> bool:
        return member.until is not None and member.epoch >= member.until

    def _report(self, member: _Member) -> Report:
        finished = self._ends(member)
        return Report(
            member.candidate.key, member.curve[-1], member.kept, finished=finished,
            paused=self._pauses(member) and not finished,
        )  # fmt: skip

    def _returned(self, member: _Member) -> Report:
        """It came back before its last epoch: complete by what it has reported."""
        if not member.curve:
            return self._failed(member, f"{self._job.function} returned without a report")
        member.at = _At.OVER
        epoch = member.curve[-1]
        return Report(
            member.candidate.key, epoch, member.kept, finished=True,
            message=f"returned after epoch {epoch.epoch}",
        )  # fmt: skip

    def _failed(self, member: _Member, message: str, failure: Failure = Failure.ERROR) -> Report:
        member.at, child = _At.OVER, member.child
        member.checkpoint, member.child = None, None
        log = ""
        if child is not None:
            child.settle() if failure is not Failure.DIVERGED else None
            log = child.log.end()
            child.kill()
        last = member.curve[-1] if member.curve else None
        return Report(member.candidate.key, last, failure=failure, message=message, log=log)

    def _state(self, member: _Member, own: Any) -> dict[str, Any]:
        """A checkpoint, by the names of `runner.Saved`."""
        kept = member.kept
        assert kept is not None
        return {
            "digest": member.candidate.digest, "epoch": member.epoch,
            "best_epoch": member.best_epoch, "kept_epoch": kept.epoch, "details": {},
            "curve": [epoch.as_json() for epoch in member.curve], "own": own,
        }  # fmt: skip


def _given(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _loaded(path: Path) -> Any:
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    path.unlink()
    return content


def _store(own: Any, path: Path) -> None:
    import torch

    torch.save(own, path)
