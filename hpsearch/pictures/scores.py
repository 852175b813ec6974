"""How the errors of normal and of strange rows are spread, and the threshold between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.pictures.canvas import COLOURS, figure, legend, logarithmic
from hpsearch.pictures.subject import share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpsearch.pictures.subject import Subject

__all__ = ["Scores", "draw", "gather", "normal_rows"]

_BINS = 40
_DECADES = 1.5
"""Errors that are spread over so many powers of ten are shown on a logarithmic scale."""


@dataclass(frozen=True)
class Scores:
    """What is drawn."""

    title: str
    normal: tuple[float, ...]
    """The errors of normal rows."""
    strange: tuple[float, ...]
    """Those of strange rows; none where nobody knows of any."""
    threshold: float | None
    """Above it a row is called strange."""


def normal_rows(subject: Subject) -> np.ndarray:
    """(N,): which rows of the sample are normal."""
    problem, targets = subject.source.problem, subject.sample.targets.numpy()
    if not problem.normal:
        return np.ones(len(targets), bool)
    kinds = np.array([name in problem.normal for name in problem.classes])
    return np.asarray(kinds[targets])


def gather(subject: Subject) -> Scores:
    """The errors of the rows of the part."""
    sample, normal = subject.sample, normal_rows(subject)
    errors = sample.outputs[:, 0].numpy()
    where = f"{subject.source.named}{share(len(sample.rows), sample.of)}"
    return Scores(
        f"{subject.title}, {where}", tuple(errors[normal]), tuple(errors[~normal]),
        subject.source.problem.threshold,
    )  # fmt: skip


def draw(content: Scores) -> Figure:
    """Two histograms, each of the share of its own rows, and the threshold."""
    made, (axes,) = figure(f"Anomaly scores: {content.title}", 5.6, 3.2)
    every = np.array([*content.normal, *content.strange])
    low, high = max(float(every.min()), 1e-12), float(every.max())
    wide = high > low and np.log10(high / low) >= _DECADES
    bins = np.geomspace(low, high, _BINS) if wide else np.linspace(every.min(), high, _BINS)
    kinds = (("normal", content.normal, COLOURS[0], ""), ("strange", content.strange, COLOURS[1],
                                                          "////"))  # fmt: skip
    for name, errors, colour, hatch in kinds:
        if errors:
            weights = np.full(len(errors), 1 / len(errors))
            label = f"{name}, {len(errors):,} rows"
            axes.hist(
                errors, bins=bins.tolist(), weights=weights, color=colour, alpha=0.55, hatch=hatch,
                edgecolor="white", linewidth=0.3, label=label,
            )  # fmt: skip
    if content.threshold is not None:
        axes.axvline(content.threshold, color="black", linewidth=1.3, linestyle="--",
                     label=f"threshold {content.threshold:.3g}")  # fmt: skip
    if wide:
        axes.set_xscale("log")
        logarithmic(axes.xaxis)
    axes.set(xlabel="error of a row (mean squared)", ylabel="share of its rows")
    legend(axes, 2)
    return made
