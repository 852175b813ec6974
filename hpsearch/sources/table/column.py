"""What one column is and how its texts are read: plain values, and what all kinds share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from hpsearch.sources.table import dates
from hpsearch.sources.table.rules import GAPS_SHARE, MOST_ODD_SHARE, MOST_ODD_TEXTS, NUMBER_SHARE
from hpsearch.sources.table.style import Style

if TYPE_CHECKING:
    from hpsearch.sources.table.notes import Notes
    from hpsearch.sources.table.tally import Tally

__all__ = ["Column", "Kind", "constant", "few_are_odd", "gap_input", "gaps"]

Kind = Literal[
    "number", "category", "boolean", "date", "text", "identifier", "row number", "constant",
    "empty", "ignore", "open",
]  # fmt: skip


@dataclass(frozen=True)
class Column:
    """What one column is and how its texts are read: plain values."""

    name: str
    kind: Kind
    reason: str
    """Why it is that, and what becomes of it, as part of a sentence."""
    cells: int = 0
    """Cells with a value, of the rows that have a target."""
    missing: int = 0
    """Cells without one."""
    distinct: int = 0
    """Different values of those rows."""
    inputs: int = 0
    """Inputs that the network gets of it; of a category or date what these rows suggest."""
    marks: tuple[str, ...] = ()
    """Texts that are missing values, beside an empty one."""
    decimal: str = "."
    thousands: str = ""
    sign: str = ""
    date: str = ""
    """How its dates are written, by `dates.FORMATS`."""
    values: tuple[str, ...] = ()
    """The two of a boolean: input 0 and 1."""

    @property
    def style(self) -> Style:
        """How its numbers are written."""
        return Style(self.decimal, self.thousands, self.sign)

    @property
    def format(self) -> dates.Format:
        """How its dates are written."""
        return dates.Format(self.date)


def few_are_odd(fitting: int, cells: int, odd: int, distinct: int) -> bool:
    """Whether the others of so many cells and distinct texts are odd ones among `fitting` cells."""
    enough = fitting > 0 and fitting >= NUMBER_SHARE * cells
    return enough and odd <= max(MOST_ODD_TEXTS, MOST_ODD_SHARE * distinct)


def constant(column: Column, notes: Notes) -> Column:
    """A column of one value: left out, or with gaps an input for whether there is a value."""
    if column.missing:
        reason = "whether there is a value"
        return replace(column, kind="constant", reason=reason, inputs=1)
    notes.note(column.name, "left out, the same value in each row")
    return replace(column, kind="constant", reason="left out: one value")


def gap_input(counted: Tally) -> int:
    """1 where so many cells lack a value that whether they do is an input."""
    rows = counted.cells + counted.missing
    return int(counted.missing > 0 and counted.missing >= GAPS_SHARE * rows)


def gaps(inputs: int) -> str:
    """The end of a reason, by what `gap_input` gives."""
    return ", and if missing" if inputs else ""
