"""Data that a function of the study's own code gives."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from typing import Annotated

from hpsearch.sources import DataSpec, Source, one_of
from hpsearch.spec.keys import Reference

__all__ = ["SOURCE", "ModuleSpec"]


class ModuleSpec(DataSpec):
    """Data that a function gives; the key `module` alone names the source."""

    module: Reference
    """`FILE.py:FUNCTION` of the study's own code: `load(part, seed)` returns arrays (X, y), or a
    PyTorch data set of pairs (x, y), for the parts `train`, `validation` and `test`; None for one
    of the last two makes it a share of the training rows."""
    kind: Annotated[str, one_of(("rows", "images", "sequences"))] | None = None
    """The kind of one input. By default its shape decides; (N, A, B) is images if it holds bytes
    (uint8), else sequences."""
    channels: Annotated[str, one_of(("first", "last"))] | None = None
    """Which axis holds the channels of images. By default the one of length 1, 3 or 4, the first
    one if both are."""

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
