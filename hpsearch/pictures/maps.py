"""What a network's first convolutions make of a few inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from hpsearch.pictures.canvas import grid, head

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hpsearch.pictures.subject import Subject

__all__ = ["Maps", "Row", "draw", "gather"]

_EXAMPLES, _LAYERS, _CHANNELS = 2, 2, 8


@dataclass(frozen=True, eq=False)
class Row:
    """One input and one layer."""

    given: NDArray[np.float64]
    """The input: an image (H, W) or (H, W, 3), or a series (D, T)."""
    target: str
    layer: str
    size: tuple[int, ...]
    """(C, H, W) or (C, T): what the layer gives."""
    maps: NDArray[np.float64]
    """(channels, H, W): the first of them; of a series (1, channels, T)."""


@dataclass(frozen=True, eq=False)
class Maps:
    """What is drawn."""

    title: str
    rows: tuple[Row, ...]


def gather(subject: Subject) -> Maps:
    """The maps of the first convolutions for an input of each of two classes, or of two rows."""
    sample, truths = subject.sample, subject.truths(subject.sample)
    places = np.unique(truths, return_index=True)[1][:_EXAMPLES] if subject.classes else (
        np.linspace(0, len(truths) - 1, _EXAMPLES).astype(int)
    )  # fmt: skip
    inputs = sample.inputs[torch.from_numpy(places)]
    images = subject.source.problem.kind == "images"
    given = subject.images(inputs) if images else inputs.double().numpy().transpose(0, 2, 1)
    layers = subject.traced(inputs, _LAYERS)
    rows = []
    for example, place in enumerate(places):
        truth = truths[place]
        target = subject.classes[truth] if subject.classes else f"{truth:.4g}"
        for name, made in layers:
            own = made[example].numpy()
            maps = own[:_CHANNELS] if images else own[None, : 4 * _CHANNELS]
            rows.append(Row(given[example], target, name, tuple(own.shape), maps))
    return Maps(f"{subject.title}, {subject.source.named}", tuple(rows))


def draw(content: Maps) -> Figure:
    """A line for each input and layer: the input, then the maps, each on its own scale."""
    most = max(len(row.maps) for row in content.rows)
    made, axes = grid(
        f"Feature maps: {content.title}", len(content.rows), most + 1, 0.85 if most > 1 else 2.2,
        beside=0.9,
    )  # fmt: skip
    for line, row in zip(axes, content.rows, strict=True):
        aspect: Literal["equal", "auto"] = "equal" if most > 1 else "auto"
        line[0].imshow(row.given, cmap="gray", interpolation="nearest", aspect=aspect)
        head(line[0], [row.target])
        size = " x ".join(map(str, row.size))
        line[0].set_ylabel(
            f"layer {row.layer}\n{size}", fontsize=7, rotation=0, ha="right", va="center"
        )
        for at, own in enumerate(row.maps):
            line[at + 1].imshow(own, cmap="viridis", interpolation="nearest", aspect=aspect)
            head(line[at + 1], [f"map {at + 1}" if most > 1 else "maps, one a line"], 6)
    return made
