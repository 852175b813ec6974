"""A family of networks that hpsearch knows nothing of."""

from hpsearch.families import Family, Setting

FAMILY = Family(
    name="toy",
    doc="One hidden layer or two, with a way around them if asked for.",
    takes=frozenset({"rows"}),
    settings=(
        # A whole number in the family mlp.
        Setting("depth", "choice", "shallow", "One hidden layer, or two.",
                choices=("shallow", "deep")),
        Setting("units", "int", 16, "Units of each hidden layer.", low=1, high=1024,
                more="capacity"),
        Setting("noise", "float", 0.0, "Share of the last hidden units that is dropped.",
                low=0, high=1, open_high=True, group="regularization", per_slot=True),
        Setting("around", "bool", False, "Whether inputs reach the last layer by themselves too."),
    ),
    build="toy_family.network:toy",
)  # fmt: skip
