"""The weights of a network's first convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.pictures.canvas import grid, head, shown
from hpsearch.pictures.subject import CONVOLUTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hpsearch.pictures.subject import Subject

__all__ = ["Filters", "draw", "gather"]

_MOST, _ACROSS = 32, 8


@dataclass(frozen=True, eq=False)
class Filters:
    """What is drawn."""

    title: str
    layer: str
    """The name of the layer in the network."""
    of: int
    """How many filters it has."""
    weights: NDArray[np.float64]
    """(filters, H, W), or (filters, H, W, 3) of colour images; of a convolution over a series
    (filters, inputs, steps)."""
    note: str = ""
    """What was done to the weights."""


def gather(subject: Subject) -> Filters | None:
    """The weights of the first convolution; None where there is none."""
    layers = subject.trained.network.named_modules()
    first = next(((n, m) for n, m in layers if isinstance(m, CONVOLUTIONS)), None)
    if first is None:
        return None
    name, layer = first
    weights = layer.weight.detach().double().cpu().numpy()
    note = ""
    if weights.ndim == 4:
        if weights.shape[1] == 3:
            weights = weights.transpose(0, 2, 3, 1)
        else:
            note = f"mean over {weights.shape[1]} channels" if weights.shape[1] > 1 else ""
            weights = weights.mean(axis=1)
    return Filters(subject.title, name, len(weights), weights[:_MOST], note)


def draw(content: Filters) -> Figure:
    """A square a filter: blue below 0, red above; of colour images the colours themselves."""
    count = len(content.weights)
    shown_of = f"{count} of {content.of} filters" if count < content.of else f"{count} filters"
    words = ", ".join(word for word in (f"layer {content.layer}", shown_of, content.note) if word)
    lines = -(-count // _ACROSS)
    made, axes = grid(f"Filters: {content.title}, {words}", lines, min(count, _ACROSS), 0.8, 5.0)
    flat = [own for line in axes for own in line]
    colours = content.weights.ndim == 4
    image = None
    for at, (own, weights) in enumerate(zip(flat, content.weights, strict=False)):
        most = float(np.abs(weights).max()) or 1.0
        if colours:
            shown(own, weights / (2 * most) + 0.5)
        else:
            most = float(np.abs(content.weights).max()) or 1.0
            image = own.imshow(weights, cmap="RdBu_r", vmin=-most, vmax=most,
                               interpolation="nearest", aspect="auto" if weights.shape[0] !=
                               weights.shape[1] else "equal")  # fmt: skip
        head(own, [str(at + 1)], 6)
    if image is not None:
        bar = made.colorbar(image, ax=flat, shrink=0.8, pad=0.02)
        bar.set_label("weight")
        bar.outline.set_visible(False)
    return made
