"""The rows of a table as inputs of a network, in training and in prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hpsearch.errors import DataError
from hpsearch.sources.inputs import (
    TABLE,
    Frame,
    Given,
    Known,
    Unit,
    Values,
    blamed,
    mappings,
    only_file,
)
from hpsearch.sources.table import cells
from hpsearch.sources.table.arrow import Rows
from hpsearch.sources.table.columns import Target
from hpsearch.sources.table.encode import Encoder
from hpsearch.sources.table.filekind import Content
from hpsearch.sources.table.reading import ReadOptions, Table
from hpsearch.sources.table.targets import targets
from hpsearch.sources.table.words import TextEncoder

__all__ = ["Selection", "TableInputs", "table_of_rows"]


@dataclass(frozen=True)
class Selection:
    """Some rows of a table."""

    table: Table
    rows: Rows


@dataclass(frozen=True)
class TableInputs:
    """How the rows of a table become inputs, by what was decided of its columns: plain values."""

    encoder: Encoder | TextEncoder
    target: Target | None
    """None for anomalies of a table whose rows are all normal."""
    header: bool | None = None
    """`data.header` of the study."""
    names: tuple[str, ...] = ()
    """`data.names` of the study."""
    kind: Literal["rows", "tokens"] = "rows"
    """What one row's inputs are: what the encoder makes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one row's inputs: (D,), or (T,) of tokens."""
        return self.encoder.shape

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table to predict has to have."""
        return self.encoder.columns

    @property
    def vocabulary(self) -> int:
        """How many different tokens there are; 0 where inputs are numbers."""
        return self.encoder.vocabulary

    def fault(self) -> str | None:
        """Why no inputs can be made by values that were read again; None for what is whole."""
        if self.kind != self.encoder.kind:
            return f"kind is {self.kind}, and the inputs are {self.encoder.kind}"
        return self.encoder.fault()

    def __call__(self, raw: Selection) -> Values:
        """The inputs (N, D), or the tokens (N, T), of N rows."""
        return self.encoder.inputs(raw.table, raw.rows)[0]

    def units(self) -> tuple[Unit, ...]:
        """What each input is in the table's own terms; none where inputs are tokens."""
        return self.encoder.units() if isinstance(self.encoder, Encoder) else ()

    def cells(self, inputs_ND: Any) -> dict[str, list[str]]:
        """The table's cells, column by column, that such inputs are of; none of tokens."""
        return self.encoder.cells(inputs_ND) if isinstance(self.encoder, Encoder) else {}

    def texts(self, tokens_NT: Any) -> list[str]:
        """The words of rows of tokens."""
        return self.encoder.texts(tokens_NT) if isinstance(self.encoder, TextEncoder) else []

    def of_files(self, files: Sequence[Path]) -> Given:
        """The inputs of each row of a table, whose columns may stand in any order.

        Raises DataError where a column is missing, or a cell is none of its column.
        """
        path = only_file(files)
        return self._given(str(path), cells.read(path, self._options()))

    def of_rows(self, rows: Any) -> Given:
        """The same of a DataFrame, or of one mapping a row."""
        source, table = table_of_rows(rows, self._options(header=True))
        return self._given(source, table)

    def _options(self, header: bool | None = None) -> ReadOptions:
        return ReadOptions(
            header=self.header if header is None else header,
            names=self.names if header is None else (),
            target=self.target.column.name if self.target else "",
            expected=self.encoder.columns,
            texts=self.encoder.as_texts | ({self.target.column.name} if self.target else set()),
            every=True,
            stream=True,
        )

    def _given(self, source: str, table: Table) -> Given:
        if not table.rows:
            raise DataError(f"{source} has no rows")
        try:
            inputs, notes = self.encoder.inputs(table)
        except DataError as error:
            raise blamed(source, error) from error
        scored, unscored = None, ""
        if self.target is not None and self.target.column.name in table.names:
            try:
                labelled = Known(*targets(self.target, table))
                scored = labelled if len(labelled.rows) else None
            except DataError as error:
                unscored = str(error)
        return Given(
            inputs, (*table.notes, *notes), scored, unscored, source, fingerprint=table.fingerprint
        )


def table_of_rows(rows: Any, options: ReadOptions) -> tuple[str, Table]:
    """The table of a DataFrame, or of one mapping a row, and what to call it in an error.

    A DataFrame counts as the file that it would be written to, read by these options.
    """
    if isinstance(rows, Frame):
        content = rows.to_csv(index=False).encode(errors="backslashreplace")
        return TABLE, cells.of_content(Path(TABLE), Content("text", content, True), options)
    names, texts = mappings(rows)
    columns = dict(zip(names, zip(*texts, strict=True), strict=True))
    return TABLE, Table(columns, len(texts), lambda row: row + 1)
