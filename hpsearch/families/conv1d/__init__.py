"""Convolutional networks over time."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import (
    ACTIVATION,
    BATCH_NORM,
    DROPOUT,
    FREEZE,
    INIT,
    NEGATIVE_SLOPE,
    NORM,
)  # fmt: skip

__all__ = ["FAMILY"]

FAMILY = Family(
    name="conv1d",
    doc="Blocks of a convolution over the steps of a sequence and pooling, then a dense head. An "
        "image is read row by row, from the top; a row of numbers is read number by number.",
    takes=frozenset({"sequences", "images", "rows"}),
    settings=(
        Setting("blocks", "int", 2,
                "Number of blocks: convolution, BatchNorm, activation, max-pool, dropout.",
                low=1, high=16, more="capacity"),
        Setting("channels", "int_or_sizes", 32,
                "Channels of the first block, doubled in each one after; or a list, one a block.",
                low=1, high=4096, more="capacity"),
        Setting("kernel", "int", 5, "Steps that a convolution sees; both ends are padded.",
                low=1, high=255, more="capacity"),
        Setting("stride", "int", 1, "Steps from one convolution to the next.", low=1, high=64),
        Setting("pool", "int", 2,
                "Steps that max-pooling joins into one after each block; 1 for none.",
                low=1, high=64),
        BATCH_NORM, ACTIVATION, NEGATIVE_SLOPE, DROPOUT,
        Setting("head", "choice", "flatten",
                "How the maps become a vector: all of them, or the mean of each (gap).",
                choices=("flatten", "gap")),
        Setting("dense", "int", 0, "Units of a dense layer before the last one; 0 for none.",
                low=0, high=65536, more="capacity"),
        INIT,
        FREEZE,
    ),
    build="hpsearch.families.conv1d.network:conv1d",
    count="hpsearch.families.conv1d.count:count",
    rules=(NORM,),
)  # fmt: skip
