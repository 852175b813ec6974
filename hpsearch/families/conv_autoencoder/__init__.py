"""Convolutional autoencoders."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import (
    ACTIVATION,
    BATCH_NORM,
    CODE,
    DROPOUT,
    FREEZE,
    INIT,
    NEGATIVE_SLOPE,
    NORM,
)  # fmt: skip

__all__ = ["FAMILY"]

FAMILY = Family(
    name="conv_autoencoder",
    doc="Convolutions that halve an image to a code, and transposed ones that double it again; "
    "for images of any size.",
    takes=frozenset({"images"}),
    targets=frozenset({"inputs"}),
    settings=(
        CODE,
        Setting("blocks", "int", 2,
                "Number of convolutions before the code, each halving the sides, and of transposed "
                "ones after it.",
                low=1, high=10, more="capacity"),
        Setting("channels", "int", 16, "Channels of the first block, doubled in each one after.",
                low=1, high=4096, more="capacity"),
        ACTIVATION, NEGATIVE_SLOPE, BATCH_NORM, DROPOUT, INIT,
        FREEZE,
    ),
    build="hpsearch.families.conv_autoencoder.network:conv_autoencoder",
    count="hpsearch.families.conv_autoencoder.count:count",
    rules=(NORM,),
)  # fmt: skip
