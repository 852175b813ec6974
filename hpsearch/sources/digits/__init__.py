"""Digits, the small images that scikit-learn brings."""

from hpsearch.sources import Source
from hpsearch.sources.normalize import ImageSpec

__all__ = ["SOURCE"]

SOURCE = Source(
    name="digits",
    doc="1,797 images of 8 x 8, 10 classes; part of scikit-learn",
    section=ImageSpec,
    read="hpsearch.sources.readymade:read_digits",
    inputs="hpsearch.sources.inputs:ImageInputs",
    kind="images",
    target="classes",
    shape=(1, 8, 8),
    classes=tuple("0123456789"),
)
