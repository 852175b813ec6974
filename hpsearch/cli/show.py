"""What people see of studies: tables, states, curves. Nothing here looks anything up.

What every verb prints with (`console`) can be had from here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group
from rich.measure import Measurement
from rich.text import Text

from hpsearch.cli.console import call, columns, err, indented, note, out
from hpsearch.insight import diagnosis, recipe_words, remarks
from hpsearch.insight.words import about, counted, number, params, rate_first, setting, span
from hpsearch.spec.registry import named
from hpsearch.spec.settings import FINAL, JOINT
from hpsearch.spec.source import SOURCES
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.insight.importance import Importance
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.preflight.doctor import Finding
    from hpsearch.sources.look import Look
    from hpsearch.spec import StudySpec
    from hpsearch.store.values import Known, Study, Worker

__all__ = [
    "beside", "call", "codes", "columns", "curves", "decided", "elsewhere", "err", "failures",
    "findings", "importance", "leader", "left", "look", "note", "number", "out", "params", "sanity",
    "scheduled", "setting", "span", "stages", "studies", "trials", "warnings",
]  # fmt: skip

_COLOURS = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "RUNNING": "cyan"}


def warnings(spec: StudySpec) -> None:
    """What of a search can never be trained, a line each."""
    from hpsearch.preflight.data_check import warnings

    for warning in warnings(spec):
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
        note(f"warning: {visible(line, lines=False)}")


def decided(snapshot: Snapshot) -> None:
    """What was decided of a study's data, where that was read and there is something to show."""
    if snapshot.spec.data is None:
        return
    source, data = SOURCES[snapshot.spec.data.source], snapshot.study.data or {}
    if source.describe is not None and data.get("decided") is not None:
        indented(named(source.describe)(data["decided"]))


def studies(snapshots: Sequence[Snapshot], workers: Sequence[Worker]) -> None:
    """A line a study; with priorities where any is not 0."""
    prio = ["prio"] if any(snapshot.study.priority for snapshot in snapshots) else []
    table = columns("study", "state", *prio, "trials", "run", "prune", "fail", "metric", "best",
                   "time", right=("prio", "trials", "run", "prune", "fail", "best", "time")
                   )  # fmt: skip
    for snapshot in snapshots:
        study = snapshot.study
        table.add_row(
            study.name, study.state, *(str(study.priority) for _ in prio),
            f"{study.ended}/{study.tickets}", str(sum(len(w.of(study.name)) for w in workers)),
            str(snapshot.count("PRUNED")), str(snapshot.count("FAIL")), snapshot.metric,
            number(snapshot.leader.value if snapshot.leader else None), span(study.active_s),
        )  # fmt: skip
    out.print(table)


_ROOM = 100
"""Columns that a table of trials needs to have the samplers beside the stages."""


def trials(snapshot: Snapshot, chosen: Sequence[Trial]) -> None:
    """A line a trial, never more: of parameters those that there is room for, the learning rate
    first."""
    staged = snapshot.spec.search.strategy != JOINT or any(t.stage == FINAL for t in chosen)
    found: dict[str, Callable[[Trial], str]] = {}
    if staged:
        found["stage"] = lambda trial: trial.stage
    if out.width >= _ROOM:
        found["sampler"] = lambda trial: trial.sampler
    table = columns("trial", "state", snapshot.metric, "epochs", *found, "parameters",
                   right=("trial", snapshot.metric, "epochs"))  # fmt: skip
    table.padding = (0, 1, 0, 0)
    for column in table.columns[:-1]:
        column.no_wrap, column.overflow = True, "ellipsis"
    for trial in chosen:
        table.add_row(
            str(trial.number), Text(trial.state, _COLOURS[trial.state]), number(trial.value),
            str(trial.epoch), *(column(trial) for column in found.values()),
            _Parameters(params(rate_first(trial.params)), _remark(snapshot, trial)),
        )  # fmt: skip
    out.print(table)


def _remark(snapshot: Snapshot, trial: Trial) -> str:
    """Why a trial ended, where no pruner did that, and what its curve looks like."""
    curve, reason = snapshot.word(trial), trial.reason
    said = [] if reason is None or reason.startswith("pruned by") else [reason]
    if curve is not None and curve != diagnosis.Word.FINE and curve not in said:
        said.append(curve)
    return visible("; ".join(said), lines=False)


@dataclass(frozen=True)
class _Parameters:
    """Parameters and a remark in one line. The remark stays where there is no room for both."""

    params: str
    remark: str

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Text]:
        tail = Text(f" ({self.remark})" if self.remark else "")
        tail.truncate(options.max_width * 2 // 3, overflow="ellipsis")
        line = Text(self.params)
        line.truncate(options.max_width - len(tail), overflow="ellipsis")
        yield line.append_text(tail)

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        whole = len(self.params) + (len(self.remark) + 3 if self.remark else 0)
        return Measurement(min(10, options.max_width), min(max(whole, 10), options.max_width))


def leader(snapshot: Snapshot) -> None:
    """The trial under way that is the best so far, where that is so."""
    found = snapshot.leader
    if found is not None and found.state == "RUNNING":
        out.print(f"best so far: trial {found.number}, still training, {snapshot.metric} "
                  f"{number(found.value)} at epoch {found.best_epoch}")  # fmt: skip


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
    for name, value in snapshot.baselines:
        more = "" if snapshot.is_above(value) else "; the best trial is no better than that"
        out.print(f"baseline ({visible(name, lines=False)}): {number(value)}{more}")
    network, task = snapshot.network, snapshot.task
    if network is None or task is None:
        return
    result = snapshot.result(network)
    if summary := task.summary(result):
        out.print(f"trial {network.number}: {visible(summary, lines=False)}")
    if remark := snapshot.remark(network):
        out.print(f"trial {network.number} {visible(remark, lines=False)}")


def failures(snapshot: Snapshot) -> None:
    """How many trials failed, and why the first of them did."""
    failed = [trial for trial in snapshot.trials if trial.state == "FAIL"]
    if failed:
        reason = visible(failed[0].reason or "no reason was recorded", lines=False)
        out.print(f"{counted(len(failed), 'trial')} failed; trial {failed[0].number}: {reason}",
                  soft_wrap=True)  # fmt: skip


def sanity(snapshot: Snapshot) -> None:
    """What spoke against learning anything, where something did."""
    found = snapshot.study.sanity
    if found is not None and (found["suspect"] or (snapshot.spec.train and found["said"])):
        trains = snapshot.spec.train is not None and not found["stops"]
        out.print(f"{'in' if trains else 'before'} the first trial: {found['said']}")


def codes(snapshot: Snapshot) -> None:
    """That its own code has changed while it ran, where it has."""
    if said := remarks.by_other_code(snapshot):
        out.print(said, soft_wrap=True)


def elsewhere(known: Sequence[Known]) -> None:
    """The trials from elsewhere that the samplers know, where there are any."""
    if known:
        last = visible(known[-1].origin, lines=False)
        said = (
            f"the samplers also know {counted(len(known), 'trial')} from elsewhere, the last from"
        )
        out.print(f"{said} {last}", soft_wrap=True)


def stages(snapshot: Snapshot) -> None:
    """What each stage came to, where there is more than one."""
    for line in recipe_words.reached(snapshot):
        out.print(line)
    if snapshot.recipe or len(snapshot.stages) < 2:
        return
    table = columns("stage", "trials", f"best {snapshot.metric}",
                   right=("trials", f"best {snapshot.metric}"))  # fmt: skip
    for stage in snapshot.stages:
        found = number(stage.best) if stage.best is not None else "none complete"
        table.add_row(stage.name, str(stage.trials), found)
    out.print(table)


def importance(name: str, found: Importance) -> None:
    """How much each parameter and each group has mattered, and whether that was foreseen."""
    counts = "completed and count" if found.epoch is None else f"came to epoch {found.epoch}"
    out.print(f"{name}: {found.compared} of {found.trials} trials {counts}, "
              f"the best {found.best} of them as good")  # fmt: skip
    for what, rows in (("parameter", found.parameters), ("group", found.groups)):
        both = what == "parameter"
        table = columns(what, *(["group"] if both else []), "PED-ANOVA", "fANOVA",
                       right=("PED-ANOVA", "fANOVA"))  # fmt: skip
        for row in rows:
            table.add_row(row.name, *([row.group] if both else []), _percent(row.ped_anova),
                          _percent(row.fanova))  # fmt: skip
        out.print(table)
    if found.pairs:
        out.print(f"groups stand in the order in which they are thought to matter; here "
                  f"{found.held} of {found.pairs} pairs did")  # fmt: skip
    for line in found.notes:
        out.print(f"  {line}")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def findings(found: Sequence[Finding]) -> None:
    """What doctor found."""
    table = columns("", "subject", "found")
    for finding in found:
        mark = (
            Text("ok", "green")
            if finding.works
            else Text("no", "red")
            if finding.needed
            else Text("-")
        )
        said = [*finding.said.splitlines(), *([] if finding.works else [f"-> {finding.fix}"])]
        table.add_row(mark, finding.subject, Group(*map(Text, said)))
    out.print(table)
