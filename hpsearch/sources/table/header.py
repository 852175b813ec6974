"""The names of a table's columns: which record has them, and what to call columns without one."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from hpsearch.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from hpsearch.sources.table.dialect import Record
    from hpsearch.sources.table.reading import ReadOptions

__all__ = ["DATE", "NUMBER", "TIME", "Header", "header_of", "tidy", "usable"]


@dataclass(frozen=True)
class Header:
    """The names of all columns of a file, as they stand there."""

    names: tuple[str, ...]
    """A name a column, '' where there is none; not yet made usable."""
    line: int
    """The line that has them, from 1; the first one of the table where none has."""
    in_file: bool
    """Whether the first record has them, which is then no row."""
    in_comment: bool = False
    """Whether the line before the first record has them, behind a `#`."""
    notes: tuple[str, ...] = ()
    """What a user should know, a sentence each."""


def header_of(
    source: str, records: Sequence[Record], comment: Sequence[str], options: ReadOptions
) -> Header:
    """Where the names of the columns stand.

    Args:
        source: What to call the file in an error.
        records: The first records of the file.
        comment: The cells of a `#` line just before them, which may be the names.
        options: What the user says about it.

    Raises DataError where the first record looks like a row, and nobody said what it is.
    """
    if not records:
        raise DataError(f"{source} is empty; give a table with a header and a row a line")
    first, rows = records[0], records[1:]
    width = Counter(len(row.cells) for row in rows or records).most_common(1)[0][0]
    names = tuple(map(tidy, first.cells))
    if options.names:
        given = _given(source, width, options)
        return Header(given, first.line, in_file=bool(options.header) or names == given)
    if options.header is False:
        return Header(("",) * width, first.line, in_file=False)
    looks = "names" if options.header or _expected(names, options) else _look(first, rows)
    if looks != "names" and len(comment) == width > 1:
        return Header(tuple(map(tidy, comment)), first.line - 1, in_file=False, in_comment=True)
    if looks == "row":
        raise _row_on_top(source, first)
    return _fitted(source, Header(names, first.line, in_file=True), rows, width)


def _given(source: str, width: int, options: ReadOptions) -> tuple[str, ...]:
    names = tuple(map(tidy, options.names))
    if len(names) == width + 1 and options.target in names:
        return tuple(name for name in names if name != options.target)
    if len(names) != width:
        raise DataError(
            f"{source} has {width} columns, but data.names has {len(names)} names; give a name each"
        )
    return names


def _expected(names: tuple[str, ...], options: ReadOptions) -> bool:
    return bool(options.expected) and {*options.expected} <= {*names}


def _row_on_top(source: str, first: Record) -> DataError:
    cells = ", ".join(first.cells[:4]) + (", ..." if len(first.cells) > 4 else "")
    return DataError(
        f"{source}, line {first.line} looks like a row and not like names of columns ({cells}); "
        f"set data.header: false (the columns are then column_1, column_2, ...), or data.names: "
        f"[...]; if these are the names, data.header: true"
    )


def tidy(name: str) -> str:
    """A name without blanks around it and without line breaks."""
    return " ".join(name.split())


_SIGN = "[%$€£¥]"
NUMBER = (
    rf"[-+]?{_SIGN}?\s?([0-9]+([.,'\s][0-9]{{3}})*([.,][0-9]*)?|[.,][0-9]+)"
    rf"([eE][-+]?[0-9]+)?\s?{_SIGN}?"
)
TIME = r"[0-9]{1,2}[:.][0-9]{2}([:.][0-9]{2}([.,][0-9]+)?)?(Z|[-+][0-9]{2}:?[0-9]{2})?"
DATE = rf"[0-9]{{1,4}}[-/.][0-9]{{1,2}}[-/.][0-9]{{1,4}}([ T]{TIME})?"
"""Regular expressions of what looks like a value; what it is, is decided over its column."""

_VALUES = [re.compile(rf"\s*({pattern})\s*") for pattern in (DATE, NUMBER)]
_FEW = 100
"""How many rows show what a column has below its name."""


def _look(first: Record, rows: Sequence[Record]) -> str:
    """Whether the first record looks like `names`, like a `row`, or like either.

    A row has a number wherever the rows below have numbers, and a date where they have dates. Whole
    numbers that rise, such as years or pandas' own, are names.
    """
    tops = []
    shift = 1 if rows and len(first.cells) == len(rows[0].cells) - 1 else 0  # R's row names
    for index, top in enumerate(first.cells):
        cells = [row.cells[index + shift] for row in rows[:_FEW] if index + shift < len(row.cells)]
        for pattern in _VALUES:
            if _mostly(pattern, cells):
                if not pattern.fullmatch(top):
                    return "names"
                tops.append(top.strip())
                break
    if not tops:
        return "either"
    return "names" if _rising(tops) else "row"


def _mostly(pattern: re.Pattern[str], cells: Sequence[str]) -> bool:
    """Whether 95 % of the cells that are not empty match."""
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and sum(map(bool, map(pattern.fullmatch, filled))) >= 0.95 * len(filled)


def _rising(tops: Sequence[str]) -> bool:
    """Whole numbers, three or more that rise, or two that are neighbours, or pandas' 0 alone."""
    if not all(re.fullmatch("[0-9]{1,9}", top) for top in tops):
        return False
    numbers = [int(top) for top in tops]
    steps = [after - before for before, after in pairwise(numbers)]
    return all(step > 0 for step in steps) and (len(steps) > 1 or steps == [1] or numbers == [0])


def _fitted(source: str, header: Header, rows: Sequence[Record], width: int) -> Header:
    """A header of as many names as the rows have cells."""
    names, line = header.names, header.line
    if len(names) == width:
        return header
    if len(names) > width and not any(names[width:]):
        return Header(names[:width], line, in_file=True)
    if len(names) == width - 1 and len(names) > 1:
        if not any(row.cells[-1].strip() for row in rows if len(row.cells) == width):
            return Header((*names, ""), line, in_file=True)  # each row ends with a delimiter
        note = f"line {line} has one name less than the rows have cells: the first are row names"
        return Header(("", *names), line, in_file=True, notes=(note,))
    raise DataError(
        f"{source}, line {line} has {len(names)} name{'s' * (len(names) != 1)}, but most lines "
        f"have {width} cells; the names of the columns must stand in the first line of the table"
    )


def usable(
    source: str, header: Header, is_empty: Callable[[int], bool]
) -> tuple[dict[str, int], tuple[str, ...]]:
    """The columns to keep, by names that are not empty and differ, each with its place from 0.

    Args:
        source: What to call the file in an error.
        header: The names as they stand in the file.
        is_empty: Whether the column at a place, from 0, has nothing in any row.

    Raises DataError where two columns with values have one name. The notes say what was done.
    """
    same: dict[str, list[int]] = {}
    for place, name in enumerate(header.names):
        same.setdefault(name, []).append(place)
    nameless = same.pop("", [])
    filled = [place for place in nameless if not is_empty(place)]
    columns = {
        name: places[0] if len(places) == 1 else _filled(source, header, places, is_empty)
        for name, places in same.items()
    }
    called = {_new_name(f"column_{place + 1}", columns): place for place in filled}
    notes = [*header.notes]
    if left := len(nameless) - len(filled):
        notes.append(
            f"{'a column' if left == 1 else f'{left} columns'} without name or value left out"
        )
    notes += [
        f"line {header.line} names `{name}` {len(places)} times; what is empty of it is left out"
        for name, places in same.items()
        if len(places) > 1
    ]
    if called and columns:
        shown = ", ".join(f"`{name}`" for name in [*called][:5]) + (
            ", ..." if len(called) > 5 else ""
        )
        notes.append(f"columns without a name are called by their place: {shown}")
    if not columns | called:
        raise DataError(f"{source} has neither a name of a column nor a value")
    in_order = sorted((columns | called).items(), key=lambda column: column[1])
    return dict(in_order), tuple(notes)


def _filled(
    source: str, header: Header, places: Sequence[int], is_empty: Callable[[int], bool]
) -> int:
    """The place of the only column of a name that has values; of all that are empty, the first."""
    filled = [place for place in places if not is_empty(place)]
    if len(filled) > 1:
        numbers = " and ".join(str(place + 1) for place in filled)
        raise DataError(
            f"{source}, line {header.line} names a column twice: `{header.names[filled[0]]}` "
            f"(columns {numbers}); rename one of them, or set data.names: [...]"
        )
    return (filled or places)[0]


def _new_name(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name
