"""Missing cells as inputs, and what is said of those that training had not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.sources.table.rules import GAPS_SHARE, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.sources.table.column import Column

__all__ = ["enough_gaps", "new_gaps", "with_gaps"]


def enough_gaps(missing_N: NDArray[np.bool_]) -> bool:
    """Whether so many training rows lack a value that this is an input."""
    return bool(missing_N.any()) and float(missing_N.mean()) >= GAPS_SHARE


def with_gaps(column: Column, names: tuple[str, ...], gaps: bool) -> tuple[str, ...]:
    """The names of a column's inputs, with the one for missing cells last."""
    return (*names, f"{column.name} missing") if gaps else names


def new_gaps(
    column: Column, missing_N: NDArray[np.bool_], complete: bool, instead: str
) -> list[str]:
    """What is said of missing cells where no training row lacked a value."""
    if not complete or not missing_N.any():
        return []
    return [
        f"column {shown(column.name)}: {int(missing_N.sum()):,} of {len(missing_N):,} values are "
        f"missing, and none was in training; {instead}"
    ]
