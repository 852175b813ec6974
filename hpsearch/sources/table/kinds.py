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
    column = Column(name, "category", "", counted.missing, counted.distinct, marks=marks)
    if not counted.cells:
        notes.note(name, "left out, empty")
        return replace(column, kind="empty", reason="left out: no value")
    if counted.distinct == 1:
        return constant(column, notes)
    if override.kind == "number" or (
        override.kind is None and are_numbers(counted, found) and not are_codes(found)
    ):
        return number_column(column, counted, found, override, elsewhere, notes)
    if override.kind is None and counted.distinct == 2:
        values = tuple(sorted(text.text for text in counted.texts(2)))
        gap = gap_input(counted)
        reason = f"two values: 0 and 1{gaps(gap)}"
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
    if override.kind is None and are_numbers(counted, found):
        notes.note(name, f"leading zeros, so codes and not numbers; {key(name, kind='number')}")
    return _category(column, counted, notes)


def _is_text(counted: Tally) -> bool:
    many = counted.distinct > max(FEW_VALUES, TEXT_SHARE * counted.cells)
    return many and counted.words() >= TEXT_WORDS


def _text(column: Column, counted: Tally, override: Override, notes: Notes) -> Column:
    if override.kind == "text":
        return replace(column, kind="text", reason="sentences, for a network that reads text")
    notes.note(
        column.name,
        f"left out, sentences of {counted.words():.0f} words on average; data.text gives them to "
        f"a network that reads text",
    )
    return replace(column, kind="text", reason="left out: sentences")


def _is_identifier(counted: Tally) -> bool:
    return counted.distinct > max(FEW_VALUES, IDENTIFIER_SHARE * counted.cells)


def _category(column: Column, counted: Tally, notes: Notes) -> Column:
    rows = counted.cells + counted.missing
    least = frequent(counted.distinct, rows)
    common = [text for text in counted.texts(MOST_INPUTS) if text.cells >= least]
    rare = counted.distinct - len(common)
    gap = int(counted.missing >= least)
    inputs = min(len(common) + gap + (rare > 0), MOST_INPUTS)
    if not common:
        notes.note(
            column.name,
            f"left out, {counted.distinct:,} different texts, none in {least:g} rows",
        )
        return replace(column, reason="left out: no value is frequent")
    if counted.distinct > FEW_VALUES and rare:
        notes.note(
            column.name,
            f"{counted.distinct:,} different texts; those in fewer than {least:g} training rows "
            f"({rare:,}) share one input",
        )
    return replace(column, reason="category: an input a value" + gaps(gap), inputs=inputs)
