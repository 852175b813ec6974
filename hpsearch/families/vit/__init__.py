"""Vision transformers."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import DROPOUT, FREEZE, HEADS, INIT, WHOLE_HEADS

__all__ = ["FAMILY"]

FAMILY = Family(
    name="vit",
    doc="A vision transformer: the image in patches, attention between them, then one linear "
        "layer.",
    takes=frozenset({"images"}),
    settings=(
        Setting("patch", "int", None,
                "Side of the square patches, in pixels; null is a quarter of the image's shorter "
                "side, at most 16. Images are padded with zeros to whole patches.",
                low=1, high=256),
        Setting("dim", "int", 64, "Size of the vector of a patch.", low=1, high=8192,
                more="capacity"),
        Setting("depth", "int", 4, "Number of blocks: attention, then a dense layer.",
                low=1, high=64, more="capacity"),
        HEADS,
        Setting("feed_forward", "int", 2, "Units of a block's dense layer, as a multiple of dim.",
                low=1, high=16, more="capacity"),
        Setting("pool", "choice", "class",
                "Input of the last layer: a learnt vector beside the patches (class), or the "
                "mean of the patches.",
                choices=("class", "mean")),
        DROPOUT, INIT,
        FREEZE,
    ),
    build="hpsearch.families.vit.network:vit",
    count="hpsearch.families.vit.count:count",
    rules=(WHOLE_HEADS,),
)  # fmt: skip
