"""What is searched of a family, by how much data there is: ranges that a first search begins with.

A wide network on few rows learns them by heart, and a small one on many learns too little; so the
widths follow the number of rows. `hpsearch next` moves the ranges once there are results.
"""

from __future__ import annotations

from typing import Any

__all__ = ["images", "rows", "sequences", "text"]

_RATE = {"min": 1e-4, "max": 3e-2, "log": True}
_DECAY = {"min": 1e-6, "max": 1e-2, "log": True}


def rows(count: int, *, imbalanced: bool = False) -> dict[str, Any]:
    """Of `mlp`, for a table or arrays of so many rows."""
    widths = [16, 32, 64] if count < 1_000 else [32, 64, 128, 256] if count < 20_000 else [
        64, 128, 256, 512]  # fmt: skip
    return {
        "depth": {"min": 1, "max": 2 if count < 1_000 else 4},
        "width": {"values": widths},
        "lr": dict(_RATE),
        "schedule": "cosine",
        "batch_size": {"values": _batches(count)},
        "dropout": {"min": 0.0, "max": 0.5},
        "weight_decay": dict(_DECAY),
        "optimizer": "adamw",
        **({"class_weight": {"values": ["none", "balanced"]}} if imbalanced else {}),
    }


def images(count: int, side: int | None, *, imbalanced: bool = False) -> dict[str, Any]:
    """Of `cnn`, for so many images of so many pixels a side; None: not known."""
    side = side or 64
    most = max(min(4, side.bit_length() - 2), 1)  # each block halves the image
    return {
        "blocks": {"min": min(2, most - 1), "max": most} if most > 1 else 1,
        "channels": {"values": [8, 16, 32] if count < 1_000 else [16, 32, 64]},
        "batch_norm": True,
        "head": {"values": ["flatten", "gap", "max"], "default": "max"},
        "lr": dict(_RATE),
        "schedule": "cosine",
        "batch_size": {"values": _batches(count)[:3]},
        "dropout": {"min": 0.0, "max": 0.5},
        "weight_decay": dict(_DECAY),
        "flip": {"values": [False, True]},
        "crop": {"min": 0, "max": max(side // 8, 1)},
        "optimizer": "adamw",
        **({"class_weight": {"values": ["none", "balanced"]}} if imbalanced else {}),
    }


def sequences(count: int) -> dict[str, Any]:
    """Of `rnn`, for so many sequences."""
    return {
        "cell": {"values": ["lstm", "gru"]},
        "hidden": {"values": [16, 32, 64] if count < 2_000 else [32, 64, 128]},
        "layers": {"min": 1, "max": 2},
        "lr": dict(_RATE),
        "batch_size": {"values": _batches(count)[:3]},
        "dropout": {"min": 0.0, "max": 0.4},
        "optimizer": "adamw",
    }


def text(count: int, *, imbalanced: bool = False) -> dict[str, Any]:
    """Of `text`, for so many rows of sentences."""
    return {
        "embedding": {"values": [32, 64, 128]},
        "body": {"values": ["mean", "conv1d"]},
        "lr": {"min": 1e-3, "max": 1e-1, "log": True},
        "batch_size": {"values": _batches(count)[:3]},
        "dropout": {"min": 0.0, "max": 0.6},
        "optimizer": "adamw",
        **({"class_weight": {"values": ["none", "balanced"]}} if imbalanced else {}),
    }


def _batches(count: int) -> list[int]:
    """Batch sizes of which a training part of so many rows has ten or more."""
    sizes = [n for n in (8, 16, 32, 64, 128, 256, 512, 1024) if 10 * n <= 0.7 * count]
    return sizes[-4:] if len(sizes) >= 2 else [4, 8]
