"""The function of one number that a network has learnt, among the points that it learnt it from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hpsearch.pictures.canvas import COLOURS, figure, legend
from hpsearch.pictures.subject import Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpsearch.pictures.subject import Subject

__all__ = ["Fit", "draw", "gather"]

_STEPS = 400
_Points = tuple[tuple[float, ...], tuple[float, ...]]
"""Inputs and targets."""


@dataclass(frozen=True)
class Fit:
    """What is drawn, in the units of the data."""

    title: str
    part: str
    input: str
    """What the input is called."""
    train: _Points
    held: _Points
    """Of the part."""
    line: _Points
    """Inputs from the least to the largest, and what the network answers."""


def gather(subject: Subject) -> Fit:
    """The points of both parts, and the network's answers between them."""
    train, sample = subject.train, subject.sample
    both = torch.cat([train.inputs, sample.inputs])
    steps = torch.linspace(float(both.min()), float(both.max()), _STEPS).unsqueeze(1)
    line = Sample(np.arange(_STEPS), _STEPS, steps, torch.zeros(_STEPS), subject.outputs(steps))
    names = [unit.name for unit in subject.units]
    return Fit(
        subject.title, subject.source.named, names[0] if names and names[0] else "input",
        (_numbers(subject, train), tuple(subject.truths(train))),
        (_numbers(subject, sample), tuple(subject.truths(sample))),
        (_numbers(subject, line), tuple(map(float, subject.predicted(line).values))),
    )  # fmt: skip


def _numbers(subject: Subject, sample: Sample) -> tuple[float, ...]:
    return tuple(subject.unscaled(sample.inputs)[:, 0].tolist())


def draw(content: Fit) -> Figure:
    """Points of training and of the part, and the network's line."""
    made, (axes,) = figure(f"Fit: {content.title}", 5.2, 3.4)
    axes.plot(*content.train, "o", color=COLOURS[5], markersize=4, mew=0, label="training part")
    axes.plot(*content.held, "s", color=COLOURS[1], markersize=4, mew=0, label=content.part)
    axes.plot(*content.line, color="black", linewidth=1.4, label="prediction")
    axes.set(xlabel=content.input, ylabel="target")
    legend(axes, 3)
    return made
