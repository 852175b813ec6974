"""Models of torchvision."""

from hpsearch.families import Family, Setting
from hpsearch.families.shared import BACKBONE_LR, HEAD_DROPOUT, IMAGE_SIZE, THAW_AT, TUNE
from hpsearch.families.torchvision.names import KNOWN

__all__ = ["FAMILY"]

FAMILY = Family(
    name="torchvision",
    doc="A model for images of torchvision, by name: AlexNet, VGG, ResNet, EfficientNet, ViT and "
        "others, with a last layer for the problem. Grey images are given as all three colours.",
    takes=frozenset({"images"}),
    settings=(
        Setting("model", "text", "resnet18",
                "Name of the model in torchvision, such as alexnet, vgg11, resnet18, "
                "efficientnet_b0 or vit_b_16."),
        IMAGE_SIZE, HEAD_DROPOUT, TUNE, THAW_AT, BACKBONE_LR,
    ),
    build="hpsearch.families.torchvision.network:torchvision",
    published="hpsearch.families.torchvision.weights:published",
    entries="hpsearch.families.torchvision.weights:entries",
    rules=(KNOWN,),
)  # fmt: skip
