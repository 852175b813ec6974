"""A decision in lines that people read: one a column, 80 characters wide."""

from __future__ import annotations

from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hpsearch.sources.table.column import Column
    from hpsearch.sources.table.columns import Decision
    from hpsearch.sources.table.targets import Target

__all__ = ["describe", "shorten"]

_WIDTH = 80
_ALIKE = 8
"""So many columns that follow one another and are alike, and more, are one line."""
_FEWEST = 12
"""Characters of a name at least."""
_BECOMES = 28
"""So many characters of what becomes of a column are on its first line, if names are long."""


def describe(decision: Decision) -> tuple[str, ...]:
    """A header and a line a column: kind, missing cells, values, inputs, what becomes of it.

    The target is first. Columns that are alike and follow one another, more than eight of them, are
    one line. No line has more than 80 characters: long names are shortened in the middle, and what
    does not fit behind them continues on a line of its own.
    """
    rows = [("column", "kind", "missing", "values", "inputs", "becomes")]
    rows += [_target(decision.target)] if decision.target else []
    rows += _columns(decision.columns)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    fixed = sum(widths[1:-1]) + min(widths[-1], _BECOMES) + 2 * (len(widths) - 1)
    name = min(widths[0], max(_WIDTH - fixed, _FEWEST))
    return tuple(line for row in rows for line in _lines(row, [name, *widths[1:]]))


def shorten(text: str, width: int) -> str:
    """`text` with its middle left out where it has more than `width` characters."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


_Row = tuple[str, str, str, str, str, str]


def _target(target: Target) -> _Row:
    column = target.column
    becomes = f"target: {len(target.classes)} classes"
    if target.kind == "numbers":
        becomes = f"target: {target.least:.5g} to {target.largest:.5g}"
    return (column.name, "target", _share(column), f"{column.distinct:,}", "", becomes)


def _columns(columns: Iterable[Column]) -> Iterator[_Row]:
    for _, group in groupby(columns, key=lambda c: (c.kind, c.reason, c.inputs, _share(c))):
        alike = list(group)
        first, last = alike[0], alike[-1]
        if len(alike) <= _ALIKE:
            yield from (_row(column.name, column, f"{column.distinct:,}") for column in alike)
            continue
        distinct = sorted(column.distinct for column in alike)
        values = f"{distinct[0]:,}" if distinct[0] == distinct[-1] else f"{distinct[0]:,} up"
        yield _row(f"{len(alike):,}: {first.name} to {last.name}", first, values)


def _row(name: str, column: Column, values: str) -> _Row:
    values = "" if column.kind == "ignore" else values
    inputs = str(column.inputs)
    return (name, column.kind, _share(column), values, inputs, column.reason)


def _share(column: Column) -> str:
    """The share of cells that are missing; under half a percent is not 0."""
    rows = column.cells + column.missing
    if not column.missing or not rows:
        return ""
    return "<1 %" if column.missing < 0.005 * rows else f"{100 * column.missing / rows:.0f} %"


def _lines(row: _Row, widths: list[int]) -> list[str]:
    name, kind, *numbers, becomes = row
    right = [f"{text:>{width}}" for text, width in zip(numbers, widths[2:5], strict=True)]
    left = [f"{shorten(name, widths[0]):<{widths[0]}}", f"{kind:<{widths[1]}}"]
    before = "".join(f"{cell}  " for cell in [*left, *right])
    indent = " " * len(before)
    lines = wrap(becomes, _WIDTH, initial_indent=before, subsequent_indent=indent)
    return lines or [before.rstrip()]
