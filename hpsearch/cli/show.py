"""What people see: tables, live progress, results. Nothing here looks anything up."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from hpsearch import passwords, urls
from hpsearch.files import free
from hpsearch.insight import diagnosis, recipe_words, remarks, verdicts
from hpsearch.insight.words import counted, duration, number, params, setting, span
from hpsearch.spec.registry import named
from hpsearch.spec.settings import FINAL, JOINT
from hpsearch.spec.source import SOURCES
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.insight.importance import Importance
    from hpsearch.insight.report import Snapshot, Trial
    from hpsearch.preflight.doctor import Finding
    from hpsearch.sources.look import Look
    from hpsearch.spec import StudySpec
    from hpsearch.spec.task import Table as TaskTable
    from hpsearch.store.values import Study, Work, Worker

__all__ = [
    "attendance", "beside", "best", "call", "columns", "curves", "decided", "details", "err",
    "failures", "final", "findings", "fruitless", "importance", "leader", "left", "look", "note",
    "number", "out", "params", "result", "sanity", "scheduled", "setting", "span",
    "stages", "studies", "trials", "unserved", "verdict", "warnings", "workers",
]  # fmt: skip


class _Console(Console):
    """Prints text as it is: no markup or emoji in it, and `visible` whatever brought it."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """The parts of what is printed."""
        for part in super().render(renderable, options):
            yield part if part.control else part._replace(text=visible(part.text))


out = _Console(highlight=False, markup=False, emoji=False)
err = _Console(stderr=True, highlight=False, markup=False, emoji=False)

_COLOURS = {"COMPLETE": "green", "PRUNED": "yellow", "FAIL": "red", "RUNNING": "cyan"}


def call(command: str) -> str:
    """A command as it can be pasted here: by hpsearch's name, or by its path where that is not
    found, and with the same database."""
    called = Path(sys.argv[0])
    found = shutil.which("hpsearch")
    known = called.name != "hpsearch" or (found and Path(found).samefile(called))
    words = f"{'hpsearch' if known else os.path.relpath(called)} {command}"
    if "--storage" in sys.argv[:-1] and "--storage" not in command:
        url = sys.argv[sys.argv.index("--storage") + 1]
        words += f" --storage {shlex.quote(url)}"
    return passwords.hide(words)


def note(text: str) -> None:
    """A line of status; never wrapped, so that a command in it can be pasted."""
    err.print(passwords.hide(text), soft_wrap=True)


def warnings(spec: StudySpec) -> None:
    """What of a search can never be trained, a line each."""
    from hpsearch.preflight.data_check import warnings

    for warning in warnings(spec):
        note(f"warning: {warning}")


def scheduled(study: Study) -> str:
    """Which workers a study gets."""
    limit = "any number of" if study.max_parallel is None else f"at most {study.max_parallel}"
    return f"priority {study.priority}, {limit} trials at once"


def columns(*names: str, right: Sequence[str] = ()) -> Table:
    """A table with these columns, those in `right` of numbers."""
    table = _Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(_line(name), justify="right" if name in right else "left",
                         overflow="fold")  # fmt: skip
    return table


class _Table(Table):
    """A table in which no text breaks its line: a row that a stranger made up would look true."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """A row: text in one line each."""
        super().add_row(*map(_line, cells), **options)


def _line(cell: Any) -> Any:
    """Text in one line, before its width is measured; else what it is."""
    if isinstance(cell, Text):
        shown = cell.blank_copy(visible(cell.plain, lines=False))
        return shown if shown.plain != cell.plain else cell
    return visible(cell, lines=False) if isinstance(cell, str) else cell


# --- a study file -----------------------------------------------------------------------------


def look(seen: Look) -> None:
    """What a quick look at the data shows: lines, then notes and warnings."""
    out.print(visible(seen.title, lines=False), soft_wrap=True)
    _indented(seen.lines)
    _indented(seen.notes)
    for line in seen.warnings:
        note(f"warning: {visible(line, lines=False)}")


def decided(snapshot: Snapshot) -> None:
    """What was decided of a study's data, where that was read and there is something to show."""
    if snapshot.spec.data is None:
        return
    source, data = SOURCES[snapshot.spec.data.source], snapshot.study.data or {}
    if source.describe is not None and data.get("decided") is not None:
        _indented(named(source.describe)(data["decided"]))


def _indented(lines: Sequence[str]) -> None:
    for line in lines:
        out.print(f"  {visible(line, lines=False)}", soft_wrap=True)


# --- a study ----------------------------------------------------------------------------------


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
    """A line a trial."""
    staged = snapshot.spec.search.strategy != JOINT or any(t.stage == FINAL for t in chosen)
    found: dict[str, Callable[[Trial], str]] = {}
    if staged:
        found["stage"] = lambda trial: trial.stage
    if not staged or out.width >= _ROOM:
        found["sampler"] = lambda trial: trial.sampler
    table = columns("trial", "state", snapshot.metric, "epochs", *found, "parameters",
                   right=("trial", snapshot.metric, "epochs"))  # fmt: skip
    for trial in chosen:
        words, curve = params(trial.params), snapshot.word(trial)
        said = (
            [] if trial.reason is None or trial.reason.startswith("pruned by") else [trial.reason]
        )
        if curve is not None and curve != diagnosis.Word.FINE and curve not in said:
            said.append(curve)
        if said:
            words += f" ({'; '.join(said)})"
        table.add_row(
            str(trial.number), Text(trial.state, _COLOURS[trial.state]), number(trial.value),
            str(trial.epoch), *(column(trial) for column in found.values()), Text(words),
        )  # fmt: skip
    out.print(table)


def leader(snapshot: Snapshot) -> None:
    """The trial under way that is the best so far, where that is so."""
    found = snapshot.leader
    if found is not None and found.state == "RUNNING":
        out.print(f"best so far: trial {found.number}, still training, {snapshot.metric} "
                  f"{number(found.value)} at epoch {found.best_epoch}")  # fmt: skip


def left(snapshot: Snapshot) -> None:
    """The time that an open study still takes, once that can be told."""
    seconds = snapshot.left_s()
    if seconds is not None:
        out.print(f"about {duration(seconds)} of work left at the pace so far")


def curves(snapshot: Snapshot) -> None:
    """What the learning curves look like and ask for, and the edges that the winner is at."""
    for line in remarks.seen(snapshot):
        out.print(line)


def importance(name: str, found: Importance) -> None:
    """How much each parameter and each group has mattered, and whether that was foreseen."""
    out.print(f"{name}: {found.complete} of {found.trials} trials completed and count, "
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


def best(snapshot: Snapshot, trial: Trial) -> None:
    """The best trial, and the network that is handed over, `trial`, with all that is known of it.

    A finish hands one over where no trial of the search completed, too.
    """
    found = snapshot.best and _trained(snapshot, snapshot.best)
    out.print(f"best of {snapshot.study.name}: {found or 'no trial of the search completed'}")
    beside(snapshot)
    if snapshot.handed is not None and snapshot.verdict is not None:
        _handed(snapshot, trial, snapshot.verdict)
    table = Table.grid(padding=(0, 2))
    for name, value in {**trial.params, **trial.off}.items():
        table.add_row(f"  {visible(name, lines=False)}", setting(value))
    if trial.params or trial.off:
        out.print(table)
    if trial.parameters is not None:
        out.print(f"  a network of {trial.parameters:,} parameters")
    if trial.checkpoint:
        path = trial.checkpoint
        if urls.scheme(path) is None:
            path = _shortest(path)
        out.print(f"  checkpoint {passwords.hide(path)}", soft_wrap=True)
    elif trial.unsaved:
        out.print(f"  its network was not kept: {trial.unsaved}", soft_wrap=True)
    if trial.metrics:
        out.print(Columns([f"  {k} {number(v)}" for k, v in trial.metrics.items()]))
    if word := snapshot.word(trial):
        out.print(f"  its learning curve: {word}{_judged_by(trial)}")
    curves(snapshot)
    if snapshot.verdict is not None:
        final(snapshot, snapshot.verdict)
    fruitless(snapshot)


def _handed(snapshot: Snapshot, handed: Trial, verdict: Mapping[str, Any]) -> None:
    """The network that is handed over: its own figures, those of its configuration, and the head of
    what is its own."""
    metric, test = snapshot.metric, verdict["test"]
    own, count = number(verdict["network"][metric]), len(test["values"])
    out.print(f"network handed over: {_trained(snapshot, handed)}")
    mean = f"; the mean of the winner's {count} trainings is {number(test['mean'])}"
    out.print(f"  its own test {metric} {own}{mean if count > 1 else ''}")
    best = snapshot.best
    if best is not None and (handed.params, handed.off) != (best.params, best.off):
        out.print(f"  its configuration is not that of trial {best.number}: trained again, it had "
                  "the best mean on validation data")  # fmt: skip
    out.print(f"of trial {handed.number}, the network handed over:")


def _judged_by(trial: Trial) -> str:
    """The losses that the word of a curve is from, where those shown are of an earlier epoch."""
    losses = [f"{name} {number(trial.last_metrics[name])}" for name in ("train_loss", "loss")
              if name in trial.last_metrics]  # fmt: skip
    return f" (after the last epoch: {', '.join(losses)})" if losses else ""


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


def details(snapshot: Snapshot, trial: Trial) -> None:
    """What a trial's network is like beyond its metrics, in tables of its task."""
    if snapshot.task is None:
        return
    for shown in snapshot.task.tables(snapshot.result(trial)):
        table = _table(shown)
        if table is None:
            command = call(f"best {snapshot.study.name} --json")
            out.print(f"the {shown.title} is too wide for this console: {command}", soft_wrap=True)
            continue
        rows = "test" if snapshot.spec.on_test else "validation"
        note = shown.note or f"trial {trial.number} on the {rows} rows"
        out.print(f"{shown.title}, {note}:")
        out.print(table)


_LABEL = 20
"""Columns for the name of a row before its figures."""
_HEADS = range(12, 2, -1)
"""Columns for the name of a row above its figures, as many as there is room for."""


def _table(shown: TaskTable) -> Table | None:
    """A task's table. Where its heads are the names of its rows they are shortened, or given by
    number where they would then be the same; None where it is wider than the console all the
    same."""
    first, *heads = (visible(head, lines=False) for head in shown.heads)
    names = [visible(row[0], lines=False) for row in shown.rows]
    figures = [row[1:] for row in shown.rows]
    if not shown.crossed:
        return _figures(first, heads, names, figures)
    numbered = [f"{at} {name}" for at, name in enumerate(names)]
    for labels, tops in (
        *((names, [_short(name, most) for name in heads]) for most in _HEADS),
        (numbered, [Text(str(at)) for at in range(len(names))]),
    ):
        table = _figures(first, tops, labels, figures)
        distinct = len({top.plain for top in tops}) == len(tops)
        if distinct and Measurement.get(out, _unbounded(), table).maximum <= out.width:
            return table
    return None


def _unbounded() -> ConsoleOptions:
    """A console on which everything has room, to measure by."""
    return out.options.update(width=100_000)


def _figures(
    first: str,
    heads: Sequence[str | Text],
    labels: Sequence[str],
    figures: Sequence[Sequence[str]],
) -> Table:
    """A table of a name and figures, none of which is ever broken over two lines."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for at, head in enumerate((first, *heads)):
        table.add_column(head, justify="right" if at else "left", no_wrap=True)
    for label, row in zip(labels, figures, strict=True):
        table.add_row(_short(label, _LABEL), *row)
    return table


def _short(name: str, most: int) -> Text:
    """A name, its end an ellipsis where it is too long."""
    text = Text(name)
    text.truncate(most, overflow="ellipsis")
    return text


def _trained(snapshot: Snapshot, trial: Trial) -> str:
    """A trial, what it gave on validation data, and after how long."""
    after = counted(trial.epoch, "epoch")
    if trial.best_epoch != trial.epoch:
        after = f"epoch {trial.best_epoch} of {trial.epoch}"
    where = ", on the test part" if snapshot.spec.on_test else ""
    whose = "" if snapshot.spec.data is None else "validation "  # own training code knows on what
    value = f"{whose}{snapshot.metric} {number(trial.value)}{where}"
    return f"trial {trial.number}, {value} after {after}"


def result(snapshot: Snapshot) -> None:
    """How the search ended, its best trial, and what to do next."""
    study = snapshot.study
    counts = ", ".join(
        f"{snapshot.count(state)} {word}"
        for state, word in (("COMPLETE", "complete"), ("PRUNED", "pruned"), ("FAIL", "failed"),
                            ("RUNNING", "under way"))
        if snapshot.count(state)
    )  # fmt: skip
    finish = sum(trial.stage == FINAL for trial in snapshot.trials)
    of_finish = f", {finish} of them for the finish" if finish else ""
    out.print(f"study {study.name} is {study.state}: {study.ended} of {study.tickets} trials"
              f"{of_finish} ({counts or 'none'}) in {span(study.active_s)} of work")  # fmt: skip
    if study.is_out_of_time:
        out.print(f"its budget of {counted(study.hours or 0, 'hour')} of work is spent")
    _data(snapshot)
    sanity(snapshot)
    stages(snapshot)
    failures(snapshot)
    if snapshot.network is None:
        out.print("no trial completed")
        curves(snapshot)
        fruitless(snapshot)
    else:
        best(snapshot, snapshot.network)
    _next_steps([(call(command), meaning) for command, meaning in _next(snapshot)])


def _next_steps(steps: Sequence[tuple[str, str]]) -> None:
    """Commands and what they do, side by side where the terminal has room, else a line each. No
    command is ever broken, so that it can be pasted."""
    out.print("next:")
    width = max(len(command) for command, _ in steps)
    fits = all(width + len(meaning) + 4 <= out.width for _, meaning in steps)
    for command, meaning in steps:
        text = f"  {command:<{width}}  {meaning}" if fits else f"  {meaning}:\n    {command}"
        out.print(text, soft_wrap=True)


def final(snapshot: Snapshot, verdict: Mapping[str, Any]) -> None:
    """What the finish found out about the winner."""
    direction = snapshot.direction
    out.print(verdicts.sentence(verdict, direction))
    out.print(f"trained again and tested, {snapshot.metric} with the 95 % interval of its mean:")
    table = Table.grid(padding=(0, 2))
    for name, value in verdicts.figures(verdict, direction):
        table.add_row(f"  {name}", value)
    out.print(table)
    later = sum(t.number > verdict["last_trial"] for t in snapshot.trials)
    if later and not snapshot.fruitless:
        again = call(f"final {snapshot.study.name} --again")
        out.print(f"  trials since this finish: {later}; another one: {again}", soft_wrap=True)


def verdict(snapshot: Snapshot) -> None:
    """What the last finish came to, in a line, where there was one."""
    if snapshot.verdict is not None:
        out.print(verdicts.sentence(snapshot.verdict, snapshot.direction))
    fruitless(snapshot)


def fruitless(snapshot: Snapshot) -> None:
    """That the last finish came to nothing, where it did."""
    if snapshot.fruitless:
        again = " --again" if snapshot.verdict is not None else ""
        step = "another one", f"final {snapshot.study.name}{again}"
        if snapshot.best is None:  # there is nothing to train again
            step = "search on first", f"extend {snapshot.study.name} {_more(snapshot.study)}"
        out.print(f"the finish came to nothing: none of its {snapshot.fruitless} trainings "
                  f"completed, so the test part was not used; {step[0]}: {call(step[1])}",
                  soft_wrap=True)  # fmt: skip


def attendance(snapshot: Snapshot, workers: Sequence[Worker]) -> None:
    """Where nobody is there to train a study that is open, how somebody will."""
    if snapshot.study.state == "open" and not any(worker.is_there for worker in workers):
        begun = len(snapshot.running)
        waiting = f" to continue with {begun} of its trials" if begun else ""
        name = snapshot.study.name
        out.print(f"no worker is there{waiting}: {call(f'worker {name}')}", soft_wrap=True)


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
    if found is not None and found["suspect"]:
        out.print(f"before the first trial: {found['said']}")


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


def _data(snapshot: Snapshot, most: int = 5) -> None:
    """How the data was split, and what was done to it."""
    data = snapshot.study.data
    if data is None:
        return
    rows, notes = data["rows"], list(data["notes"])
    notes[:0] = [f"warning: {line}" for line in data.get("warnings", ())]
    out.print(f"data: {rows['train']:,} rows to train, {rows['validation']:,} to validate, "
              f"{rows['test']:,} held out")  # fmt: skip
    for line in notes[:most]:
        out.print(f"  {visible(line, lines=False)}")
    if len(notes) > most:
        out.print(f"  and {len(notes) - most} more notes: {call(f'status {snapshot.study.name}')} "
                  "--json")  # fmt: skip


def _shortest(path: str) -> str:
    """A path as it is, or from here."""
    return min(path, os.path.relpath(path), key=len)


def _next(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Commands worth a thought now, and what they do."""
    study = snapshot.study
    if study.state in ("paused", "stopped"):
        yield f"resume {study.name}", "open it again; then run it again"
    yield f"trials {study.name} --top 10", "the best trials"
    if study.state == "done" and snapshot.network is not None and snapshot.network.checkpoint:
        trains = snapshot.spec.train is not None
        own = f" --code {shlex.quote(_shortest(study.base))}" if study.code and not trains else ""
        save = f"best {study.name} --save {free(f'{study.name}-net')}{own}"
        yield save, "keep what it saved" if trains else "save its network"
    over = study.finish == "done"  # what failed in a finish that has ended is not run again
    failed = [t for t in snapshot.trials if t.state == "FAIL" and not (over and t.stage == FINAL)]
    if any(not trial.untrainable for trial in failed) and not study.is_out_of_time:
        yield f"retry {study.name} --failed", "run failed trials again"
    yield "dashboard", "curves in a browser"
    if study.state == "done" and not snapshot.is_whole:
        yield f"extend {study.name} {_more(study)}", "add trials"
    tested = snapshot.verdict is not None or study.finish is not None
    data = snapshot.spec.data
    if study.state == "done" and snapshot.best and data and data.test and not tested:
        yield f"final {study.name}", "test the best, once"
    if study.state == "done" and snapshot.diagnosis is not None:
        file = free(f"{study.name}-next", ".yaml")
        yield f"next {study.name} -o {file}", "what to search now"
    yield f"export {study.name} -o {free(f'{study.name}-trials', '.csv')}", "all trials as a table"


def _more(study: Study) -> str:
    """What to add to the budget: trials where none is left, its hours once more where they are
    spent."""
    trials = [] if study.issued < study.tickets else ["--trials 20"]
    hours = [f"--hours {setting(study.active_s / 3600)}"] if study.is_out_of_time else []
    return " ".join([*trials, *hours])


_STATES = {"working": "green", "idle": "cyan", "lost": "red", "left": "dim"}


def workers(found: Sequence[Worker]) -> None:
    """A line a worker, and one more for each trial that it holds beside the first."""
    table = columns("host", "pid", "device", "state", "study", "trial", "epoch", "seen",
                   right=("pid", "trial", "epoch", "seen"))  # fmt: skip
    table.padding = (0, 1, 0, 0)  # 80 columns are few for eight
    for column in table.columns:
        column.no_wrap = column.header not in ("host", "device", "study")
    for worker in found:
        who: list[RenderableType] = [_Host(worker.host), str(worker.pid), _device(worker.device)]
        state, seen = Text(worker.state, _STATES[worker.state]), f"{span(worker.silent_s)} ago"
        for work in worker.work or (None,):
            at = _at(work)
            table.add_row(*who, state, *at, seen)
            who, state, seen = ["", "", ""], Text(), ""
    out.print(table)


def unserved(found: Sequence[Worker], lacks: Mapping[str, Mapping[str, str]]) -> None:
    """Which open studies these workers cannot serve, and why: a line a study."""
    lines: dict[tuple[str, str], list[str]] = {}
    for worker in found:
        for study, words in lacks[worker.worker].items():
            lines.setdefault((study, words), []).append(f"{worker.host} {worker.pid}")
    for (study, words), workers in lines.items():
        who = workers[0] if len(workers) == 1 else f"{len(workers)} workers"
        note(f"study {study} is not served by {who}: it needs {words}")


@dataclass(frozen=True)
class _Host:
    """A host's name in one line. Where there is no room its middle goes: pods of one deployment
    differ in their last letters."""

    name: str

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[Text]:
        spare = options.max_width - 1
        tail = spare * 2 // 3
        whole = len(self.name) <= options.max_width
        yield Text(self.name if whole else f"{self.name[: spare - tail]}…{self.name[-tail:]}")

    def __rich_measure__(self, _console: Console, _options: ConsoleOptions) -> Measurement:
        return Measurement(min(8, len(self.name)), len(self.name))


def _device(said: str) -> Text:
    """The device as it signed on, without what a list has no use for: only GPUs have a model."""
    name, *model = said.split(", ")
    shown = (
        f"{name} {model[0].removeprefix('NVIDIA ')}" if name.startswith("cuda") and model else name
    )
    return Text(shown, no_wrap=True, overflow="ellipsis")


def _at(work: Work | None) -> tuple[Text | str, str, str]:
    if work is None:
        return "", "", ""
    name = Text(work.study, no_wrap=True, overflow="ellipsis")
    return name, "-" if work.trial is None else str(work.trial), str(work.epoch)


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
