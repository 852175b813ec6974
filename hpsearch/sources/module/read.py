"""What a function of the study's own code gives, as a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.code import contained, explained, function
from hpsearch.errors import CodeError, DataError, HpsearchError
from hpsearch.sources.arrays.files import check_numbers, fingerprint
from hpsearch.sources.arrays.inputs import ArrayInputs, Selection, fit
from hpsearch.sources.arrays.read import layout_of
from hpsearch.sources.arrays.targets import decide, indices
from hpsearch.sources.raw import Raw
from hpsearch.spec.task import TASKS, usual

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hpsearch.sources.module import ModuleSpec
    from hpsearch.sources.raw import Rows

__all__ = ["read"]

_NAMES = "X", "y"


@dataclass(frozen=True)
class _Pairs:
    """The rows of a part."""

    what: str
    """What to call it in an error."""
    X: NDArray[Any]
    y: NDArray[Any]


def read(section: ModuleSpec, base: Path, decided: object = None) -> Raw:
    """The function's arrays, checked; DataError for anything that is not as it should be.

    Raises CodeError where the function fails, or cannot be run here.
    """
    train = _part(section, "train")
    if train is None:
        raise DataError(f'{section.module} gives None for "train"; expected (X, y) or a data set')
    layout, notes = layout_of(f"X of {train.what}", train.X, section.kind, section.channels)
    own = {part: _part(section, part) for part in ("validation", "test")}
    parts = [train, *(pairs for pairs in own.values() if pairs is not None)]
    for pairs in parts[1:]:
        if pairs.X.shape[1:] != train.X.shape[1:]:
            raise DataError(f"X of {pairs.what} has the shape {pairs.X.shape}, and of {train.what} "
                            f"{train.X.shape}: they differ in more than the rows")  # fmt: skip
    X = np.concatenate([pairs.X for pairs in parts])
    wanted = TASKS[section.task].target if section.task else None
    first = decide(f"y of {train.what}", train.y, wanted)
    targets_N = np.concatenate(
        [first.values, *(indices(f"y of {p.what}", p.y, first.classes) for p in parts[1:])]
    )
    arrays = {f"X of {p.what}": p.X for p in parts} | {f"y of {p.what}": p.y for p in parts}

    def learn(rows: Rows) -> tuple[ArrayInputs, tuple[str, ...]]:
        return fit(layout, Selection(X, rows), _NAMES, first.classes), ()

    return Raw(
        task=usual("classes" if first.classes else "numbers").name,
        targets=targets_N,
        classes=first.classes,
        take=lambda rows: Selection(X, rows),
        fit=learn,
        fingerprint=fingerprint(arrays),
        own_validation=0 if own["validation"] is None else len(own["validation"].y),
        own_test=0 if own["test"] is None else len(own["test"].y),
        notes=notes,
    )


def _part(section: ModuleSpec, part: str) -> _Pairs | None:
    """What the function gives for a part, as arrays; None where it gives nothing."""
    what = f'{section.module} for "{part}"'
    load = function(section.module)
    try:
        with contained(what):
            given = load(part, section.seed)
            if given is None:
                return None
            X, y = given if _is_pair(given) else _stacked(what, given)
    except HpsearchError:
        raise
    except Exception as error:
        raise CodeError(f"{what}: {explained(error)}") from error
    pairs = _Pairs(what, _array(X), _array(y))
    check_numbers(f"X of {what}", pairs.X)
    if len(pairs.X) != (len(pairs.y) if pairs.y.ndim else 0):
        raise DataError(f"{what}: X has {len(pairs.X):,} rows, and y has the shape "
                        f"{pairs.y.shape}; expected a target for each row")  # fmt: skip
    return pairs


def _is_pair(given: object) -> bool:
    return isinstance(given, (tuple, list)) and len(given) == 2 and hasattr(given[0], "shape")


def _stacked(what: str, given: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """The rows of a data set that gives one pair after the other."""
    inputs: list[NDArray[Any]] = []
    targets: list[NDArray[Any]] = []
    for number, row in enumerate(_rows(what, given)):
        if not isinstance(row, (tuple, list)) or len(row) != 2:
            raise DataError(f"row {number} of {what} is a {type(row).__name__}; expected a pair "
                            "(x, y)")  # fmt: skip
        inputs.append(_array(row[0]))
        targets.append(_array(row[1]))
        if inputs[-1].shape != inputs[0].shape or targets[-1].shape != targets[0].shape:
            shapes = [(x.shape, y.shape) for x, y in zip(inputs, targets, strict=True)]
            raise DataError(f"row {number} of {what} has the shapes {shapes[-1]}, and the first "
                            f"{shapes[0]}; make them all the same")  # fmt: skip
    if not inputs:
        raise DataError(f"{what} has no rows")
    return np.stack(inputs), np.stack(targets)


def _rows(what: str, given: Any) -> Iterator[Any]:
    if hasattr(given, "__getitem__") and hasattr(given, "__len__"):
        return (given[number] for number in range(len(given)))
    if isinstance(given, Iterable):
        return iter(given)
    raise DataError(f"{what} is a {type(given).__name__}; expected arrays (X, y), or a data set of "
                    "pairs (x, y)")  # fmt: skip


def _array(value: Any) -> NDArray[Any]:
    """An array of what may be a tensor, or a number."""
    tensor = value.detach().cpu() if hasattr(value, "detach") else value
    return np.asarray(tensor)
