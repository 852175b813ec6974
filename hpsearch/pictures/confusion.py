"""The confusion matrix of a trial, as it was kept of the epoch that counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.pictures.canvas import GREY, figure, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hpsearch.pictures.plotted import Plotted

__all__ = ["Confusion", "draw", "gather"]

_COUNTED = 20
"""Classes up to which each cell has its count; with more it would be too small to read."""
_NAME = 16


@dataclass(frozen=True)
class Confusion:
    """What is drawn."""

    title: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    """A row for each true class, a column for each predicted one."""


def gather(subject: Plotted) -> Confusion | None:
    """The matrix that was kept on the trial; None where there is none."""
    matrix = subject.trial.details.get("confusion")
    if matrix is None or len(matrix) != len(subject.classes):
        return None
    counts = tuple(tuple(map(int, row)) for row in matrix)
    return Confusion(subject.title, tuple(subject.classes), counts)


def draw(content: Confusion) -> Figure:
    """Shades by the share of each true class, with the counts."""
    counts = np.array(content.counts)
    classes = len(counts)
    cell = 0.42 if classes <= _COUNTED else 0.2
    size = min(max(classes * cell, 2.6), 10.0)
    names = [short(name, _NAME) for name in content.classes]
    room = 0.075 * max(map(len, names))
    small = 8 if classes <= _COUNTED else 6
    letter_in = small / 72 * 0.62
    turned = 90 if max(map(len, names)) * letter_in > 0.9 * size / classes else 0
    made, (axes,) = figure(
        f"Confusion matrix: {content.title}, validation part",
        max(size + room + 1.2, 4.4),
        size + room * (turned > 0) + 0.8,
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks(range(classes), names, rotation=turned, fontsize=small)
    axes.set_yticks(range(classes), names, fontsize=small)
    axes.set(xlabel="predicted", ylabel="true")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if classes <= _COUNTED:
        _count(axes, counts, shares)
    bar = made.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return made


def _count(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    for row, column in np.ndindex(counts.shape):
        count = int(counts[row, column])
        text = f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"
        colour = "white" if shares[row, column] > 0.5 else "black" if count else GREY
        axes.text(column, row, text, ha="center", va="center", color=colour,
                  fontsize=8 if len(text) < 4 else 6)  # fmt: skip
