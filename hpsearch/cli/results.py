"""What a search has come to: its result, its best trial, what a finish found, and what is next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.columns import Columns
from rich.table import Table

from hpsearch import passwords, urls
from hpsearch.cli.console import call, out
from hpsearch.cli.show import beside, codes, curves, failures, sanity, stages
from hpsearch.files import free, shortest
from hpsearch.insight import commands, remarks, verdicts
from hpsearch.insight.words import counted, number, setting, span
from hpsearch.spec.settings import FINAL
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, Trial
    from hpsearch.store.values import Study

__all__ = ["best", "data", "fruitless", "result", "verdict"]


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
    wall = f"{span(study.active_s)} of wall time"
    out.print(f"study {study.name} is {study.state}: {study.ended} of {study.tickets} trials"
              f"{of_finish} ({counts or 'none'}) in {wall}")  # fmt: skip
    if study.is_out_of_time:
        out.print(f"its budget of {counted(study.hours or 0, 'hour')} of work is spent")
    _answer(snapshot)
    data(snapshot, 5)
    sanity(snapshot)
    stages(snapshot)
    failures(snapshot)
    if snapshot.network is None:
        out.print("no trial completed")
        curves(snapshot)
        fruitless(snapshot)
    else:
        _best(snapshot, snapshot.network)
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


def _next(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Commands worth a thought now, and what they do."""
    study = snapshot.study
    if study.state in ("paused", "stopped"):
        yield f"resume {study.name}", "open it again; then run it again"
    if snapshot.network is not None:
        yield f"trials {study.name} --top 10", "the best trials"
    else:
        yield f"trials {study.name}", "the trials, and why each ended"
        if snapshot.spec.train is not None:
            yield f"logs {study.name}", "what its code wrote"
    if study.state == "done" and snapshot.network is not None and snapshot.network.checkpoint:
        trains = snapshot.spec.train is not None
        save = commands.save(study, free(f"{study.name}-net"), code=commands.code_folder(study))
        yield save, "keep what it saved" if trains else "save its network"
    if snapshot.to_retry and not study.is_out_of_time:
        yield f"retry {study.name} --failed", "run failed trials again"
    yield "dashboard", "curves in a browser"
    if study.state == "done":
        page = free(study.name, ".html", "+")  # wine-2.html would be the page of a study wine-2
        yield f"report {study.name} -o {page}", "a page to share"
    if study.state == "done" and not snapshot.is_whole:
        yield f"extend {study.name} {_more(study)}", "add trials"
    tested = snapshot.verdict is not None or study.finish is not None
    data = snapshot.spec.data
    own_code = snapshot.spec.train is not None
    if (
        study.state == "done"
        and snapshot.best
        and (own_code or (data and data.test))
        and not tested
    ):
        what = "train the best again" if own_code else "test the best, once"
        yield f"final {study.name}", f"queue a finish: {what}; run the study again to have it done"
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


def best(snapshot: Snapshot, trial: Trial) -> None:
    """Whether tuning helped, the best trial, and the network that is handed over, `trial`, with all
    that is known of it.

    A finish hands one over where no trial of the search completed, too.
    """
    _answer(snapshot)
    _best(snapshot, trial)


def _answer(snapshot: Snapshot) -> None:
    """What the last finish came to, in a line, where there was one: first, as the value of the best
    trial above it would be read as the result."""
    if words := remarks.finished(snapshot):
        out.print(words)


def _best(snapshot: Snapshot, trial: Trial) -> None:
    network = snapshot.best and _trained(snapshot, snapshot.best)
    out.print(f"best of {snapshot.study.name}: {network or 'no trial of the search completed'}")
    beside(snapshot)
    codes(snapshot)
    if snapshot.handed is not None and snapshot.verdict is not None:
        _handed(snapshot, trial, snapshot.verdict)
    table = Table.grid(padding=(0, 2))
    for name, value in {**trial.params, **trial.off}.items():
        table.add_row(f"  {visible(name, lines=False)}", setting(value))
    if trial.params or trial.off:
        out.print(table)
    if trial.parameters is not None:
        out.print(f"  a network of {trial.parameters:,} parameters")
    is_command = snapshot.spec.train is not None and snapshot.spec.train.command is not None
    if trial.checkpoint and not is_command:  # its files, if any, are in an archive there
        out.print(f"  checkpoint {_checkpoint(trial.checkpoint, trial)}", soft_wrap=True)
    elif trial.unsaved and not trial.checkpoint:
        out.print(f"  its network was not kept: {trial.unsaved}", soft_wrap=True)
    if trial.metrics:
        shown = (f"  {snapshot.shown(k)} {number(v)}" for k, v in trial.metrics.items())
        out.print(Columns(list(shown)))
    if word := snapshot.word(trial):
        out.print(f"  its learning curve: {word}{_judged_by(trial)}")
    curves(snapshot)
    if snapshot.verdict is not None:
        _figures(snapshot, snapshot.verdict)
    fruitless(snapshot)


def _handed(snapshot: Snapshot, handed: Trial, verdict: Mapping[str, Any]) -> None:
    """The network that is handed over: its own figures, those of its configuration, and the head of
    what is its own."""
    metric, test = snapshot.metric, verdict["test"]
    what = "network" if snapshot.spec.train is None else "training"
    out.print(f"{what} handed over: {_trained(snapshot, handed)}")
    if test is not None:
        own, count = number(verdict["network"][metric]), len(test["values"])
        mean = f"; the mean of the winner's {count} trainings is {number(test['mean'])}"
        out.print(f"  its own test {metric} {own}{mean if count > 1 else ''}")
    if default := remarks.not_the_default(snapshot):
        out.print(f"  {default}", soft_wrap=True)
    best = snapshot.best
    if best is not None and (handed.params, handed.off) != (best.params, best.off):
        out.print(f"  its configuration is not that of trial {best.number}: trained again, it had "
                  "the best mean on validation data")  # fmt: skip
    out.print(f"of trial {handed.number}, the {what} handed over:")


def _checkpoint(path: str, trial: Trial) -> str:
    """Where it lies. Files are named by ticket, which in a stack is often not the trial's number:
    that is then beside it."""
    shown = passwords.hide(shortest(path) if urls.scheme(path) is None else path)
    if trial.ticket == trial.number:
        return shown
    return (
        f"{shown} (of trial {trial.number}: a file has the number of its ticket, the place in line)"
    )


def _judged_by(trial: Trial) -> str:
    """The losses that the word of a curve is from, where those shown are of an earlier epoch."""
    losses = [f"{name} {number(trial.last_metrics[name])}" for name in ("train_loss", "loss")
              if name in trial.last_metrics]  # fmt: skip
    return f" (after the last epoch: {', '.join(losses)})" if losses else ""


def _trained(snapshot: Snapshot, trial: Trial) -> str:
    """A trial, what it gave on validation data, and after how long."""
    after = counted(trial.epoch, "epoch")
    if trial.best_epoch != trial.epoch:
        after = f"epoch {trial.best_epoch} of {trial.epoch}"
    where = ", on the test part" if snapshot.spec.on_test else ""
    whose = "" if snapshot.spec.data is None else "validation "  # own training code knows on what
    value = f"{whose}{snapshot.metric} {number(trial.value)}{where}"
    return f"trial {trial.number}, {value} after {after}"


def _figures(snapshot: Snapshot, verdict: Mapping[str, Any]) -> None:
    """What the finish measured of the winner."""
    direction = snapshot.direction
    tested = "" if verdict["test"] is None else " and tested"
    out.print(f"trained again{tested}, {snapshot.metric} {verdicts.spread(verdict)}:")
    table = Table.grid(padding=(0, 2))
    for name, value in verdicts.figures(verdict, direction):
        table.add_row(f"  {name}", value)
    out.print(table)
    final = snapshot.spec.with_final(snapshot.study.final).final
    asked = verdict.get("asked")  # those of the first version do not say it
    if final and asked and (tried := asked // final.seeds - 1) < final.top:
        others = "no other configuration than the default" if not tried else (
            f"only {counted(tried, 'configuration')} other than the default")  # fmt: skip
        out.print(f"  {counted(asked, 'training')}, as {others} had completed")
    if snapshot.later and not snapshot.fruitless:
        again = call(f"final {snapshot.study.name} --again")
        out.print(
            f"  trials since this finish: {snapshot.later}; another one: {again}", soft_wrap=True
        )


def verdict(snapshot: Snapshot) -> None:
    """What the last finish came to, in a line, where there was one."""
    _answer(snapshot)
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


def data(snapshot: Snapshot, most: int | None = None) -> None:
    """How the data was split, and what was done to it; `most` notes, None: all."""
    record = snapshot.study.data
    if record is None:
        return
    rows, notes = record["rows"], list(record["notes"])
    notes[:0] = [f"warning: {line}" for line in record.get("warnings", ())]
    out.print(f"data: {rows['train']:,} rows to train, {rows['validation']:,} to validate, "
              f"{rows['test']:,} held out")  # fmt: skip
    for line in notes[:most]:
        out.print(f"  {visible(line, lines=False)}")
    if most is not None and len(notes) > most:
        more = counted(len(notes) - most, "more note")
        out.print(f"  and {more}: {call(f'status {snapshot.study.name}')}")
