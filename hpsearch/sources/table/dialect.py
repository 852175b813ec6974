"""How a CSV file or a relative is written: its delimiter, its header, where its rows begin.

Decided from the first MiB, in one place for a quick check, for training and for predictions. Only
the standard library is used, as `hpsearch check` has no time to load more.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import TYPE_CHECKING

from hpsearch.errors import DataError
from hpsearch.sources.table.header import DATE, NUMBER, TIME, Header, header_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hpsearch.sources.table.reading import ReadOptions

__all__ = ["SAMPLE_ROWS", "Dialect", "Record", "Syntax", "dialect_of", "rows_of"]

SAMPLE_ROWS = 1000
"""How many records are looked at."""

_SCORED_CHARACTERS = 1 << 16
"""How much of a text is cut by each delimiter that might be the one, but no less than 20 lines."""


_LONGEST_CELL = 1 << 30
_NO_DELIMITER = "\x1f"
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
    """One of `, ; tab |`, or a blank, of which a run counts as one, or `_NO_DELIMITER`."""
    blanks: bool = False
    """Whether blanks before a cell are no part of it: a file of `"a", "b"`."""


@dataclass(frozen=True)
class Dialect:
    """How the rows of a text are to be read."""

    syntax: Syntax
    """What cuts a record into cells."""
    header: Header
    """The columns' names, as they stand in the file."""
    start: int
    """Where the first row begins, in bytes of UTF-8."""
    line: int
    """In which line of the file that is, from 1."""
    notes: tuple[str, ...] = ()
    """What a user should know, a sentence each."""

    @property
    def width(self) -> int:
        """How many cells each record has."""
        return len(self.header.names)


def dialect_of(source: str, head: bytes, options: ReadOptions, *, complete: bool) -> Dialect:
    """The dialect of a text.

    Args:
        source: What to call the file in an error.
        head: Its beginning, in UTF-8 without a byte order mark.
        options: What the user says of the header.
        complete: Whether `head` is the whole text; else its last record may be cut off.

    Raises DataError where there is no header, or none that can be told from a row.
    """
    lines = list(io.StringIO(head.decode("utf-8", "ignore"), newline=""))
    delimiter, skipped, comments = _preamble(lines)
    body = lines[skipped:]
    syntax = _syntax(body, delimiter or _delimiter(body))
    rows = _records(source, lambda: body, syntax, line=skipped + 1, complete=complete)
    sample = [*islice(rows, SAMPLE_ROWS + 1)]
    if not (sample or complete):
        raise DataError(f"{source}, line {skipped + 1} is longer than {len(head):,} bytes")
    filled = [record for record in sample if record.cells]
    header = header_of(source, filled, _cells_of_comment(comments, syntax), options)
    line = filled[0].next_line if header.in_file else skipped + 1
    start = sum(len(text.encode()) for text in lines[: line - 1])
    return Dialect(syntax, header, start, line, tuple(_comment_notes(comments, header)))


def rows_of(
    source: str, data: bytes, dialect: Dialect, *, every: bool = False, complete: bool = True
) -> Iterator[Record]:
    """The rows of a text, each with the line it begins in; blank records are none.

    Args:
        source: What to call the file in an error.
        data: The text, in UTF-8 without a byte order mark.
        dialect: How it is written.
        every: Whether a record is a row though all its cells are empty: of delimiters alone, or a
            blank line of a table of one column.
        complete: Whether the text is not cut off.

    Raises DataError for a record with more or fewer cells than there are columns, and for a quote
    that never closes.
    """
    width = dialect.width

    def lines() -> io.TextIOWrapper:
        rest = io.BytesIO(memoryview(data)[dialect.start :])
        return io.TextIOWrapper(rest, "utf-8", "strict" if complete else "ignore", newline="")

    for record in _records(source, lines, dialect.syntax, line=dialect.line, complete=complete):
        cells = record.cells
        if not any(cell and not cell.isspace() for cell in cells):
            if every and (len(cells) == width or width == 1):
                yield record if cells else Record(record.line, [""])
        elif len(cells) == width:
            yield record
        else:
            raise _ragged(source, record, width)


def _ragged(source: str, record: Record, width: int) -> DataError:
    cells = len(record.cells)
    breaks = sum(cell.count("\n") for cell in record.cells)
    if breaks:
        hint = f"the record continues to line {record.line + breaks}; is a quote missing?"
    elif cells > width:
        hint = "a delimiter within a text needs quotes around the text"
    else:
        hint = "is the line cut off?"
    have = f"{cells} cell{'' if cells == 1 else 's'}"
    return DataError(
        f"{source}, line {record.line} has {have}, but the table has {width} columns; {hint}"
    )


def _preamble(lines: Sequence[str]) -> tuple[str | None, int, list[str]]:
    """The delimiter where a line `sep=;` gives it, how many lines come before the table, and those
    of them that begin with `#`."""
    delimiter, comments = None, []
    for number, text in enumerate(lines):
        if match := re.fullmatch(r'"?sep=([ !#-~\t])"?\s*', text, re.IGNORECASE):
            delimiter = match[1]
        elif text.startswith("#"):
            comments.append(text)
        elif text.strip():
            return delimiter, number, comments
    return delimiter, len(lines), comments


def _cells_of_comment(comments: Sequence[str], syntax: Syntax) -> list[str]:
    """The cells of the last line that begins with `#`: numpy.savetxt writes a header so."""
    text = comments[-1].lstrip("#").strip() if comments else ""
    return next((cells for _, cells in _cut([text], syntax, strict=False)), [])


def _comment_notes(comments: Sequence[str], header: Header) -> Iterator[str]:
    count = len(comments) - header.in_comment
    if count:
        lines = "line that begins" if count == 1 else "lines that begin"
        yield f"{count} {lines} with # skipped at the top of the file"


def _syntax(lines: Sequence[str], delimiter: str) -> Syntax:
    """Whether blanks stand between delimiters and quotes, as in `"a", "b"`."""
    plain, skipping = Syntax(delimiter, blanks=delimiter == " "), Syntax(delimiter, blanks=True)
    if not any(f'{delimiter} "' in text for text in lines):
        return plain

    def quoted(syntax: Syntax) -> bool:
        cells = (cell for record in _first_records(lines, syntax) for cell in record)
        return any(re.match(' +"', cell) is not None for cell in cells)

    # A text that itself begins so stays as it is either way.
    return skipping if quoted(plain) and not quoted(skipping) else plain


def _first_records(lines: Sequence[str], syntax: Syntax) -> list[list[str]]:
    """Records of about 64 KB of text, of 20 lines at least; one that continues is left out."""
    ends = accumulate(map(len, lines))
    enough = next((number for number, end in enumerate(ends, 1) if end > _SCORED_CHARACTERS), None)
    some = lines if enough is None else lines[: max(enough, 20)]
    cells = [cells for _, cells in _cut(some, syntax, strict=False) if cells]
    return cells[:-1] if enough is not None and len(cells) > 1 else cells


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter that cuts most records alike, into cells that look like values.

    Blanks are one only where no other cuts anything, and all records alike. A table of one column
    has none, and its texts may have commas.
    """
    scores = {delimiter: _score(lines, delimiter) for delimiter in ",;\t|"}
    best = max(scores, key=lambda delimiter: scores[delimiter])
    if scores[best] > 0:
        return best
    return " " if _score(lines, " ") == 1 else _NO_DELIMITER


_VALUE = re.compile(rf"\s*({NUMBER}|{DATE}|{TIME}|[^,;\t|\"]*)\s*")


def _score(lines: Sequence[str], delimiter: str) -> float:
    """The share of records with the commonest number of cells, 2 or more, times the share of their
    cells that look like a number, a date or words; 0 where the commonest number is 1."""
    if not any(delimiter in text for text in lines[:20]):
        return 0
    first, *rest = _first_records(lines, Syntax(delimiter, blanks=True))
    rows = rest or [first]
    width, alike = Counter(map(len, rows)).most_common(1)[0]
    if width == 1 or (delimiter == " " and len(first) not in (width, width - 1)):
        return 0
    cells = [cell for row in (first, *rows) if len(row) == width for cell in row]
    values = sum(_VALUE.fullmatch(cell) is not None for cell in cells)
    return alike / len(rows) * values / len(cells)


def _cut(lines: Iterable[str], syntax: Syntax, *, strict: bool) -> Iterator[tuple[int, list[str]]]:
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


def _records(
    source: str,
    lines: Callable[[], Iterable[str]],
    syntax: Syntax,
    *,
    line: int = 1,
    complete: bool = True,
) -> Iterator[Record]:
    """All records, also those of blank lines, which have no cells.

    `lines` is called again to look for what is wrong; the first of them has the number `line`.
    Unless they are complete the last record is left out, as it may continue. Raises DataError where
    a quote opens and never closes, or text follows the one that closes.
    """
    begins, before = line, None
    try:
        for ends, cells in _cut(lines(), syntax, strict=True):
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
    # No group is possessive: Python 3.11.2, Debian's, gets those wrong around alternatives.
    quoted = r'"[^"]*+(?:""[^"]*+)*"'
    cells = re.compile(rf'(?:{blanks}(?:{quoted}|(?!")[^{edge[1:]}*+){edge})*{blanks}')
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
