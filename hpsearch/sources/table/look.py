"""A quick look at a table for `hpsearch check`: of a large file at its first rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpsearch.errors import DataError
from hpsearch.sources.table.columns import Decision, decide
from hpsearch.sources.table.sample import sample
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from pathlib import Path

    from hpsearch.sources.table.columns import Task as TargetKind
    from hpsearch.sources.table.reading import ReadOptions, Table
    from hpsearch.sources.table.rules import Overrides

__all__ = ["Look", "kind_of", "look"]


@dataclass(frozen=True)
class Look:
    """What a table, or the beginning of a large one, shows."""

    decision: Decision
    rarest: int | None = None
    """Rows of the class that has the fewest; None where that is not known, or there is no class."""


def kind_of(task: str | None) -> TargetKind | None:
    """What the target of a task is, as `decide` has it."""
    if task is None:
        return None
    return "classification" if TASKS[task].target == "classes" else "regression"


def look(
    path: Path, target: str, task: str | None, options: ReadOptions, overrides: Overrides
) -> Look:
    """What the first thousand rows of a table show; the arguments are those of `load_table`.

    Neither NumPy nor Arrow is imported for a text, such as CSV. Raises DataError for what cannot be
    read, and for a column that is missing.
    """
    table = sample(path, replace(options, texts=overrides.as_texts))
    try:
        decision = decide(table, target, overrides, kind_of(task))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    decision = replace(decision, notes=(*table.notes, *decision.notes))
    return Look(decision, _rarest(table, decision))


def _rarest(table: Table, decision: Decision) -> int | None:
    if decision.target is None or not decision.complete or not decision.target.classes:
        return None
    cells = table.column(decision.target.column.name)
    texts = cells if isinstance(cells, tuple) else cells.to_pylist()
    return min(Counter(text for text in texts if text not in ("", None)).values())
