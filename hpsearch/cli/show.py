"""What people see of studies: tables, states, curves. Nothing here looks anything up.

What every verb prints with (`console`) can be had from here too.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group
from rich.measure import Measurement
from rich.text import Text

from hpsearch.cli.console import Name, call, columns, err, indented, note, out, wide
from hpsearch.insight import diagnosis, recipe_words, remarks
from hpsearch.insight.words import (
    about,
    counted,
    number,
    params,
    percent,
    rate_first,
    setting,
    span,
)
from hpsearch.spec.settings import FINAL, JOINT
from hpsearch.spec.source import SOURCES
from hpsearch.terminal import visible, wrapped

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.insight.importance import Importance
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.preflight.doctor import Finding
    from hpsearch.sources.look import Look
    from hpsearch.spec import StudySpec
    from hpsearch.store.values import Known, Study, Worker

__all__ = [
    "beside", "call", "codes", "columns", "curves", "decided", "elsewhere", "err", "failures",
    "findings", "importance", "leader", "left", "look", "note", "number", "out", "params", "sanity",
    "scheduled", "setting", "span", "stages", "state", "studies", "trials", "warnings",
]  # fmt: skip

_COLOURS = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "RUNNING": "cyan"}


def warnings(spec: StudySpec, code: Path) -> None:
    """What of a search can never be trained, and what of it the code in that folder has not, a line
    each."""
    from hpsearch.preflight.data_check import warnings

    for warning in warnings(spec, code):
        note(f"warning: {warning}")


def scheduled(study: Study) -> str:
    """Which workers a study gets."""
    limit = "any number of" if study.max_parallel is None else f"at most {study.max_parallel}"
    return f"priority {study.priority}, {limit} trials at once"


def look(seen: Look) -> None:
    """What a quick look at the data shows: lines, then notes and warnings."""
    out.print(visible(seen.title, lines=False), soft_wrap=True)
    indented(seen.lines)
    indented(seen.notes)
    for line in seen.warnings:
        note(wrapped(f"warning: {visible(line, lines=False)}", sys.stderr))


def decided(snapshot: Snapshot) -> None:
    """What was decided of a study's data, where that was read and there is something to show."""
    if snapshot.spec.data is None:
        return
    source, data = SOURCES[snapshot.spec.data.source], snapshot.study.data or {}
    indented(source.described(data.get("decided")))


def studies(
    snapshots: Sequence[Snapshot], workers: Sequence[Worker], unread: Sequence[Study] = ()
) -> None:
    """A line a study, last those that cannot be read; with priorities where any is not 0."""
    every = [*(snapshot.study for snapshot in snapshots), *unread]
    prio = ["prio"] if any(study.priority for study in every) else []
    table = columns("study", "state", *prio, "trials", "run", "prune", "fail", "metric", "best",
                   "time", right=("prio", "trials", "run", "prune", "fail", "best", "time")
                   )  # fmt: skip
    table.padding = (0, 1, 0, 0)  # 80 columns are few for nine
    for column in table.columns:
        column.no_wrap, column.overflow = column.header not in ("study", "metric"), "ellipsis"
    cells = {
        snapshot.study.uid: (
            str(snapshot.count("PRUNED")), str(snapshot.count("FAIL")), Name(snapshot.metric),
            number(snapshot.leader.value if snapshot.leader else None),
        )
        for snapshot in snapshots
    }  # fmt: skip
    for study in every:
        table.add_row(
            Name(study.name), study.state, *(str(study.priority) for _ in prio),
            f"{study.spent}/{study.tickets}", str(sum(len(w.of(study.name)) for w in workers)),
            *cells.get(study.uid, ("", "", "", "")), span(study.active_s),
        )  # fmt: skip
    out.print(table)


_ROOM = 100
"""Columns that a table of trials needs to have the samplers beside the stages."""


def trials(snapshot: Snapshot, chosen: Sequence[Trial], held: Collection[int]) -> None:
    """A line a trial, never more: of parameters those that there is room for, the learning rate
    first.

    Args:
        snapshot: The study.
        chosen: Those that are shown.
        held: The numbers of those that workers hold now.
    """
    staged = snapshot.spec.search.strategy != JOINT or any(t.stage == FINAL for t in chosen)
    cells: dict[str, Callable[[Trial], str]] = {}
    if staged:
        cells["stage"] = lambda trial: trial.stage
    console = out if out.is_terminal or "COLUMNS" in os.environ else wide
    if console.width >= _ROOM:
        cells["sampler"] = lambda trial: trial.sampler
    table = columns("trial", "state", snapshot.metric, "epochs", *cells, "parameters",
                   right=("trial", snapshot.metric, "epochs"))  # fmt: skip
    table.padding = (0, 1, 0, 0)
    for column in table.columns[:-1]:
        column.no_wrap, column.overflow = True, "ellipsis"
    for trial in chosen:
        table.add_row(
            str(trial.number), Text(state(trial, held), _COLOURS[trial.state]), number(trial.value),
            str(trial.epoch), *(column(trial) for column in cells.values()),
            _Parameters(params(rate_first(trial.params)), _remark(snapshot, trial),
                        trial.state == "FAIL"),
        )  # fmt: skip
    console.print(table)
    if Measurement.get(wide, wide.options, table).maximum > console.width:
        whole = call(f"trials {shlex.quote(snapshot.study.name)}")
        note(f"lines are cut to {console.width} columns; all of them: {whole} | less -S")


def state(trial: Trial, held: Collection[int]) -> str:
    """A trial's state: one that is RUNNING and that nobody holds waits for a worker to continue."""
    waits = trial.state == "RUNNING" and trial.number not in held
    return "WAITING" if waits else trial.state


def _remark(snapshot: Snapshot, trial: Trial) -> str:
    """Why a trial ended, where no pruner did that, and what its curve looks like."""
    curve, reason = snapshot.word(trial), trial.reason
    reasons = [] if reason is None or reason.startswith("pruned by") else [reason]
    if curve is not None and curve != diagnosis.Word.FINE and curve not in reasons:
        reasons.append(curve)
    return visible("; ".join(reasons), lines=False)


@dataclass(frozen=True)
class _Parameters:
    """Parameters and a remark in one line. The remark stays where there is no room for both: all of
    it where the trial has failed, as that is what is looked for."""

    params: str
    remark: str
    failed: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        tail = Text(f" ({self.remark})" if self.remark else "")
        if self.failed and len(tail) > options.max_width * 2 // 3:
            # The end of an error has what is its own.
            yield from Name(tail.plain.strip()).__rich_console__(console, options)
            return
        tail.truncate(options.max_width * 2 // 3, overflow="ellipsis")
        line = Text(self.params)
        line.truncate(options.max_width - len(tail), overflow="ellipsis")
        yield line.append_text(tail)

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        whole = len(self.params) + (len(self.remark) + 3 if self.remark else 0)
        return Measurement(min(10, options.max_width), min(max(whole, 10), options.max_width))


def leader(snapshot: Snapshot) -> None:
    """The trial under way that is the best so far, where that is so."""
    best = snapshot.leader
    if best is not None and best.state == "RUNNING":
        out.print(f"best so far: trial {best.number}, still training, {snapshot.metric} "
                  f"{number(best.value)} at epoch {best.best_epoch}")  # fmt: skip


def left(snapshot: Snapshot) -> None:
    """The time that an open study still takes, once that can be told."""
    span_s = snapshot.left()
    if span_s is not None:
        out.print(f"{about(span_s)} of work left at the pace so far")


def curves(snapshot: Snapshot) -> None:
    """What the learning curves look like and ask for, and the edges that the winner is at."""
    for line in remarks.seen(snapshot):
        out.print(line)


def beside(snapshot: Snapshot) -> None:
    """What simple answers give, and whether the best network is more than that."""
    for name, worth, is_above in remarks.baselines(snapshot):
        more = "" if is_above else "; the best trial is no better than that"
        out.print(f"baseline ({visible(name, lines=False)}): {worth}{more}")
    network = snapshot.network
    if network is None:
        return
    if summary := snapshot.summary(network):
        out.print(f"trial {network.number}: {visible(summary, lines=False)}")
    if remark := snapshot.remark(network):
        out.print(f"trial {network.number} {visible(remark, lines=False)}")


def failures(snapshot: Snapshot) -> None:
    """How many trials failed, and why the first of them did."""
    failed = [trial for trial in snapshot.trials if trial.state == "FAIL"]
    if failed:
        again = sum(trial.sampler == "retry" for trial in snapshot.trials)
        if again >= len(failed) and not snapshot.to_retry:
            were = "was" if len(failed) == 1 else "were"
            out.print(f"{counted(len(failed), 'trial')} failed and {were} run again")
            return
        reason = visible(failed[0].reason or "no reason was recorded", lines=False)
        out.print(f"{counted(len(failed), 'trial')} failed; trial {failed[0].number}: {reason}",
                  soft_wrap=True)  # fmt: skip


def sanity(snapshot: Snapshot) -> None:
    """What spoke against learning anything, where something did."""
    outcome = snapshot.study.sanity
    if outcome is not None and (outcome["suspect"] or (snapshot.spec.train and outcome["said"])):
        trains = snapshot.spec.train is not None and not outcome["stops"]
        out.print(f"{'in' if trains else 'before'} the first trial: {outcome['said']}")


def codes(snapshot: Snapshot) -> None:
    """That its own code has changed while it ran, where it has."""
    if remark := remarks.by_other_code(snapshot):
        out.print(remark, soft_wrap=True)


def elsewhere(known: Sequence[Known]) -> None:
    """The trials from elsewhere that the samplers know, where there are any."""
    if known:
        last = visible(known[-1].origin, lines=False)
        sentence = (
            f"the samplers also know {counted(len(known), 'trial')} from elsewhere, the last from"
        )
        out.print(f"{sentence} {last}", soft_wrap=True)


def stages(snapshot: Snapshot) -> None:
    """What each stage came to, where there is more than one."""
    for line in recipe_words.reached(snapshot):
        out.print(line)
    if snapshot.recipe or len(snapshot.stages) < 2:
        return
    table = columns("stage", "trials", f"best {snapshot.metric}",
                   right=("trials", f"best {snapshot.metric}"))  # fmt: skip
    for stage in snapshot.stages:
        best = number(stage.best) if stage.best is not None else "none complete"
        table.add_row(stage.name, str(stage.trials), best)
    out.print(table)


def importance(name: str, measured: Importance) -> None:
    """How much each parameter and each group has mattered, and whether that was foreseen."""
    which = "that completed" if measured.epoch is None else f"that reached epoch {measured.epoch}"
    out.print(f"{name}: of {measured.trials} trials the {measured.compared} {which} are compared; "
              f"what matters sets the best {measured.best} of them apart")  # fmt: skip
    for what, rows in (("parameter", measured.parameters), ("group", measured.groups)):
        if not rows:
            continue
        both = what == "parameter" and bool(measured.groups)
        table = columns(what, *(["group"] if both else []), "PED-ANOVA", "fANOVA",
                       right=("PED-ANOVA", "fANOVA"))  # fmt: skip
        for row in rows:
            table.add_row(row.name, *([row.group] if both else []), percent(row.ped_anova),
                          percent(row.fanova))  # fmt: skip
        out.print(table)
    if measured.pairs:
        out.print("groups are listed in the order in which they usually matter; in this study "
                  f"{measured.held} of the {measured.pairs} pairs came in that order")  # fmt: skip
    for line in measured.notes:
        out.print(f"  {line}")


def findings(results: Sequence[Finding]) -> None:
    """What doctor found."""
    table = columns("", "subject", "found")
    for finding in results:
        mark = (
            Text("ok", "green")
            if finding.works
            else Text("no", "red")
            if finding.needed
            else Text("-")
        )
        lines = [*finding.said.splitlines(), *([] if finding.works else [f"-> {finding.fix}"])]
        table.add_row(mark, finding.subject, Group(*map(Text, lines)))
    out.print(table)
