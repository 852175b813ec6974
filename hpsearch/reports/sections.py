"""What a report shows of a study beside its pictures and its winner: rows of tables and lines of
text. Pure functions of a snapshot."""

from __future__ import annotations

import platform
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch._version import __version__
from hpsearch.insight import recipe_words, remarks
from hpsearch.insight.commands import save
from hpsearch.insight.words import counted, number, percent, setting, span
from hpsearch.spec import write
from hpsearch.spec.own_training import SESSION
from hpsearch.spec.settings import FINAL
from hpsearch.spec.source import SOURCES

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.reports.spent import Spent
    from hpsearch.spec import StudySpec
    from hpsearch.store.values import Known, Study

__all__ = [
    "Figure", "Row", "Stage", "budget", "data", "failures", "figures", "recipe", "reproduction",
    "stages", "subtitle", "trials",
]  # fmt: skip

_TOP, _MOST_COLUMNS = 25, 8
_MOST_REASONS = 10
_LONGEST_REASON = 1_000

Row = tuple[str, ...]
"""The cells of one row of a table."""


@dataclass(frozen=True)
class Figure:
    """One large number with what it is."""

    value: str
    name: str


@dataclass(frozen=True)
class Stage:
    """What one stage of a search has come to."""

    name: str
    trials: int
    best: str
    gain: str
    """Over the best before it; "" for the first."""
    improved: bool


def figures(snapshot: Snapshot, spent: Spent) -> tuple[Figure, ...]:
    """The numbers below the answer."""
    states = (("PRUNED", "pruned"), ("FAIL", "failed"), ("RUNNING", "under way"))
    others = ", ".join(f"{snapshot.count(s):,} {word}" for s, word in states if snapshot.count(s))
    numbers = [
        Figure(f"{spent.ended:,} of {spent.tickets:,}", f"trials{f': {others}' if others else ''}"),
        Figure(span(spent.work_s), "of wall time at work"),
        Figure(f"{spent.epochs:,}", "epochs trained"),
    ]
    if spent.pruned:
        numbers.append(Figure(percent(spent.pruned_share), "of the epochs saved by pruning"))
    if spent.together.mean >= 1.05:
        numbers.append(Figure(f"{spent.together.mean:.1f}", "trials under way at a time"))
    return tuple(numbers)


def stages(snapshot: Snapshot) -> tuple[Stage, ...]:
    """What each stage came to and gained, where there is more than one."""
    sign = 1 if snapshot.direction == "maximize" else -1
    rows, before = [], None
    for stage in snapshot.stages:
        gain = None
        if stage.best is not None and before is not None and stage.name != FINAL:
            gain = sign * (stage.best - before)
        words = "" if gain is None else f"{gain:+.2g}" if gain > 0 else "nothing"
        if stage.name == FINAL:
            words = "trained again, not searched"
        best = "none completed" if stage.best is None else number(stage.best)
        rows.append(Stage(stage.name, stage.trials, best, words, gain is not None and gain > 0))
        if stage.best is not None and stage.name != FINAL:
            before = stage.best if before is None else sign * max(sign * before, sign * stage.best)
    return tuple(rows) if len(rows) > 1 else ()


def recipe(snapshot: Snapshot) -> tuple[str, ...]:
    """The steps of the recipe in words, where the study follows it."""
    return tuple(recipe_words.reached(snapshot))


def budget(
    snapshot: Snapshot, spent: Spent, known: Sequence[Known] = ()
) -> Iterator[tuple[str, str]]:
    """What the study took and what was saved: a name and words each. `known` are the trials from
    elsewhere that its samplers know."""
    hours = "" if spent.hours is None else f", at most {counted(spent.hours, 'hour')} of work"
    most = counted(snapshot.epochs, "epoch")
    yield "budget", f"{counted(spent.tickets, 'trial')} of at most {most}{hours}"
    yield "work", (f"{span(spent.work_s)} of wall time in which any worker had a trial; the "
                   f"trainings of all trials add up to {span(spent.training_s)}")  # fmt: skip
    yield "epochs", f"{spent.epochs:,} trained"
    pruner = snapshot.spec.search.pruner.name
    if spent.pruned:
        saved = counted(spent.pruned, "epoch")
        of = f"{percent(spent.pruned_share)} of the {spent.whole:,} without it"
        yield "saved by pruning", f"{saved} ({of}), by {pruner}"
    else:
        yield "saved by pruning", "nothing" if pruner != "none" else "nothing: no pruner was named"
    if spent.stopped:
        words = f"{counted(spent.stopped, 'epoch')} ({percent(spent.stopped_share)})"
        yield "saved by early stopping", words
    if known:
        origins = ", ".join(dict.fromkeys(one.origin for one in known))
        yield "known before", f"{counted(len(known), 'trial')} from elsewhere: {origins}"
    if spent.together.most:
        yield "at the same time", _at_once(spent, own=snapshot.spec.train is not None)


def _at_once(spent: Spent, *, own: bool) -> str:
    """What training many at once has saved, at most: nobody trained them alone to compare."""
    how = spent.together
    if how.most <= 1:
        return "one trial at a time"
    ways = [("several on a GPU" if own else "in stacks")] if how.of_one > 1 else []
    ways += ["by several workers"] if how.workers > 1 else []
    return (f"{how.mean:.1f} trials on average and {how.most} at most, {' and '.join(ways)}: "
            f"{span(how.trials_s)} of trials in {span(how.any_s)} of wall time. A trial alone is "
            "faster than one beside others, so one after the other they would have taken less than "
            f"{span(how.trials_s)}.")  # fmt: skip


def data(snapshot: Snapshot) -> tuple[tuple[Row, ...], tuple[str, ...], str]:
    """Rows about the data, notes on how it was read, and what was decided of it as a table in text;
    "" where there is none."""
    facts, spec = snapshot.study.data, snapshot.spec
    if spec.data is None:
        return (("data", "the training code has its own; hpsearch knows nothing of it"),), (), ""
    rows: list[Row] = [("source", spec.data.source)]
    if facts is None:
        return (*rows, ("read", "no worker has read it so far")), (), ""
    parts = facts.get("rows") or {}
    if parts:
        rows.append(("rows", f"{parts['train']:,} to train, {parts['validation']:,} to validate, "
                     f"{parts['test']:,} held out"))  # fmt: skip
    if classes := facts.get("classes"):
        shown = ", ".join(map(str, classes[:12]))
        more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
        rows.append(("classes", f"{len(classes)}: {shown}{more}"))
    rows += [(f"baseline: {name}", worth) for name, worth, _ in remarks.baselines(snapshot)]
    rows += [(name, str(facts[name])) for name in ("fingerprint", "split") if name in facts]
    warned = [f"Warning: {line}" for line in facts.get("warnings", ())]
    source = SOURCES[spec.data.source]
    decided = facts.get("decided")
    shown_ = source.described(decided)
    return tuple(rows), (*warned, *facts.get("notes", ())), "\n".join(shown_)


def failures(snapshot: Snapshot) -> tuple[tuple[int, str, int], ...]:
    """Why trials failed: how many, the reason, and the first of them; the most frequent first."""
    failed = [trial for trial in snapshot.trials if trial.state == "FAIL"]
    reasons = Counter(trial.reason or "no reason was recorded" for trial in failed)
    first: dict[str, int] = {}
    for trial in failed:
        first.setdefault(trial.reason or "no reason was recorded", trial.number)
    return tuple(
        (count, reason[:_LONGEST_REASON], first[reason])
        for reason, count in reasons.most_common(_MOST_REASONS)
    )


def trials(snapshot: Snapshot, order: Sequence[str]) -> tuple[Sequence[str], tuple[Row, ...]]:
    """Heads and rows of the trial that is handed over and of the best ones of the search, and where
    there is room the others, or of the last ones where none completed; with those parameters that
    come first in `order`, as many as a page has room for."""
    completed = snapshot.searched
    complete = {trial.number for trial in completed}
    rest = [t for t in snapshot.trials if t.stage != FINAL and t.number not in complete]
    shown = (*completed, *rest)[:_TOP] if completed else snapshot.trials[-_TOP:]
    if snapshot.handed is not None:
        shown = (snapshot.handed, *shown)
    staged = len(snapshot.stages) > 1
    first = list(order)[:_MOST_COLUMNS]
    present = {name for trial in shown for name in trial.params}.intersection(first)
    names = [name for name in snapshot.spec.space.names if name in present]
    heads = ["trial", "state", snapshot.metric, "epoch", *(["stage"] if staged else []), *names]
    rows = []
    for trial in shown:
        handed = ", handed over" if trial is snapshot.handed else ""
        stage = [f"{trial.stage}{handed}"] if staged else []
        values = [setting(trial.params[n]) if n in trial.params else "" for n in names]
        rows.append((str(trial.number), trial.state.lower(), number(trial.value),
                     f"{trial.best_epoch} of {trial.epoch}", *stage, *values))  # fmt: skip
    return heads, tuple(rows)


def reproduction(snapshot: Snapshot) -> tuple[tuple[Row, ...], str, tuple[Row, ...]]:
    """What it takes to search again: facts, the study file, and commands with what they do."""
    study, spec = snapshot.study, snapshot.spec
    search = spec.search
    samplers = ", ".join(dict.fromkeys(search.sampler.values()))
    rows: list[Row] = [
        ("seed", str(search.seed)),
        ("strategy", f"{search.strategy}, sampler {samplers}, pruner {search.pruner.name}"),
        ("study's digest", study.digest),
        ("study's uid", study.uid),
    ]
    if study.code:
        rows.append(("its own code", f"SHA-256 {study.code}"))
    facts = study.data or {}
    rows += [(f"data's {key}", str(facts[key])) for key in ("fingerprint", "split") if key in facts]
    rows.append(("this report by", _versions()))
    name = shlex.quote(study.name)
    again: Row = ("hpsearch run study.yaml", "search again: the file is below")
    if _is_of_session(study, spec):
        again = ("study.run()", "search again: in Python, with the study's function, which is of a "
                 "notebook or a session and in no file")  # fmt: skip
    commands: list[Row] = [
        again,
        (f"hpsearch trials {name} --top 10", "the best trials"),
        (f"hpsearch {save(study, f'{study.name}-net')}", "the network in a folder"),
        (f"hpsearch report {name}", "this page"),
    ]
    if spec.data is not None and spec.data.test and snapshot.verdict is None:
        commands.append((f"hpsearch final {name}", "use the test part, once"))
    return tuple(rows), write(spec), tuple(commands)


def _is_of_session(study: Study, spec: StudySpec) -> bool:
    function = "" if spec.train is None else spec.train.function or ""
    return function.startswith(f"{SESSION}:") and not Path(study.base, SESSION).is_file()


def _versions() -> str:
    """What is installed where the report is written: not always where trials were trained."""
    versions = [f"hpsearch {__version__}", f"Python {platform.python_version()}"]
    for package in ("torch", "optuna", "numpy"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # such as a torch of another name
            continue
    return ", ".join(versions)


def subtitle(snapshot: Snapshot) -> str:
    """What the study is, in a line."""
    study, spec = snapshot.study, snapshot.spec
    what = f"own training code {spec.family}" if spec.data is None else (
        f"networks of the family {spec.family}, data of the source {spec.data.source}")  # fmt: skip
    aim = "more is better" if snapshot.direction == "maximize" else "less is better"
    begun = min((t.started for t in snapshot.trials if t.started), default=None)
    ended = max((t.ended for t in snapshot.trials if t.ended), default=None)
    when = "" if begun is None else f"; begun {begun:%Y-%m-%d %H:%M}"
    if ended is not None and study.state in ("done", "stopped"):
        same = begun is not None and begun.date() == ended.date()
        when += f", ended {ended:%H:%M}" if same else f", ended {ended:%Y-%m-%d %H:%M}"
    task = "" if snapshot.task is None else f"{snapshot.task.name}, "
    return f"{task}{what}; metric {snapshot.metric}, {aim}{when}"
