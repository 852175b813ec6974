"""Arrays of numbers in files: NumPy's .npy and .npz, and safetensors."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from typing import Annotated

from hpsearch.sources import DataSpec, Source, one_of
from hpsearch.spec.keys import Text

__all__ = ["SOURCE", "ArraysSpec"]


class ArraysSpec(DataSpec):
    """Arrays: one of inputs and one of targets, and perhaps two more that are the test part."""

    path: Text = "."
    """A .npz or .safetensors file, or a folder of .npy files, relative to the study file; by
    default its own folder."""
    X: Text = "X"
    """The array of inputs: its name in the file, or that of its .npy file in the folder. (N, D) is
    rows; (N, H, W), (N, C, H, W) or (N, H, W, C) images; (N, T, D) sequences."""
    y: Text = "y"
    """The array of N targets: whole numbers, texts and booleans are classes, other numbers are
    numbers; `task` overrules."""
    X_test: Text = "X_test"
    """The array of inputs of the test part. Without one, `test` is a share of the rows."""
    y_test: Text = "y_test"
    """The array of its targets."""
    kind: Annotated[str, one_of(("rows", "images", "sequences"))] | None = None
    """The kind of one input. By default its shape decides; (N, A, B) is images if it holds bytes
    (uint8), else sequences."""
    channels: Annotated[str, one_of(("first", "last"))] | None = None
    """Which axis holds the channels of images. By default the one of length 1, 3 or 4, the first
    one if both are."""

    @property
    def target_name(self) -> str:
        """The array of the targets."""
        return self.y


SOURCE = Source(
    name="arrays",
    doc="arrays: NumPy's .npz and .npy files, and safetensors",
    section=ArraysSpec,
    read="hpsearch.sources.arrays.read:read",
    inputs="hpsearch.sources.arrays.inputs:ArrayInputs",
    kind=None,
    target=None,
    look="hpsearch.sources.arrays.read:look",
    files=("path",),
)
