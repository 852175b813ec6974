"""Transformers over sequences and text."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import DROPOUT, FREEZE, HEADS, INIT, WHOLE_HEADS

__all__ = ["FAMILY"]

FAMILY = Family(
    name="transformer",
    doc="Blocks of attention between the steps of a sequence, or the words of a text, then one "
        "linear layer. The padding of a text is ignored.",
    takes=frozenset({"sequences", "tokens"}),
    settings=(
        Setting("dim", "int", 64, "Size of the vector of a step or a word.", low=1, high=8192,
                more="capacity"),
        Setting("depth", "int", 2, "Number of blocks: attention, then a dense layer.",
                low=1, high=64, more="capacity"),
        HEADS,
        Setting("feed_forward", "int", 2, "Units of a block's dense layer, as a multiple of dim.",
                low=1, high=16, more="capacity"),
        Setting("position", "choice", "sine",
                "How the network sees the position of a step: by fixed waves (sine), by a vector "
                "learnt for each position (learnt), or not at all (none), so that order is "
                "ignored.",
                choices=("sine", "learnt", "none")),
        Setting("pool", "choice", "mean",
                "Input of the last layer: the mean of all steps or words, or a learnt vector "
                "beside them (class).",
                choices=("mean", "class")),
        DROPOUT, INIT,
        FREEZE,
    ),
    build="hpsearch.families.transformer.network:transformer",
    rules=(WHOLE_HEADS,),
)  # fmt: skip
