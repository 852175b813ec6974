"""How dates and times are written, and which of the ways a column's texts are.

A `Format` reads a text as seconds since 1970-01-01 00:00, without a time zone: what a cell says is
taken as it stands, so that an hour is the hour of the day where it was written down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hpsearch.sources.table.tally import Shape

__all__ = [
    "COMPACT",
    "DAY_FIRST",
    "FORMATS",
    "MONTHS",
    "MONTH_FIRST",
    "TIME",
    "Format",
    "candidates",
]

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_CLOCK = (
    r"(?P<hour>[0-9]{1,2})[:.](?P<minute>[0-9]{2})(?:[:.](?P<second>[0-9]{2})(?:[.,][0-9]+)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
)
_ZONE = r"(?: ?(?:Z|UTC|GMT|[+\-][0-9]{2}:?(?:[0-9]{2})?))?"
_LATER = rf"(?:(?:T|,? +){_CLOCK}{_ZONE})?"
_YEAR, _SHORT = "(?P<year>[0-9]{4})", "(?P<year>[0-9]{4}|[0-9]{2})"
_MONTH, _DAY = "(?P<month>[0-9]{1,2})", "(?P<day>[0-9]{1,2})"
_WEEKDAY = "(?:[A-Za-z]{3,9},? )?"
_NAME = r"(?P<name>[A-Za-z]{3,9})\.?"

DAY_FIRST, MONTH_FIRST = "day-month-year", "month-day-year"
TIME, COMPACT = "time of day", "yearmonthday"

FORMATS = {
    "year-month-day": rf"{_YEAR}[\-/.]{_MONTH}[\-/.]{_DAY}{_LATER}",
    DAY_FIRST: rf"{_DAY}[\-/.]{_MONTH}[\-/.]{_SHORT}{_LATER}",
    MONTH_FIRST: rf"{_MONTH}[\-/.]{_DAY}[\-/.]{_SHORT}{_LATER}",
    "day-name-year": (rf"{_WEEKDAY}{_DAY}[\-/. ]{{1,2}}{_NAME}[\-/., ]{{1,2}}{_SHORT}{_LATER}"),
    "name-day-year": rf"{_WEEKDAY}{_NAME} {_DAY},? {_YEAR}{_LATER}",
    "year-month": rf"{_YEAR}[\-/]{_MONTH}",
    "month-year": rf"{_MONTH}[\-/.]{_YEAR}",
    TIME: _CLOCK,
    COMPACT: "(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})",
}
"""Regular expressions, the same for Python and RE2, by the name of the format."""


@dataclass(frozen=True)
class Format:
    """One of `FORMATS`; times of day may follow a date."""

    order: str

    @property
    def pattern(self) -> str:
        """The regular expression that matches such a text whole."""
        return f"^{FORMATS[self.order]}$"

    def value(self, text: str) -> float | None:
        """Seconds since 1970-01-01 00:00; None where `text` is no such date.

        Years of two digits are from 1969 to 2068, as POSIX has it for `%y`.
        """
        match = _compiled(self.order).fullmatch(text)
        if not match:
            return None
        part = match.groupdict()
        year, month, day = (int(part.get(key) or 0) for key in ("year", "month", "day"))
        if part.get("name"):
            short = part["name"][:3].lower()
            month = MONTHS.index(short) + 1 if short in MONTHS else 0
        hour, minute, second = (int(part.get(key) or 0) for key in ("hour", "minute", "second"))
        if part.get("half"):
            hour = hour % 12 + (12 if part["half"] in "pP" else 0) if 1 <= hour <= 12 else 99
        if self.order == TIME:
            year = 1970
        elif len(part["year"]) == 2:
            year += 1900 if year >= 69 else 2000
        try:
            moment = datetime(
                year, month if self.order != TIME else 1,
                day if "day" in part else 1, hour, minute, min(second, 59) if second < 61 else 99,
            )  # fmt: skip
        except ValueError:
            return None
        return (moment - datetime(1970, 1, 1)).total_seconds()


@lru_cache(maxsize=16)
def _compiled(order: str) -> re.Pattern[str]:
    return re.compile(FORMATS[order])


def candidates(shapes: Iterable[Shape], enough: float) -> list[Format]:
    """Formats that `enough` cells are written in, going by an example of each shape."""
    shapes = list(shapes)
    formats = (Format(order) for order in FORMATS if order != COMPACT)
    return [
        form
        for form in formats
        if sum(s.cells for s in shapes if _compiled(form.order).fullmatch(s.example)) >= enough > 0
    ]
