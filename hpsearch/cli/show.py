"""What people see: tables, live progress, results. Nothing here looks anything up."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hpsearch import plan
from hpsearch.space import Grid, Parameter, Range

if TYPE_CHECKING:
    from hpsearch.doctor import Finding
    from hpsearch.report import Snapshot, Trial
    from hpsearch.spec import StudySpec

__all__ = [
    "Progress", "best", "described", "description", "findings", "note", "program", "result",
    "studies", "trials",
]  # fmt: skip

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)

_COLOURS = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "RUNNING": "cyan"}


def program() -> str:
    """How to call hpsearch again from here: by its name, or by its path where that is not found."""
    called = Path(sys.argv[0])
    found = shutil.which("hpsearch")
    if called.name != "hpsearch" or (found and Path(found).samefile(called)):
        return "hpsearch"
    return os.path.relpath(called)


def note(text: str) -> None:
    """A line of status; never wrapped, so that a command in it can be pasted."""
    err.print(text, markup=False, soft_wrap=True)


def _number(value: float | None) -> str:
    """Four significant digits, as many as validation on a few thousand rows can carry."""
    return "-" if value is None else f"{value:.4g}"


def _setting(value: Any) -> str:
    """A parameter's value, short."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _params(values: Mapping[str, Any]) -> str:
    """Parameters in a line."""
    return " ".join(f"{name}={_setting(value)}" for name, value in values.items())


def _span(seconds: float) -> str:
    """A length of time: 45s, 3m20s, 2h05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left",
                         overflow="fold")  # fmt: skip
    return table


# --- a study file -----------------------------------------------------------------------------


def described(spec: StudySpec) -> dict[str, Any]:
    """What would be searched, for JSON."""
    grid = Grid(spec.space)
    endless = [p.name for p in spec.space if p.domain.grid is None]
    return {
        "name": spec.name,
        "data": spec.data.source,
        "network": spec.family,
        "metric": spec.metric,
        "direction": spec.direction,
        "parameters": {p.name: {"group": p.group, "domain": _domain(p)} for p in spec.space},
        "constants": dict(spec.space.constants),
        "sampler": dict(spec.search.sampler),
        "pruner": spec.search.pruner.name,
        "grid_cells": None if endless else grid.size,
        "trials": plan.tickets(spec),
        "epochs": spec.budget.epochs,
        "hours": spec.budget.hours,
    }


def _domain(parameter: Parameter) -> str:
    """A parameter's values in words."""
    found = parameter.domain
    if isinstance(found, Range):
        words = f"{_setting(found.low)} to {_setting(found.high)}"
        words += " whole" if found.integer else ""
        words += f" step {_setting(found.step)}" if found.step else ""
        words += " log" if found.log else ""
    else:
        words = ", ".join(map(_setting, found.values))
    for condition in parameter.when:
        words += f" when {condition.parameter} is {' or '.join(map(_setting, condition.values))}"
    return words


def description(spec: StudySpec) -> None:
    """What would be searched."""
    facts = described(spec)
    out.print(f"{spec.name}: {facts['network']} on {facts['data']}, {facts['direction']} "
              f"validation {facts['metric']}")  # fmt: skip
    table = _table("group", "parameter", "values", "sampler")
    for parameter in spec.space:
        sampler = spec.search.sampler[parameter.group]
        table.add_row(parameter.group, parameter.name, _domain(parameter), sampler)
    if spec.space.parameters:
        out.print(table)
    if facts["constants"]:
        out.print(f"held: {_params(facts['constants'])}")
    cells = facts["grid_cells"]
    if spec.space.parameters:
        out.print(f"as a grid: {'no end of' if cells is None else f'{cells:,}'} cells")
    hours = f", at most {facts['hours']:g} hours" if facts["hours"] else ""
    out.print(f"budget: {facts['trials']:,} trials of at most {facts['epochs']} epochs{hours}; "
              f"pruner {facts['pruner']}")  # fmt: skip


# --- a study ----------------------------------------------------------------------------------


def studies(snapshots: Iterable[Snapshot]) -> None:
    """A line a study."""
    table = _table("study", "state", "trials", "run", "prune", "fail", "metric", "best", "time",
                   right=("trials", "run", "prune", "fail", "best", "time"))  # fmt: skip
    for snapshot in snapshots:
        study = snapshot.study
        table.add_row(
            study.name, study.state, f"{study.ended}/{study.tickets}",
            str(snapshot.count("RUNNING")), str(snapshot.count("PRUNED")),
            str(snapshot.count("FAIL")), snapshot.metric,
            _number(snapshot.best.value if snapshot.best else None), _span(study.active_s),
        )  # fmt: skip
    out.print(table)


def trials(snapshot: Snapshot, chosen: Sequence[Trial]) -> None:
    """A line a trial."""
    table = _table("trial", "state", snapshot.metric, "epochs", "sampler", "parameters",
                   right=("trial", snapshot.metric, "epochs"))  # fmt: skip
    for trial in chosen:
        words = _params(trial.params)
        if trial.state == "FAIL":
            words += f" ({trial.reason})"
        table.add_row(
            str(trial.number), Text(trial.state, _COLOURS[trial.state]), _number(trial.value),
            str(trial.epoch), trial.sampler, Text(words),
        )  # fmt: skip
    out.print(table)


def best(snapshot: Snapshot, trial: Trial) -> None:
    """The best trial with all that is known of it."""
    out.print(f"best of {snapshot.study.name}: trial {trial.number}, validation "
              f"{snapshot.metric} {_number(trial.value)} after {trial.epoch} epochs")  # fmt: skip
    table = Table.grid(padding=(0, 2))
    for name, value in trial.params.items():
        table.add_row(f"  {name}", _setting(value))
    if trial.params:
        out.print(table)
    if trial.metrics:
        out.print(Columns([f"  {k} {_number(v)}" for k, v in trial.metrics.items()]))


def result(snapshot: Snapshot) -> None:
    """How the search ended, its best trial, and what to do next."""
    study = snapshot.study
    counts = ", ".join(
        f"{snapshot.count(state)} {word}"
        for state, word in (("COMPLETE", "complete"), ("PRUNED", "pruned"), ("FAIL", "failed"),
                            ("RUNNING", "under way"))
        if snapshot.count(state)
    )  # fmt: skip
    out.print(f"study {study.name} is {study.state}: {study.ended} of {study.tickets} trials "
              f"({counts or 'none'}) in {_span(study.active_s)}")  # fmt: skip
    if snapshot.best is None:
        out.print("no trial went to its end")
    else:
        best(snapshot, snapshot.best)
    out.print("next:")
    steps = [
        (f"trials {study.name}", "every trial"),
        ("dashboard", "curves in a browser"),
        (f"extend {study.name} --trials {study.tickets}", "search on, then run again"),
        (f"export {study.name} -o trials.csv", "all of it as a table"),
    ]
    if snapshot.count("FAIL"):
        steps.insert(1, (f"retry {study.name} --failed", "run failed trials again"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)  # a command can be pasted
    for command, meaning in steps:
        table.add_row(f"  {program()} {command}", meaning)
    out.print(table)


def findings(found: Sequence[Finding]) -> None:
    """What doctor found."""
    table = _table("", "subject", "found")
    for finding in found:
        mark = Text("ok", "green") if finding.works else Text("no", "red" if finding.needed else "")
        said = finding.said if finding.works else f"{finding.said}\n-> {finding.mend}"
        table.add_row(mark, finding.subject, Text(said))
    out.print(table)


# --- live -------------------------------------------------------------------------------------


class Progress:
    """Live progress on a terminal; a line per trial elsewhere."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._began = time.monotonic()
        self._ended_before = snapshot.study.ended
        self._told = {t.number for t in snapshot.trials if t.ended}
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
            self._live.stop()

    def update(self, snapshot: Snapshot) -> None:
        """Show the study as it is now."""
        if self._live is not None:
            self._live.update(self._picture(snapshot), refresh=True)
        else:
            self._tell(snapshot)

    def _tell(self, snapshot: Snapshot) -> None:
        for trial in snapshot.trials:
            if trial.ended is None or trial.number in self._told:
                continue
            self._told.add(trial.number)
            known = snapshot.best.value if snapshot.best else None
            note(
                f"{len(self._told)}/{snapshot.study.tickets} trial {trial.number} "
                f"{trial.state.lower()} {snapshot.metric} {_number(trial.value)} "
                f"epochs {trial.epoch} best {_number(known)}"
            )

    def _picture(self, snapshot: Snapshot) -> RenderableType:
        study = snapshot.study
        head = Table.grid(padding=(0, 1))
        head.add_row(
            Text(study.name, "bold"),
            ProgressBar(total=max(study.tickets, 1), completed=study.ended, width=24),
            f"{study.ended}/{study.tickets} trials",
            f"{snapshot.count('PRUNED')} pruned",
            f"{snapshot.count('FAIL')} failed" if snapshot.count("FAIL") else "",
            self._time_left(snapshot),
        )
        lines: list[RenderableType] = [head]
        if snapshot.running:
            lines.append(self._running(snapshot))
        if snapshot.best is not None:
            found = snapshot.best
            words = f"best {snapshot.metric} {_number(found.value)}  trial {found.number}  "
            lines.append(Text(words + _params(found.params), overflow="ellipsis", no_wrap=True))
        return Group(*lines)

    def _running(self, snapshot: Snapshot) -> Table:
        table = Table.grid(padding=(0, 2))
        for trial in snapshot.running[:16]:
            table.add_row(
                f"  trial {trial.number}",
                f"epoch {trial.epoch}/{trial.params.get('epochs', snapshot.epochs)}",
                f"{snapshot.metric} {_number(trial.value)}",
                Text(_params(trial.params), overflow="ellipsis", no_wrap=True),
            )
        if len(snapshot.running) > 16:
            table.add_row(f"  and {len(snapshot.running) - 16} more")
        return table

    def _time_left(self, snapshot: Snapshot) -> str:
        ended = snapshot.study.ended - self._ended_before
        passed = time.monotonic() - self._began
        if not ended:
            return _span(passed)
        left = passed / ended * (snapshot.study.tickets - snapshot.study.ended)
        return f"{_span(passed)}, about {_span(left)} left"
