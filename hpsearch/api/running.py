"""A study is made or opened again, workers are started, and it is followed to its end.

The command line and `hp.Study` do the same here; what they say of it is a `Listener`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from hpsearch.api.submit import submit
from hpsearch.api.tracking import tracking_trouble
from hpsearch.errors import EXIT_CODES, CodeError, HpsearchError, StorageError, WorkerError
from hpsearch.store.values import refusal

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from hpsearch.code import Manifest
    from hpsearch.fleet import News
    from hpsearch.insight.reader import Reader
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.processes.process import End
    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = [
    "POLL_S", "Begun", "Listener", "Workers", "begin", "failed", "follow", "make", "outcome",
    "reopen", "silence",
]  # fmt: skip

POLL_S = 0.25
"""Between looks at the workers, and at the database while a study runs."""

_ALIKE_S = 2.0
"""Workers that say what stands in their way are waited for so long: where all say the same, the
error says it, once."""

_SILENT_S = 30.0
"""Between two looks for trials that report nothing."""

Call = Callable[[str], str]
"""A command of hpsearch as it can be pasted."""


class Listener(Protocol):
    """Who watches a study run. Each call returns soon."""

    def note(self, text: str) -> None:
        """A line of status."""

    def update(self, snapshot: Snapshot) -> None:
        """The study as it is now."""


class Workers(Protocol):
    """What trains a study: a `fleet.Fleet`, or this process."""

    failure: End | None
    """How the last worker to end did, where that was no success."""

    @property
    def running(self) -> int:
        """Number of workers that run."""

    @property
    def over(self) -> bool:
        """Whether no worker runs and none will."""

    def tend(self) -> Sequence[News]:
        """Start what is due, take note of what has ended."""

    def wait(self, timeout_s: float) -> None:
        """Until there may be something to tend to, or so long."""

    def stop(self, grace_s: float) -> None:
        """Have all workers give back what they hold and leave."""


# --- before its workers start -----------------------------------------------------------------


@dataclass(frozen=True)
class Begun:
    """A study that workers can serve."""

    study: Study
    new: bool
    rescheduled: Study | None = None
    """The study with another priority or limit than it had, where that was changed."""
    notes: tuple[str, ...] = field(default=())
    """What a user should know, a line each."""


def make(
    ledger: Ledger, spec: StudySpec, base: Path, *, priority: int | None = None,
    max_parallel: int | None = None, device: str | None = None,
    code: Path | Manifest | None = None, accept_code: bool = False,
) -> Begun:  # fmt: skip
    """Make a study and leave it to workers, or find the one of its name and content.

    Args:
        ledger: Where it is kept.
        spec: What it is.
        base: The study file's folder.
        priority: Studies of a higher one are served first; None: as it is, or 0.
        max_parallel: The most trials under way at once; 0: no limit; None: as it is, or none.
        device: What a batch size of `auto` has to fit; None: the first of this machine.
        code: The folder of its own code, or what is in it; None: the study file's.
        accept_code: Whether a study that has begun goes over to that code where it is another.

    Raises what `submit` does.
    """
    from hpsearch.code import Manifest
    from hpsearch.preflight.data_check import warnings

    notes = list[str]()
    study, new = submit(
        ledger, spec, base, priority, max_parallel, device, code, accept_code=accept_code,
        say=notes.append,
    )  # fmt: skip
    changed = _rescheduled(ledger, study, priority, max_parallel)
    folder = None if isinstance(code, Manifest) else code or base
    notes += [f"warning: {warning}" for warning in (warnings(spec, folder) if new else ())]
    return Begun(study, new, changed, tuple(notes))


def begin(
    ledger: Ledger, spec: StudySpec, base: Path, *, priority: int | None = None,
    max_parallel: int | None = None, device: str | None = None,
    code: Path | Manifest | None = None, accept_code: bool = False,
    call: Call = "hpsearch {}".format,
) -> Begun:  # fmt: skip
    """Make a study, or open the one of its name and content again.

    The arguments are those of `make`; `call` writes a command as it can be pasted. Raises what
    `submit` does.
    """
    made = make(
        ledger, spec, base, priority=priority, max_parallel=max_parallel, device=device, code=code,
        accept_code=accept_code,
    )  # fmt: skip
    study, notes = made.study, [*made.notes]
    if trouble := tracking_trouble(spec, base):
        notes.append(trouble)
    if not made.new:
        notes.append(reopen(ledger, study))
        if any(worker.of(study.name) for worker in ledger.workers()):
            notes.append(
                f"others hold trials of it, or have just died with them; see {call('workers')}"
            )
    return replace(made, notes=tuple(notes))


def _rescheduled(
    ledger: Ledger, study: Study, priority: int | None, max_parallel: int | None
) -> Study | None:
    """Change what is said and differs in a study that was there already; the study where it was."""
    same = priority in (None, study.priority)
    if max_parallel is not None:
        same = same and (max_parallel or None) == study.max_parallel
    return None if same else ledger.schedule(study.name, priority, max_parallel)


def reopen(ledger: Ledger, study: Study) -> str:
    """Continue with a study that exists; what to say about it."""
    if study.state in ("paused", "stopped"):
        ledger.set_state(study.name, "open")
        return f"study {study.name} was {study.state}; it continues"
    if study.state == "done":
        return f"study {study.name} is done: nothing is left to train, this is what it came to"
    return f"study {study.name} continues: {study.ended} of {study.tickets} trials have ended"


# --- while it runs ----------------------------------------------------------------------------


def follow(
    workers: Workers, reader: Reader, listener: Listener, *, starts: bool = False,
    leave: threading.Event | None = None,
) -> Snapshot:  # fmt: skip
    """Tend the workers until they have left; the study as they leave it.

    Args:
        workers: What trains it.
        reader: Reads it.
        listener: Is shown the study and its workers' troubles.
        starts: Whether it hears of workers that start, too.
        leave: Once it is set, nothing is waited for any more.

    Raises LostError where the database is not the one that was opened.
    """
    from hpsearch.insight.note import Notes

    snapshot, notes = reader.snapshot(), Notes(reader.ledger)
    final, due = list[str](), 0.0
    noted, silent_at = set[tuple[int, int]](), time.monotonic()
    while workers.running or (snapshot.study.state == "open" and not workers.over):
        if leave is not None and leave.is_set():
            break
        for news in workers.tend():
            if news.final:
                final.append(news.text)
                due = time.monotonic() + _ALIKE_S
            elif news.bad or starts:
                listener.note(news.text)
        if final and time.monotonic() >= due:
            listener.note("\n".join(final))
            final.clear()
        # A database that is away for a moment is no reason to stop the workers.
        with suppress(StorageError):
            snapshot = reader.snapshot()
            listener.update(snapshot)
            notes.look(snapshot)
            if time.monotonic() - silent_at >= _SILENT_S:
                silent_at = time.monotonic()
                for number, line in silence(reader, snapshot):
                    at = number, next(t.epoch for t in snapshot.trials if t.number == number)
                    if at not in noted:
                        listener.note(line)
                    noted.add(at)
        workers.wait(POLL_S)
    snapshot = reader.snapshot()
    notes.look(snapshot, waits=False)
    return snapshot


def silence(reader: Reader, snapshot: Snapshot) -> list[tuple[int, str]]:
    """The trials that have reported nothing for far longer than an epoch takes, and what is to be
    said of each."""
    from hpsearch.insight.words import span

    return [
        (number, f"trial {number} has reported nothing for {span(seconds)}; its output: hpsearch "
         f"logs {snapshot.study.name} {number}; resources.minutes ends such trials")
        for number, seconds in reader.silent(snapshot).items()
    ]  # fmt: skip


def outcome(
    snapshot: Snapshot, workers: Workers, call: Call = "hpsearch {}".format
) -> Snapshot:  # fmt: skip
    """The study as its workers have left it.

    Raises DataError or CodeError where it was stopped before its first trial, and the last worker's
    own error where the study is still open and no worker is left.
    """
    study = snapshot.study
    if study.refused and study.sanity:
        raise refusal(study.sanity)
    if study.state == "open" and workers.failure is not None:
        left = f"{study.ended} of {study.tickets} trials have ended"
        raise failed(
            workers.failure, f"{left}; run again to continue",
            f"{left}; {_fixed(snapshot, workers.failure, call)}, or, where the study file has to "
            "change, "
            + ("give the study another name (--set name=...)" if study.issued
               else f"first:\n  {call(f'delete {study.name}')}"),
        )  # fmt: skip
    return snapshot


def _fixed(snapshot: Snapshot, end: End, call: Call) -> str:
    """What to do once the cause of an error is gone."""
    if end.code != CodeError.exit_code or not snapshot.study.issued:
        return "fix that and run again"
    retry = call(f"retry {snapshot.study.name} --failed")
    again = f", have the trials that failed run again ({retry})" if snapshot.to_retry else ""
    return f"fix it{again} and continue with the changed code ({call('run FILE --accept-code')})"


def failed(end: End, left: str, fix: str | None = None) -> HpsearchError:
    """The error for a fleet that has no worker left: the last one's own if it named one, and then
    what to do about it."""
    if end.code in EXIT_CODES and end.code != 1:
        error = HpsearchError(f"{end.said}\n{fix or left}")
        error.exit_code = end.code
        return error
    return WorkerError(f"the last worker {end.how}\n{left}")
