"""Tables of studies that hpsearch 0.1 began, by the rules that it had; in a study file the same as
`table`."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from typing import Annotated

from pydantic import Strict

from hpsearch.sources import DataSpec, Source
from hpsearch.spec.keys import Text

__all__ = ["SOURCE", "CsvSpec"]


class CsvSpec(DataSpec):
    """A CSV file, with the keys of hpsearch 0.1."""

    path: Text
    """The file, relative to the study file."""
    target: Text
    """The target column."""
    ignore: Annotated[tuple[Text, ...], Strict(False)] = ()
    """Columns that the network does not get."""

    @property
    def target_name(self) -> str:
        """The target column."""
        return self.target


SOURCE = Source(
    name="csv",
    doc="the same as `table`; studies that hpsearch 0.1 began keep to its rules",
    section=CsvSpec,
    read="hpsearch.sources.csv.read:read",
    inputs="hpsearch.sources.csv.inputs:TableInputs1",
    kind="rows",
    target=None,
    files=("path",),
)
