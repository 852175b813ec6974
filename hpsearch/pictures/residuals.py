"""Predicted numbers beside the true ones, and how far they are off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.pictures.canvas import COLOURS, GREY, figure, legend
from hpsearch.pictures.subject import share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpsearch.pictures.subject import Subject

__all__ = ["Residuals", "draw", "gather"]


@dataclass(frozen=True)
class Residuals:
    """What is drawn, in the target's own unit."""

    title: str
    true: tuple[float, ...]
    predicted: tuple[float, ...]


def gather(subject: Subject) -> Residuals:
    """The predictions for the part."""
    sample = subject.sample
    predicted = np.asarray(subject.predicted(sample).values, np.float64)
    where = f"{subject.source.named}{share(len(sample.rows), sample.of)}"
    return Residuals(f"{subject.title}, {where}", tuple(subject.truths(sample)), tuple(predicted))


def draw(content: Residuals) -> Figure:
    """Predictions over true values, and the histogram of the differences."""
    true, predicted = np.array(content.true), np.array(content.predicted)
    off = predicted - true
    made, (left, right) = figure(f"Residuals: {content.title}", 7.2, 3.2, columns=2)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    left.plot(ends, ends, color=GREY, linewidth=1, label="as it should be")
    alpha = min(max(60 / len(true) ** 0.7, 0.15), 0.8)
    left.plot(true, predicted, "o", color=COLOURS[0], markersize=3, alpha=alpha, mew=0)
    left.set(xlabel="true", ylabel="predicted")
    legend(left, 1)
    right.hist(off, bins=min(max(len(off) // 8, 8), 40), color=COLOURS[0], edgecolor="white",
               linewidth=0.4)  # fmt: skip
    right.axvline(0, color=GREY, linewidth=1)
    right.axvline(float(off.mean()), color=COLOURS[1], linewidth=1.2, linestyle="--",
                  label=f"mean {off.mean():.3g}\ndeviation {off.std():.3g}")  # fmt: skip
    right.set(xlabel="predicted - true", ylabel="rows")
    legend(right, 1)
    return made
