"""What the numbers of a column are divided by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["deviations"]


def deviations(mean: ArrayLike, variance: ArrayLike, count: int) -> NDArray[np.float64]:
    """The standard deviation of each column; 1 where all its values are the same.

    A variance within its own rounding error is none: the mean of ten times 0.1 is not quite 0.1,
    and a 0.2 in another row would become 7e15. By Chan, Golub and LeVeque, "Algorithms for
    Computing the Sample Variance", The American Statistician 37, 1983.

    Args:
        mean: Of each column, (D,), or of one.
        variance: The same, the mean of squared differences from that mean.
        count: Values in each column.
    """
    mean, variance = np.asarray(mean), np.asarray(variance)
    eps = np.finfo(np.float64).eps
    rounding = count * eps * variance + (count * eps * mean) ** 2
    scale: NDArray[np.float64] = np.where(variance > rounding, np.sqrt(variance), 1.0)
    return scale
