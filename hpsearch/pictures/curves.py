"""Learning curves of a trial: loss in training and in validation, and the study's metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.pictures.canvas import COLOURS, GREY, figure, legend, logarithmic, whole_numbers
from hpsearch.spec.task import LOSS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hpsearch.pictures.plotted import Plotted

__all__ = ["Curves", "draw", "gather"]

TRAIN = "train_"
"""How a metric is called that was measured in training."""
_DECADES = 2.0
"""A loss that falls by so many powers of ten is shown on a logarithmic scale."""
_POINTS = 40
"""Epochs up to which each is a point."""


@dataclass(frozen=True)
class Curves:
    """What is drawn; each curve has a value an epoch."""

    title: str
    metric: str
    epochs: tuple[int, ...]
    losses: tuple[tuple[str, tuple[float, ...]], ...]
    """By name, training first; none where the losses of the epochs are not known any more."""
    values: tuple[tuple[str, tuple[float, ...]], ...]
    """The metric, by the part that it was measured on; none where it is the loss itself."""
    counts: int
    """The epoch that counts."""


def gather(subject: Plotted) -> Curves | None:
    """The curves of a trial; None where it has fewer than two epochs."""
    trial, metric = subject.trial, subject.metric
    if len(trial.curve) < 2:
        return None
    if subject.curve is None:
        only = (("validation", tuple(trial.curve.values())),)
        return Curves(subject.title, metric, tuple(trial.curve), (), only, trial.best_epoch)
    curves = {
        name: tuple(epoch.metrics.get(name, math.nan) for epoch in subject.curve)
        for name in (TRAIN + LOSS, LOSS, TRAIN + metric, metric)
        if name in subject.curve[-1].metrics
    }
    named = [("training", TRAIN + LOSS), ("validation", LOSS)]
    losses = [(part, curves[name]) for part, name in named if name in curves]
    values_of = [("training", TRAIN + metric), ("validation", metric)]
    values = [(part, curves[name]) for part, name in values_of if name in curves]
    return Curves(
        subject.title, metric, tuple(epoch.epoch for epoch in subject.curve), tuple(losses),
        () if metric == LOSS else tuple(values), trial.best_epoch,
    )  # fmt: skip


def draw(content: Curves) -> Figure:
    """Loss and metric beside each other, or the one there is."""
    panels = [(name, curves) for name, curves in
              ((LOSS, content.losses), (content.metric, content.values)) if curves]  # fmt: skip
    made, axes = figure(
        f"Learning curves: {content.title}", 3.6 * len(panels) + 0.4, 3.0, columns=len(panels)
    )
    for own, (name, curves) in zip(axes, panels, strict=True):
        _panel(own, content, name, curves)
    return made


def _panel(
    axes: Axes, content: Curves, name: str, curves: tuple[tuple[str, tuple[float, ...]], ...]
) -> None:
    colours = {"training": COLOURS[1], "validation": COLOURS[0]}
    marker = "o" if len(content.epochs) <= _POINTS else None
    for part, values in curves:
        style = "--" if part == "training" else "-"
        axes.plot(content.epochs, values, style, color=colours[part], marker=marker, markersize=3,
                  linewidth=1.4, label=part)  # fmt: skip
    axes.axvline(content.counts, color=GREY, linewidth=1, linestyle=":",
                 label=f"epoch that counts: {content.counts}")  # fmt: skip
    positive = [v for _, values in curves for v in values if math.isfinite(v)]
    if name == LOSS and positive and min(positive) > 0:
        spread = math.log10(max(positive) / min(positive))
        if spread >= _DECADES:
            axes.set_yscale("log")
            logarithmic(axes.yaxis)
    axes.set(xlabel="epoch", ylabel=name)
    whole_numbers(axes.xaxis)
    legend(axes, 2)
