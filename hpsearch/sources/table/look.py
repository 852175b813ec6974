"""A quick look at a table for `hpsearch check`: of a large file at its first rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpsearch.errors import DataError
from hpsearch.sources.table.column import shown
from hpsearch.sources.table.columns import Column, Decision, decide
from hpsearch.sources.table.sample import sample
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hpsearch.sources.table.reading import ReadOptions, Table
    from hpsearch.sources.table.rules import Overrides
    from hpsearch.spec.task import Target as TargetKind

__all__ = ["Look", "advised", "kind_of", "look"]


@dataclass(frozen=True)
class Look:
    """What a table, or the beginning of a large one, shows."""

    decision: Decision
    rarest: int | None = None
    """Rows of the class that has the fewest; None where that is not known, or there is no class."""


def kind_of(task: str | None) -> TargetKind | None:
    """What the target of a task is; None where none is named."""
    return None if task is None else TASKS[task].target


def advised(decision: Decision, *, split: bool) -> Decision:
    """A decision without the advice to split by a column, where the study does so."""
    warnings = tuple(line for line in decision.warnings if not (split and "data.split" in line))
    return replace(decision, warnings=warnings)


def look(
    path: Path,
    target: str,
    task: str | None,
    options: ReadOptions,
    overrides: Overrides,
    split: str | None = None,
    others: Sequence[Path] = (),
) -> Look:
    """What the first thousand rows of a table show.

    Args:
        path: Its file.
        target: The column that is learnt.
        task: The name of the task; None: the usual one of such a target.
        options: What the study file says of the file.
        overrides: What the study file says of columns.
        split: The column that rows are split by.
        others: Further files that have to have the same columns.

    Neither NumPy nor Arrow is imported for a text, such as CSV. Raises DataError for what cannot be
    read, and for a column that is missing.
    """
    table = sample(path, replace(options, texts=overrides.as_texts))
    try:
        decision = decide(table, target, overrides, kind_of(task))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if split is not None and split not in table.names:
        raise DataError(f"{path}: the table has no column {shown(split)}, which data.split names")
    names = [column.name for column in (*decision.used, *_target(decision))]
    for other in others:
        has = sample(other, replace(options, expected=tuple(names))).names
        if missing := ", ".join(shown(name) for name in names if name not in has):
            raise DataError(f"{other} lacks {missing}, which {path} has")
    decision = advised(decision, split=split is not None)
    decision = replace(decision, notes=(*table.notes, *decision.notes))
    return Look(decision, _rarest(table, decision))


def _target(decision: Decision) -> tuple[Column, ...]:
    return (decision.target.column,) if decision.target else ()


def _rarest(table: Table, decision: Decision) -> int | None:
    if decision.target is None or not decision.complete or not decision.target.classes:
        return None
    cells = table.column(decision.target.column.name)
    texts = cells if isinstance(cells, tuple) else cells.to_pylist()
    return min(Counter(text for text in texts if text not in ("", None)).values())
