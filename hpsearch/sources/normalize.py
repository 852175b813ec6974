"""How the pixels of images are scaled, and the section of the sources that have them."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from typing import Annotated

from hpsearch.errors import DataError
from hpsearch.spec.keys import one_of
from hpsearch.spec.source import DataSpec

__all__ = ["ImageSpec", "fixed_scale"]

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of red, green and blue, from 0 to 1, that torchvision's own weights go by."""


class ImageSpec(DataSpec):
    """A data set of images."""

    normalize: Annotated[str, one_of(("standard", "none", "imagenet"))] = "standard"
    """`standard`: mean 0 and deviation 1 for each channel of the training images. `none`: from 0,
    black, to 1. `imagenet`: the mean and deviation of ImageNet's colours."""


def fixed_scale(
    normalize: str, channels: int, brightest: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel, where they do not depend on the images.

    Pixels are from 0 to `brightest`. DataError where there are no colours for ImageNet's.
    """
    if normalize == "none":
        return (0.0,) * channels, (float(brightest),) * channels
    if channels != len(_IMAGENET[0]):
        raise DataError(
            "data.normalize is imagenet, which is of colours, and these images are grey"
        )
    mean, deviation = (tuple(brightest * share for share in shares) for shares in _IMAGENET)
    return mean, deviation
