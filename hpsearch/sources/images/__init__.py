"""Image files: a folder a class, or a table of files and their labels."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from collections.abc import Iterator
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from hpsearch.sources import Source, one_of
from hpsearch.sources.normalize import ImageSpec
from hpsearch.spec.keys import Text
from hpsearch.spec.source import Disagreement

__all__ = ["SOURCE", "ImagesSpec"]

_LARGEST = 1024
"""Pixels a side, at most: a hundred images of that size are 300 MB."""


def _size(value: object) -> object:
    sides = value if isinstance(value, (list, tuple)) else (value, value)
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) == 2 and whole and all(1 <= side <= _LARGEST for side in sides):
        return tuple(sides)
    expected = f"pixels a side, or [height, width], from 1 to {_LARGEST}"
    raise PydanticCustomError("expected", "a size", {"expected": expected})


Size = Annotated[tuple[int, int], BeforeValidator(_size, json_schema_input_type=int | list[int])]


class ImagesSpec(ImageSpec):
    """Image files in a folder."""

    path: Text
    """The folder, relative to the study file: a folder of images for each class, or such folders in
    `train`, and in `val` and `test` where there are these."""
    labels: Text | None = None
    """A table of files and their labels, relative to the study file, in place of class folders; its
    file names are relative to `path`."""
    file: Text = "file"
    """The column of that table that names files."""
    label: Text = "label"
    """The column of that table that has their classes."""
    size: Size | None = None
    """Pixels a side, or `[height, width]`. By default the images' own size, if all have the same
    and at most 256 a side; else 64."""
    crop: Annotated[str, one_of(("center", "none"))] = "center"
    """How an image gets another shape: `center` cuts off the ends of the longer side, `none`
    stretches it."""
    color: bool = True
    """Whether the network sees colours, or else one channel of grey."""

    @property
    def target_name(self) -> str | None:
        """The column of labels, where there is one."""
        return self.label if self.labels else None

    def disagreements(self) -> Iterator[Disagreement]:
        """ImageNet's mean and deviation are those of three channels."""
        if self.normalize == "imagenet" and not self.color:
            yield ("normalize",), "none or standard, as color is false", "imagenet"
        if self.labels and self.file == self.label:
            yield ("label",), "another column than file", self.label


SOURCE = Source(
    name="images",
    doc="image files: a folder a class, or a table of files and labels",
    section=ImagesSpec,
    read="hpsearch.sources.images.read:read",
    inputs="hpsearch.sources.images.inputs:PictureInputs",
    kind="images",
    target="classes",
    look="hpsearch.sources.images.read:look",
    files=("path", "labels"),
)
