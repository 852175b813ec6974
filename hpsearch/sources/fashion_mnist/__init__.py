"""The images of fashion_mnist, as torchvision keeps them."""

from hpsearch.sources import Source
from hpsearch.sources.torchvision import TorchvisionSpec

__all__ = ["SOURCE"]

SOURCE = Source(
    name="fashion_mnist",
    doc="70,000 images of 28 x 28, 10 classes",
    section=TorchvisionSpec,
    read="hpsearch.sources.readymade:read_images",
    inputs="hpsearch.sources.inputs:ImageInputs",
    kind="images",
    target="classes",
    shape=(1, 28, 28),
    classes=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
        "Bag", "Ankle boot",
    ),
    folder="FashionMNIST",
)  # fmt: skip
