"""The runner of own training code: each candidate in a process of its own."""

from __future__ import annotations

import select
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hpsearch.children.candidates import At, Job, Member
from hpsearch.children.here import Here
from hpsearch.children.log import content_of, remove
from hpsearch.children.process import Nursery
from hpsearch.children.processes import Processes, is_told
from hpsearch.children.wire import HangUpError, NonsenseError
from hpsearch.errors import CheckpointError, CodeError, line
from hpsearch.runner import Failure, Fit, Report, Saved
from hpsearch.runner.candidate import Candidate
from hpsearch.runner.epoch import Keeping
from hpsearch.spec.sizes import in_words

__all__ = ["Children", "Job", "numbers_of"]

_LOOK_S = 0.25
"""Between two looks at whether a process has ended or the worker is to leave."""
_SAVE_S = 600.0
"""For a checkpoint to be written; the trial of one that takes longer fails."""
_LEAVES_S = 6.0
"""For the checkpoint of a worker that is to leave."""
_AHEAD_S = 0.5
"""For which the candidates at hand may last ..."""
_AHEAD = 16
"""... and so many they may be."""
_LAST = 4
"""Candidates whose times tell what the next ones will take."""
_NONSENSE = "its process wrote to the worker what is no report"


class Children:
    """Runs own training code on one device: a `runner.Runner`.

    Args:
        job: What is run.
        nursery: What processes are forked from, for all studies of a worker; or this process.
        device: Where: `cpu`, `cuda:0`.
        places: Candidates at once.
        keeping: Which epoch of a candidate counts.
        logs: The folder of what candidates write; None: the caller keeps it (`log`).
        interrupted: Once it says True, no report is waited for.
        over: Once it says True no candidate begins another epoch.
    """

    def __init__(
        self, job: Job, nursery: Nursery | Here, device: str, *, places: int = 1,
        keeping: Keeping | None = None, logs: Path | None = None,
        interrupted: Callable[[], bool] = lambda: False,
        over: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._job, self._device, self._places = job, device, places
        self._keeping, self._keeps_logs = keeping or Keeping(), logs is not None
        self._interrupted, self._over = interrupted, over
        self._processes = Processes(nursery, places)
        self._members: dict[int, Member] = {}
        self._taken_s: deque[float] = deque(maxlen=_LAST)
        """What the last candidates took."""
        self._scratch = Path(tempfile.mkdtemp(prefix="hpsearch-"))
        self._logs = logs or self._scratch / "logs"

    # --- the face of a runner -----------------------------------------------------------------

    @property
    def keys(self) -> tuple[int, ...]:
        """Keys of the candidates that it has, in the order in which they came."""
        return tuple(self._members)

    @property
    def stacks(self) -> bool:
        """Whether more than one candidate may be trained at once."""
        return self._places > 1

    @property
    def ahead(self) -> int:
        """Candidates that are worth having at hand beside the one in training: none before a few
        have been timed, nor where several are trained at once."""
        if self.stacks or len(self._taken_s) < _LAST:
            return 0
        return min(int(_AHEAD_S / max(*self._taken_s, 1e-9)), _AHEAD)

    @property
    def waiting(self) -> tuple[int, ...]:
        """Keys of the candidates that have no process yet."""
        return tuple(key for key, member in self._members.items() if member.at is At.WAITING)

    def shape(self, candidate: Candidate) -> Hashable:
        """One for all: any candidates may run beside each other."""
        return self._job.function

    def shaping(self, example: Candidate, names: Iterable[str]) -> frozenset[str]:
        """No parameter decides who runs beside whom."""
        return frozenset()

    def fit(self, candidate: Candidate, *, alone: bool = False) -> Fit:
        """How many run at once."""
        if self._places == 1:
            return Fit(1, "own training code has a process for each")
        return Fit(self._places, f"resources.per_gpu is {self._places}")

    def add(
        self, candidate: Candidate, saved: Saved | None = None, until: int | None = None
    ) -> None:
        """Take a candidate in, from its start or from where it was saved.

        Raises CheckpointError where `saved` is not of this candidate, or nothing to continue from.
        """
        if candidate.key in self._members:
            raise ValueError(f"candidate {candidate.key} is there already")
        member = Member(self._job, self._keeping, candidate, until)
        if saved is not None:
            member.restore(saved)
        self._members[candidate.key] = member

    def reports(self, timeout_s: float) -> Iterator[Report]:
        """What is ready: reports of epochs and of failures.

        A child that has reported waits until the next call: the caller may ask for a checkpoint of
        just that epoch, or remove it.
        """
        for member in list(self._members.values()):
            if member.at is At.WAITING and (report := self._begin_where_room(member)):
                yield report
        if self._over() or self._interrupted():
            return
        for member in list(self._members.values()):
            if member.at is At.REPORTED:
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
        if member.started:
            self._taken_s.append(time.monotonic() - member.started)
        if child is not None:
            if member.at in (At.REPORTED, At.OVER):
                self._processes.dismiss(child, stays=member.stays)
            else:
                child.kill()
        if member.folder is not None:
            shutil.rmtree(member.folder, ignore_errors=True)
        if not self._keeps_logs:
            remove(self._logs, key)

    def saved(self, key: int) -> Saved | None:
        """A checkpoint of that candidate after the epoch that it has just reported; None where it
        has begun the next one without, or has failed."""
        member = self._members[key]
        if member.checkpoint is not None and member.checkpoint.epoch == member.epoch:
            return member.checkpoint
        if member.at not in (At.REPORTED, At.OVER) or member.child is None or not member.curve:
            return None
        assert member.folder is not None
        path = member.folder.with_suffix(".pt")
        began = time.monotonic()
        worked, answer = member.child.save(path, lambda: self._given_up(member, began))
        try:
            if not worked:
                raise CheckpointError(str(answer))
            own = None if answer is None else _loaded(path)
        except CheckpointError as error:
            words = f"hpsearch: no checkpoint of epoch {member.epoch}: {error}\n"
            member.child.log.write(words.encode(errors="replace"))
            return None
        member.checkpoint = Saved(member.state(own))
        return member.checkpoint

    def _given_up(self, member: Member, began: float) -> bool:
        """Whether a checkpoint is waited for no longer: its trial fails, or this worker leaves."""
        member.measure()
        waited_s = time.monotonic() - began
        if member.excess is None and waited_s > _SAVE_S:
            why = f"what run.save holds did not come within {_SAVE_S / 60:g} minutes"
            member.excess = why, Failure.ERROR
        return member.excess is not None or (self._interrupted() and waited_s > _LEAVES_S)

    def memory_bytes(self, key: int) -> int:
        """What the processes of a candidate have in memory now."""
        child = self._members[key].child
        return 0 if child is None else child.memory_bytes()

    @property
    def tests(self) -> bool:
        """Whether there is anything that `test` could run."""
        return self._job.evaluate is not None

    def test(self, candidate: Candidate, saved: Saved, part: str) -> Mapping[str, float] | None:
        """What its own code measures on a part of its data, the metric among it, with what the
        candidate had saved after the epoch that counts. None where the worker is to leave.

        Raises CodeError where that goes wrong, CheckpointError where `saved` is of another one.
        """
        self.add(candidate, saved)
        member = self._members[candidate.key]
        try:
            failed = self._begin(member, part)
            while failed is None and not self._interrupted():
                for ready in self._ready(_LOOK_S):
                    answer = self._answer(ready)
                    if isinstance(answer, Report):
                        failed = answer
                    elif answer is not None:
                        numbers = numbers_of(answer, self._job.metric)
                        if numbers is not None:
                            member.at, member.stays = At.OVER, bool(answer.get("stays"))
                            return numbers
                        failed = member.failed(_NONSENSE)
        finally:
            member.started = 0.0  # how long a test takes says nothing of trials
            self.remove(candidate.key)
        if failed is None:
            return None
        raise CodeError(failed.message)

    def log(self, key: int) -> bytes:
        """What a candidate has written here so far; nothing where that is kept already."""
        return b"" if self._keeps_logs else content_of(self._logs, key)

    def close(self) -> None:
        """End all processes of its candidates."""
        for key in self.keys:
            self.remove(key)
        self._processes.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    # --- one candidate ------------------------------------------------------------------------

    def _begin_where_room(self, member: Member) -> Report | None:
        """Give it a process if there is a place; its report where it was at its end before it came,
        or cannot be started."""
        if member.curve and (member.ends or member.pauses):
            member.at = At.OVER
            return member.report()
        taken = sum(other.child is not None for other in self._members.values())
        return self._begin(member) if taken < self._places else None

    def _begin(self, member: Member, part: str | None = None) -> Report | None:
        path = None
        try:
            self._scratch.mkdir(exist_ok=True)  # own code, or the system, may clear such folders
            member.folder = Path(tempfile.mkdtemp(dir=self._scratch))
            if (saved := member.saved) is not None and saved.own is not None:
                path = member.folder.with_suffix(".pt")
                own = saved.state["own"] if part is None else {"last": saved.own, "best": None}
                _store(own, path)
            member.saved = None
            member.child = self._processes.take()
            order = member.order(self._device, path, part)
            member.child.begin(order, self._logs, member.candidate.key)
        except (HangUpError, OSError, RuntimeError) as error:  # PyTorch's, where a disk is full
            return self._lost(member, f"could not be started: {line(error)}")
        member.at = At.COMPUTING
        member.started = member.reported = time.monotonic()
        return None

    def _let_go_on(self, member: Member) -> None:
        assert member.child is not None
        member.at = At.COMPUTING
        is_told(member.child, on=True)  # where it is gone the next look finds that
        member.reported = time.monotonic()

    def _ready(self, timeout_s: float) -> list[Member]:
        """Those of which something is to be heard, or that have ended, or take too much."""
        at_work = [m for m in self._members.values() if m.at is At.COMPUTING]
        wires = {m.child.wire.fileno(): m for m in at_work if m.child is not None}
        members = [wires[number] for number in select.select([*wires], [], [], timeout_s)[0]]
        for member in at_work:  # also of those that report all the time
            member.measure()
        rest = [m for m in at_work if m not in members]
        return members + [m for m in rest if m.excess or (m.child and m.child.ended() is not None)]

    def _heard(self, member: Member) -> Report | None:
        answer = self._answer(member)
        if answer is None or isinstance(answer, Report):
            return answer
        if "returned" in answer:
            return member.returned(stays=bool(answer.get("stays")))
        numbers = numbers_of(answer, self._job.metric)
        return member.failed(_NONSENSE) if numbers is None else member.note(numbers)

    def _answer(self, member: Member) -> Mapping[str, Any] | Report | None:
        """What its process says, or the report of its failure; None: nothing yet."""
        child = member.child
        assert child is not None
        if member.excess is not None:
            return member.failed(*member.excess)
        try:
            message = child.wire.receive(0.0)
        except NonsenseError:
            return member.failed(_NONSENSE)
        except HangUpError:
            return self._lost(member, child.death())
        if message is None:
            how = child.ended()
            return None if how is None else self._lost(member, how)
        if "failed" in message:
            return member.failed(str(message["failed"]))
        return message

    def _lost(self, member: Member, how: str) -> Report | None:
        """Its process is gone. While this worker leaves that is no failure: the trial goes back."""
        return None if self._interrupted() else member.failed(f"its process {how}")


def numbers_of(message: Mapping[str, Any], metric: str) -> dict[str, float] | None:
    """The numbers of a report, the metric among them; None for what is none."""
    try:
        numbers = {str(name): float(value) for name, value in message["numbers"].items()}
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    return numbers if metric in numbers else None


def _loaded(path: Path) -> Any:
    """What a child has written. CheckpointError where that cannot be read, or is too large here."""
    import psutil
    import torch

    try:
        size, room = path.stat().st_size, psutil.virtual_memory().available // 2
        if size > room:
            raise CheckpointError(
                f"it takes {in_words(size)}, and of this machine's memory {in_words(room)} is left "
                "for it"
            )
        content = torch.load(path, map_location="cpu", weights_only=True)
        path.unlink()
    except CheckpointError:
        raise
    except Exception as error:  # whatever own code has made of the file
        raise CheckpointError(f"it cannot be read: {line(error)}") from None
    return content


def _store(own: Any, path: Path) -> None:
    import torch

    torch.save(own, path)
