"""Which class a network of two inputs gives to each point of the plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hpsearch.pictures.canvas import COLOURS, MARKERS, figure, short
from hpsearch.pictures.subject import Sample, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hpsearch.pictures.subject import Subject

__all__ = ["Boundary", "draw", "gather"]

_STEPS = 160
_MARGIN = 0.08
_MOST_POINTS = 600


@dataclass(frozen=True, eq=False)
class Boundary:
    """What is drawn, in the units of the data."""

    title: str
    classes: tuple[str, ...]
    inputs: tuple[str, str]
    """What the two inputs are called."""
    ends: tuple[float, float, float, float]
    """Left, right, lower and upper end of the plane."""
    winners: NDArray[np.int64]
    """(steps, steps): the class of each point, from the lower left, row by row."""
    sure: NDArray[np.float64]
    """(steps, steps): its probability."""
    points: NDArray[np.float64]
    """(M, 2): rows of the part."""
    truths: NDArray[np.int64]
    """(M,): their classes."""


def gather(subject: Subject) -> Boundary:
    """The network's answers on a grid around the rows of the part."""
    sample = subject.sample
    low, high = (getattr(sample.inputs, end)(dim=0).values for end in ("min", "max"))
    margin = _MARGIN * (high - low).clamp(min=1e-6)
    low, high = low - margin, high + margin
    across, up = (torch.linspace(float(low[i]), float(high[i]), _STEPS) for i in (0, 1))
    grid = torch.cartesian_prod(up, across)[:, [1, 0]]
    asked = Sample(np.arange(len(grid)), len(grid), grid, torch.zeros(len(grid)),
                   subject.outputs(grid))  # fmt: skip
    odds = subject.predicted(asked).probabilities
    if odds is None:
        raise ValueError("the task gives no probabilities, and a boundary takes them")
    chosen = np.unique(np.linspace(0, len(sample.rows) - 1, _MOST_POINTS).round().astype(int))
    corners = subject.unscaled(torch.stack([low, high]))
    names = [unit.name for unit in subject.units] or ["", ""]
    where = f"{subject.source.named}{share(len(chosen), sample.of)}"
    return Boundary(
        f"{subject.title}, {where}", subject.classes,
        (names[0] or "first input", names[1] or "second input"),
        (corners[0, 0], corners[1, 0], corners[0, 1], corners[1, 1]),
        odds.argmax(axis=1).reshape(_STEPS, _STEPS), odds.max(axis=1).reshape(_STEPS, _STEPS),
        subject.unscaled(sample.inputs)[chosen], subject.truths(sample)[chosen],
    )  # fmt: skip


def draw(content: Boundary) -> Figure:
    """The plane in the colours of the classes, paler where the network is less sure; the rows."""
    made, (axes,) = figure(f"Decision boundary: {content.title}", 5.4, 4.2)
    _plane(axes, content)
    for at, name in enumerate(content.classes):
        own = content.points[content.truths == at]
        axes.plot(own[:, 0], own[:, 1], MARKERS[at], color=COLOURS[at], markersize=4.5,
                  mec="white", mew=0.6, label=short(name, 20))  # fmt: skip
    axes.set(xlabel=content.inputs[0], ylabel=content.inputs[1])
    axes.grid(visible=False)
    axes.legend(title="true class", loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False,
                title_fontsize=8, alignment="left")  # fmt: skip
    return made


def _plane(axes: Axes, content: Boundary) -> None:
    from matplotlib.colors import to_rgb

    hues = np.array([to_rgb(colour) for colour in COLOURS])[content.winners]
    chance = 1 / len(content.classes)
    depth = 0.12 + 0.38 * np.clip((content.sure - chance) / (1 - chance), 0, 1)[..., None]
    left, right, lower, upper = content.ends
    axes.imshow(1 - depth * (1 - hues), extent=content.ends, origin="lower", aspect="auto",
                interpolation="nearest")  # fmt: skip
    across, up = np.linspace(left, right, _STEPS), np.linspace(lower, upper, _STEPS)
    for at in range(len(content.classes)):
        inside = (content.winners == at).astype(float)
        if 0 < inside.mean() < 1:
            axes.contour(across, up, inside, levels=[0.5], colors="black", linewidths=0.8)
