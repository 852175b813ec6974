"""What a study has come to, in the words of a page's first lines: honest before it is good news."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hpsearch.insight import remarks, verdicts
from hpsearch.insight.words import counted, number

if TYPE_CHECKING:
    from hpsearch.insight.snapshot import Snapshot

__all__ = ["Answer", "answer", "measured_on"]

Tone = Literal["good", "plain", "warning", "bad"]
_TONES: dict[verdicts.Finding, Tone] = {"better": "good", "worse": "warning"}


@dataclass(frozen=True)
class Answer:
    """The first lines of a page."""

    headline: str
    sentences: tuple[str, ...]
    tone: Tone
    """Whether it is good news: the colour beside it."""


def answer(snapshot: Snapshot) -> Answer:
    """What the study has come to so far."""
    if snapshot.verdict is not None:
        return _judged(snapshot)
    if snapshot.best is None:
        return _nothing(snapshot)
    return _searched(snapshot)


def measured_on(snapshot: Snapshot) -> Literal["validation", "test", "own"]:
    """The rows that the study's metric is measured on; `own`: training code of its own knows."""
    if snapshot.spec.data is None:
        return "own"
    return "test" if snapshot.spec.on_test else "validation"


def _judged(snapshot: Snapshot) -> Answer:
    """A finish has used the test part."""
    verdict, direction, data = snapshot.verdict, snapshot.direction, snapshot.study.data
    assert verdict is not None
    headline = verdicts.headline(verdict, direction, wide=True)
    sentence = verdicts.sentence(verdict, direction, data, wide=True).removeprefix(headline)
    words = sentence.lstrip(";:, ")
    rest = [f"{words[:1].upper()}{words[1:]}"]
    if verdict["use"] > 1:
        rest.append(f"The test part has been used {verdict['use']} times: each use makes its "
                    "figures more optimistic.")  # fmt: skip
    if later := remarks.later(snapshot):
        rest.append(later)
    tone = _TONES.get(verdicts.finding(verdict, direction), "plain")
    if tone == "good" and verdicts.few(verdict, data):
        tone = "plain"
    return Answer(headline, tuple(rest), "bad" if verdicts.as_good(verdict, direction) else tone)


def _searched(snapshot: Snapshot) -> Answer:
    """The best trial of a search that no finish has followed."""
    best = snapshot.best
    assert best is not None
    part = {"validation": "validation ", "test": "test ", "own": ""}[measured_on(snapshot)]
    so_far = " so far" if snapshot.study.state == "open" else ""
    headline = f"Best {part}{snapshot.metric}{so_far} {number(best.value)}"
    above = all(is_above for _, _, is_above in remarks.baselines(snapshot))
    return Answer(headline, tuple(_reserves(snapshot)), "plain" if above else "bad")


def _reserves(snapshot: Snapshot) -> Iterator[str]:
    """What stands against taking the best value of a search at its word."""
    best, spec = snapshot.best, snapshot.spec
    assert best is not None
    epoch = f"epoch {best.best_epoch} of {best.epoch}"
    yield f"That is trial {best.number} after {epoch}."
    for name, worth, is_above in remarks.baselines(snapshot):
        more = "" if is_above else ", and the best trial is no better than that"
        yield f"A simple answer ({name}) gives {worth}{more}."
    if spec.data is None:
        yield ("It is the best of several draws, so slightly optimistic, and on the data that the "
               "training code chose: no test part was used.")  # fmt: skip
    elif snapshot.spec.on_test:
        yield ("The search was measured on the test part itself, so the figure is optimistic and "
               "nothing is left to test it on.")  # fmt: skip
    else:
        yield "It was chosen on these rows, so it is slightly optimistic."
        yield _untested(snapshot)


def _untested(snapshot: Snapshot) -> str:
    """Why there is no test figure, and how there will be one."""
    study, data = snapshot.study, snapshot.spec.data
    if snapshot.fruitless:
        return (f"No test part was used: none of the {snapshot.fruitless} trainings of the finish "
                "completed.")  # fmt: skip
    if study.finish in ("due", "open"):
        return "No test part was used so far: the finish does so when the search has ended."
    if data is not None and data.test:
        return f"No test part was used: hpsearch final {study.name} does so, once."
    return "No test part was used, and the study holds none out."


def _nothing(snapshot: Snapshot) -> Answer:
    """No trial of the search has completed."""
    study, trials = snapshot.study, snapshot.trials
    if study.refused is not None:
        return Answer("Stopped before the first trial", (f"{study.refused}.",), "bad")
    if not trials:
        later = "Workers have not begun it." if study.state == "open" else f"It is {study.state}."
        return Answer("No trial has begun yet", (later,), "plain")
    counts = ", ".join(
        f"{snapshot.count(state)} {word}"
        for state, word in (("FAIL", "failed"), ("PRUNED", "pruned"), ("RUNNING", "under way"))
        if snapshot.count(state)
    )
    sentences = [f"Of {counted(len(trials), 'trial')}: {counts}."]
    leader = snapshot.leader
    if leader is not None and leader.state == "RUNNING":
        sentences.append(f"The best so far is trial {leader.number}, still training: "
                         f"{snapshot.metric} {number(leader.value)}.")  # fmt: skip
    if failed := [trial for trial in trials if trial.state == "FAIL"]:
        reason = failed[0].reason or "no reason was recorded"
        sentences.append(f"Trial {failed[0].number} failed: {reason}")
    running = snapshot.count("RUNNING")
    return Answer("No trial has completed", tuple(sentences), "plain" if running else "bad")
