"""What a source of data gives before it is split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hpsearch.sources.inputs import Inputs
    from hpsearch.spec.task import Baseline

__all__ = ["Raw", "Rows"]

Rows = NDArray[np.int64]
"""Row numbers of the raw data, rising."""


def _constant_alone(train: Rows, part: Rows) -> Sequence[Baseline]:
    return ()


@dataclass(frozen=True)
class Raw:
    """All rows of a source: training, validation and test part together."""

    task: str
    """The name of the task."""
    targets: NDArray[Any]
    """(N,): int64 class indices, or float64 numbers in their own unit."""
    classes: tuple[str, ...]
    """Names of the classes; empty where the target is a number."""
    take: Callable[[Rows], Any]
    """Some rows as the inputs take them: (B, ...), in the order of their numbers given; IndexError
    for a number beyond the last target."""
    fit: Callable[[Rows], tuple[Inputs, tuple[str, ...]]]
    """Learns scaling and the like from the training rows alone, so that nothing leaks into them;
    and what is to be noted of it, a sentence each."""
    fingerprint: str
    """Hexadecimal hash of the data as found."""
    own_test: int = 0
    """So many rows at the end are the source's own test part."""
    own_validation: int = 0
    """So many rows before those are its own validation part."""
    order: NDArray[np.float64] | None = None
    """(N,): where each row stands in time; later ones are validated on. Without: at random."""
    gap: int = 0
    """So many rows at the start of a later part are in none: they were given before the end of the
    earlier part, whose targets a network has learnt. Only of rows with an `order`."""
    groups: NDArray[np.int64] | None = None
    """(N,): the group of each row; none is in two parts."""
    notes: tuple[str, ...] = ()
    """What was done to the data that a reader should know, a sentence each."""
    warnings: tuple[str, ...] = ()
    """Choices that may hurt, and how each is changed."""
    portable: bool = False
    """Whether `take` can be sent to other processes (pickled), which read rows for the training
    where they do not all have room in memory."""
    normal: tuple[str, ...] = ()
    """Where the target is the inputs: the classes whose rows are normal; none: all rows are. It is
    filled in by hpsearch."""
    strange: tuple[str, ...] = ()
    """The classes that are to be told from those; filled in likewise."""
    baselines: Callable[[Rows, Rows], Sequence[Baseline]] = _constant_alone
    """(training rows, rows of another part) -> what simple answers that were learnt from the first
    give on the second, beyond the constant answer of the task."""
    decided: Mapping[str, Any] | None = None
    """What the source has decided of the data, as JSON: it is frozen with the study, and given back
    to the source whenever the data is read again."""
