"""The first rows of a table, for a quick check: of a CSV file by the standard library alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from hpsearch.sources.table.dialect import SAMPLE_ROWS, dialect_of, rows_of
from hpsearch.sources.table.filekind import load
from hpsearch.sources.table.header import usable
from hpsearch.sources.table.reading import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hpsearch.sources.table.filekind import Content
    from hpsearch.sources.table.reading import Table

__all__ = ["Sample", "sample"]


@dataclass(frozen=True)
class Sample:
    """The first rows of a text, all of whose cells are texts. It satisfies `reading.Table`."""

    names: tuple[str, ...]
    """The columns' names: not empty, no two the same, without line breaks."""
    rows: int
    """How many rows these are."""
    complete: bool
    """Whether these are all rows of the file."""
    notes: tuple[str, ...]
    """What a user should know of how the file was read, a sentence each."""
    columns: Mapping[str, tuple[str, ...]] = field(repr=False)
    """The cells by column."""
    lines: tuple[int, ...] = field(repr=False)
    """The line in which each row begins, from 1."""

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of a column."""
        return self.columns[name]

    @property
    def odd(self) -> Mapping[str, Mapping[int, str]]:
        """None: no column of a sample comes as numbers."""
        return {}

    def line_of(self, row: int) -> int:
        """The line of the file, from 1, in which a row begins."""
        return self.lines[row]


def sample(path: Path, options: ReadOptions | None = None) -> Table:
    """The first thousand rows of a file; of JSON lines those in its first MiB, of others all.

    Raises DataError as `cells.read` does, for faults within these rows.
    """
    options = options or ReadOptions()
    content = load(path, head=True, stream=options.stream)
    if content.kind == "text":
        return _of_text(str(path), content, options)
    from hpsearch.sources.table.cells import of_content

    return of_content(path, content, options)


def _of_text(source: str, content: Content, options: ReadOptions) -> Sample:
    head = content.head
    complete = content.complete and len(content.data) == len(head)
    dialect = dialect_of(source, head, options, complete=complete)
    rows = rows_of(source, head, dialect, every=options.every, complete=complete)
    records = list(islice(rows, SAMPLE_ROWS + 1))
    complete = complete and len(records) <= SAMPLE_ROWS
    del records[SAMPLE_ROWS:]
    cells = [*zip(*(record.cells for record in records), strict=True)] or [()] * dialect.width
    places, notes = usable(
        source, dialect.header, lambda place: not any(map(str.strip, cells[place]))
    )
    return Sample(
        tuple(places),
        len(records),
        complete,
        (*content.notes, *dialect.notes, *notes),
        {name: cells[place] for name, place in places.items()},
        tuple(record.line for record in records),
    )
