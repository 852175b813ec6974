"""Dense autoencoders."""

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
    name="autoencoder",
    doc="Dense layers that narrow to a code and widen again to the inputs; an image or a "
    "sequence is read as one row of numbers.",
    takes=frozenset({"rows", "images", "sequences"}),
    targets=frozenset({"inputs"}),
    settings=(
        CODE,
        Setting("depth", "int", 2,
                "Number of hidden layers before the code, and again after it; 0 is linear.",
                low=0, high=32, more="capacity"),
        Setting("width", "int", 256,
                "Units of the first and the last hidden layer; those between narrow to the code, "
                "each by the same factor.",
                low=1, high=65536, more="capacity"),
        ACTIVATION, NEGATIVE_SLOPE, BATCH_NORM, DROPOUT, INIT,
        FREEZE,
    ),
    build="hpsearch.families.autoencoder.network:autoencoder",
    count="hpsearch.families.autoencoder.count:count",
    rules=(NORM,),
)  # fmt: skip
