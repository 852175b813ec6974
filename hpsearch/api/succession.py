"""The study to run after one: its file, and why it is what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import NotFoundError

if TYPE_CHECKING:
    from hpsearch.insight.next_study import Findings
    from hpsearch.insight.snapshot import Snapshot
    from hpsearch.spec import StudySpec
    from hpsearch.store.ledger import Ledger

__all__ = ["Successor", "next_study"]


@dataclass(frozen=True)
class Successor:
    """What to search now."""

    spec: StudySpec
    notes: Mapping[tuple[str | int, ...], str]
    """Why a key of it is what it is, by the keys that lead there."""
    snapshot: Snapshot
    """The study that it follows from."""


def next_study(ledger: Ledger, name: str, folder: Path) -> Successor:
    """What the trials of a study say to search next.

    Args:
        ledger: Where it is kept.
        name: Its name.
        folder: Where the new study's file will lie, and its relative paths start.

    Raises NotFoundError where no trial tells anything yet.
    """
    from hpsearch.insight.next_study import named, rebased, successor
    from hpsearch.insight.reader import Reader

    snapshot = Reader(ledger, name).snapshot()
    findings = _findings(snapshot)
    if not findings.best and snapshot.diagnosis is None and findings.rate is None:
        raise NotFoundError(
            f"study {name!r} has no trial yet that completed: there is nothing to learn from "
            f"{snapshot.count('PRUNED')} pruned, {snapshot.count('FAIL')} failed"
        )
    taken = {study.name for study in ledger.studies()}
    spec, notes = successor(snapshot.spec, findings, named(name, taken))
    return Successor(rebased(spec, Path(snapshot.study.base), folder.resolve()), notes, snapshot)


def _findings(snapshot: Snapshot) -> Findings:
    """What the trials of a study have shown, and the look before the first of them."""
    from hpsearch.insight.diagnosis import Word
    from hpsearch.insight.next_study import Findings

    best = [snapshot.values(trial) for trial in snapshot.searched]
    if snapshot.network is not None:  # of a finish: of the best mean, not of the luckiest trial
        winner = snapshot.values(snapshot.network)
        best = [winner, *(values for values in best if values != winner)]
    ended = [trial for trial in snapshot.trials if trial.state in ("COMPLETE", "PRUNED")]
    diverged = [snapshot.word(trial) is Word.DIVERGED for trial in ended]
    values = [snapshot.values(trial) for trial in ended]
    rate = (snapshot.study.sanity or {}).get("rate")
    return Findings(
        best, snapshot.advised,
        diverged=[v for v, gone in zip(values, diverged, strict=True) if gone],
        trained=[v for v, gone in zip(values, diverged, strict=True) if not gone],
        rate=rate if isinstance(rate, float) else None,
        is_perfect=snapshot.is_perfect,
    )  # fmt: skip
