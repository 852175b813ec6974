"""How numbers are written: decimal and thousands separators, signs, and how to settle them.

`1,234` may be one thousand or one and a bit. No cell can tell, but a column can: `Evidence` gathers
what its shapes (see `tally`) say, and `settle` makes a `Style` of it, or puts the question that is
left to the user.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from hpsearch.sources.table.rules import LEADING_ZEROS_SHARE, NUMBER_SHARE, few_are_odd
from hpsearch.sources.table.tally import shape_of

if TYPE_CHECKING:
    from hpsearch.sources.table.tally import Shape

__all__ = ["LARGEST", "Evidence", "Style", "evidence", "settle"]

LARGEST = 1e150
"""A larger number overflows where it is squared, and is mostly a mark such as 1.8e308: it counts as
infinite, and so as none."""

_SIGNS = "%$€£¥₹"
"""Percent and the currencies that are written as one character."""
_BLANKS = " \u00a0\u2009\u202f"
"""Between groups of digits: a space, a no-break space, a thin one, a narrow one."""
_MINUS = "\u2212"  # as typographers write it
_APOSTROPHES = "'\u2019"
_CLASSES = {" ": f"[{_BLANKS}]", "'": f"[{_APOSTROPHES}]"}
"""Separators that are written in several ways, as regular expressions."""
_SAME = str.maketrans(dict.fromkeys(_BLANKS, " ") | dict.fromkeys(_APOSTROPHES, "'"))

_MAIN_SHARE = 0.95
"""A sign that so many numbers carry is the column's unit, and a rarer one an odd cell; a decimal
separator that so many of the sure decimals have is the column's."""


@dataclass(frozen=True)
class Style:
    """How a column's numbers are written."""

    decimal: str = "."
    thousands: str = ""
    """Between groups of three digits; "" where there are none, " " for blanks of any width."""
    sign: str = ""
    """A percent or currency sign, or a unit such as `kg`, that cells may carry; it is stripped."""

    @property
    def pattern(self) -> str:
        """A regular expression, the same for Python and RE2, that matches such a number whole."""
        return _compiled(self).pattern

    def value(self, text: str) -> float | None:
        """The number that `text` is; None where it is none, or beyond `LARGEST`."""
        if not _compiled(self).fullmatch(text):
            return None
        for mark in self.dropped:
            text = text.replace(mark, "")
        value = float(text.replace(_MINUS, "-").replace(self.decimal, "."))
        return value if abs(value) <= LARGEST else None

    def of_new(self, text: str) -> float | None:
        """The number that a text is which came after the style was settled.

        `1.045,5` has thousands, even if there were none before; so has `1.045` where a comma is the
        decimal mark.
        """
        if (value := self.value(text)) is not None or self.thousands:
            return value
        grouped = replace(self, thousands="." if self.decimal == "," else ",")
        return grouped.value(text) if self.decimal == "," or self.decimal in text else None

    @property
    def dropped(self) -> tuple[str, ...]:
        """What means nothing for the value, in the order in which it is dropped."""
        sign = (self.sign,) if self.sign else ()
        return (*sign, *self.grouping, *(_BLANKS if sign else ""))

    @property
    def grouping(self) -> str:
        """Characters that may stand between groups of three digits."""
        return {" ": _BLANKS, "'": _APOSTROPHES}.get(self.thousands, self.thousands)


@lru_cache(maxsize=256)
def _compiled(style: Style) -> re.Pattern[str]:
    sign = f"(?:{re.escape(style.sign)}[{_BLANKS}]?)?" if style.sign else ""
    after = f"(?:[{_BLANKS}]?{re.escape(style.sign)})?" if style.sign else ""
    point, whole = re.escape(style.decimal), "[0-9]+"
    if style.thousands:
        mark = _CLASSES.get(style.thousands, re.escape(style.thousands))
        whole = f"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|{whole}"
    if style.thousands == ",":  # of Indian lakhs and crores only the last group has three digits
        whole = f"[0-9]{{1,2}}(?:,[0-9]{{2}})+,[0-9]{{3}}|{whole}"
    number = rf"(?:(?:{whole})(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+\-]?[0-9]+)?"
    return re.compile(rf"^{sign}[+{_MINUS}\-]?{sign}{number}{after}$")


_NUMBER_LIKE = re.compile(
    rf"(?P<before>[{_SIGNS}{_BLANKS}]*)[+{_MINUS}\-]?(?P<between>[{_SIGNS}{_BLANKS}]*)"
    rf"(?P<body>[09](?:[09.,{_APOSTROPHES}{_BLANKS}]*[09.,])?|[.,][09]+)(?P<power>e[+\-]?[09]+)?"
    rf"(?P<after>[{_SIGNS}{_BLANKS}]*)"
)
_DECIMAL = re.compile(r"(?P<whole>[09]*)(?P<point>[.,])(?P<rest>[09]*)")
_GROUPED = re.compile(
    r"(?:[09]{1,3}(?P<group>[.,' ])[09]{3}(?:(?P=group)[09]{3})*|[09]{1,2}(?:,[09]{2})+,[09]{3})"
    r"(?:(?P<point>[.,])[09]*)?"
)


@dataclass(frozen=True)
class _Reading:
    """What one shape says: at most one of `open` and the two sure ones is set for a separator."""

    decimal: str = ""
    thousands: str = ""
    open: str = ""
    digits: str = ""
    """The digits before the decimal separator, where none stands between thousands."""
    sign: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether there are digits alone."""
        return not (self.decimal or self.thousands or self.open)


@lru_cache(maxsize=4096)
def _read(pattern: str, unit: str = "") -> _Reading | None:
    """None where a shape is that of no number, but of a date or an address.

    `unit` is what the column's numbers may have beside them, as a word.
    """
    if unit:
        word = shape_of(unit)
        for bare in (pattern.removesuffix(word), pattern.removeprefix(word)):
            reading = None if bare == pattern else _read(bare.strip(_BLANKS))
            if reading and not reading.sign:
                return replace(reading, sign=unit)
    match = _NUMBER_LIKE.fullmatch(pattern)
    reading = _reading(match["body"].translate(_SAME)) if match else None
    if not match or not reading:
        return None
    if match["power"] and reading.open:  # nobody writes thousands in 1.234e5
        reading = replace(reading, decimal=reading.open, open="")
    marks = {*match["before"], *match["between"], *match["after"]} - {*_BLANKS}
    return replace(reading, sign="".join(sorted(marks)))


def _reading(body: str) -> _Reading | None:
    if body.isdigit():
        return _Reading(digits=body)
    if match := _DECIMAL.fullmatch(body):
        point, digits = match["point"], match["whole"]
        if re.fullmatch("9[09]{0,2}", digits) and len(match["rest"]) == 3:
            return _Reading(open=point, digits=digits)
        return _Reading(decimal=point, digits=digits)
    match = _GROUPED.fullmatch(body)
    group = match and (match["group"] or ",")
    if not match or not group or match["point"] == group:
        return None
    return _Reading(decimal=match["point"] or "", thousands=group)


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
    digits: int = 0
    """Those of the longest whole number; float64 keeps 15."""
    example: str = ""
    """A text of an open separator."""

    def are_most(self, cells: int, distinct: int, share: float = NUMBER_SHARE) -> bool:
        """Whether such a share of so many cells are these numbers, and few texts are odd ones."""
        return few_are_odd(self.cells, cells, distinct - self.distinct, distinct, share)

    @property
    def are_codes(self) -> bool:
        """Whether so many whole numbers have leading zeros that they are no quantities."""
        return self.leading_zeros > 0 and self.leading_zeros >= LEADING_ZEROS_SHARE * self.whole


def evidence(shapes: Iterable[Shape], unit: str = "") -> Evidence:
    """The evidence of a column's shapes, and of the unit that nearly all of its numbers have."""
    read = [(shape, r) for shape in shapes if (r := _read(shape.pattern, unit))]
    signs = _counted((r.sign or " ", shape.cells) for shape, r in read)
    sign = next((s for s, n in signs.items() if n >= _MAIN_SHARE * sum(signs.values())), " ")
    sign = sign.strip() if len(sign) == 1 or sign == unit else ""
    read = [(shape, r) for shape, r in read if r.sign in ("", sign)]
    whole = [(shape, r.digits) for shape, r in read if r.is_whole]
    return Evidence(
        cells=sum(shape.cells for shape, _ in read),
        distinct=sum(shape.distinct for shape, _ in read),
        sign=sign,
        decimals=_counted((r.decimal, shape.cells) for shape, r in read),
        grouping=_counted((r.thousands, shape.distinct) for shape, r in read),
        open=_counted((r.open, shape.distinct) for shape, r in read),
        ungrouped=next((s.example for s, r in read if len(r.digits) > 3), ""),
        below=next((s.example for s, digits in whole if digits in ("9", "99", "999")), ""),
        leading_zeros=sum(s.cells for s, digits in whole if len(digits) > 1 and digits[0] == "0"),
        whole=sum(shape.cells for shape, _ in whole),
        digits=max((len(digits) for _, digits in whole), default=0),
        example=next((s.example for s, r in read if r.open), ""),
    )


def _counted(marks: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    counter: Counter[str] = Counter()
    for mark, number in marks:
        if mark:
            counter[mark] += number
    return counter


def settle(
    read: Evidence, decimal: str | None, thousands: str | None, elsewhere: frozenset[str]
) -> tuple[Style, str]:
    """How a column's numbers are written, and the question that only the user can answer, or "".

    Args:
        read: What the column's shapes say.
        decimal: The separator that the study file names; None where it names none.
        thousands: The same of thousands; "" for none.
        elsewhere: Decimal separators that other columns of the file have for sure.
    """
    if decimal is not None or thousands is not None:
        return _given(read, decimal, thousands), ""
    point, mixed = _main(read.decimals)
    group, _ = _main({mark: n for mark, n in read.grouping.items() if mark != point})
    question = f"`{mixed}` and `{point}` are both decimal separators" if mixed else ""
    for mark in read.open:
        if mark in (point, group):
            continue
        if point or _are_thousands(read, mark, elsewhere):
            group = group or mark
        else:
            point = mark
            if not (group or mark == "." or mark in elsewhere):
                question = f"`{read.example}` may be thousands or decimals"
    if len(read.open) == 2 and not read.decimals and not read.grouping:
        question = "`,` and `.` may each be thousands or decimals"
    if group and not _may_group(read, group):
        question = question or _unlikely(read, group)
    return Style(point or ("," if group == "." else "."), group, read.sign), question


def _given(read: Evidence, decimal: str | None, thousands: str | None) -> Style:
    if decimal is None:
        sure = _main({mark: n for mark, n in read.decimals.items() if mark != thousands})[0]
        return Style(sure or ("," if thousands == "." else "."), thousands or "", read.sign)
    if thousands is None:
        marks = [*read.grouping, *read.open]
        thousands = next((mark for mark in marks if mark != decimal), "")
    return Style(decimal, thousands, read.sign)


def _are_thousands(read: Evidence, mark: str, elsewhere: frozenset[str]) -> bool:
    """Whether `1.234`, with nothing sure beside it in its column, is more than a thousand."""
    settled = bool(read.below) or (bool(elsewhere) and mark not in elsewhere)
    return settled and _may_group(read, mark)


def _may_group(read: Evidence, mark: str) -> bool:
    """Thousands are written so throughout, and more than once."""
    carriers = read.grouping.get(mark, 0) + read.open.get(mark, 0)
    return carriers >= 2 and not read.ungrouped


def _unlikely(read: Evidence, mark: str) -> str:
    if read.ungrouped:
        return f"some numbers have `{mark}` between thousands, and `{read.ungrouped}` has none"
    return f"only one number has `{mark}` between thousands"


def _main(marks: Mapping[str, int]) -> tuple[str, str]:
    """The commonest of `marks`, and another one that is common too."""
    ordered = sorted(marks, key=lambda mark: -marks[mark])
    if len(ordered) < 2:
        return (ordered or [""])[0], ""
    clear = marks[ordered[0]] >= _MAIN_SHARE * sum(marks.values())
    return ordered[0], "" if clear else ordered[1]
