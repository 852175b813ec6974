"""A study as it is followed: a live view on a terminal, lines elsewhere, events for programs."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self

from rich.live import Live

from hpsearch import passwords
from hpsearch.cli.console import err, note
from hpsearch.cli.live import Picture
from hpsearch.forecast.countdown import Countdown, Recent
from hpsearch.insight import recipe_words
from hpsearch.insight.diagnosis import Word
from hpsearch.insight.view import closing, view
from hpsearch.insight.words import number
from hpsearch.spec.settings import FINAL, JOINT

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.insight.view import View
    from hpsearch.store.values import Worker

__all__ = ["Events", "Lines", "Progress", "Screen", "follow"]

Workers = Callable[[], Sequence["Worker"]]

_EMPTY = "\x1b[H\x1b[J"
"""Empties a terminal. Unlike what erases the whole screen (2J), it leaves nothing torn among
what can be scrolled back."""

_EVENT_S = 1.0
"""Between two events of a study's progress at least."""


class Progress(Protocol):
    """Shows a study as it continues."""

    def update(self, snapshot: Snapshot) -> None:
        """Show the study as it is now."""


@contextmanager
def follow(
    snapshot: Snapshot, workers: Workers = tuple, *, events: bool = False, pictures: bool = True
) -> Iterator[Progress]:  # fmt: skip
    """What shows a study from now on: events on standard output, or on standard error a live view
    where that is a terminal, else lines.

    Args:
        snapshot: The study as it is now, which is shown first.
        workers: Looks up all workers of the database.
        events: Whether programs read it.
        pictures: Whether its workers draw pictures in the end.
    """
    with ExitStack() as stack:
        shown: Progress
        if events:
            shown = Events(snapshot, workers, pictures=pictures)
        elif err.is_terminal:
            shown = stack.enter_context(Screen(workers, pictures=pictures))
        else:
            shown = Lines(snapshot, pictures=pictures)
        shown.update(snapshot)
        yield shown


class _Views:
    """Makes views of a study, with the time that is left as its last looks tell."""

    def __init__(self, workers: Workers, pictures: bool) -> None:
        self._workers, self._pictures = workers, pictures
        self._left, self._recent = Countdown(), Recent()

    def of(self, snapshot: Snapshot) -> View:
        """The study as it is now."""
        tempo = self._recent.tempo(snapshot.progress)
        estimate = None if tempo is None else snapshot.left(tempo)
        study = snapshot.study
        budget = study.tickets, study.hours, study.finish
        left_s = self._left.update(estimate, time.monotonic(), budget)
        return view(snapshot, self._workers(), left_s, pictures=self._pictures)


class _Ends:
    """Which trials of a study have ended since the last look."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._seen = {trial.number for trial in snapshot.trials if trial.ended}

    def __len__(self) -> int:
        """Trials that had ended by the last look."""
        return len(self._seen)

    def since(self, snapshot: Snapshot) -> list[Trial]:
        """Those trials, in the order of their ends."""
        ended = [t for t in snapshot.trials if t.ended and t.number not in self._seen]
        self._seen.update(trial.number for trial in ended)
        return sorted(ended, key=lambda t: (t.ended, t.number))


class Screen:
    """A live view on a terminal, from `with` to its end."""

    def __init__(self, workers: Workers = tuple, *, pictures: bool = True) -> None:
        """`workers` looks up all workers of the database."""
        self._views = _Views(workers, pictures)
        self._began = time.monotonic()
        self._live = Live(console=err, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._size = err.size
        self._before: Any = None

    def __enter__(self) -> Self:
        on_main = threading.current_thread() is threading.main_thread()
        if sys.platform != "win32" and on_main:
            self._before = signal.signal(signal.SIGWINCH, self._empty)
        self._live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._live.update("", refresh=True)
        self._live.stop()
        if sys.platform != "win32" and self._before is not None:
            signal.signal(signal.SIGWINCH, self._before)

    @staticmethod
    def _empty(*_signal: object) -> None:
        """Rather nothing, until the next look, than what a change of size has torn."""
        with suppress(OSError, ValueError):
            os.write(err.file.fileno(), _EMPTY.encode())

    def update(self, snapshot: Snapshot) -> None:
        """Draw it anew, where it was drawn before."""
        if err.size != self._size:
            # Lines have been broken or joined by the terminal: nobody knows where the last picture
            # begins.
            self._size = err.size
            err.file.write(_EMPTY)
        seen = self._views.of(snapshot)
        steps = list(recipe_words.reached(snapshot))
        self._live.update(Picture(seen, time.monotonic() - self._began, steps), refresh=True)


class Lines:
    """A line with its time for each trial that has ended."""

    def __init__(self, snapshot: Snapshot, *, pictures: bool = True) -> None:
        """`snapshot`: the study as it is now; what has ended in it is no news."""
        self._ends, self._pictures = _Ends(snapshot), pictures
        self._best = snapshot.best
        self._over = {step.name for step in snapshot.recipe if step.over}
        self._ahead: int | None = None
        """The trial under way whose value was the best so far when last looked at."""
        self._closes = snapshot.study.state == "done"
        """Whether it has said what workers do after the last trial."""

    def update(self, snapshot: Snapshot) -> None:
        """Print what has ended since."""
        over = len(self._ends)
        ended, ahead = self._ends.since(snapshot), _ahead(snapshot)
        # The lines before its own show its value already, as those of the last look did.
        for trial in (t for t in ended if t.number == self._ahead):
            self._count(snapshot, trial)
        self._ahead = ahead.number if ahead else None
        for at, trial in enumerate(ended, over + 1):
            self._count(snapshot, trial)
            _timed(
                f"{at}/{snapshot.study.tickets} {_place(trial)}trial {trial.number} "
                f"{_word(trial)} {snapshot.metric} {number(trial.value)} {_epochs(trial)} "
                f"best {_beside(snapshot, trial, ahead, self._best)}"
            )
        self._tell_steps(snapshot)
        if (rest := closing(snapshot, pictures=self._pictures)) and not self._closes:
            self._closes = True
            _timed(f"all trials have ended; workers are {rest}")

    def _tell_steps(self, snapshot: Snapshot) -> None:
        """What the steps of the recipe have reached, once another one is over; the result of a
        study says it of all."""
        over = {step.name for step in snapshot.recipe if step.over}
        if over - self._over and snapshot.study.state == "open":
            for line in recipe_words.reached(snapshot):
                _timed(line)
        self._over = over

    def _count(self, snapshot: Snapshot, trial: Trial) -> None:
        """Have a trial that has ended be the best one, where it is."""
        searched = trial.state == "COMPLETE" and trial.stage != FINAL
        if searched and snapshot.is_better(trial, self._best):
            self._best = trial


class Events:
    """A line of JSON for each event: `progress`, `trial`, and `result` at the end."""

    def __init__(
        self, snapshot: Snapshot, workers: Workers = tuple, *, pictures: bool = True
    ) -> None:
        """`snapshot`: the study as it is now; what has ended in it is no news."""
        self._ends, self._views = _Ends(snapshot), _Views(workers, pictures)
        self._last: View | None = None
        self._due = 0.0

    def update(self, snapshot: Snapshot) -> None:
        """Write what has happened since."""
        for trial in self._ends.since(snapshot):
            self._write("trial", snapshot.row(trial))
        seen, now = self._views.of(snapshot), time.monotonic()
        if seen != self._last and now >= self._due:
            self._last, self._due = seen, now + _EVENT_S
            self._write("progress", seen.as_dict())

    @staticmethod
    def result(snapshot: Snapshot) -> None:
        """The last event: what the study has come to."""
        Events._write("result", snapshot.as_dict())

    @staticmethod
    def _write(event: str, data: Mapping[str, Any]) -> None:
        line = {"event": event, "at": datetime.now().astimezone().isoformat(), **data}
        text = json.dumps(passwords.hide_in(line), default=partial(passwords.hide, known=False))
        sys.stdout.write(text.replace("\x7f", "\\u007f") + "\n")
        sys.stdout.flush()


def _timed(line: str) -> None:
    note(f"{datetime.now():%H:%M:%S} {line}")


def _ahead(snapshot: Snapshot) -> Trial | None:
    """The trial under way that is better than all that have ended, if there is one."""
    leader = snapshot.leader
    return leader if leader is not None and leader.state == "RUNNING" else None


def _beside(snapshot: Snapshot, trial: Trial, ahead: Trial | None, best: Trial | None) -> str:
    """The best value beside a trial that has ended: of one that completed, or of one under way that
    is `ahead` of it; and why the trial's own is not the best where it is better."""
    leader = ahead or best
    words = number(leader.value if leader else None)
    if ahead:
        words += f" so far (trial {ahead.number}, still training)"
    if trial.value is None or not snapshot.is_better(trial, leader):
        return words
    return (
        f"{words} {'of the search' if trial.stage == FINAL else 'without those pruned or failed'}"
    )


def _word(trial: Trial) -> str:
    """How the trial ended: a trial that diverged was not stopped by the pruner."""
    stopped = trial.state == "PRUNED" and not (trial.reason or "").startswith("pruned by")
    return str(trial.reason) if stopped and trial.reason else trial.state.lower()


def _epochs(trial: Trial) -> str:
    """After how many epochs it ended; the one in which its metric became no number is none."""
    return (
        f"in epoch {trial.epoch + 1}"
        if trial.reason == Word.DIVERGED.value
        else f"epochs {trial.epoch}"
    )


def _place(trial: Trial) -> str:
    """The stage of a trial, where there is more than one."""
    return "" if trial.stage == JOINT else f"{trial.stage} "
