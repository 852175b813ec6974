"""Models of the package timm."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import BACKBONE_LR, HEAD_DROPOUT, IMAGE_SIZE, THAW_AT, TUNE

__all__ = ["FAMILY"]

FAMILY = Family(
    name="timm",
    doc="A model for images of the package timm, by name, with a last layer for the problem. Grey "
        "images are given as all three colours. It needs `pip install 'hpsearch[timm]'`.",
    takes=frozenset({"images"}),
    settings=(
        Setting("model", "text", "resnet18",
                "Name of the model in timm, such as tf_efficientnet_lite0, or name and tag of its "
                "published weights, such as resnet18.a1_in1k."),
        IMAGE_SIZE, HEAD_DROPOUT, TUNE, THAW_AT, BACKBONE_LR,
    ),
    build="hpsearch.families.timm.network:timm",
    published="hpsearch.families.timm.weights:published",
    entries="hpsearch.families.timm.weights:entries",
    extra="timm",
)  # fmt: skip
