"""A study file in the making: plain values, and why each is what it is."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.spec import SCHEMA_LINE, checked, write
from hpsearch.spec.own_training import LEFT_OPEN
from hpsearch.terminal import visible

if TYPE_CHECKING:
    from hpsearch.spec import StudySpec
    from hpsearch.spec.faults import Path as Keys

__all__ = ["LEFT_OPEN", "Draft", "listed", "metric_of", "percent", "relative", "study_text"]

_WIDTH = 96
"""Of a comment: a line stays below 100 characters."""
_BRACES = re.compile(r"\S*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\w+: \w+\b(?=\)|$)")
"""What belongs in one line: it is there to be copied."""
_RARE = 0.2
"""A class with a smaller share of the rows than this makes accuracy a bad judge, of two."""


@dataclass
class Draft:
    """What is known of a study so far."""

    content: dict[str, Any]
    """The study file as plain values."""
    head: list[str]
    """What was looked at, as sentences for the head of the file."""
    notes: dict[Keys, str] = field(default_factory=dict)
    """Why a key is what it is, by its path."""

    def note(self, path: Keys, *sentences: str) -> None:
        """Say why a key is what it is; a sentence a line."""
        notes = [self.notes[path]] if path in self.notes else []
        self.notes[path] = "\n".join([*notes, *filter(None, sentences)])

    def spec(self, folder: Path) -> StudySpec:
        """The study that it is by now; `folder` is that of its file."""
        return checked(self.content, "the study file", folder)


def study_text(draft: Draft, folder: Path, calls: Sequence[tuple[str, str]] = ()) -> str:
    """The study file with its comments.

    Args:
        draft: The study.
        folder: That of the file.
        calls: Commands to try next, and what each does, for its head.
    """
    wide = max((len(call) for call, _ in calls), default=0)
    lines = [SCHEMA_LINE, *(row for one in draft.head for row in _wrapped(one))]
    if calls:
        lines += ["", *(f"    {call:<{wide}}   {does}" for call, does in calls), ""]
    head = "\n".join(visible(one, lines=False) for one in lines)
    notes = {
        path: "\n".join(row for one in text.splitlines() for row in _wrapped(one))
        for path, text in draft.notes.items()
    }
    text = write(draft.spec(folder), head, notes)
    return re.sub(rf"(?<=[,-] ){LEFT_OPEN}(?=[],\n])", f"'{{{LEFT_OPEN}}}'", text)


def _wrapped(sentence: str) -> list[str]:
    shown = _BRACES.sub(lambda part: part[0].replace(" ", "\0"), visible(sentence, lines=False))
    rows = textwrap.wrap(shown, _WIDTH, break_long_words=False, break_on_hyphens=False) or [""]
    return [row.replace("\0", " ") for row in rows]


def relative(path: Path, folder: Path) -> str:
    """A path as a study file in that folder has it."""
    return Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()


def percent(share: float) -> str:
    """A share in words: 9 %, 0.4 %."""
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a sentence; of many the first few."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def metric_of(classes: Sequence[str], counts: Sequence[int]) -> tuple[str, str]:
    """The metric for classes of so many rows each, and the reason."""
    total = max(sum(counts), 1)
    shares = sorted(zip((n / total for n in counts), classes, strict=True))
    rarest, commonest = shares[0], shares[-1]
    if len(classes) == 2 and rarest[0] < _RARE:
        return "auroc", (
            f"auroc, as {percent(rarest[0])} of the rows are {rarest[1]}: always saying "
            f"{commonest[1]} would have an accuracy of {commonest[0]:.2g}"
        )
    if len(classes) > 2 and rarest[0] < 0.5 / len(classes) and commonest[0] > 1.5 / len(classes):
        return "f1", (
            f"f1, the mean over classes, as these are of different size: {percent(rarest[0])} of "
            f"the rows are {rarest[1]}, {percent(commonest[0])} {commonest[1]}"
        )
    ends = dict.fromkeys((percent(rarest[0]), percent(commonest[0])))
    why = (
        "as the classes are of similar size: each" if commonest[0] <= 2 * rarest[0] else
        "the share of rows classified correctly; the classes have"
    )  # fmt: skip
    return "accuracy", f"accuracy, {why} {' to '.join(ends)} of the rows"
