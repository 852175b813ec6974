"""The note of a study for optuna-dashboard, in Markdown: what it came to, and what to do next."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hpsearch import passwords
from hpsearch.errors import DamagedError, HpsearchError, line
from hpsearch.insight import commands, recipe_words, remarks
from hpsearch.insight.words import counted, number, params, span
from hpsearch.spec.settings import FINAL
from hpsearch.store import notes
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot, StageSummary
    from hpsearch.store.ledger import Ledger
    from hpsearch.store.values import Study

__all__ = ["Notes", "refresh", "state", "text"]

_FORM = 2
"""Of the text: a note of another form is written anew."""

_LOOKS = 10
"""As often a note is written while trials end; and whenever a stage or the study begins or ends."""

_CLAIM_S = 60.0
"""After which another process writes the note that one was about to write."""

_MOST = 5
"""Lines about the data."""

_log = logging.getLogger(__name__)

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~!])")


def state(study: Study) -> str:
    """What differs once there is something new to say of a study."""
    whole = study.state in ("done", "stopped")
    ended = study.ended if whole else study.ended * _LOOKS // max(study.tickets, 1)
    decided = study.data is not None, study.sanity is not None
    return f"{_FORM} {study.state} {study.finish} {study.opened} {study.tickets} {ended} {decided}"


def refresh(
    ledger: Ledger, study: Study, by: str, snapshot: Snapshot | None = None, *, waits: bool = True
) -> bool:
    """Bring the note of a study up to date, unless it is or somebody is about to; whether it was
    written.

    Args:
        ledger: Where it is.
        study: The study as it is now.
        by: Who writes: the name of a worker, or any that no other process has.
        snapshot: The study and its trials; None: they are read.
        waits: Whether it is left to a process that is about to write it, and may be killed.

    Raises DamagedError where rows of the study make no sense; then nothing is written.
    """
    from hpsearch.insight.reader import Reader

    if not notes.claim(ledger.database, study, state(study), by, _CLAIM_S, waits=waits):
        return False
    if snapshot is None:
        snapshot = Reader(ledger, study.name, lean=True).snapshot()
    if snapshot.study.uid != study.uid:
        return False
    try:
        words = text(snapshot)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DamagedError(
            f"study {study.name!r} has rows that make no sense: {line(error)}"
        ) from None
    notes.write(ledger.database, study, state(study), words)
    return True


class Notes:
    """The note of a study that somebody follows, kept up to date from that one's snapshots."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._by, self._state = ledger, f"reader {uuid.uuid4().hex[:12]}", ""

    def look(self, snapshot: Snapshot, *, waits: bool = True) -> None:
        """Write what is new; without `waits` even where a worker is about to do so."""
        now = state(snapshot.study)
        if now == self._state and waits:
            return
        try:
            refresh(self._ledger, snapshot.study, self._by, snapshot, waits=waits)
        except HpsearchError as error:  # the study is none the worse
            _log.debug("the note of study %s was not written: %s", snapshot.study.name, error)
        self._state = now


def text(snapshot: Snapshot) -> str:
    """hpsearch's part of the note."""
    parts = (_state(snapshot), _answer(snapshot), _stages(snapshot), _data(snapshot),
             _curves(snapshot), _commands(snapshot))  # fmt: skip
    return passwords.hide("\n\n".join("\n".join(lines) for part in parts if (lines := list(part))))


def _plain(words: object) -> str:
    """Text of others, so that none of it is taken for Markdown or a control character."""
    return _MARKDOWN.sub(r"\\\1", visible(words, lines=False))


def _state(snapshot: Snapshot) -> Iterator[str]:
    study = snapshot.study
    counts = ", ".join(
        f"{snapshot.count(state):,} {word}"
        for state, word in (("COMPLETE", "complete"), ("PRUNED", "pruned"), ("FAIL", "failed"),
                            ("RUNNING", "under way"))
        if snapshot.count(state)
    )  # fmt: skip
    yield (f"**{study.state}**: {study.spent:,} of {counted(study.tickets, 'trial')}"
           f"{f' ({counts})' if counts else ''}, {span(study.active_s)} of wall time")  # fmt: skip
    if study.sanity is not None and study.sanity["suspect"]:
        yield f"\nBefore the first trial: {_plain(study.sanity['said'])}"


def _answer(snapshot: Snapshot) -> Iterator[str]:
    if words := remarks.finished(snapshot):
        yield f"### {_plain(words)}\n"
    best = snapshot.best
    if best is None:
        yield "No trial has completed yet."
        return
    where = " on the test part" if snapshot.spec.on_test else " on validation data"
    if snapshot.spec.data is None:
        where = ""  # own training code knows on what
    yield (f"Best trial: **{best.number}**, {_plain(snapshot.metric)} **{number(best.value)}**"
           f"{where}, epoch {best.best_epoch} of {best.epoch}")  # fmt: skip
    if best.params:
        yield f"\n`{params(best.params).replace('`', '')}`"
    handed = snapshot.handed
    if handed is not None and handed.number != best.number:
        yield f"\nThe network handed over is that of trial {handed.number}."
    for name, worth, is_above in remarks.baselines(snapshot):
        more = "" if is_above else ": the best trial is no better than that"
        yield f"\nBaseline, {_plain(name)}: {_plain(worth)}{more}"


def _stages(snapshot: Snapshot) -> Iterator[str]:
    steps = list(recipe_words.reached(snapshot))
    yield from (f"- {_plain(step)}" for step in steps)
    searched = [stage for stage in snapshot.stages if stage.name != FINAL]
    if steps or len(searched) < 2:
        return
    yield f"| stage | trials | best {_plain(snapshot.metric)} | gain |"
    yield "|---|---:|---:|---:|"
    for stage, gain in zip(searched, _gains(snapshot, searched), strict=True):
        yield f"| {stage.name} | {stage.trials} | {number(stage.best)} | {gain} |"


def _gains(snapshot: Snapshot, stages: Sequence[StageSummary]) -> Iterator[str]:
    """What each stage is better by than all before it."""
    sign = 1 if snapshot.direction == "maximize" else -1
    best: float | None = None
    for stage in stages:
        if stage.best is None:
            yield ""
            continue
        gain = 0.0 if best is None else sign * (stage.best - best)
        yield f"{sign * gain:+.2g}" if gain > 0 else "" if best is None else "none"
        best = stage.best if best is None or gain > 0 else best


def _data(snapshot: Snapshot) -> Iterator[str]:
    data = snapshot.study.data
    if data is None:
        return
    rows = data["rows"]
    yield (f"**Data**: {rows['train']:,} rows to train, {rows['validation']:,} to validate, "
           f"{rows['test']:,} held out")  # fmt: skip
    lines = [f"warning: {line}" for line in data.get("warnings", ())] + list(data["notes"])
    if lines:
        yield ""
    yield from (f"- {_plain(line)}" for line in lines[:_MOST])
    if len(lines) > _MOST:
        yield f"- and {len(lines) - _MOST} more: `hpsearch status {snapshot.study.name} --json`"


def _curves(snapshot: Snapshot) -> Iterator[str]:
    lines = [_plain(line) for line in remarks.seen(snapshot)]
    failed = [trial for trial in snapshot.trials if trial.state == "FAIL"]
    if failed:
        reason = _plain(failed[0].reason or "no reason was recorded")
        lines.append(f"{counted(len(failed), 'trial')} failed; trial {failed[0].number}: {reason}")
    if lines:
        yield "**Diagnosis**\n"
    yield from (f"- {line}" for line in lines)


def _commands(snapshot: Snapshot) -> Iterator[str]:
    study = snapshot.study
    name = study.name
    yield "**Commands**\n"
    yield "```"
    if study.state in ("paused", "stopped"):
        yield f"hpsearch resume {name}"
    elif study.state == "open":
        yield f"hpsearch watch {name}"
        yield f"hpsearch {commands.worker(study)}"
    yield f"hpsearch trials {name} --top 10"
    if len(snapshot.spec.space) > 1:
        yield f"hpsearch importance {name}"
    if snapshot.network is not None:
        yield f"hpsearch {commands.save(study, f'{name}-net')}"
        yield f"hpsearch report {name}"
    if study.state == "done" and snapshot.diagnosis is not None:
        yield f"hpsearch next {name} -o {name}-next.yaml"
    yield "```"
    if len(snapshot.spec.space) > 1:
        yield ("\nThe importance on this page is Optuna's own estimate, from the trials that "
               "completed, a finish's among them. `hpsearch importance` and the report also "
               "compare those that were pruned, so the two may differ.")  # fmt: skip
