"""What shapes take that there was no time to run, by those that were: plain numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.forecast import Shape
from hpsearch.spec.space import Assignment

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["STACK", "apart", "inferred", "speedup", "words"]

STACK = 5
"""Candidates of a stack that shapes are compared by: of a few as a sampler that learns has, and as
a finish has seeds."""

_RIDGE = 0.3
"""The strength of the ridge. With 20 shapes of a shipped study known, the others were met within
0.29, 0.23 and 0.19 alone and 0.34, 0.26 and 0.20 in stacks (digits, circles, Fashion-MNIST; root
mean squares of logarithms); with 0.1 and with 1 it was hardly worse. Dry runs themselves are off by
a fifth."""


def inferred(
    settings: Sequence[Assignment], timed: Sequence[Shape], fitted: Collection[int]
) -> list[Shape]:
    """All shapes, by those that were timed.

    What an epoch takes alone, and the speedup of a stack, are from ridge regressions of their
    logarithms: on the logarithms of sizes, and on all else as categories. The slots, and what goes
    with them, are those of the known shape with the nearest speedup.

    Args:
        settings: What makes each of them.
        timed: The first of them, alone or in a stack too.
        fitted: Some of these whose slots are known, by their places; at least one.
    """
    columns = _columns(settings)
    alone = {n: shape.epoch_s(1) for n, shape in enumerate(timed)}
    stacked = {
        n: speedup(shape) for n, shape in enumerate(timed) if len(shape.epochs_s) > 1 or n in fitted
    }
    seconds, speedups = (_regressed(columns, known) for known in (alone, stacked))
    found = []
    for number, one in enumerate(settings):
        if number in fitted:
            found.append(timed[number])
            continue
        if number < len(timed):
            shape = timed[number]
        else:
            like = min(timed, key=lambda s: apart(s.epoch_s(1), seconds[number]))
            shape = replace(like, words=words(one), epochs_s=((1, seconds[number]),))
        # Not of one that takes as long: narrow networks with small batches may take as long alone
        # as wide ones with large batches, and gain far more.
        times = stacked.get(number, speedups[number])
        like = min((timed[n] for n in fitted), key=lambda s: apart(speedup(s), times))
        found.append(_like(like, shape, times))
    return found


def speedup(shape: Shape) -> float:
    """How many times faster candidates are trained in a stack than one after the other."""
    return STACK * shape.epoch_s(1) / shape.epoch_s(STACK)


def apart(one: float, other: float) -> float:
    """How far two positive values lie apart, in logarithms."""
    return abs(math.log(one / other))


def words(settings: Assignment) -> str:
    """What makes a shape: `depth=2 width=64`."""
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _regressed(columns: NDArray[np.float64], known: Mapping[int, float]) -> list[float]:
    """Of all rows (N, columns) the positive value that some of them have, by ridge regression of
    its logarithm."""
    rows, logs = list(known), np.log(list(known.values()))
    columns = columns - columns[rows].mean(axis=0)
    x, y = columns[rows], logs - logs.mean()
    slopes = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)
    return [float(value) for value in np.exp(columns @ slopes + logs.mean())]


def _columns(settings: Sequence[Assignment]) -> NDArray[np.float64]:
    """(N, columns): of a parameter that is a size in all of them its logarithm, of another one a
    column for each of its values."""
    columns: list[NDArray[np.float64]] = []
    for name in settings[0]:
        values = [one[name] for one in settings]
        sizes = [float(v) for v in values if isinstance(v, int | float) and v is not True and v > 0]
        if len(sizes) == len(values):
            columns.append(np.log(sizes))
            continue
        texts = np.array([str(value) for value in values])
        columns += [(texts == text).astype(np.float64) for text in np.unique(texts)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(settings), 0))


def _like(other: Shape, shape: Shape, times: float) -> Shape:
    """A shape with the stacks of another one, but for their speedup."""
    scale = shape.epoch_s(1) / other.epoch_s(1) * speedup(other) / times
    memory = shape.candidate_bytes / max(other.candidate_bytes, 1)
    return replace(
        shape,
        slots=other.slots,
        epochs_s=((1, shape.epoch_s(1)), *((n, s * scale) for n, s in other.epochs_s if n > 1)),
        fit_s=other.fit_s,
        stack_bytes=round(other.stack_bytes * memory),
    )
