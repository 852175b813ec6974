"""A table that a random network made: what benchmarks.race searches on.

Each class has a few places in a space of hidden causes. A random network turns the causes of a row
into its columns, and noise is added to them. A share of the rows gets a random class, so that no
search comes to an accuracy of 1: good networks reach .95 to .98 within some epochs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLASSES", "COLUMNS", "ROWS", "rows", "write"]

ROWS, COLUMNS, CLASSES = 20_000, 16, 26
_CAUSES, _PLACES, _UNITS = 8, 3, 64
_SPREAD, _NOISE, _WRONG = 0.3, 0.1, 0.015
"""Of the causes around their place; of a column, as a share of its deviation; of the classes."""


def rows(seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Inputs of shape (ROWS, COLUMNS), and the class of each row."""
    draw = np.random.default_rng(seed)
    places = draw.normal(size=(CLASSES, _PLACES, _CAUSES))
    classes = draw.integers(CLASSES, size=ROWS)
    causes = places[classes, draw.integers(_PLACES, size=ROWS)]
    causes = causes + _SPREAD * draw.normal(size=causes.shape)
    first = draw.normal(size=(_CAUSES, _UNITS)) * 1.5 / np.sqrt(_CAUSES)
    second = draw.normal(size=(_UNITS, COLUMNS)) / np.sqrt(_UNITS)
    inputs = np.tanh(causes @ first) @ second
    inputs += _NOISE * inputs.std(axis=0) * draw.normal(size=inputs.shape)
    wrong = draw.random(ROWS) < _WRONG
    return inputs, np.where(wrong, draw.integers(CLASSES, size=ROWS), classes)


def write(path: Path) -> None:
    """The table as CSV: columns x0 to x15 and `kind`."""
    inputs, classes = rows()
    head = ",".join([*(f"x{i}" for i in range(COLUMNS)), "kind"])
    table = np.column_stack([inputs, classes])
    np.savetxt(path, table, ["%.6g"] * COLUMNS + ["%d"], ",", header=head, comments="")
