"""Networks that read text."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import ACTIVATION, DROPOUT, FREEZE, INIT, NEGATIVE_SLOPE

__all__ = ["FAMILY"]

FAMILY = Family(
    name="text",
    doc="A vector for each word, a body that makes one vector of them all (their mean, a recurrent "
        "or a convolutional network), then a linear layer.",
    takes=frozenset({"tokens"}),
    settings=(
        Setting("embedding", "int", 64,
                "Numbers in the vector of a word; vectors start normal, of length 1 on average.",
                low=1, high=4096, more="capacity"),
        Setting("body", "choice", "mean",
                "What makes one vector of those of the words: their mean, which knows no order, a "
                "recurrent network (rnn), or convolutions over neighbouring words (conv1d).",
                choices=("mean", "rnn", "conv1d")),
        Setting("hidden", "int", 64,
                "Units of a recurrent layer, in each direction; channels of a convolution.",
                low=1, high=4096),
        Setting("layers", "int", 1, "Recurrent or convolutional layers.", low=1, high=16),
        Setting("cell", "choice", "gru", "What a recurrent layer remembers with.",
                choices=("gru", "lstm")),
        Setting("bidirectional", "bool", False,
                "Whether a recurrent layer reads from the last word to the first too."),
        Setting("kernel", "int", 3, "Words that a convolution sees.", low=1, high=255),
        Setting("pool", "choice", "max",
                "How a recurrent or convolutional body makes one vector of all words: the largest "
                "or the mean of each number, or the last word (last), which of a recurrent layer "
                "has read all; of the layer that reads backwards it is the first.",
                choices=("max", "mean", "last")),
        Setting("dense", "int", 0,
                "Units of a dense layer before the last one; 0 for none.", low=0, high=65536,
                more="capacity"),
        ACTIVATION, NEGATIVE_SLOPE, DROPOUT, INIT,
        FREEZE,
    ),
    build="hpsearch.families.text.network:text",
)  # fmt: skip
