"""Simple forecasts, which a network has to beat to be of use.

Both go by the history of the target alone. Shapes: `N` windows, `T` rows of a window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.sources.scaling import deviations
from hpsearch.sources.series.windows import over
from hpsearch.spec.task import Baseline
from hpsearch.tasks.regression import scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.sources.raw import Rows

__all__ = ["AUTOREGRESSION", "LAST_VALUE", "baselines"]

LAST_VALUE, AUTOREGRESSION = "last value", "linear autoregression"
_RIDGE = 1e-4
"""Pull of the weights of standardised values towards zero, a training row: history that says the
same twice has one answer."""


def baselines(
    values_R: NDArray[np.float64], ends_N: NDArray[np.int64], targets_N: NDArray[Any], window: int,
    train: Rows, part: Rows,
) -> tuple[Baseline, ...]:  # fmt: skip
    """The last value of the window, and a linear function of all its values by least squares.

    Args:
        values_R: The target in order of time, nan where it is missing: the value before it is taken
            there.
        ends_N: Where each window ends.
        targets_N: What is to be said of each.
        window: T.
        train: The windows that the function is fitted on.
        part: Those that both are measured on.
    """
    filled_R = _filled(values_R)
    history_NT = over(filled_R, ends_N, window)
    answers = {
        LAST_VALUE: filled_R[ends_N[part]],
        AUTOREGRESSION: _regressed(history_NT[train], targets_N[train], history_NT[part]),
    }
    return tuple(
        Baseline(name, scores(answer, targets_N[part])) for name, answer in answers.items()
    )


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each missing value as the one before it; those at the start as the first one after them."""
    present = np.flatnonzero(~np.isnan(values))
    before = np.searchsorted(present, np.arange(len(values)), side="right") - 1
    filled: NDArray[np.float64] = values[present[np.maximum(before, 0)]]
    return filled


def _regressed(
    history_NT: NDArray[np.float64], targets_N: NDArray[Any], others_MT: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Ridge regression of targets on history (Hoerl and Kennard 1970), applied to others."""
    middle = history_NT.mean()
    scale = deviations(middle, history_NT.var(), history_NT.size)
    scaled_NT, wanted = (history_NT - middle) / scale, (targets_N - middle) / scale
    scaled_NT = np.column_stack([scaled_NT, np.ones(len(scaled_NT))])
    pull = np.eye(scaled_NT.shape[1]) * _RIDGE * len(scaled_NT)
    weights, *_ = np.linalg.lstsq(scaled_NT.T @ scaled_NT + pull, scaled_NT.T @ wanted)
    others = np.column_stack([(others_MT - middle) / scale, np.ones(len(others_MT))])
    answers: NDArray[np.float64] = others @ weights * scale + middle
    return answers
