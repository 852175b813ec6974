"""Settings that several families have, with one meaning in all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.spec.conflicts import Rule
from hpsearch.spec.settings import Setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hpsearch.spec.settings import Value

__all__ = ["ACTIVATION", "BATCH_NORM", "DROPOUT", "INIT", "NORM"]

ACTIVATION = Setting(
    "activation", "choice", "relu", "Function between layers; `none` makes the network linear.",
    choices=("relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "none"),
)  # fmt: skip
BATCH_NORM = Setting("batch_norm", "bool", False, "Normalise every layer's output over the batch.")
DROPOUT = Setting(
    "dropout", "float", 0.0, "Share of a layer's outputs set to zero while training.",
    low=0, high=1, open_high=True,
    group="regularization", per_slot=True, more="regularization",
)  # fmt: skip
INIT = Setting(
    "init", "choice", "default",
    "How weights start: PyTorch's own way, Glorot's, He's, or orthogonal.",
    choices=("default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal",
             "orthogonal"),
    per_slot=True,
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
