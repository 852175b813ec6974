"""The images of mnist, as torchvision keeps them."""

from hpsearch.sources import Source
from hpsearch.sources.torchvision import TorchvisionSpec

__all__ = ["SOURCE"]

SOURCE = Source(
    name="mnist",
    doc="70,000 images of 28 x 28, 10 classes",
    section=TorchvisionSpec,
    read="hpsearch.sources.readymade:read_images",
    inputs="hpsearch.sources.inputs:ImageInputs",
    kind="images",
    target="classes",
    shape=(1, 28, 28),
    classes=(
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six",
        "7 - seven", "8 - eight", "9 - nine",
    ),
    folder="MNIST",
)  # fmt: skip
