"""How numbers are written: decimal and thousands separators, signs, and how to settle them.

`1,234` may be one thousand or one and a bit. No cell can tell, but a column can: `Evidence` gathers
what its shapes (see `tally`) say, and `settle` makes a `Style` of it, or puts the question that is
left to the user.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpsearch.sources.table.tally import Shape

__all__ = ["BLANKS", "SIGNS", "Evidence", "Style", "evidence", "settle"]

SIGNS = "%$€£¥₹"
"""Percent and the currencies that are written as one character."""
BLANKS = " \u00a0\u202f"
"""Between groups of digits: a space, a no-break space, a narrow one."""
_MINUS = "\u2212"  # as typographers write it
_APOSTROPHES = "'\u2019"
_SAME = {**dict.fromkeys(BLANKS, " "), **dict.fromkeys(_APOSTROPHES, "'")}

_MAIN_SIGN = 0.95
"""A sign that so many numbers carry is the column's unit; a rarer one is an odd cell."""
_MAIN_DECIMAL = 0.95
"""A decimal separator that so many of the sure decimals have is the column's."""


@dataclass(frozen=True)
class Style:
    """How a column's numbers are written."""

    decimal: str = "."
    thousands: str = ""
    """Between groups of three digits; "" where there are none, " " for blanks of any width."""
    sign: str = ""
    """A percent or currency sign that cells may carry; it is stripped."""

    @property
    def pattern(self) -> str:
        """A regular expression, the same for Python and RE2, that matches such a number whole."""
        return _pattern(self)

    def value(self, text: str) -> float | None:
        """The finite number that `text` is; None where it is none."""
        if not _compiled(self).match(text):
            return None
        value = float(self.plain(text))
        return value if math.isfinite(value) else None

    def plain(self, text: str) -> str:
        """A text that `pattern` matches, as Python writes numbers."""
        for mark in self.dropped:
            text = text.replace(mark, "")
        text = text.replace(_MINUS, "-")
        return text.replace(self.decimal, ".") if self.decimal != "." else text

    @property
    def dropped(self) -> str:
        """Characters that mean nothing for the value."""
        grouping = {" ": "", "'": _APOSTROPHES}.get(self.thousands, self.thousands)
        return grouping + (self.sign + BLANKS if self.sign or self.thousands == " " else "")


@lru_cache(maxsize=256)
def _pattern(style: Style) -> str:
    sign = f"(?:{re.escape(style.sign)}[{BLANKS}]?)?" if style.sign else ""
    after = f"(?:[{BLANKS}]?{re.escape(style.sign)})?" if style.sign else ""
    point = re.escape(style.decimal)
    whole = "[0-9]+"
    if style.thousands:
        mark = {" ": f"[{BLANKS}]", "'": f"[{_APOSTROPHES}]"}.get(
            style.thousands, re.escape(style.thousands)
        )
        # Of Indian lakhs and crores only the last group has three digits: 12,34,567.
        whole = (
            rf"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]{{1,2}}(?:,[0-9]{{2}})+,[0-9]{{3}}|[0-9]+)"
        )
        whole = (
            whole if style.thousands == "," else rf"(?:[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|[0-9]+)"
        )
    number = rf"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+\-]?[0-9]+)?"
    return rf"^{sign}[+{_MINUS}\-]?{sign}{number}{after}$"


@lru_cache(maxsize=256)
def _compiled(style: Style) -> re.Pattern[str]:
    return re.compile(style.pattern.removesuffix("$") + r"\Z")


_NUMBER_LIKE = re.compile(
    rf"(?P<before>[{SIGNS}{BLANKS}]*)[+{_MINUS}\-]?(?P<between>[{SIGNS}{BLANKS}]*)"
    rf"(?P<body>[09](?:[09.,{_APOSTROPHES}{BLANKS}]*[09.,])?|[.,][09]+)(?:e[+\-]?[09]+)?"
    rf"(?P<after>[{SIGNS}{BLANKS}]*)\Z"
)


@dataclass(frozen=True)
class _Reading:
    """What one shape says: at most one of `open` and the two sure ones is set for a separator."""

    decimal: str = ""
    thousands: str = ""
    open: str = ""
    whole: str = ""
    """The digits before the decimal separator."""


def _reading(body: str) -> _Reading | None:
    """None where the digits and separators are no number, as of a date or an address."""
    body = "".join(_SAME.get(c, c) for c in body)
    marks = [c for c in body if c not in "09"]
    if not marks:
        return _Reading(whole=body)
    last, kinds = marks[-1], set(marks)
    head, _, tail = body.rpartition(last)
    if len(kinds) == 1 and len(marks) == 1 and last in ".,":
        if len(tail) == 3 and 1 <= len(head) <= 3 and head[0] != "0":
            return _Reading(open=last, whole=head)
        return _Reading(decimal=last, whole=head)
    if len(kinds) == 1:
        return _Reading(thousands=last) if _grouped(body, last) else None
    (first,) = kinds - {last} if len(kinds) == 2 else ("",)
    if first and last in ".," and marks.count(last) == 1 and _grouped(head, first):
        return _Reading(decimal=last, thousands=first)
    return None


def _grouped(whole: str, mark: str) -> bool:
    first, *groups = whole.split(mark)
    if not 1 <= len(first) <= 3 or not groups or len(groups[-1]) != 3:
        return False
    inner = {len(group) for group in groups[:-1]}
    return inner <= {3} or (mark == "," and inner == {2} and len(first) <= 2)


@dataclass(frozen=True)
class Evidence:
    """What the shapes of a column say of its numbers."""

    cells: int = 0
    """Cells that are numbers under some reading, with the column's sign or none."""
    distinct: int = 0
    sign: str = ""
    decimals: Mapping[str, int] = field(default_factory=dict)
    """Separators that can only be decimal, with their cells."""
    grouping: Mapping[str, int] = field(default_factory=dict)
    """Separators that can only be of thousands, with their distinct texts."""
    open: Mapping[str, int] = field(default_factory=dict)
    """Separators of texts such as `1.234`, with their distinct texts."""
    ungrouped: str = ""
    """A text of 1,000 or more without a separator of thousands."""
    below: str = ""
    """A whole number from 1 to 999."""
    leading_zeros: int = 0
    """Cells with whole numbers such as `007`."""
    whole: int = 0
    """Cells with whole numbers."""
    example: str = ""
    """A text of an open separator."""


def evidence(shapes: Iterable[Shape]) -> Evidence:
    """The evidence of a column's shapes."""
    read = [(item, *signed) for item in shapes if (signed := _read(item.pattern))]
    signs: Counter[str] = Counter()
    for item, sign, _ in read:
        signs[sign] += item.cells
    main = next((s for s, n in signs.items() if n >= _MAIN_SIGN * signs.total()), "")
    sign = main if len(main) == 1 else ""
    return _summed([(item, r) for item, s, r in read if s in ("", sign)], sign)


@lru_cache(maxsize=4096)
def _read(pattern: str) -> tuple[str, _Reading] | None:
    """The sign that a shape carries, and what its separators say; None where it is no number."""
    match = _NUMBER_LIKE.match(pattern)
    reading = _reading(match["body"]) if match else None
    if not match or not reading:
        return None
    marks = {*match["before"], *match["between"], *match["after"]} - {*BLANKS}
    return "".join(sorted(marks)), reading


def _summed(read: list[tuple[Shape, _Reading]], sign: str) -> Evidence:
    decimals: Counter[str] = Counter()
    grouping: Counter[str] = Counter()
    unsettled: Counter[str] = Counter()
    ungrouped = below = example = ""
    zeros = whole = 0
    for item, reading in read:
        decimals[reading.decimal] += item.cells
        grouping[reading.thousands] += item.distinct
        unsettled[reading.open] += item.distinct
        example = example or (item.example if reading.open else "")
        if not reading.thousands and len(reading.whole) > 3:
            ungrouped = ungrouped or item.example
        if not (reading.decimal or reading.open or reading.thousands):
            whole += item.cells
            zeros += item.cells if re.match("0[09]", reading.whole) else 0
            below = below or (item.example if re.fullmatch("9{1,3}", reading.whole) else "")
    for counter in (decimals, grouping, unsettled):
        counter.pop("", None)
    return Evidence(
        cells=sum(item.cells for item, _ in read),
        distinct=sum(item.distinct for item, _ in read),
        sign=sign,
        decimals=decimals,
        grouping=grouping,
        open=unsettled,
        ungrouped=ungrouped,
        below=below,
        leading_zeros=zeros,
        whole=whole,
        example=example,
    )


def settle(
    found: Evidence, decimal: str | None, thousands: str | None, elsewhere: frozenset[str]
) -> tuple[Style, str]:
    """How a column's numbers are written, and the question that only the user can answer, or "".

    Args:
        found: What the column's shapes say.
        decimal: The separator that the study file names; None where it names none.
        thousands: The same of thousands; "" for none.
        elsewhere: Decimal separators that other columns of the file have for sure.
    """
    if decimal is not None or thousands is not None:
        return _given(found, decimal, thousands), ""
    point, mixed = _main(found.decimals)
    group, _ = _main({mark: n for mark, n in found.grouping.items() if mark != point})
    question = f"`{mixed}` and `{point}` are both decimal separators" if mixed else ""
    for mark in found.open:
        if mark in (point, group):
            continue
        if point or _are_thousands(found, mark, elsewhere):
            group = group or mark
        elif group or mark == "." or mark in elsewhere:
            point = mark
        else:
            point = mark
            question = f"`{found.example}` may be thousands or decimals"
    if len(found.open) == 2 and not found.decimals and not found.grouping:
        question = "`,` and `.` may each be thousands or decimals"
    if group and not _may_group(found, group):
        question = question or _unlikely(found, group)
    return Style(point or ("," if group == "." else "."), group, found.sign), question


def _given(found: Evidence, decimal: str | None, thousands: str | None) -> Style:
    if decimal is None:
        sure = _main({mark: n for mark, n in found.decimals.items() if mark != thousands})[0]
        return Style(sure or ("," if thousands == "." else "."), thousands or "", found.sign)
    if thousands is None:
        marks = [*found.grouping, *found.open]
        thousands = next((mark for mark in marks if mark != decimal), "")
    return Style(decimal, thousands, found.sign)


def _are_thousands(found: Evidence, mark: str, elsewhere: frozenset[str]) -> bool:
    """Whether `1.234`, with nothing sure beside it in its column, is more than a thousand."""
    if not _may_group(found, mark):
        return False
    return bool(found.below) or (bool(elsewhere) and mark not in elsewhere)


def _may_group(found: Evidence, mark: str) -> bool:
    """Thousands are written so throughout, and more than once."""
    carriers = found.grouping.get(mark, 0) + found.open.get(mark, 0)
    return carriers >= 2 and not found.ungrouped


def _unlikely(found: Evidence, mark: str) -> str:
    if found.ungrouped:
        return f"some numbers have `{mark}` between thousands, and `{found.ungrouped}` has none"
    return f"only one number has `{mark}` between thousands"


def _main(marks: Mapping[str, int]) -> tuple[str, str]:
    """The commonest of `marks`, and another one that is common too."""
    ordered = sorted(marks, key=lambda mark: -marks[mark])
    if len(ordered) < 2:
        return (ordered or [""])[0], ""
    clear = marks[ordered[0]] >= _MAIN_DECIMAL * sum(marks.values())
    return ordered[0], "" if clear else ordered[1]
