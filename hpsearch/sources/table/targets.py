"""The target column: classes or numbers, and the rows that have one.

It is decided without NumPy or Arrow where its texts are a plain list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.errors import DataError
from hpsearch.sources.table.column import Column, key, number_of, quoted, shown
from hpsearch.sources.table.kinds import odd_number, read_numbers
from hpsearch.sources.table.numbers import settle
from hpsearch.sources.table.rules import FEW_VALUES, KNOWN_MARKS, MIXED_SHARE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.sources.table.column import Undecided
    from hpsearch.sources.table.numbers import Style
    from hpsearch.sources.table.reading import Table
    from hpsearch.sources.table.tally import Tally

__all__ = ["Target", "TargetKind", "decide_target", "label", "targets"]

TargetKind = Literal["classes", "numbers"]
"""As `spec.task.Target`, which loads more than a look at a table takes."""

_ROWS_A_CLASS = 5
"""Few whole numbers are classes where each is, on average, in so many rows."""
_FEWEST_ROWS = 5
"""Rows with a target without which nothing can be split."""


@dataclass(frozen=True)
class Target:
    """What is learnt: plain values."""

    column: Column
    kind: TargetKind
    classes: tuple[str, ...] = ()
    """Numbers by size, then texts by the alphabet; empty where it is a number."""
    least: float | None = None
    largest: float | None = None
    """The range of its numbers."""


def decide_target(this: Undecided, wanted: TargetKind | None) -> tuple[Target, Any]:
    """What the target is, and the rows that have one (None: all); `wanted` is what it has to be.

    Raises DataError for a cell that fits nothing, and for a target that cannot be learnt.
    """
    name, kind, clean = this.name, this.override.kind, this.texts
    if not clean.cells:
        raise DataError(f"the target {shown(name)} is empty in each row")
    if kind in ("category", "number"):
        wanted = "classes" if kind == "category" else "numbers"
    are_numbers = kind != "category" and this.are_numbers and not this.found.leading_zeros
    if wanted == "numbers" or are_numbers:
        target, clean = _numbers(this, wanted)
    else:
        target = _classes(this)
    if clean.missing:
        line = this.line_of(clean.first_missing() or 0)
        rows = number_of(clean.missing, "row")
        this.note(f"{rows} without a target left out, the first in line {line}")
    if clean.cells < _FEWEST_ROWS:
        rows = number_of(clean.cells, "row")
        raise DataError(f"{rows} with a target {shown(name)}; give {_FEWEST_ROWS} or more")
    return target, clean.present() if clean.missing else None


def label(text: str, target: Target) -> str:
    """The class that a text names: 1 and 1.0 are the same."""
    if target.column.kind != "number":
        return text
    value = target.column.style.value(text)
    return str(int(value)) if value is not None and value == int(value) else text


def _column(this: Undecided) -> Column:
    texts, marks = this.texts, this.override.missing or ()
    return Column(
        this.name, "category", "target", texts.cells, texts.missing, texts.distinct, marks=marks
    )


def _numbers(this: Undecided, wanted: TargetKind | None) -> tuple[Target, Tally]:
    column, clean = read_numbers(_column(this), this, frozenset(), "makes it a class")
    if not clean.cells:
        raise DataError(f"the target {shown(this.name)} is empty in each row")
    style = column.style
    least, largest = clean.bounds(style)
    target = Target(column, "numbers", (), least, largest)
    if wanted == "classes" or (wanted is None and _few_whole(clean, style)):
        if this.found.digits > 15:  # as float64 two of them may be the same
            return _of_classes(replace(column, kind="category"), clean), clean
        labels = {label(text.text, target) for text in clean.texts(clean.distinct)}
        classes = sorted(labels, key=lambda text: (style.value(text) or 0.0, text))
        _check_classes(this.name, clean, classes)
        return replace(target, kind="classes", classes=tuple(classes)), clean
    this.note(f"the target, numbers from {least:.6g} to {largest:.6g}")
    return target, clean


def _few_whole(clean: Tally, style: Style) -> bool:
    """Whether the numbers are whole, few, and each in several rows."""
    if clean.distinct > 2 * FEW_VALUES:  # 1 and 1.0 are two texts of one number
        return False
    values = {style.value(text.text) or 0.0 for text in clean.texts(clean.distinct)}
    few = len(values) <= FEW_VALUES and len(values) * _ROWS_A_CLASS <= clean.cells
    return few and all(value.is_integer() for value in values)


def _classes(this: Undecided) -> Target:
    texts, read = this.texts, this.found
    mixed = read.distinct > FEW_VALUES and read.cells >= MIXED_SHARE * texts.cells
    if mixed and this.override.kind != "category" and not read.leading_zeros:
        style, _ = settle(read, this.override.decimal, this.override.thousands, frozenset())
        raise odd_number(this, texts, style)
    for mark in texts.among(KNOWN_MARKS):
        this.note(
            f"`{mark.text}` is a class, in {number_of(mark.cells, 'cell')}; "
            f"{key(this.name, missing=[mark.text])} leaves those rows out"
        )
    target = _of_classes(_column(this), texts)
    spellings: dict[str, list[str]] = {}
    for name in target.classes:
        spellings.setdefault(name.casefold(), []).append(name)
    for names in spellings.values():
        if len(names) > 1:
            this.note(
                f"the classes {', '.join(map(quoted, names))} differ in case only; "
                "if they are one, write them alike"
            )
    return target


def _of_classes(column: Column, texts: Tally) -> Target:
    """A target whose classes are its texts."""
    classes = sorted(text.text for text in texts.texts(texts.distinct))
    _check_classes(column.name, texts, classes)
    return Target(column, "classes", tuple(classes))


def _check_classes(name: str, texts: Tally, classes: list[str]) -> None:
    if len(classes) == 1:
        raise DataError(
            f"the target {shown(name)} is {quoted(classes[0])} in each row; need two classes"
        )
    if len(classes) > FEW_VALUES and len(classes) > texts.cells / 2:
        raise DataError(
            f"the target {shown(name)} has {len(classes):,} different values in "
            f"{texts.cells:,} rows, such as {quoted(classes[0])}: too many for classes"
        )


def targets(target: Target, table: Table) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The targets (M,) of the rows that have one, and those M rows, counted from 0.

    They are int64 indices of `target.classes`, or float64 numbers in their own unit. DataError for
    a cell that is no class, or no number.
    """
    import numpy as np

    from hpsearch.sources.table import arrow

    if target.kind == "numbers":
        values_N = arrow.numbers_of(target.column, table, None)
        rows = np.flatnonzero(~np.isnan(values_N))
        return values_N[rows], rows
    texts = arrow.texts_of(target.column, table, None, known=target.column.kind == "number")
    places = {name: place for place, name in enumerate(target.classes)}
    classes = [places.get(label(text, target), -1) for text in texts.texts.to_pylist()]
    rows = np.flatnonzero(texts.codes >= 0)
    classes_M = np.array(classes, np.int64)[texts.codes[rows]]
    odd = rows[classes_M < 0]
    if len(odd):
        listed = ", ".join(target.classes[:20]) + (", ..." if len(target.classes) > 20 else "")
        raise DataError(
            f"column {shown(target.column.name)}, line {table.line_of(int(odd[0]))}: "
            f"{quoted(texts.text(odd[0]))} is none of the classes, which are {listed}"
        )
    return classes_M, rows
