"""The target column: classes or numbers, and the rows that have one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.errors import DataError
from hpsearch.sources.table import numeric
from hpsearch.sources.table.column import Column
from hpsearch.sources.table.notes import cells_of, number_of
from hpsearch.sources.table.rules import FEW_VALUES, KNOWN_MARKS, Override, key, shown
from hpsearch.sources.table.style import evidence, settle

if TYPE_CHECKING:
    from hpsearch.sources.table.notes import Notes
    from hpsearch.sources.table.style import Evidence, Style
    from hpsearch.sources.table.tally import Tally

__all__ = ["Target", "decide_target", "label"]

_ROWS_A_CLASS = 5
"""Few whole numbers are classes where each is, on average, in so many rows."""
_FEWEST_ROWS = 5
"""Rows with a target without which nothing can be split."""
_MIXED_SHARE = 0.5
"""A target with so many numbers, many of them different, is no set of names."""


@dataclass(frozen=True)
class Target:
    """What is learnt: plain values."""

    column: Column
    task: Literal["classification", "regression"]
    classes: tuple[str, ...] = ()
    """Numbers by size, then texts by the alphabet; empty for regression."""
    least: float | None = None
    largest: float | None = None
    """The range of its numbers."""


def decide_target(
    counted: Tally,
    name: str,
    override: Override,
    task: Literal["classification", "regression"] | None,
    notes: Notes,
) -> tuple[Target, Any]:
    """What the target is, and the rows that have one (None: all).

    Raises DataError for a cell that fits nothing, and for a target that cannot be learnt.
    """
    if not counted.cells:
        raise DataError(f"the target {shown(name)} is empty in each row")
    if override.kind in ("category", "number"):
        task = "classification" if override.kind == "category" else "regression"
    found = evidence(counted.shapes)
    numbers_ = numeric.are_numbers(counted, found) and not found.leading_zeros
    column = Column(name, "category", "target", marks=override.missing or ())
    if task == "regression" or (numbers_ and override.kind != "category"):
        target, clean = _numbers(column, counted, found, override, task, notes)
    else:
        _check_mixed(name, counted, found, override, notes)
        target, clean = _classes(column, counted, task, notes), counted
    _report_gaps(name, clean, notes)
    if clean.cells < _FEWEST_ROWS:
        raise DataError(f"{number_of(clean.cells, 'row')} with a target {shown(name)}; give "
                        f"{_FEWEST_ROWS} or more")  # fmt: skip
    return target, clean.present() if clean.missing else None


def label(text: str, target: Target) -> str:
    """The class that a text names: 1 and 1.0 are the same."""
    if target.column.kind != "number":
        return text
    value = target.column.style.value(text)
    return str(int(value)) if value is not None and value == int(value) else text


def _numbers(
    column: Column,
    counted: Tally,
    found: Evidence,
    override: Override,
    task: str | None,
    notes: Notes,
) -> tuple[Target, Tally]:
    name = column.name
    style, clean, marks = numeric.read_numbers(name, counted, found, override, frozenset(), notes)
    way_out = f"rows without a target are left out; {key(name, kind='category')} makes it a class"
    notes.marks(name, counted.among(marks), way_out)
    if not clean.cells:
        raise DataError(f"the target {shown(name)} is empty in each row")
    column = replace(
        column,
        kind="number",
        decimal=style.decimal,
        thousands=style.thousands,
        sign=style.sign,
        marks=(*column.marks, *marks),
        cells=clean.cells,
        missing=clean.missing,
        distinct=clean.distinct,
    )
    least, largest = clean.bounds(style)
    target = Target(column, "regression", (), least, largest)
    if task is None and _few_whole(clean, style):
        task = "classification"
    if task == "classification":
        labels = {label(text.text, target) for text in clean.texts(clean.distinct)}
        ordered = sorted(labels, key=lambda text: style.value(text) or 0.0)
        _check_classes(name, clean, ordered)
        return replace(target, task="classification", classes=tuple(ordered)), clean
    notes.note(name, f"the target, numbers from {least:.6g} to {largest:.6g}")
    return target, clean


def _few_whole(clean: Tally, style: Style) -> bool:
    """Whether the numbers are whole, few, and each in several rows."""
    if clean.distinct > 2 * FEW_VALUES:  # 1 and 1.0 are two texts of one number
        return False
    values = {style.value(text.text) or 0.0 for text in clean.texts(clean.distinct)}
    few = len(values) <= FEW_VALUES and len(values) * _ROWS_A_CLASS <= clean.cells
    return few and all(value.is_integer() for value in values)


def _classes(column: Column, counted: Tally, task: str | None, notes: Notes) -> Target:
    classes = sorted(text.text for text in counted.texts(counted.distinct))
    _check_classes(column.name, counted, classes)
    for text in counted.among(KNOWN_MARKS):
        way_out = key(column.name, missing=[text.text])
        notes.note(
            column.name,
            f"`{text.text}` is a class, in {cells_of(text.cells)}; {way_out} leaves those rows out",
        )
    column = replace(
        column, cells=counted.cells, missing=counted.missing, distinct=counted.distinct
    )
    return Target(column, "classification", tuple(classes))


def _check_classes(name: str, counted: Tally, classes: list[str]) -> None:
    if len(classes) == 1:
        raise DataError(f"the target {shown(name)} is `{classes[0]}` in each row; need two classes")
    if len(classes) > FEW_VALUES and len(classes) > counted.cells / 2:
        raise DataError(
            f"the target {shown(name)} has {len(classes):,} different values in "
            f"{counted.cells:,} rows, such as `{classes[0]}`: too many for classes"
        )


def _check_mixed(
    name: str, counted: Tally, found: Evidence, override: Override, notes: Notes
) -> None:
    """Stop where a target of many different numbers has too many texts to be odd ones."""
    if override.kind == "category" or found.leading_zeros or found.distinct <= FEW_VALUES:
        return
    if found.cells >= _MIXED_SHARE * counted.cells:
        style, _ = settle(found, override.decimal, override.thousands, frozenset())
        cells, _, odd = counted.odd(style, 1)
        numeric.odd_number(name, odd[0], counted.cells - cells, notes)


def _report_gaps(name: str, clean: Tally, notes: Notes) -> None:
    row = clean.first_missing()
    if row is not None:
        rows = number_of(clean.missing, "row")
        notes.note(name, f"{rows} without a target left out, the first in line {notes.line(row)}")
