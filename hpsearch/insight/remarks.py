"""What is known of a study, in sentences: its learning curves, and the edges its winner is at."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hpsearch.insight import diagnosis, verdicts
from hpsearch.insight.words import counted, number
from hpsearch.spec.settings import RECIPE
from hpsearch.stages import outline

if TYPE_CHECKING:
    from hpsearch.insight.diagnosis import Diagnosis
    from hpsearch.insight.snapshot import Snapshot

__all__ = ["baselines", "by_other_code", "finished", "later", "not_the_default", "seen", "told"]


def seen(snapshot: Snapshot) -> Iterator[str]:
    """What the learning curves look like and ask for, and the edges that the winner is at: a line
    each."""
    diagnosed = snapshot.diagnosis
    if diagnosed is not None and any(diagnosed.words.values()):
        yield f"learning curves: {_judged(snapshot, diagnosed)}"
    if diagnosed is not None and diagnosed.diverged:
        advice = "" if diagnosed.words else f"; {diagnosis.ADVICE[diagnosis.Word.DIVERGED]}"
        yield f"{diagnosed.diverged} of {len(snapshot.trials)} trials diverged{advice}"
    for edge in snapshot.edges:
        yield f"{edge}: there may be better beyond"


def _judged(snapshot: Snapshot, diagnosed: Diagnosis) -> str:
    """What the best curves look like, with advice only where the winner's looks so itself."""
    count, most = len(diagnosed.words), 2 * diagnosed.agreeing > len(diagnosed.words)
    if diagnosed.word is None:
        judged = {str(number): word for number, word in diagnosed.words.items() if word}
        which = f"trial{'s' if len(judged) > 1 else ''} {', '.join(judged)}"
        return f"of the best {count} only {which} can be judged: {', '.join(judged.values())}"
    of = f"{diagnosed.agreeing} of the best {count}: " if most else (
        f"those of the best {count} differ; of the first: ")  # fmt: skip
    if snapshot.advised is None:
        own = snapshot.word(snapshot.network) if snapshot.network else None
        return f"{of}{diagnosed.word}; the winner's: {own or 'too short to be judged'}"
    return f"{'' if count == 1 else of}{diagnosed.word}; {diagnosis.ADVICE[diagnosed.word]}"


def baselines(snapshot: Snapshot) -> Iterator[tuple[str, str, bool]]:
    """What simple answers give: which, how much of what and on which rows, and whether the best
    trial is better."""
    where = "the test part" if snapshot.spec.on_test else "validation data"
    for name, value in snapshot.baselines:
        worth = f"{snapshot.metric} {number(value)} on {where}"
        yield name, worth, snapshot.is_above(value)


def finished(snapshot: Snapshot) -> str:
    """What the last finish came to, and how many trials began after it; "" where there was none."""
    if snapshot.verdict is None:
        return ""
    words = verdicts.sentence(snapshot.verdict, snapshot.direction, snapshot.study.data)
    return f"{words} {later(snapshot)}".rstrip()


def later(snapshot: Snapshot) -> str:
    """How many trials began after the last finish; "" where none did."""
    if not snapshot.later:
        return ""
    were = "is" if snapshot.later == 1 else "are"
    return f"{counted(snapshot.later, 'trial')} began after this finish and {were} not part of it."


def by_other_code(snapshot: Snapshot) -> str | None:
    """That trials were trained by different states of the study's own code; None where they were
    not."""
    codes = snapshot.codes
    if len(codes) < 2:
        return None
    counts = ", ".join(f"{count} by {code}" for code, count in codes.items())
    best = snapshot.network
    whose = f"; trial {best.number} by {best.code}" if best is not None and best.code else ""
    return f"trials of different code: {counts}{whose}"


def not_the_default(snapshot: Snapshot) -> str | None:
    """Why the network handed over is not that of the default settings, where a finish advises to
    keep those, and how to get theirs; None where it does not."""
    verdict = snapshot.verdict
    if verdict is None or snapshot.handed is None:
        return None
    if verdicts.finding(verdict, snapshot.direction) not in ("no evidence", "worse"):
        return None
    chosen = "by what trainings reported" if verdict["test"] is None else "before the test"
    name = shlex.quote(f"{snapshot.study.name}-default")
    spec = snapshot.spec  # the default settings follow the points to start at; a grid has no others
    first = not spec.start and spec.search.strategy != RECIPE and outline.limit(spec) is None
    how = f"hpsearch run FILE --set name={name} --set budget.trials=1"
    return (f"it is the tuned one: it was chosen {chosen}"
            + (f"; that of the default settings: {how}" if first else ""))  # fmt: skip


def told(snapshot: Snapshot) -> Iterator[str]:
    """What is known of a study, for the head of the file of the next one."""
    yield f"What to try after {snapshot.study.name}, by `hpsearch next {snapshot.study.name}`."
    if snapshot.best is not None:
        data = "the test part" if snapshot.spec.on_test else "validation data"
        yield (f"Its best {snapshot.metric} on {data}: {number(snapshot.best.value)}, "
               f"trials: {len(snapshot.trials)}.")  # fmt: skip
    yield from seen(snapshot)
