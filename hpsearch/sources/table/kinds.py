"""One column: which kind it is, how its texts are read, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.sources.table.column import Column, constant, gap_input, gaps
from hpsearch.sources.table.dated import date_column
from hpsearch.sources.table.numeric import are_codes, are_numbers, number_column
from hpsearch.sources.table.rules import (
    FEW_VALUES,
    IDENTIFIER_SHARE,
    MOST_INPUTS,
    TEXT_SHARE,
    TEXT_WORDS,
    Override,
    frequent,
    key,
)

if TYPE_CHECKING:
    from hpsearch.sources.table.notes import Notes
    from hpsearch.sources.table.style import Evidence
    from hpsearch.sources.table.tally import Tally

__all__ = ["decide"]


def decide(
    name: str,
    counted: Tally,
    found: Evidence,
    override: Override,
    elsewhere: frozenset[str],
    notes: Notes,
) -> Column:
    """What a column is.

    Args:
        name: Its name.
        counted: Its texts over the rows that have a target.
        found: What they say of numbers.
        override: What the study file says of it.
        elsewhere: Decimal separators that other columns of the table have for sure.
        notes: What is said of it is added to these.

    Raises DataError for a cell that does not fit.
    """
    marks = override.missing or ()
    column = Column(
        name, "category", "", counted.cells, counted.missing, counted.distinct, marks=marks
    )
    if not counted.cells:
        notes.note(name, "left out, empty")
        return replace(column, kind="empty", reason="left out: no value")
    if counted.distinct == 1:
        return constant(column, notes)
    if override.kind == "number" or (
        override.kind is None and are_numbers(counted, found) and not are_codes(found)
    ):
        return number_column(column, counted, found, override, elsewhere, notes)
    if override.kind is None and are_numbers(counted, found):
        notes.note(name, f"leading zeros, so no numbers; {key(name, kind='number')} drops them")
    return _texts(column, counted, override, notes)


def _texts(column: Column, counted: Tally, override: Override, notes: Notes) -> Column:
    """The column as one of texts: the kinds below numbers."""
    name = column.name
    if override.kind is None and counted.distinct == 2:
        values = tuple(sorted(text.text for text in counted.texts(2)))
        gap = gap_input(counted)
        reason = f"0 or 1{gaps(gap)}"
        return replace(column, kind="boolean", reason=reason, inputs=1 + gap, values=values)
    if override.kind in (None, "date"):
        dated = date_column(column, counted, override, notes)
        if dated:
            return dated
    if override.kind == "text" or (override.kind is None and _is_text(counted)):
        return _text(column, counted, override, notes)
    if override.kind is None and _is_identifier(counted):
        notes.note(
            name,
            f"left out, {counted.distinct:,} different texts in {counted.cells:,} rows; "
            f"{key(name, kind='category')} keeps those that repeat",
        )
        return replace(column, kind="identifier", reason="left out: nearly all differ")
    return _category(column, counted, notes)


def _is_text(counted: Tally) -> bool:
    many = counted.distinct > max(FEW_VALUES, TEXT_SHARE * counted.cells)
    return many and counted.words() >= TEXT_WORDS


def _text(column: Column, counted: Tally, override: Override, notes: Notes) -> Column:
    if override.kind == "text":
        return replace(column, kind="text", reason="sentences to read")
    notes.note(
        column.name,
        f"left out, sentences of {counted.words():.0f} words on average; data.text gives them to "
        f"a network that reads text",
    )
    return replace(column, kind="text", reason="left out: sentences")


def _is_identifier(counted: Tally) -> bool:
    return counted.distinct > max(FEW_VALUES, IDENTIFIER_SHARE * counted.cells)


def _category(column: Column, counted: Tally, notes: Notes) -> Column:
    """The column as categories, with the inputs that all rows suggest; `encode` counts anew."""
    least = frequent(counted.distinct, counted.cells + counted.missing)
    common = [text for text in counted.texts(MOST_INPUTS) if text.cells >= least]
    rare, gap = counted.distinct - len(common), int(counted.missing >= least)
    texts = f"{counted.distinct:,} different texts"
    if not common:
        becomes = "whether there is one is the input" if gap else "left out"
        notes.note(column.name, f"{becomes}, {texts}, none in {least:g} rows")
        reason = "whether there is a value" if gap else "left out: no frequent value"
        return replace(column, reason=reason, inputs=gap)
    if counted.distinct > FEW_VALUES and rare:
        notes.note(
            column.name,
            f"{texts}; those in fewer than {least:g} training rows ({rare:,}) share one input",
        )
    inputs = min(len(common) + gap + (rare > 0), MOST_INPUTS)
    return replace(column, reason="an input a value" + gaps(gap), inputs=inputs)
