"""A small table, or the first rows of a large one, for a quick check: of a CSV file by the standard
library alone.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from hpsearch.sources.table.dialect import SAMPLE_ROWS, dialect_of, rows_of
from hpsearch.sources.table.filekind import load
from hpsearch.sources.table.header import usable
from hpsearch.sources.table.reading import ReadOptions, Table

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.sources.table.filekind import Content

__all__ = ["sample"]


def sample(path: Path, options: ReadOptions | None = None) -> Table:
    """All rows of a text of up to a MiB, the first thousand of a larger one; of JSON lines those in
    its first MiB, of others all.

    Raises DataError as `cells.read` does, for faults within these rows.
    """
    options = options or ReadOptions()
    content = load(path, head=True, stream=options.stream)
    if content.kind == "text":
        return _of_text(str(path), content, options)
    from hpsearch.sources.table.cells import of_content

    return of_content(path, content, options)


def _of_text(source: str, content: Content, options: ReadOptions) -> Table:
    head = content.head
    complete = content.complete and len(content.data) == len(head)
    dialect = dialect_of(source, head, options, complete=complete)
    rows = rows_of(source, head, dialect, every=options.every, complete=complete)
    records = list(rows if complete else islice(rows, SAMPLE_ROWS))
    cells = [*zip(*(record.cells for record in records), strict=True)] or [()] * dialect.width
    places, notes = usable(
        source, dialect.header, lambda place: not any(map(str.strip, cells[place]))
    )
    return Table(
        columns={name: cells[place] for name, place in places.items()},
        rows=len(records),
        line_of=[record.line for record in records].__getitem__,
        complete=complete,
        notes=(*content.notes, *dialect.notes, *notes),
    )
