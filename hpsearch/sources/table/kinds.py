"""One column is decided: which kind it is, how its texts are read, and what becomes of it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.sources.table import dates
from hpsearch.sources.table.column import Column, key, number_of, quoted, read_by_text
from hpsearch.sources.table.numbers import LARGEST, Style, settle
from hpsearch.sources.table.rules import (
    FEW_VALUES,
    IDENTIFIER_SHARE,
    KNOWN_MARKS,
    LIKELY_MARKS,
    MIXED_SHARE,
    MOST_INPUTS,
    MOST_MISSING,
    MOST_ODD_TEXTS,
    NUMBER_SHARE,
    TEXT_SHARE,
    TEXT_WORDS,
    enough_gaps,
    few_are_odd,
    frequent,
)
from hpsearch.sources.table.units import unit_of

if TYPE_CHECKING:
    from hpsearch.errors import DataError
    from hpsearch.sources.table.column import Undecided
    from hpsearch.sources.table.tally import Tally, Text

__all__ = ["decide_column", "is_named_id", "odd_number", "read_numbers"]


def decide_column(this: Undecided, elsewhere: frozenset[str]) -> Column:
    """What a column is.

    Args:
        this: Its texts; what is said of it is added to their notes.
        elsewhere: Decimal separators that other columns of the table have for sure.

    Raises DataError for a cell that does not fit.
    """
    texts, kind = this.texts, this.override.kind
    column = Column(
        this.name, "category", "", texts.cells, texts.missing, texts.distinct,
        marks=this.override.missing or (),
    )  # fmt: skip
    if not texts.cells:
        this.note("left out, empty")
        return replace(column, kind="empty", reason="left out: no value")
    if texts.distinct == 1:
        return _constant(column, this)
    if kind == "number" or (kind is None and this.are_numbers):
        if kind is None and this.found.are_codes:
            this.note(f"leading zeros, so no numbers; {key(this.name, kind='number')} drops them")
        else:
            return _number(column, this, elsewhere)
    return _of_texts(column, this)


def _gap_input(texts: Tally) -> int:
    """1 where so many cells lack a value that whether they do is an input."""
    return int(enough_gaps(texts.missing, texts.cells + texts.missing))


def _gaps(inputs: int) -> str:
    """The end of a reason, by whether a missing value is an input."""
    return ", and if missing" if inputs else ""


def _constant(column: Column, this: Undecided) -> Column:
    """A column of one value: left out, or with gaps an input for whether there is a value."""
    if column.missing:
        return replace(column, kind="constant", reason="whether there is a value", inputs=1)
    this.note("left out, the same value in each row")
    return replace(column, kind="constant", reason="left out: one value")


_COUNTS_ROWS = re.compile(
    r"(?:|column_[0-9]+|unnamed.*|(?:.*[^a-z])?(?:id|idx|index)|row[ _.]?(?:names?|id|nr|number)?)",
    re.I,
)
_NAMED_ID = re.compile(r"(?:.*[_\W])?(?:id|ID|Id)|.*[a-z](?:Id|ID)")


def is_named_id(name: str) -> bool:
    """Whether a column has the name of one that names rows: `id`, `customer_id`, `rowId`."""
    return _NAMED_ID.fullmatch(name) is not None


def _number(column: Column, this: Undecided, elsewhere: frozenset[str]) -> Column:
    """The column as one of numbers; DataError for a cell that is none."""
    column, clean = read_numbers(column, this, elsewhere, "makes it a value")
    if clean.distinct == 1:
        return _constant(column, this)
    whole = this.found.whole == this.found.cells
    if this.override.kind is None and whole and clean.distinct == clean.cells > FEW_VALUES:
        rise, _ = clean.steps(column.style)
        named = is_named_id(this.name)
        if rise and (named or _COUNTS_ROWS.fullmatch(this.name.strip())):
            this.note(f"left out, it numbers the rows; {key(this.name, kind='number')} keeps it")
            return replace(column, kind="row number", reason="left out: numbers the rows")
        if rise or named:
            this.warn(
                "a different whole number in each row; data.ignore leaves it out, "
                "where it says nothing of other rows"
            )
    if this.override.kind is None and whole and 3 <= clean.distinct <= FEW_VALUES:
        this.note(
            f"whole numbers with 3 to {FEW_VALUES} values are read as numbers; kind: category in "
            "data.columns gives each value an input, where they are codes"
        )
    gap = _gap_input(clean)
    return replace(column, reason="a number" + _gaps(gap), inputs=1 + gap)


def read_numbers(
    column: Column, this: Undecided, elsewhere: frozenset[str], or_else: str
) -> tuple[Column, Tally]:
    """The column as numbers, and its cells without missing marks.

    Args:
        column: What is known of it.
        this: Its texts.
        elsewhere: Decimal separators that other columns of the table have for sure.
        or_else: What another kind makes of a missing mark, as the end of a sentence.

    Raises DataError where only the user can say how they are written, or where a cell is none.
    """
    override, texts = this.override, this.texts
    style, question = settle(this.found, override.decimal, override.thousands, elsewhere)
    if question:
        example = this.found.example or texts.shapes[0].example
        what = f"{question}, as in {quoted(example)}"
        raise this.question(example, what, {"decimal": "."}, {"decimal": ","})
    marks = [] if this.found.cells == texts.cells else texts.among(KNOWN_MARKS)
    clean = texts.without([text.text for text in marks]) if marks else texts
    if not _all_fit(clean, style) and clean.odd(style, 0)[0]:
        raise odd_number(this, clean, style)
    if style.thousands and override.thousands is None:
        _note_thousands(this, clean, style)
    if style.sign in this.units and override.kind is None:
        this.note(
            f"numbers with the unit `{style.sign}`; {key(this.name, kind='category')} keeps texts"
        )
    this.note_marks(marks, or_else)
    column = replace(
        column, kind="number", cells=clean.cells, missing=clean.missing, distinct=clean.distinct,
        marks=(*column.marks, *(text.text for text in marks)),
        decimal=style.decimal, thousands=style.thousands, sign=style.sign,
    )  # fmt: skip
    return column, clean


def odd_number(this: Undecided, texts: Tally, style: Style) -> DataError:
    """The error of the first cell that is no number in a column of numbers."""
    odd_cells, _, odds = texts.odd(style, MOST_MISSING + 1)
    odd = odds[0]
    cells = f" (in {number_of(odd.cells, 'cell')})" if odd.cells > 1 else ""
    if odd_cells > odd.cells:
        cells = f" (one of {odd_cells:,} such cells)"
    unit = unit_of(odd.text)
    if unit and unit != style.sign:
        cells = f" without its unit `{unit}`{cells}"
    others = f", and {texts.cells - odd_cells:,} other cells are" if texts.cells > odd_cells else ""
    usable = " that can be computed with" if _is_huge(odd.text) else ""
    return this.misfit(odds, f"number{usable}{cells}{others}")


def _is_huge(text: str) -> bool:
    """Whether a text is a finite number that is too large here."""
    try:
        return LARGEST < abs(float(text)) < math.inf
    except ValueError:
        return False


def _all_fit(texts: Tally, style: Style) -> bool:
    """Whether each text is a number of this style by its shape; else each has to be looked at."""
    sure = (
        shape.cells
        for shape in texts.shapes
        # Such a number may be too large.
        if "e" not in shape.pattern and len(shape.pattern) < 150
        if re.fullmatch(style.pattern, shape.pattern)
    )
    return sum(sure) == texts.cells


def _note_thousands(this: Undecided, clean: Tally, style: Style) -> None:
    example = next(s.example for s in clean.shapes if {*style.grouping} & {*s.pattern})
    sure = this.found.decimals or this.found.grouping  # then there is no other reading
    way_out = "" if sure or style.thousands not in ",." else key(this.name, decimal=style.thousands)
    this.note(
        f"`{example}` is read as {style.value(example):.10g}, with `{style.thousands}` between "
        f"thousands" + (f"; {way_out} reads it as the decimal mark" if way_out else "")
    )


def _of_texts(column: Column, this: Undecided) -> Column:
    """The column as one of texts: the kinds below numbers."""
    texts, kind = this.texts, this.override.kind
    if kind is None and _nearly_numbers(this):
        _warn_of_texts(this)
    elif kind is None and (marks := texts.among(LIKELY_MARKS)):
        _note_values(this, marks)
    if kind is None and len(this.units) > 1:
        this.note(
            f"looks like numbers with several units: {', '.join(this.units)}; "
            "as numbers it needs one unit in all cells"
        )
    if kind is None and texts.distinct == 2:
        values, gap = tuple(sorted(text.text for text in texts.texts(2))), _gap_input(texts)
        reason = f"0 or 1{_gaps(gap)}"
        return replace(column, kind="boolean", reason=reason, inputs=1 + gap, values=values)
    if kind in (None, "date") and (date := _date(column, this)):
        return date
    if kind == "text":
        if this.read_up_to:
            reason = f"sentences, up to {this.read_up_to:,} words"
            return replace(column, kind="text", reason=reason, inputs=this.read_up_to)
        this.note(f"left out, sentences; {read_by_text(this.name)}")
        return replace(column, kind="text", reason="left out: sentences")
    many = texts.distinct > max(FEW_VALUES, TEXT_SHARE * texts.cells)
    if kind is None and many and (words := texts.words()) >= TEXT_WORDS:
        length = f"sentences of {words:.0f} words on average"
        this.note(f"left out, {length}; {read_by_text(this.name)}")
        return replace(column, kind="text", reason="left out: sentences")
    if kind is None and texts.distinct > max(FEW_VALUES, IDENTIFIER_SHARE * texts.cells):
        remedy = f"{key(this.name, kind='category')} keeps those that repeat"
        most = texts.texts(1)[0].cells
        repeat = most >= frequent(texts.distinct, texts.cells + texts.missing)
        advice = f"; {remedy}" if repeat else ""
        this.note(f"left out, {texts.distinct:,} different texts in {texts.cells:,} rows{advice}")
        return replace(column, kind="identifier", reason="left out: nearly all differ")
    return _category(column, this)


def _nearly_numbers(this: Undecided) -> bool:
    """Whether a column would be one of numbers if not so many cells had one of a few texts."""
    many = this.found.distinct > FEW_VALUES and not this.found.are_codes
    texts = this.texts
    return many and this.found.are_most(texts.cells, texts.distinct, MIXED_SHARE)


def _warn_of_texts(this: Undecided) -> None:
    texts = this.texts
    style, _ = settle(this.found, this.override.decimal, this.override.thousands, frozenset())
    cells, distinct, odd = texts.odd(style, MOST_ODD_TEXTS)
    examples = ", ".join(quoted(text.text) for text in odd)
    missing = [*(this.override.missing or ()), *(text.text for text in odd)]
    more = distinct > len(odd)
    this.warn(
        f"{texts.cells - cells:,} of {texts.cells:,} cells are numbers, but it is read as texts, "
        f"as {cells:,} are not ({examples}{', ...' if more else ''}); "
        f"{key(this.name, missing=missing)}{', and so on,' if more else ''} makes it numbers; "
        f"{key(this.name, kind='category')} settles that they are codes"
    )


def _note_values(this: Undecided, marks: list[Text]) -> None:
    """Note texts that may mean missing; columns with the same ones share the note."""
    ordered = sorted(text.text for text in marks)
    one = len(ordered) == 1
    this.note(
        f"{', '.join(map(quoted, ordered))} {'is a value' if one else 'are values'} as any other; "
        f"data.missing: {json.dumps(ordered, ensure_ascii=False)} reads "
        f"{'it' if one else 'them'} as missing"
    )


def _category(column: Column, this: Undecided) -> Column:
    """The column as categories, with the inputs that all rows suggest; `encodings` counts anew."""
    texts = this.texts
    least = frequent(texts.distinct, texts.cells + texts.missing)
    common = sum(text.cells >= least for text in texts.texts(MOST_INPUTS))
    rare, gap = texts.distinct - common, int(texts.missing >= least)
    different = f"{texts.distinct:,} different texts"
    if not common:
        becomes = "whether there is one is the input" if gap else "left out"
        this.note(f"{becomes}, {different}, none in {least:g} rows")
        reason = "whether there is a value" if gap else "left out: no frequent value"
        return replace(column, reason=reason, inputs=gap)
    if texts.distinct > FEW_VALUES and rare:
        this.note(f"{different}; those in fewer than {least:g} rows ({rare:,}) share one input")
    inputs = min(common + gap + (rare > 0), MOST_INPUTS)
    return replace(column, reason="an input a value" + _gaps(gap), inputs=inputs)


def _date(column: Column, this: Undecided) -> Column | None:
    """The column as dates; None where it has none. DataError for a cell that is none."""
    forced = this.override.kind == "date"
    marks = this.texts.among(KNOWN_MARKS)
    clean = this.texts.without([text.text for text in marks]) if marks else this.texts
    form = _date_format(this, clean)
    if form is None:
        if not forced:
            return None
        raise this.misfit(clean.texts(1), "date in a form that is known, such as 2026-01-31")
    cells, distinct, odd = clean.odd(form, MOST_MISSING + 1)
    others = clean.cells - cells
    if not (forced or few_are_odd(others, clean.cells, distinct, clean.distinct)):
        return None
    if cells:
        raise this.misfit(odd, f"date ({form.order}), and {others:,} other cells are")
    this.note_marks(marks)
    gap = _gap_input(clean)
    if form.order == dates.TIME:
        parts, inputs = "hour", 2
    elif any((form.value(shape.example) or 0) % 86400 for shape in clean.shapes):
        parts, inputs = "days, month, weekday, hour", 7
    else:
        parts, inputs = "days, month, weekday", 5
    this.note(f"read as {form.order}, of which {parts} are inputs; data.ignore leaves it out")
    if form.order != dates.TIME and clean.steps(form)[1]:
        this.warn(
            "rows are in the order of these dates; data.split: "
            f"{{by: {json.dumps(this.name, ensure_ascii=False)}}} judges a network on later rows "
            "than it learns from"
        )
    return replace(
        column, kind="date", reason=parts + _gaps(gap), cells=clean.cells, missing=clean.missing,
        distinct=clean.distinct, inputs=inputs + gap, date=form.order,
        marks=(*column.marks, *(text.text for text in marks)),
    )  # fmt: skip


def _date_format(this: Undecided, clean: Tally) -> dates.Format | None:
    """The format that most texts have, or None; DataError where two would do."""
    forced = this.override.kind == "date"
    forms = dates.candidates(clean.shapes, 1 if forced else NUMBER_SHARE * clean.cells)
    forms += [dates.Format(dates.COMPACT)] if forced else []
    odd = {form.order: clean.odd(form, 0)[0] for form in forms}
    forms = sorted((f for f in forms if odd[f.order] < clean.cells), key=lambda f: odd[f.order])
    best, second = (*(form.order for form in forms), None, None)[:2]
    if best is None or {best, second} != {dates.DAY_FIRST, dates.MONTH_FIRST}:
        return dates.Format(best) if best else None
    if this.override.dayfirst is not None:
        return dates.Format(dates.DAY_FIRST if this.override.dayfirst else dates.MONTH_FIRST)
    example = clean.shapes[0].example
    alike = odd[best] == odd[second or best]
    if alike and not re.match(r"[0-9]+\.", example):
        what = f"`{example}` may have the day or the month first, and no cell has a part above 12"
        raise this.question(example, what, {"dayfirst": True}, {"dayfirst": False})
    return dates.Format(dates.DAY_FIRST if alike else best)
