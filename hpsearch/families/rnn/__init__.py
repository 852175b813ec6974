"""Recurrent networks."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import DROPOUT, FREEZE, INIT

__all__ = ["FAMILY"]

FAMILY = Family(
    name="rnn",
    doc="Recurrent layers (LSTM or GRU) over the steps of a sequence, then one linear layer. An "
        "image is read row by row, from the top; a row of numbers is read number by number.",
    takes=frozenset({"sequences", "images", "rows"}),
    settings=(
        Setting("cell", "choice", "lstm", "Kind of the recurrent cell.", choices=("lstm", "gru")),
        Setting("hidden", "int", 64, "Units of each layer, in each direction.", low=1, high=16384,
                more="capacity"),
        Setting("layers", "int", 1, "Number of recurrent layers.", low=1, high=16,
                more="capacity"),
        Setting("bidirectional", "bool", False,
                "Whether each layer reads the sequence from its end too."),
        Setting("pool", "choice", "last",
                "What is used of all steps: the state after the last one, or the mean.",
                choices=("last", "mean")),
        DROPOUT, INIT,
        FREEZE,
    ),
    build="hpsearch.families.rnn.network:rnn",
    count="hpsearch.families.rnn.count:count",
)  # fmt: skip
