"""Networks that read text."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import ACTIVATION, DROPOUT, FREEZE, INIT, NEGATIVE_SLOPE

__all__ = ["FAMILY"]

FAMILY = Family(
    name="text",
    doc="A vector for each word, a body that joins them into one (their mean, a recurrent or a "
        "convolutional network), then a linear layer.",
    takes=frozenset({"tokens"}),
    settings=(
        Setting("embedding", "int", 64,
                "Size of the vector of a word; vectors start normal, of length 1 on average.",
                low=1, high=4096, more="capacity"),
        Setting("body", "choice", "mean",
                "How the words' vectors become one: their mean, which ignores order, a recurrent "
                "network (rnn), or convolutions over neighbouring words (conv1d).",
                choices=("mean", "rnn", "conv1d")),
        Setting("hidden", "int", 64,
                "Units of a recurrent layer, in each direction; channels of a convolution.",
                low=1, high=4096),
        Setting("layers", "int", 1, "Recurrent or convolutional layers.", low=1, high=16),
        Setting("cell", "choice", "gru", "Kind of the recurrent cell.",
                choices=("gru", "lstm")),
        Setting("bidirectional", "bool", False,
                "Whether a recurrent layer reads from the last word to the first too."),
        Setting("kernel", "int", 3, "Words that a convolution sees.", low=1, high=255),
        Setting("pool", "choice", "max",
                "How a recurrent or convolutional body makes one vector of all words: the "
                "largest or the mean of each number, or the state after the last word (last); "
                "for the layer that reads backwards, after the first.",
                choices=("max", "mean", "last")),
        Setting("dense", "int", 0,
                "Units of a dense layer before the last one; 0 for none.", low=0, high=65536,
                more="capacity"),
        ACTIVATION, NEGATIVE_SLOPE, DROPOUT, INIT,
        FREEZE,
    ),
    build="hpsearch.families.text.network:text",
)  # fmt: skip
