"""Columns of numbers: whether a column is one, how it is written, and its odd cells."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from hpsearch.errors import DataError
from hpsearch.sources.table.column import Column, constant, few_are_odd, gap_input, gaps
from hpsearch.sources.table.notes import cells_of
from hpsearch.sources.table.rules import FEW_VALUES, KNOWN_MARKS, LEADING_ZEROS_SHARE, key, shown
from hpsearch.sources.table.style import Style, settle

if TYPE_CHECKING:
    from hpsearch.sources.table.notes import Notes
    from hpsearch.sources.table.rules import Override
    from hpsearch.sources.table.style import Evidence
    from hpsearch.sources.table.tally import Shape, Tally, Text

__all__ = ["are_codes", "are_numbers", "number_column", "odd_number", "read_numbers"]

_COUNTS_ROWS = re.compile(
    r"(?:|column_[0-9]+|unnamed.*|(?:.*[^a-z])?(?:id|idx|index)|row[ _.]?(?:names?|id|nr|number)?)",
    re.I,
)
_NAMED_ID = re.compile(r"(?:.*[_\W])?(?:id|ID|Id)|.*[a-z](?:Id|ID)")


def are_numbers(counted: Tally, found: Evidence) -> bool:
    """Whether so many cells are numbers, under some reading, that the others are odd ones."""
    if not found.cells:
        return False
    if found.cells == counted.cells:
        return True
    marks = counted.among(KNOWN_MARKS)
    cells = counted.cells - sum(text.cells for text in marks)
    distinct = counted.distinct - len(marks)
    return few_are_odd(found.cells, cells, distinct - found.distinct, distinct)


def are_codes(found: Evidence) -> bool:
    """Whether so many whole numbers have leading zeros that they are no quantities."""
    return found.leading_zeros > 0 and found.leading_zeros >= LEADING_ZEROS_SHARE * found.whole


def read_numbers(
    name: str,
    counted: Tally,
    found: Evidence,
    override: Override,
    elsewhere: frozenset[str],
    notes: Notes,
) -> tuple[Style, Tally, tuple[str, ...]]:
    """How a column's numbers are written, its cells without missing marks, and those marks.

    Raises DataError where only the user can say how they are written, or where a cell is none.
    """
    style, question = settle(found, override.decimal, override.thousands, elsewhere)
    if question:
        _ask(name, counted, found, question, notes)
    marks = () if found.cells == counted.cells else tuple(counted.among(KNOWN_MARKS))
    clean = counted.without([text.text for text in marks]) if marks else counted
    if not _all_read(clean, style):
        cells, _, odd = clean.odd(style, 1)
        if cells:
            odd_number(name, odd[0], clean.cells - cells, notes)
    if style.thousands and override.thousands is None:
        _note_thousands(name, clean, style, notes)
    return style, clean, tuple(text.text for text in marks)


def _note_thousands(name: str, clean: Tally, style: Style, notes: Notes) -> None:
    example = next(s.example for s in clean.shapes if {*style.dropped} & {*s.pattern})
    way_out = key(name, decimal=style.thousands) if style.thousands in ",." else ""
    notes.note(
        name,
        f"`{example}` is read as {style.value(example):.10g}, with `{style.thousands}` between "
        f"thousands" + (f"; {way_out} reads it as the decimal mark" if way_out else ""),
    )


def number_column(
    column: Column,
    counted: Tally,
    found: Evidence,
    override: Override,
    elsewhere: frozenset[str],
    notes: Notes,
) -> Column:
    """The column as one of numbers; DataError for a cell that is none."""
    name = column.name
    style, clean, marks = read_numbers(name, counted, found, override, elsewhere, notes)
    if marks:
        way_out = f"{key(name, kind='category')} makes it a value"
        notes.marks(name, counted.among(marks), way_out)
    column = replace(
        column,
        kind="number",
        cells=clean.cells,
        missing=clean.missing,
        distinct=clean.distinct,
        marks=(*column.marks, *marks),
        decimal=style.decimal,
        thousands=style.thousands,
        sign=style.sign,
    )
    if clean.distinct == 1:
        return constant(column, notes)
    return _row_number_or_number(column, clean, found, override, notes)


def _row_number_or_number(
    column: Column, clean: Tally, found: Evidence, override: Override, notes: Notes
) -> Column:
    name, whole = column.name, found.whole == found.cells
    if override.kind is None and whole and clean.distinct == clean.cells > FEW_VALUES:
        rise, _ = clean.steps(column.style)
        named = bool(_NAMED_ID.fullmatch(name))
        if rise and (named or _COUNTS_ROWS.fullmatch(name.strip())):
            notes.note(name, f"left out, it numbers the rows; {key(name, kind='number')} keeps it")
            return replace(column, kind="row number", reason="left out: numbers the rows")
        if rise or named:
            notes.warn(
                name,
                "a different whole number in each row; data.ignore leaves it out, "
                "where it says nothing of other rows",
            )
    if whole and 3 <= clean.distinct <= FEW_VALUES:
        notes.note(
            name,
            f"whole numbers with 3 to {FEW_VALUES} values are read as numbers; kind: category in "
            "data.columns gives each value an input, where they are codes",
        )
    gap = gap_input(clean)
    return replace(column, reason="a number" + gaps(gap), inputs=1 + gap)


def _all_read(counted: Tally, style: Style) -> bool:
    """Whether each text is a number of this style; False: it has to be looked at text by text."""
    shapes = counted.shapes
    sure = sum(s.cells for s in shapes if re.fullmatch(style.pattern, s.pattern) and _short(s))
    return sure == counted.cells


def _short(shape: Shape) -> bool:
    """Whether such a number is finite for sure."""
    return "e" not in shape.pattern and len(shape.pattern) < 300


def _ask(name: str, counted: Tally, found: Evidence, question: str, notes: Notes) -> NoReturn:
    example = found.example or next(s.example for s in counted.shapes)
    raise DataError(
        f"column {shown(name)}, line {notes.line(counted.row(example))}: {question}, as in "
        f"`{example}`; say which with {key(name, decimal='.')} or {key(name, decimal=',')}"
    )


def odd_number(name: str, odd: Text, others: int, notes: Notes) -> NoReturn:
    """Stop at a cell that is no number in a column of numbers."""
    where = f"column {shown(name)}, line {notes.line(odd.row)}"
    cells = f" (in {cells_of(odd.cells)})" if odd.cells > 1 else ""
    raise DataError(
        f"{where}: `{odd.text}` is no number{cells}, and {others:,} other cells are; if it means "
        f"missing, {key(name, missing=[odd.text])}; if the column holds codes, "
        f"{key(name, kind='category')}"
    )
