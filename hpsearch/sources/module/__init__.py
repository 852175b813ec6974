"""Data that a function of the study's own code gives."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from typing import Annotated

from hpsearch.sources import DataSpec, Source, one_of
from hpsearch.spec.keys import Reference

__all__ = ["SOURCE", "ModuleSpec"]


class ModuleSpec(DataSpec):
    """Data that a function gives; the key `module` alone names the source."""

    module: Reference
    """`FILE.py:FUNCTION` of the study's own code: `load(part, seed)` gives arrays (X, y), or a
    PyTorch data set of pairs (x, y), for the parts `train`, `validation` and `test`. None for one
    of the latter two: it is a share of the training rows."""
    kind: Annotated[str, one_of(("rows", "images", "sequences"))] | None = None
    """What one input is. By default its shape decides; (N, A, B) is images where it is of bytes
    (uint8), else sequences."""
    channels: Annotated[str, one_of(("first", "last"))] | None = None
    """Where the channels of images stand. By default they are the axis of 1, 3 or 4, the first one
    where both ends are."""

    @property
    def target_name(self) -> str:
        """What the targets come from."""
        return self.module


SOURCE = Source(
    name="module",
    doc="what a function of your own gives: arrays, or a PyTorch data set",
    section=ModuleSpec,
    read="hpsearch.sources.module.read:read",
    inputs="hpsearch.sources.arrays.inputs:ArrayInputs",
    kind=None,
    target=None,
    code={"module": ("part", "seed")},
)
