"""Convolutional networks."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import ACTIVATION, BATCH_NORM, DROPOUT, INIT, NORM

__all__ = ["FAMILY"]

FAMILY = Family(
    name="cnn",
    doc="Blocks of a convolution and pooling, then a dense head.",
    takes=frozenset({"images"}),
    settings=(
        Setting("blocks", "int", 2,
                "Number of blocks: convolution, BatchNorm, max-pool, activation, dropout.",
                low=1, high=16, more="capacity"),
        Setting("channels", "int_or_sizes", 32,
                "Channels of the first block, doubled in each one after; or a list, one a block.",
                low=1, high=4096, more="capacity"),
        Setting("kernel", "int", 3,
                "Width of the square convolution; borders are padded, so sizes stay.",
                low=1, high=15, more="capacity"),
        BATCH_NORM, ACTIVATION, DROPOUT,
        Setting("head", "choice", "flatten",
                "How the maps become a vector: all of them, or the mean of each (gap).",
                choices=("flatten", "gap")),
        Setting("dense", "int", 0, "Units of a dense layer before the last one; 0 for none.",
                low=0, high=65536, more="capacity"),
        INIT,
    ),
    build="hpsearch.families.cnn.network:cnn",
    rules=(NORM,),
)  # fmt: skip
