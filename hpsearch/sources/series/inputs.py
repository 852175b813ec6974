"""Windows of a series as inputs of a network, in training and in prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from hpsearch.errors import DataError
from hpsearch.sources.inputs import Floats, Given, Known, Unit, blamed, only_file
from hpsearch.sources.series.windows import Series, Windows, over, sorted_by
from hpsearch.sources.table import arrow, cells
from hpsearch.sources.table.column import Column
from hpsearch.sources.table.encode import Encoder
from hpsearch.sources.table.inputs import table_of_rows
from hpsearch.sources.table.reading import ReadOptions, Table

__all__ = ["SeriesInputs"]

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class SeriesInputs:
    """How windows of a table over time become inputs: plain values."""

    encoder: Encoder
    """Of one row."""
    target: Column
    """What is predicted."""
    time: Column | None
    """What puts the rows in order; None: they stand in order."""
    window: Count
    horizon: Count
    header: bool | None = None
    """`data.header` of the study."""
    names: tuple[str, ...] = ()
    """`data.names` of the study."""
    kind: Literal["sequences"] = "sequences"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one window: (T, D)."""
        return (self.window, *self.encoder.shape)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table to predict has to have."""
        return (*([self.time.name] if self.time else []), *self.encoder.columns)

    def fault(self) -> str | None:
        """Why no inputs can be made by values that were read again; None for what is whole."""
        names = self.encoder.columns
        twice = [name for name in names if names.count(name) > 1]
        return f"the column {twice[0]!r} is there twice" if twice else None

    def __call__(self, raw: Windows) -> Floats:
        """The inputs (N, T, D) of windows. Only the rows that they span are encoded."""
        first = int(raw.ends.min()) - self.window + 1
        rows = raw.series.rows[first : int(raw.ends.max()) + 1]
        steps, _ = self.encoder.inputs(raw.series.table, rows)
        return np.ascontiguousarray(over(steps, raw.ends - first, self.window))

    def units(self) -> tuple[Unit, ...]:
        """What each number of a step is in the table's own terms."""
        return self.encoder.units()

    def of_files(self, files: Sequence[Path]) -> Given:
        """The window that ends at each row of a table, but for the first rows, which have none.

        The predictions of the last `horizon` rows are beyond the end of the table. Raises
        DataError where a column is missing, or there are fewer rows than a window has.
        """
        path = only_file(files)
        return self._given(str(path), cells.read(path, self._options()))

    def of_rows(self, rows: Any) -> Given:
        """The same of a DataFrame, or of one mapping a row."""
        source, table = table_of_rows(rows, self._options(in_memory=True))
        return self._given(source, table)

    def _options(self, *, in_memory: bool = False) -> ReadOptions:
        apart = {self.target.name, *([self.time.name] if self.time else [])}
        return ReadOptions(
            header=True if in_memory else self.header,
            names=() if in_memory else self.names,
            target=self.target.name,
            expected=self.encoder.columns,
            texts=self.encoder.as_texts | apart,
            every=True,
            stream=True,
        )

    def _given(self, source: str, table: Table) -> Given:
        try:
            if self.time is not None and self.time.name not in table.names:
                raise DataError(f"the table lacks the column {self.time.name!r}, its time")
            if table.rows < self.window:
                raise DataError(
                    f"{table.rows} rows; the network predicts from {self.window} rows, the window"
                )
            series = sorted_by(table, self.time)
            ends = np.arange(self.window - 1, table.rows)
            steps, notes = self.encoder.inputs(table, series.rows)
            targets = self._known(series, ends)
        except DataError as error:
            raise blamed(source, error) from error
        inputs = np.ascontiguousarray(over(steps, ends, self.window))
        last = "row is" if self.horizon == 1 else f"{self.horizon} rows are"
        beyond = f"the last {last} predicted beyond the end of {source}"
        return Given(
            inputs,
            (*table.notes, *series.notes, *notes, beyond),
            targets,
            source=source,
            names=self._names(series, ends + self.horizon),
            named=self.time.name if self.time else "row",
        )

    def _known(self, series: Series, ends: Any) -> Known | None:
        """The targets that the table has itself, and which windows they are of."""
        if self.target.name not in series.table.names:
            return None
        values = arrow.numbers_of(self.target, series.table, series.rows)
        later = ends + self.horizon
        inside = np.flatnonzero(later < len(values))
        inside = inside[~np.isnan(values[later[inside]])]
        return Known(values[later[inside]], inside) if len(inside) else None

    def _names(self, series: Series, places: Any) -> tuple[str, ...]:
        """What each predicted row is called: its time, or `+1` and so on beyond the end; without
        times its number, from 1."""
        if self.time is None:
            return tuple(str(place + 1) for place in places.tolist())
        times = arrow.texts_of(self.time, series.table, series.rows)
        end = len(series.rows)
        return tuple(
            times.text(place) if place < end else f"+{place - end + 1}" for place in places.tolist()
        )
