"""A source of data that hpsearch knows nothing of."""

from typing import Annotated

from hpsearch.sources import DataSpec, Source, one_of


class WavesSpec(DataSpec):
    """Sine waves, made up."""

    count: int = 200
    """How many waves there are."""
    shape: Annotated[str, one_of(("sine", "square"))] = "sine"
    """Their form."""


SOURCE = Source(
    name="waves",
    doc="waves of two lengths, made up",
    section=WavesSpec,
    read="toy_source.waves:read",
    inputs="hpsearch.sources.inputs:RowInputs",
    kind="rows",
    target="classes",
    describe="toy_source.waves:describe",
)
