"""Convolutional networks."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import (
    ACTIVATION,
    BATCH_NORM,
    DROPOUT,
    FREEZE,
    INIT,
    NEGATIVE_SLOPE,
    NORM,
    SQUEEZE_EXCITE,
)  # fmt: skip

__all__ = ["FAMILY"]

FAMILY = Family(
    name="cnn",
    doc="Blocks of convolutions and pooling, then a dense head.",
    takes=frozenset({"images"}),
    settings=(
        Setting("blocks", "int", 2,
                "Number of blocks: convolutions, each with BatchNorm and activation, then dropout; "
                "a max-pool before the last activation.",
                low=1, high=16, more="capacity"),
        Setting("channels", "int_or_sizes", 32,
                "Channels of the first block, doubled in each one after; or a list, one a block.",
                low=1, high=4096, more="capacity"),
        Setting("kernel", "int", 3,
                "Width of the square convolution; borders are padded, so sizes stay.",
                low=1, high=15, more="capacity"),
        BATCH_NORM, ACTIVATION, DROPOUT,
        Setting("head", "choice", "flatten",
                "How the maps become a vector: all of them, or of each the mean (gap) or the "
                "largest value (max). max suits small objects that may lie anywhere.",
                choices=("flatten", "gap", "max")),
        Setting("dense", "int", 0, "Units of a dense layer before the last one; 0 for none.",
                low=0, high=65536, more="capacity"),
        INIT, NEGATIVE_SLOPE,
        Setting("convs", "int", 1, "Convolutions of each block, as in VGG.",
                low=1, high=16, more="capacity", later=True),
        Setting("skip", "bool", False,
                "Add the input of each block to its output; if channels differ, through a "
                "convolution of width 1.", later=True),
        SQUEEZE_EXCITE,
        Setting("dense_dropout", "float", 0.0,
                "Share of the last layer's inputs set to zero while training, after `dropout`.",
                low=0, high=1, open_high=True,
                group="regularization", per_slot=True, more="regularization", later=True),
        FREEZE,
    ),
    build="hpsearch.families.cnn.network:cnn",
    count="hpsearch.families.cnn.count:count",
    rules=(NORM,),
)  # fmt: skip
