"""Tables of any common kind of file: CSV and its relatives, Parquet, Feather, JSON lines, Excel."""

from hpsearch.sources import Source
from hpsearch.sources.table.section import TableSpec

__all__ = ["SOURCE"]

SOURCE = Source(
    name="table",
    doc="a table: CSV and its relatives, Parquet, Feather, JSON lines, Excel",
    section=TableSpec,
    read="hpsearch.sources.table.read:read",
    inputs="hpsearch.sources.table.inputs:TableInputs",
    kind=lambda section: section.kind,
    target=None,
    look="hpsearch.sources.table.look:look",
    describe="hpsearch.sources.table.look:described",
    files=("path", "test_path"),
)
