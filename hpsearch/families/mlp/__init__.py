"""Dense networks."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import (
    ACTIVATION,
    BATCH_NORM,
    DROPOUT,
    FREEZE,
    INIT,
    LAYER_NORM,
    NEGATIVE_SLOPE,
    NORM,
    ONE_NORM,
)  # fmt: skip

__all__ = ["FAMILY"]

FAMILY = Family(
    name="mlp",
    doc="Dense layers one after the other; an image is read as one row of numbers.",
    takes=frozenset({"rows", "images"}),
    settings=(
        Setting("depth", "int", 2, "Number of hidden layers; 0 is a linear model.", low=0, high=64,
                more="capacity"),
        Setting("width", "int", 128, "Units in each hidden layer.", low=1, high=65536,
                more="capacity"),
        Setting("widths", "sizes", None,
                "Units of each hidden layer, one by one; in place of depth and width.",
                more="capacity"),
        ACTIVATION, BATCH_NORM, DROPOUT, INIT, NEGATIVE_SLOPE, LAYER_NORM,
        Setting("skip", "bool", False,
                "Add the input of each hidden layer after the first to its output; if widths "
                "differ, through a dense layer without bias.", later=True),
        FREEZE,
    ),
    build="hpsearch.families.mlp.network:mlp",
    count="hpsearch.families.mlp.count:count",
    either=(("widths",), ("depth", "width")),
    rules=(NORM, ONE_NORM),
)  # fmt: skip
