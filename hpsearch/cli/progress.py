"""Live progress on a terminal; a line for each trial elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpsearch.cli.show import err, note, number, params, span
from hpsearch.insight import recipe_words
from hpsearch.insight.words import duration
from hpsearch.spec.settings import FINAL, JOINT
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.insight.report import Snapshot, Trial

__all__ = ["Progress"]

_MOST = 16
"""Running trials that are shown with a line each."""


class Progress:
    """Shows a study as it continues: `update` it with a snapshot now and then."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._began = time.monotonic()
        self._told = {trial.number for trial in snapshot.trials if trial.ended}
        self._best = snapshot.best
        self._over = {step.name for step in snapshot.recipe if step.over}
        self._ahead: int | None = None
        """The trial under way whose value was the best so far when last looked at."""
        self._live = None
        if err.is_terminal:
            self._live = Live(console=err, auto_refresh=False, transient=True)
        self._snapshot = snapshot

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        self.update(self._snapshot)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._live is not None:
            self._live.update("", refresh=True)
            self._live.stop()

    def update(self, snapshot: Snapshot) -> None:
        """Show the study as it is now."""
        if self._live is not None:
            self._live.update(self._picture(snapshot), refresh=True)
        else:
            self._tell(snapshot)

    def _tell(self, snapshot: Snapshot) -> None:
        """A line for each trial that has ended since, in the order of their ends."""
        ended = [t for t in snapshot.trials if t.ended and t.number not in self._told]
        ahead = _ahead(snapshot)
        # The lines before its own show its value already, as those of the last look did.
        for trial in (t for t in ended if t.number == self._ahead):
            self._count(snapshot, trial)
        self._ahead = ahead.number if ahead else None
        for trial in sorted(ended, key=lambda t: (t.ended, t.number)):
            self._told.add(trial.number)
            self._count(snapshot, trial)
            note(
                f"{len(self._told)}/{snapshot.study.tickets} {_place(trial)}trial {trial.number} "
                f"{_word(trial)} {snapshot.metric} {number(trial.value)} epochs {trial.epoch} "
                f"best {_so_far(ahead) if ahead else _value(self._best)}"
            )
        self._tell_steps(snapshot)

    def _tell_steps(self, snapshot: Snapshot) -> None:
        """What the steps of the recipe have reached, once another one is over; the result of a
        study says it of all."""
        over = {step.name for step in snapshot.recipe if step.over}
        if over - self._over and snapshot.study.state == "open":
            for line in recipe_words.reached(snapshot):
                note(line)
        self._over = over

    def _count(self, snapshot: Snapshot, trial: Trial) -> None:
        """Have a trial that has ended be the best one, where it is."""
        searched = trial.state == "COMPLETE" and trial.stage != FINAL
        if searched and snapshot.is_better(trial, self._best):
            self._best = trial

    def _picture(self, snapshot: Snapshot) -> RenderableType:
        study = snapshot.study
        head = Table.grid(padding=(0, 1))
        for _ in range(5):
            head.add_column(no_wrap=True)
        head.add_row(
            Text(visible(study.name, lines=False)[:24], "bold"),
            ProgressBar(total=max(study.tickets, 1), completed=study.ended, width=16),
            f"{study.ended}/{study.tickets}",
            f"{snapshot.count('PRUNED')} pruned {snapshot.count('FAIL')} failed",
            self._time(snapshot),
        )
        lines: list[RenderableType] = [head]
        lines += [
            Text(line, overflow="ellipsis", no_wrap=True) for line in recipe_words.reached(snapshot)
        ]
        if snapshot.running:
            lines.append(_running(snapshot))
        if (found := snapshot.leader) is not None:
            value = _so_far(found) if found is _ahead(snapshot) else number(found.value)
            words = f"best {snapshot.metric} {value} trial {found.number} "
            lines.append(Text(words + params(found.params), overflow="ellipsis", no_wrap=True))
        return Group(*lines)

    def _time(self, snapshot: Snapshot) -> str:
        """The time passed, and the time left once there is enough work to tell."""
        passed = time.monotonic() - self._began
        if not snapshot.trials:
            return f"{span(passed)}, workers start"
        if snapshot.study.state != "open":
            return f"{span(passed)}, {snapshot.study.state}"
        left = snapshot.left_s(self._snapshot)
        return span(passed) if left is None else f"{span(passed)}, ~{duration(left)} left"


def _ahead(snapshot: Snapshot) -> Trial | None:
    """The trial under way that is better than all that have ended, if there is one."""
    leader = snapshot.leader
    return leader if leader is not None and leader.state == "RUNNING" else None


def _so_far(trial: Trial) -> str:
    return f"{number(trial.value)} so far"


def _value(trial: Trial | None) -> str:
    return number(trial.value if trial else None)


def _word(trial: Trial) -> str:
    """How the trial ended: a trial that diverged was not stopped by the pruner."""
    stopped = trial.state == "PRUNED" and not (trial.reason or "").startswith("pruned by")
    return str(trial.reason) if stopped and trial.reason else trial.state.lower()


def _place(trial: Trial) -> str:
    """The stage of a trial, where there is more than one."""
    return "" if trial.stage == JOINT else f"{trial.stage} "


def _running(snapshot: Snapshot) -> Table:
    table = Table.grid(padding=(0, 1))
    for _ in range(3):
        table.add_column(no_wrap=True)
    for trial in snapshot.running[:_MOST]:
        table.add_row(
            f"  {_place(trial)}trial {trial.number}",
            f"{trial.epoch}/{trial.params.get('epochs', snapshot.epochs)}",
            f"{snapshot.metric} {number(trial.value)}",
            Text(params(trial.params), overflow="ellipsis", no_wrap=True),
        )
    if len(snapshot.running) > _MOST:
        table.add_row(f"  and {len(snapshot.running) - _MOST} more")
    return table
