"""An array of targets: classes, or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hpsearch.spec.task import Target

__all__ = ["Targets", "decide", "indices"]

_MANY = 100
"""So many classes are looked at twice: each is to be in two rows or more, on average."""


@dataclass(frozen=True)
class Targets:
    """Targets, as a `Raw` has them."""

    values: NDArray[Any]
    """(N,): int64 class indices, or float64 numbers."""
    classes: tuple[str, ...]
    """Numbers by size, texts by the alphabet; none where it is a number."""


def decide(what: str, array: NDArray[Any], wanted: Target | None) -> Targets:
    """What the targets of an array are; DataError, which calls it `what`, where they are none.

    Args:
        what: What to call the array in an error.
        array: (N,) or (N, 1): numbers, texts or truth values.
        wanted: What the task's target is; None: what the array looks like.
    """
    flat = _flat(what, array)
    if wanted == "numbers" or (wanted is None and flat.dtype.kind == "f"):
        if flat.dtype.kind not in "buif":
            raise DataError(f"{what} is of {flat.dtype}, and the task has numbers for targets")
        return Targets(flat.astype(np.float64), ())
    different, places = np.unique(flat, return_inverse=True)
    classes = _texts(what, different)
    if len(classes) == 1:
        raise DataError(f"{what} is {classes[0]} in each row; need two classes")
    if len(classes) > max(_MANY, len(flat) // 2):
        raise DataError(
            f"{what} has {len(classes):,} different values in {len(flat):,} rows: too many for "
            "classes; data.task: regression takes them as numbers"
        )
    return Targets(places.astype(np.int64), classes)


def indices(what: str, array: NDArray[Any], classes: Sequence[str]) -> NDArray[Any]:
    """Other targets (N,) of the same kind: indices of `classes`, or numbers where there are none.

    Raises DataError for a class that is none of them.
    """
    flat = _flat(what, array)
    if not classes:
        return decide(what, flat, "numbers").values
    different, places = np.unique(flat, return_inverse=True)
    index = {name: place for place, name in enumerate(classes)}
    texts = _texts(what, different)
    if odd := [text for text in texts if text not in index]:
        listed = ", ".join(classes[:20]) + (", ..." if len(classes) > 20 else "")
        raise DataError(f"{what} has the class {odd[0]!r}, which is none of {listed}")
    return np.array([index[text] for text in texts], np.int64)[places]


def _flat(what: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind not in "buifUS":
        raise DataError(f"{what} is of {array.dtype}; expected numbers or texts")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise DataError(
            f"{what} has the shape {array.shape}; expected one target a row, (N,): of a column a "
            "class give the number of the class, y.argmax(axis=1)"
        )
    if not len(array):
        raise DataError(f"{what} is empty")
    return array


def _texts(what: str, different: NDArray[Any]) -> tuple[str, ...]:
    """The names of classes. Numbers as floats are those of whole numbers; DataError for others."""
    if different.dtype.kind == "S":
        return tuple(value.decode(errors="backslashreplace") for value in different.tolist())
    if different.dtype.kind == "f":
        if not all(value.is_integer() for value in different.tolist()):
            raise DataError(f"{what} has numbers that are not whole, and the task has classes")
        return tuple(str(int(value)) for value in different.tolist())
    return tuple(str(value) for value in different.tolist())
