"""Inputs beside what a network makes of them, where it learns to give them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hpsearch.pictures.canvas import COLOURS, figure, grid, head, shown, whole_numbers
from hpsearch.pictures.scores import normal_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import nn

    from hpsearch.pictures.subject import Subject

__all__ = ["Rebuilt", "Reconstructions", "draw", "gather"]

_EACH = 4
"""Rows of each kind."""


@dataclass(frozen=True, eq=False)
class Rebuilt:
    """One row."""

    kind: str
    """`normal` or `strange`."""
    error: float
    given: NDArray[np.float64]
    """An image (H, W) or (H, W, 3) from 0 to 1, or numbers (D,)."""
    made: NDArray[np.float64]
    """What the network makes of it, of the same shape."""
    off: NDArray[np.float64]
    """The squared difference of the network's own inputs: (H, W), or (D,)."""


@dataclass(frozen=True, eq=False)
class Reconstructions:
    """What is drawn."""

    title: str
    rows: tuple[Rebuilt, ...]
    images: bool


def gather(subject: Subject) -> Reconstructions | None:
    """Of normal rows those of a usual error, of the others those of the largest; where no strange
    rows are known, the normal ones of the largest. None where the network gives no inputs."""
    inner: nn.Module | None = getattr(subject.trained.network, "network", None)
    if inner is None:  # a task of an installed package, which goes about it in another way
        return None
    sample, normal = subject.sample, normal_rows(subject)
    errors = sample.outputs[:, 0].numpy()
    chosen = _chosen(errors, normal)
    inputs = sample.inputs[torch.from_numpy(chosen)]
    made = subject.outputs(inputs, inner).reshape(inputs.shape)
    images = subject.source.problem.kind == "images"
    off = (made - inputs).square().numpy()
    pictures = _images(subject, inputs, made) if images else (
        subject.unscaled(inputs).reshape(len(inputs), -1),
        subject.unscaled(made).reshape(len(inputs), -1),
    )  # fmt: skip
    rows = tuple(
        Rebuilt("normal" if normal[at] else "strange", float(errors[at]), pictures[0][i],
                pictures[1][i], off[i].mean(axis=0) if images else off[i].ravel())
        for i, at in enumerate(chosen)
    )  # fmt: skip
    return Reconstructions(f"{subject.title}, {subject.source.named}", rows, images)


def _chosen(errors: NDArray[np.float64], normal: NDArray[np.bool_]) -> NDArray[np.int64]:
    order = np.argsort(errors, kind="stable")
    usual, strange = order[normal[order]], order[~normal[order]]
    middle = len(usual) // 2
    first = usual[max(middle - _EACH // 2, 0) :][:_EACH]
    worst = (strange if len(strange) else np.setdiff1d(usual, first, assume_unique=True))[-_EACH:]
    return np.concatenate([first, worst[::-1]])


def _images(
    subject: Subject, inputs: torch.Tensor, made: torch.Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both on one scale: beside each other they are one image."""
    both = subject.images(torch.cat([inputs.double(), made], dim=3))
    width = inputs.shape[3]
    return both[:, :, :width], both[:, :, width:]


def draw(content: Reconstructions) -> Figure:
    """Of images the input, the reconstruction and where they differ; of numbers two lines a row."""
    title = f"Reconstructions: {content.title}"
    return _of_images(title, content) if content.images else _of_numbers(title, content)


def _of_images(title: str, content: Reconstructions) -> Figure:
    made, axes = grid(title, 3, len(content.rows), 0.95, beside=0.7)
    most = max(float(row.off.max()) for row in content.rows)
    for at, row in enumerate(content.rows):
        shown(axes[0][at], row.given, cmap="gray", vmin=0, vmax=1)
        shown(axes[1][at], row.made, cmap="gray", vmin=0, vmax=1)
        shown(axes[2][at], row.off, cmap="cividis", vmin=0, vmax=most or 1.0)
        head(axes[0][at], [row.kind, f"error {row.error:.3g}"])
    for line, name in zip(axes, ("input", "rebuilt", "squared\ndifference"), strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    return made


def _of_numbers(title: str, content: Reconstructions) -> Figure:
    columns = _EACH
    lines = -(-len(content.rows) // columns)
    made, axes = figure(title, 7.6, 1.7 * lines + 0.5, lines, columns)
    for own, row in zip(axes, content.rows, strict=False):
        places = np.arange(1, len(row.given) + 1)
        own.plot(places, row.given, color=COLOURS[0], marker="o", markersize=2.5, linewidth=1,
                 label="input")  # fmt: skip
        own.plot(places, row.made, color=COLOURS[1], marker="s", markersize=2.5, linewidth=1,
                 linestyle="--", label="rebuilt")  # fmt: skip
        head(own, [f"{row.kind}, error {row.error:.3g}"], most=30)
        whole_numbers(own.xaxis)
    for own in axes[len(content.rows) :]:
        own.set_visible(False)
    made.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    axes[0].set_xlabel("number of the input", fontsize=7)
    return made
