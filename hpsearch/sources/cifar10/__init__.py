"""The images of cifar10, as torchvision keeps them."""

from hpsearch.sources import Source
from hpsearch.sources.torchvision import TorchvisionSpec

__all__ = ["SOURCE"]

SOURCE = Source(
    name="cifar10",
    doc="60,000 images of 32 x 32 in colour, 10 classes",
    section=TorchvisionSpec,
    read="hpsearch.sources.readymade:read_images",
    inputs="hpsearch.sources.inputs:ImageInputs",
    kind="images",
    target="classes",
    shape=(3, 32, 32),
    classes=(
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
    folder="cifar-10-batches-py",
)  # fmt: skip
