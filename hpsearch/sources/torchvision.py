"""The section of the sources that torchvision downloads."""

# No `from __future__ import annotations`: pydantic reads the annotations while the program runs.
from hpsearch.sources.normalize import ImageSpec
from hpsearch.spec.keys import Text

__all__ = ["TorchvisionSpec"]


class TorchvisionSpec(ImageSpec):
    """A data set of images with a test part of its own."""

    root: Text | None = None
    """Folder with the data set's files; by default the user's data folder."""

    @property
    def own_test(self) -> str:
        """That there is a test part of its own."""
        return f"{self.source} brings its own test part"
