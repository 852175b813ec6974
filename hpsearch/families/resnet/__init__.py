"""Residual convolutional networks."""

from dataclasses import replace

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
    name="resnet",
    doc="Stages of residual blocks, two convolutions each, then the mean of each map and one "
    "linear layer. With 3 stages of 1, 2 or 3 blocks it is ResNet-8, -14 or -20.",
    takes=frozenset({"images"}),
    settings=(
        Setting("stages", "int", 3,
                "Number of stages; each after the first halves height and width, and has twice the "
                "channels.",
                low=1, high=6, more="capacity"),
        Setting("blocks", "int", 1, "Residual blocks of each stage.",
                low=1, high=64, more="capacity"),
        Setting("width", "int", 16, "Channels of the first stage.",
                low=1, high=1024, more="capacity"),
        replace(BATCH_NORM, default=True), ACTIVATION, NEGATIVE_SLOPE,
        replace(DROPOUT, doc="Share of the maps' pixels set to zero while training, between the "
                             "two convolutions of each block."),
        SQUEEZE_EXCITE,
        Setting("stochastic_depth", "float", 0.0,
                "Share of the rows for which the last block is skipped while training; blocks "
                "before it in proportion less.",
                low=0, high=1, open_high=True,
                group="regularization", per_slot=True, more="regularization"),
        INIT,
        FREEZE,
    ),
    build="hpsearch.families.resnet.network:resnet",
    count="hpsearch.families.resnet.count:count",
    rules=(NORM,),
)  # fmt: skip
