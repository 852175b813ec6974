"""One column: what is known before it is decided, what was decided, and what is said of it."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hpsearch.errors import DataError
from hpsearch.sources.table.dates import Format
from hpsearch.sources.table.numbers import Style, evidence
from hpsearch.sources.table.rules import KNOWN_MARKS
from hpsearch.sources.table.tally import tally
from hpsearch.sources.table.units import units

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

    from hpsearch.sources.table.numbers import Evidence
    from hpsearch.sources.table.reading import Table
    from hpsearch.sources.table.rules import Override
    from hpsearch.sources.table.tally import Tally, Text

__all__ = ["CellError", "Column", "Kind", "Notes", "Undecided", "key", "lacking", "number_of",
    "quoted", "read_by_text", "shown",
]  # fmt: skip

Kind = Literal[
    "number", "category", "boolean", "date", "text", "identifier", "row number", "constant",
    "empty", "ignore", "open",
]  # fmt: skip


class CellError(DataError):
    """A cell that is not what its column is, or that only the user can read."""

    column = ""
    """The name of its column."""
    missing: tuple[str, ...] = ()
    """The texts that fit as little, where they may mean that there is no value: the cell's first,
    `MOST_MISSING` + 1 of them at most."""
    several: tuple[CellError, ...] = ()
    """Where the message names cells of several columns: the errors of each."""


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
    def format(self) -> Format:
        """How its dates are written."""
        return Format(self.date)


class Notes:
    """Sentences about columns, in the order in which they were first said.

    A thousand columns of which the same is said share a sentence.
    """

    def __init__(self) -> None:
        self._notes: dict[str, list[str]] = {}
        self._warnings: dict[str, list[str]] = {}

    def note(self, name: str, what: str) -> None:
        """Note something about a column."""
        self._notes.setdefault(what, []).append(name)

    def warn(self, name: str, what: str) -> None:
        """Note a choice that may hurt."""
        self._warnings.setdefault(what, []).append(name)

    def doubt(self, fault: DataError) -> None:
        """Warn of what the first rows cannot settle, and the whole file may."""
        self._warnings[f"in the first rows: {fault}"] = []

    def sentences(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """All notes, and all warnings."""
        return _sentences(self._notes), _sentences(self._warnings)


def _sentences(notes: dict[str, list[str]]) -> tuple[str, ...]:
    return tuple(f"{_columns(names)}: {what}" if names else what for what, names in notes.items())


def _columns(names: list[str], most: int = 5) -> str:
    if len(names) == 1:
        return f"column {shown(names[0])}"
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{len(names):,} columns, {', '.join(map(shown, names[:most]))}{more}"


@dataclass(frozen=True)
class Undecided:
    """A column that is to be decided: its texts, and what the study file says of it."""

    name: str
    texts: Tally
    """Its texts over the rows that have a target."""
    found: Evidence
    """What they say of numbers."""
    override: Override
    """What the study file says."""
    line_of: Callable[[int], int]
    """The line of the file that a row begins in."""
    notes: Notes
    units: tuple[str, ...] = ()
    """The unit that its numbers have beside them; several where they have different ones."""
    read_up_to: int = 0
    """Words of a cell that the network reads one by one, at most; 0 where it does not."""

    @classmethod
    def of(
        cls, table: Table, name: str, rows: Any, override: Override, notes: Notes,
        read_up_to: int = 0,
    ) -> Undecided:  # fmt: skip
        """A column of a table, over some rows; None for all."""
        as_text = override.kind in ("category", "date", "text")
        odd, marks = table.odd.get(name), override.missing or ()
        texts = tally(table.column(name), rows, marks, odd, as_text=as_text)
        beside = () if as_text else units(texts.shapes, texts.texts)
        read = evidence(texts.shapes, beside[0] if len(beside) == 1 else "")
        return cls(name, texts, read, override, table.line_of, notes, beside, read_up_to)

    @property
    def are_numbers(self) -> bool:
        """Whether so many cells are numbers, under some reading, that the others are odd ones."""
        cells, distinct = self.texts.cells, self.texts.distinct
        if not 0 < self.found.cells < cells:
            return self.found.cells > 0
        marks = self.texts.among(KNOWN_MARKS)
        return self.found.are_most(cells - sum(t.cells for t in marks), distinct - len(marks))

    def note(self, what: str) -> None:
        """Note something about it."""
        self.notes.note(self.name, what)

    def warn(self, what: str) -> None:
        """Note a choice that may hurt."""
        self.notes.warn(self.name, what)

    def note_marks(self, marks: Collection[Text], or_else: str = "makes it a value") -> None:
        """Note texts that are read as missing values."""
        if not marks:
            return
        cells = number_of(sum(text.cells for text in marks), "cell")
        texts, are = (
            ", ".join(f"`{text.text}`" for text in marks),
            "is" if len(marks) == 1 else "are",
        )
        self.note(
            f"{texts} {are} read as missing in {cells}, first in line "
            f"{self.line_of(min(text.row for text in marks))}; "
            f"{key(self.name, kind='category')} {or_else}"
        )

    def fault(self, row: int, what: str) -> CellError:
        """The error of a cell."""
        error = CellError(f"column {shown(self.name)}, line {self.line_of(row)}: {what}")
        error.column = self.name
        return error

    def misfit(self, texts: Sequence[Text], what: str) -> CellError:
        """The error of texts that are not what their column is; it names the first."""
        odd = texts[0]
        error = self.fault(
            odd.row,
            f"{quoted(odd.text)} is no {what}; if it means missing, "
            f"{key(self.name, missing=[odd.text])}; if the column holds codes, "
            f"{key(self.name, kind='category')}",
        )
        error.missing = tuple(text.text for text in texts)
        return error

    def question(self, example: str, what: str, *settings: dict[str, object]) -> CellError:
        """The error of what only the user knows: `example` may be read in two ways."""
        keys = " or ".join(key(self.name, **setting) for setting in settings)
        (text,) = self.texts.among([example])
        return self.fault(text.row, f"{what}; say which with {keys}")


def shown(name: str) -> str:
    """A column's name within a sentence."""
    return f"`{name}`" if name else "without a name"


def quoted(text: str, most: int = 60) -> str:
    """A cell's text within a sentence: on one line, and its beginning where it is long."""
    text = " ".join(text.split())
    return f"`{text if len(text) <= most else f'{text[:most]}…'}`"


def key(name: str, **settings: object) -> str:
    """The lines of a study file that say something of a column, as a sentence can show them."""
    values = (
        f"{setting}: {json.dumps(value, ensure_ascii=False)}" for setting, value in settings.items()
    )
    return f"data.columns: {{{json.dumps(name, ensure_ascii=False)}: {{{', '.join(values)}}}}}"


def read_by_text(name: str) -> str:
    """The sentence that says how a column of sentences can be read."""
    shown = json.dumps(name, ensure_ascii=False)
    return f"networks of the family text read them (data.text: {shown})"


def number_of(number: int, noun: str) -> str:
    """So many of something, as a sentence has it."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def lacking(names: Collection[str], wanted: Collection[str], which: str = "") -> str:
    """The columns that are wanted and not among `names`, and a hint; "" where there are all."""
    missing = [name for name in wanted if name not in names]
    if not missing:
        return ""
    meant = [shown(near) for name in missing[:50] if (near := _near(name, names)) is not None]
    every = f"it has {', '.join([*names][:50])}"
    hint = f"did you mean {', '.join(meant)}?" if meant else every
    if meant and len(meant) < len(missing):
        hint = f"{hint} {every[0].upper()}{every[1:]}"
    columns = "column" if len(missing) == 1 else "columns"
    return f"{columns} {', '.join(map(shown, missing[:50]))}{which}; {hint}"


def _near(name: str, names: Collection[str]) -> str | None:
    """The column that was probably meant, where there is one; capitals count for nothing."""
    by_case = {other.casefold(): other for other in names}
    near = difflib.get_close_matches(name.casefold(), by_case, 1)
    return by_case[near[0]] if near else None
