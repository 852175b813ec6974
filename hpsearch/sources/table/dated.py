"""Columns of dates and times: whether a column is one, and how it is written."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from hpsearch.errors import DataError
from hpsearch.sources.table import dates
from hpsearch.sources.table.column import Column, few_are_odd, gap_input, gaps
from hpsearch.sources.table.rules import KNOWN_MARKS, NUMBER_SHARE, key, shown

if TYPE_CHECKING:
    from hpsearch.sources.table.notes import Notes
    from hpsearch.sources.table.rules import Override
    from hpsearch.sources.table.tally import Tally, Text

__all__ = ["date_column"]


def date_column(column: Column, counted: Tally, override: Override, notes: Notes) -> Column | None:
    """The column as dates; None where it has none. DataError for a cell that is none."""
    name, forced = column.name, override.kind == "date"
    marks = counted.among(KNOWN_MARKS)
    clean = counted.without([text.text for text in marks]) if marks else counted
    form = _format(name, clean, override, notes)
    if form is None:
        return _none(name, clean, notes) if forced else None
    cells, distinct, odd = clean.odd(form, 1)
    if not (forced or few_are_odd(clean.cells - cells, clean.cells, distinct, clean.distinct)):
        return None
    if cells:
        _odd(name, odd[0], f"({form.order}), and {clean.cells - cells:,} other cells are", notes)
    notes.marks(name, marks, f"{key(name, kind='category')} makes it a value")
    column = replace(column, marks=(*column.marks, *(text.text for text in marks)), date=form.order)
    return _dated(column, clean, notes)


def _none(name: str, clean: Tally, notes: Notes) -> NoReturn:
    _odd(name, clean.texts(1)[0], "in a form that is known, such as 2026-01-31", notes)


def _odd(name: str, odd: Text, beside: str, notes: Notes) -> NoReturn:
    raise DataError(
        f"column {shown(name)}, line {notes.line(odd.row)}: `{odd.text}` is no date {beside}; if "
        f"it means missing, {key(name, missing=[odd.text])}; if the column holds codes, "
        f"{key(name, kind='category')}"
    )


def _dated(column: Column, clean: Tally, notes: Notes) -> Column:
    """The column with its inputs, and what is said of it."""
    name, form, gap = column.name, column.format, gap_input(clean)
    if form.order == dates.TIME:
        parts, inputs = "hour", 2
    elif any((form.value(shape.example) or 0) % 86400 for shape in clean.shapes):
        parts, inputs = "days, month, weekday, hour", 7
    else:
        parts, inputs = "days, month, weekday", 5
    notes.note(
        name, f"read as {form.order}, of which {parts} are inputs; data.ignore leaves it out"
    )
    if form.order != dates.TIME and clean.steps(form)[1]:
        notes.warn(
            name,
            "rows are in the order of these dates; data.split: "
            f"{{by: {json.dumps(name, ensure_ascii=False)}}} judges a network on later rows than "
            "it learns from",
        )
    return replace(
        column, kind="date", reason=parts + gaps(gap), cells=clean.cells, missing=clean.missing,
        distinct=clean.distinct, inputs=inputs + gap,
    )  # fmt: skip


def _format(name: str, clean: Tally, override: Override, notes: Notes) -> dates.Format | None:
    """The format that most texts have, or None; DataError where two would do."""
    forced = override.kind == "date"
    forms = dates.candidates(clean.shapes, 1 if forced else NUMBER_SHARE * clean.cells)
    forms += [dates.Format(dates.COMPACT)] if forced else []
    odd = {form.order: clean.odd(form, 0)[0] for form in forms}
    forms = sorted((f for f in forms if odd[f.order] < clean.cells), key=lambda f: odd[f.order])
    best, second = (*(form.order for form in forms), None, None)[:2]
    if best is None or {best, second} != {dates.DAY_FIRST, dates.MONTH_FIRST}:
        return dates.Format(best) if best else None
    if override.dayfirst is not None:
        return dates.Format(dates.DAY_FIRST if override.dayfirst else dates.MONTH_FIRST)
    example = clean.shapes[0].example
    if odd[best] == odd[second or best] and not re.match(r"[0-9]+\.", example):
        raise DataError(
            f"column {shown(name)}, line {notes.line(clean.row(example))}: `{example}` may have "
            f"the day or the month first, and no cell has a part above 12; say which with "
            f"{key(name, dayfirst=True)} or {key(name, dayfirst=False)}"
        )
    return dates.Format(best if odd[best] < odd[second or best] else dates.DAY_FIRST)
