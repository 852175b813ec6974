"""What a source of data gives before it is split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hpsearch.sources.inputs import Preprocessing

__all__ = ["Raw", "Rows"]

Rows = NDArray[np.int64]
"""Row numbers of the raw data, rising."""


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
    """Some rows as `Preprocessing` takes them."""
    fit: Callable[[Rows], Preprocessing]
    """Learns scaling and the like from the training rows alone, so that nothing leaks into them."""
    fingerprint: str
    """Hexadecimal hash of the data as found."""
    own_test: int = 0
    """So many rows at the end are the source's own test part."""
    notes: tuple[str, ...] = ()
    """What was done to the data that a reader should know, a sentence each."""
