"""A table over time, read by windows."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from collections.abc import Iterator

from hpsearch.sources import DataSpec, Source
from hpsearch.sources.table.reading import ReadOptions
from hpsearch.sources.table.rules import Override, Overrides
from hpsearch.sources.table.section import Decimal, Names, Texts, Thousands
from hpsearch.spec.faults import show
from hpsearch.spec.keys import Positive, Text
from hpsearch.spec.source import Disagreement

__all__ = ["SOURCE", "SeriesSpec"]


class SeriesSpec(DataSpec):
    """A table over time: one number of a later row is predicted from the rows before it.

    Validation and test part are the latest rows. What is predicted in one part lies after all that
    an earlier part has; a window reaches back into an earlier part, as it would in use.
    """

    path: Text
    """The table's file, relative to the study file."""
    target: Text
    """The column whose later value the network learns to predict."""
    time: Text | None = None
    """A column of dates or numbers that orders the rows; by default they are in order."""
    columns: Names = ()
    """Columns of each row of a window that the network sees; by default all but `time`, including
    the target."""
    window: Positive = 32
    """Rows that a prediction is made from."""
    horizon: Positive = 1
    """How many rows after the end of its window the predicted value is."""
    header: bool | None = None
    """Whether the first line names the columns; by default found out from the file."""
    names: Names = ()
    """Names of all columns, for a file that has none."""
    missing: Texts = ()
    """Texts that mean a missing value, in every column; an empty cell always does."""
    decimal: Decimal | None = None
    """The decimal separator of all columns; by default found out from their cells."""
    thousands: Thousands | None = None
    """The separator of thousands of all columns, `""` for none; by default found out from their
    cells."""

    @property
    def target_name(self) -> str:
        """The target column."""
        return self.target

    @property
    def reading(self) -> ReadOptions:
        """How the file is read."""
        return ReadOptions(self.header, self.names, texts=self.overrides.as_texts)

    @property
    def overrides(self) -> Overrides:
        """What is known of columns beforehand: the target is a number."""
        columns = {self.target: Override(kind="number")}
        return Overrides(columns, (), self.missing, self.decimal, self.thousands)

    def disagreements(self) -> Iterator[Disagreement]:
        """What is right by itself and wrong together."""
        for key, values in (("columns", self.columns), ("names", self.names)):
            for index, name in enumerate(values):
                if name in values[:index]:
                    yield (key, index), "each name once", f"{show(name)} again"
        if self.time == self.target:
            yield ("time",), "a column beside the target", show(self.time)
        if self.decimal and self.decimal == self.thousands:
            yield ("thousands",), "another one than data.decimal", show(self.thousands)


SOURCE = Source(
    name="series",
    doc="a table over time: a later value from a window of the rows before it",
    section=SeriesSpec,
    read="hpsearch.sources.series.read:read",
    inputs="hpsearch.sources.series.inputs:SeriesInputs",
    kind="sequences",
    target="numbers",
    look="hpsearch.sources.series.read:look",
    files=("path",),
)
