"""The records of a text that is cut by a delimiter, read strictly: a quote that never closes is an
error, and does not take the rest of the file for one cell."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["NO_DELIMITER", "Record", "Syntax", "cut", "records"]

_LONGEST_CELL = 1 << 30


NO_DELIMITER = "\x1f"
"""That of a table of one column: a separator of units, which no text has in it."""


@dataclass(frozen=True)
class Record:
    """One record of a file."""

    line: int
    """The line in which it begins, from 1."""
    cells: list[str]
    next_line: int = 0
    """The line after its last one."""


@dataclass(frozen=True)
class Syntax:
    """How a text is cut into cells."""

    delimiter: str
    """One of `, ; tab |`, or a blank, of which a run counts as one, or `NO_DELIMITER`."""
    blanks: bool = False
    """Whether blanks before a cell are no part of it: a file of `"a", "b"`."""


def cut(lines: Iterable[str], syntax: Syntax, *, strict: bool) -> Iterator[tuple[int, list[str]]]:
    """The cells of each record, and how many lines were read until its end.

    With `strict`, csv.Error for text behind a closing quote, and for a quote that never closes.
    """
    csv.field_size_limit(_LONGEST_CELL)
    if syntax.delimiter == " ":
        lines = (text.rstrip(" \r\n") + "\n" for text in lines)
    reader = csv.reader(
        lines, delimiter=syntax.delimiter, skipinitialspace=syntax.blanks, strict=strict
    )
    for cells in reader:
        yield reader.line_num, cells


def records(
    source: str,
    lines: Callable[[], Iterable[str]],
    syntax: Syntax,
    *,
    line: int = 1,
    complete: bool = True,
) -> Iterator[Record]:
    """All records, also those of blank lines, which have no cells.

    Args:
        source: What to call the file in an error.
        lines: Gives the lines with their ends; it is called again to look for what is wrong.
        syntax: How they are cut.
        line: What number the first of them has.
        complete: Whether these are all lines. Else the last record is left out, as it may go on.

    Raises DataError where a quote opens and never closes, or text follows the one that closes.
    """
    begins, before = line, None
    try:
        for ends, cells in cut(lines(), syntax, strict=True):
            if before is not None:
                yield before
            before = Record(begins, cells, line + ends)
            begins = before.next_line
        if before is not None and complete:
            yield before
    except csv.Error as error:
        text = "".join(part for number, part in enumerate(lines(), line) if number >= begins)
        closed, place, message = _bad_quote(text, syntax)
        if before is not None:
            yield before
        if closed or complete:
            number = begins + len(re.findall(r"\r\n|\r|\n", text[:place]))
            raise DataError(f"{source}, line {number}: {message}") from error


def _bad_quote(text: str, syntax: Syntax) -> tuple[bool, int, str]:
    """The first wrong quote of a text: whether another one closes it, its place, what to do."""
    blanks, edge = " *+" if syntax.blanks else "", rf"[{re.escape(syntax.delimiter)}\r\n]"
    quoted = r'"(?:[^"]|"")*+"'
    cells = re.compile(rf'(?:{blanks}(?:{quoted}|(?!")[^{edge[1:]}*+){edge})*+{blanks}')
    match = cells.match(text)
    place = match.end() if match else 0
    cell = re.compile(quoted).match(text, place)
    if cell is None or re.search(r"[\r\n]", cell.group()):
        message = (
            "the quote that opens in this line never closes; close it, or where it is part of the "
            'text, put the text in quotes and write it twice ("")'
        )
        return cell is not None, place, message
    shown = text[place : cell.end() + 10].splitlines()[0]
    message = f'text follows a closing quote ({shown}); a quote within a text is written twice ("")'
    return True, place, message
