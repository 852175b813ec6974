"""Settings that several families have, with one meaning in all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch.spec.conflicts import Rule
from hpsearch.spec.settings import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.settings import Value

__all__ = [
    "ACTIVATION", "BACKBONE_LR", "BATCH_NORM", "CODE", "DROPOUT", "FREEZE", "HEADS", "HEAD_DROPOUT",
    "IMAGE_SIZE", "INIT", "LAYER_NORM", "NEGATIVE_SLOPE", "NORM", "ONE_NORM", "SQUEEZE_EXCITE",
    "THAW_AT", "TUNE", "WHOLE_HEADS",
]  # fmt: skip

ACTIVATION = Setting(
    "activation", "choice", "relu", "Function between layers; `none` makes the network linear.",
    choices=("relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "none"),
)  # fmt: skip
NEGATIVE_SLOPE = Setting(
    "negative_slope", "float", 0.01, "Slope of `leaky_relu` below 0; unused by other activations.",
    low=0, high=1, later=True,
)  # fmt: skip
BATCH_NORM = Setting("batch_norm", "bool", False, "Normalise every layer's output over the batch.")
CODE = Setting(
    "code", "int", None,
    "Size of the code, in numbers; null is a quarter of the inputs, at most 32. A code as large "
    "as the input can copy anything, strange or not.",
    low=1, high=65536, more="capacity",
)  # fmt: skip
LAYER_NORM = Setting(
    "layer_norm", "bool", False,
    "Normalise every layer's output over its units, row by row: for small batches.", later=True,
)  # fmt: skip
SQUEEZE_EXCITE = Setting(
    "squeeze_excite", "bool", False,
    "Scale each map by a gate that a small network computes from the means of all maps.",
    more="capacity", later=True,
)  # fmt: skip
DROPOUT = Setting(
    "dropout", "float", 0.0, "Share of a layer's outputs set to zero while training.",
    low=0, high=1, open_high=True,
    group="regularization", per_slot=True, more="regularization",
)  # fmt: skip
HEAD_DROPOUT = replace(
    DROPOUT, doc="Share of the last layer's inputs set to zero while training."
)  # fmt: skip
HEADS = Setting(
    "heads", "int", 4, "Attentions side by side in each block; they share dim, which they divide.",
    low=1, high=256,
)  # fmt: skip
IMAGE_SIZE = Setting(
    "size", "int", None,
    "Height and width of the images that the model gets; null leaves them as they are, or "
    "enlarges them to the smallest size that the model takes.",
    low=8, high=4096,
)  # fmt: skip
INIT = Setting(
    "init", "choice", "default",
    "How first weights are drawn: PyTorch's way, Glorot's, He's, orthogonal; or independent of "
    "the layer's size, `uniform` between -0.05 and 0.05 or `normal` with deviation 0.05.",
    choices=("default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
             "orthogonal", "uniform", "normal"),
    per_slot=True,
)  # fmt: skip
FREEZE = Setting(
    "freeze", "int", 0,
    "Number of first layers whose weights stay as they are, with what normalises after them. "
    "Meant for a network that starts with the weights of a saved one.",
    low=0, high=1000,
    group="regularization", later=True, built=False,
)  # fmt: skip
TUNE = Setting(
    "tune", "choice", "all",
    "Which part of a pretrained network is trained: its new `head`; `head_then_all`, the rest "
    "too from `thaw_at` on; `all` from the start; or `scratch`, everything from drawn weights.",
    choices=("head", "head_then_all", "all", "scratch"), later=True, built=False,
)  # fmt: skip
"""Of the group architecture: it decides how many parameters there are to train, matters more than
any other setting, and each of its values has learning rates of its own, so that a search by groups
has to choose it before them."""
THAW_AT = Setting(
    "thaw_at", "float", 0.3,
    "Share of the epochs after which `tune: head_then_all` trains everything.",
    low=0, high=1, open_low=True, open_high=True,
    group="learning_rate", per_slot=True, later=True, built=False,
)  # fmt: skip
BACKBONE_LR = Setting(
    "backbone_lr", "float", 0.1,
    "Factor on the learning rate of pretrained weights, everything but the head, if `tune` is "
    "`all` or `head_then_all`.",
    low=0, high=10, open_low=True,
    group="learning_rate", per_slot=True, later=True, built=False,
)  # fmt: skip


def _of_norm(settings: Mapping[str, Value], task: str | None, classes: int | None) -> str:
    if settings["batch_norm"] and settings["batch_size"] == 1:
        return "batch_norm needs batches of 2 rows or more, and batch_size is 1"
    return ""


NORM = Rule(
    {"batch_size": "2 or more, as BatchNorm has no variance of one row",
     "batch_norm": "false, as each batch is one row"},
    _of_norm,
)  # fmt: skip


def _of_norms(settings: Mapping[str, Value], task: str | None, classes: int | None) -> str:
    if settings["batch_norm"] and settings["layer_norm"]:
        return "batch_norm and layer_norm each normalise the same outputs: one of them is enough"
    return ""


ONE_NORM = Rule(
    {"layer_norm": "false, beside batch_norm", "batch_norm": "false, beside layer_norm"}, _of_norms
)


def _of_heads(settings: Mapping[str, Value], task: str | None, classes: int | None) -> str:
    heads, dim = settings["heads"], settings["dim"]
    assert isinstance(heads, int)
    assert isinstance(dim, int)
    return f"{heads} heads do not divide a dim of {dim}" if dim % heads else ""


WHOLE_HEADS = Rule({"heads": "a divisor of dim", "dim": "a multiple of heads"}, _of_heads)
