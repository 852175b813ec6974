"""The rows that a network gets most wrong: images, series, or a table of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hpsearch.insight.words import number, signed
from hpsearch.pictures.canvas import COLOURS, cut, figure, grid, head, short, shown
from hpsearch.pictures.subject import share
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hpsearch.pictures.subject import Sample, Subject

__all__ = ["Errors", "Wrong", "draw", "gather"]

_IMAGES, _ACROSS = 24, 8
_SERIES = 8
_LINES = 15
"""Rows of a table."""
_COLUMNS = 6
"""Columns of the data, or inputs, that it has."""
_CELL = 16
_NAME = 18
"""Letters of a name above an image; those of a measure are narrower."""
_TEXT, _WORDS = 60, "words"
"""Letters of a text that are shown, and the head of their column."""


@dataclass(frozen=True, eq=False)
class Wrong:
    """One row."""

    row: int
    """Its place in the part, from 1."""
    true: str
    said: str
    """What the network answers."""
    why: str
    """How wrong that is: the probability of the answer, or the difference."""
    image: NDArray[np.float64] | None = None
    """(H, W) or (H, W, 3) from 0 to 1."""
    series: NDArray[np.float64] | None = None
    """(T, D), each column standardised."""
    cells: tuple[str, ...] = ()
    """A few of its inputs, in the data's own terms."""


@dataclass(frozen=True, eq=False)
class Errors:
    """What is drawn."""

    title: str
    rows: tuple[Wrong, ...]
    """The worst first."""
    measure: str
    """What `Wrong.why` is."""
    columns: tuple[str, ...] = ()
    """What the cells are called."""


def gather(subject: Subject) -> Errors | None:
    """The rows of the part with the largest errors; None where there is none."""
    sample, kind = subject.sample, subject.source.problem.kind
    most = {"images": _IMAGES, "sequences": _SERIES}.get(kind, _LINES)
    chosen, told, measure = _worst(subject, sample, most)
    if not len(chosen):
        return None
    inputs = sample.inputs[torch.from_numpy(chosen)]
    shown_as, columns = _shown(subject, inputs)
    rows = tuple(
        Wrong(int(sample.rows[at]) + 1, *told(at), **shown_as[i]) for i, at in enumerate(chosen)
    )
    where = f"{subject.source.named}{share(len(sample.rows), sample.of)}"
    return Errors(f"{subject.title}, {where}", rows, measure, columns)


def _worst(subject: Subject, sample: Sample, most: int) -> tuple[NDArray[np.int64], Any, str]:
    """The places of the worst rows in the sample, what is said of each, and by what measure."""
    answers, truths = subject.predicted(sample), subject.truths(sample)
    if TASKS[subject.source.problem.task].target == "numbers":
        off = np.asarray(answers.values, np.float64) - truths
        order = np.argsort(-np.abs(off), kind="stable")[:most]
        return order, lambda at: (
            number(float(truths[at])), number(float(answers.values[at])), signed(float(off[at]))
        ), "off by"  # fmt: skip
    names = [subject.classes[truth] for truth in truths]
    wrong = np.flatnonzero(
        [answer != name for answer, name in zip(answers.values, names, strict=True)]
    )
    odds = answers.probabilities
    if odds is None:
        return wrong[:most], lambda at: (names[at], str(answers.values[at]), ""), ""
    # The least probability of the true class is the largest cross-entropy.
    order = wrong[np.argsort(odds[wrong, truths[wrong]], kind="stable")][:most]
    return order, lambda at: (
        names[at], str(answers.values[at]), f"{odds[at].max():.2f}"
    ), "its probability"  # fmt: skip


def _shown(
    subject: Subject, inputs: torch.Tensor
) -> tuple[Sequence[dict[str, Any]], tuple[str, ...]]:
    """How each row is shown, and the heads of the cells."""
    kind = subject.source.problem.kind
    if kind == "images":
        return [{"image": image} for image in subject.images(inputs)], ()
    if kind == "sequences":
        heads = tuple(unit.name or f"input {at}" for at, unit in enumerate(subject.units, 1))
        return [{"series": series} for series in inputs.double().numpy()], heads
    if kind == "tokens":
        texts = subject.texts(inputs) or [""] * len(inputs)
        return [{"cells": (text,)} for text in texts], (_WORDS,)
    if cells := subject.cells(inputs):
        columns = [*cells][:_COLUMNS]
        rows = zip(*(cells[column] for column in columns), strict=True)
        return [{"cells": row} for row in rows], tuple(columns)
    numbers = subject.unscaled(inputs)[:, :_COLUMNS]
    names = [unit.name for unit in subject.units[:_COLUMNS]] or [""] * numbers.shape[1]
    heads = tuple(name or f"input {at}" for at, name in enumerate(names, 1))
    return [{"cells": tuple(f"{number:.4g}" for number in row)} for row in numbers], heads


def draw(content: Errors) -> Figure:
    """The rows, each with what it is and what the network says."""
    title = f"Worst errors: {content.title}"
    if content.rows[0].image is not None:
        return _of_images(title, content)
    if content.rows[0].series is not None:
        return _of_series(title, content)
    return _table(title, content)


def _of_images(title: str, content: Errors) -> Figure:
    lines = -(-len(content.rows) // _ACROSS)
    made, axes = grid(title, lines, min(len(content.rows), _ACROSS), 1.0)
    flat = [own for line in axes for own in line]
    for own, row in zip(flat, content.rows, strict=False):
        assert row.image is not None
        shown(own, row.image, cmap="gray", vmin=0, vmax=1)
        head(own, _words(content, row), most=_NAME + 2)
    return made


def _words(content: Errors, row: Wrong) -> list[str]:
    names = [short(f"{what} {name}", _NAME) for what, name in (("true", row.true),
                                                               ("said", row.said))]  # fmt: skip
    return [*names, f"{content.measure} {row.why}".strip()]


def _of_series(title: str, content: Errors) -> Figure:
    columns = 4
    lines = -(-len(content.rows) // columns)
    made, axes = figure(title, 7.6, 1.7 * lines + 0.5, lines, columns)
    for own, row in zip(axes, content.rows, strict=False):
        assert row.series is not None
        for at, values in enumerate(row.series.T[: len(COLOURS)]):
            name = short(content.columns[at], 12) if content.columns else None
            own.plot(range(1, len(values) + 1), values, color=COLOURS[at], linewidth=1, label=name)
        head(own, _words(content, row), most=_NAME + 2)
    for own in axes[len(content.rows) :]:
        own.set_visible(False)
    axes[0].set_xlabel("step", fontsize=7)
    axes[0].set_ylabel("standardised", fontsize=7)
    if content.columns:
        made.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center",
                    ncols=len(COLOURS), fontsize=7, frameon=False)  # fmt: skip
    return made


def _table(title: str, content: Errors) -> Figure:
    from matplotlib.transforms import Bbox

    heads = ["row of part", "true", "predicted", content.measure, *content.columns]
    widest = _TEXT if content.columns == (_WORDS,) else _CELL
    cells = [
        [f"{row.row:,}", short(row.true, _CELL), short(row.said, _CELL), row.why,
         *(cut(cell, widest) for cell in row.cells)]
        for row in content.rows
    ]  # fmt: skip
    heads = [short(name, _CELL) for name in heads]
    widths = [max(map(len, column)) + 2 for column in zip(heads, *cells, strict=True)]
    made, (axes,) = figure(title, max(0.085 * sum(widths), 4.4), 0.24 * (len(cells) + 1) + 0.5)
    axes.set_axis_off()
    table = axes.table(
        cellText=cells, colLabels=heads, loc="upper left", cellLoc="left", colLoc="left",
        colWidths=[width / sum(widths) for width in widths], bbox=Bbox.unit(),
    )  # fmt: skip
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    for (line, _), cell in table.get_celld().items():
        cell.PAD = 0.03
        cell.set_linewidth(0)
        cell.set_facecolor("#dfe7f0" if line == 0 else "white" if line % 2 else "#f5f5f5")
    return made
