"""A quick look at a table for `hpsearch check`: of a large file at its first rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DataError
from hpsearch.sources.look import Look
from hpsearch.sources.table.column import number_of, shown
from hpsearch.sources.table.columns import Decision, decide
from hpsearch.sources.table.describe import describe
from hpsearch.sources.table.rules import SMALL_BYTES, WHOLE_BYTES
from hpsearch.sources.table.sample import sample
from hpsearch.spec.task import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hpsearch.sources.table.columns import Target
    from hpsearch.sources.table.reading import Table
    from hpsearch.sources.table.section import TableSpec
    from hpsearch.sources.table.targets import TargetKind

__all__ = ["advised", "described", "kind_of", "look"]


def kind_of(section: TableSpec) -> TargetKind | None:
    """What the target has to be, by the task; None where that does not say."""
    target = None if section.task is None else TASKS[section.task].target
    if target == "inputs":  # a class says which rows are normal, a number says nothing
        return "classes" if section.normal else None
    return target


def advised(decision: Decision, *, split: bool) -> Decision:
    """A decision without the advice to split by a column, where the study does so."""
    warnings = tuple(line for line in decision.warnings if not (split and "data.split" in line))
    return replace(decision, warnings=warnings)


def look(section: TableSpec, base: Path) -> Look:
    """What a table shows: one of up to 4 MB as a whole, of a larger one its first thousand rows.

    Where these leave open what a column is, a file of up to 64 MB is read whole. For a text of up
    to a MiB, such as CSV, neither NumPy nor Arrow is imported. Raises DataError for what cannot be
    read, and for a column that is missing.
    """
    path, overrides = base / section.path, section.overrides
    options = replace(section.reading, texts=overrides.as_texts)
    table = sample(path, options)
    try:
        decision = decide(table, section.target, overrides, kind_of(section))
        most = WHOLE_BYTES if decision.is_open(section.target) else SMALL_BYTES
        if not table.complete and path.stat().st_size <= most:
            from hpsearch.sources.table import cells

            table = cells.read(path, options)
            decision = decide(table, section.target, overrides, kind_of(section))
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if decision.complete and decision.target and not decision.used:
        from hpsearch.sources.table.encode import nothing_left

        raise DataError(f"{path}: {nothing_left(decision)}")
    if section.by is not None and section.by not in table.names:
        raise DataError(f"{path}: the table has no column {shown(section.by)}, which data.split "
                        "names")  # fmt: skip
    gaps = _without_place(table, section, decision) if section.by and table.complete else ()
    if section.test_path is not None:
        _check_test(base / section.test_path, section, decision)
    decision = advised(decision, split=section.split is not None)
    decision = replace(decision, notes=(*table.notes, *decision.notes, *gaps))
    rows = number_of(decision.rows, "row")
    goal = decision.target if decision.complete else None
    return Look(
        title=f"{section.path}: {rows if decision.complete else f'its first {rows}'}",
        lines=describe(decision),
        notes=decision.notes,
        warnings=decision.warnings,
        facts=decision.as_json(),
        classes=None if goal is None else goal.classes,
        shape=(decision.inputs,) if decision.complete and section.text is None else None,
        rarest=_rarest(table, goal) if goal and goal.classes else None,
    )


def described(decided: Mapping[str, Any]) -> tuple[str, ...]:
    """What was decided of the columns of a table, a line each."""
    return describe(Decision.from_json(decided))


def _check_test(path: Path, section: TableSpec, decision: Decision) -> None:
    goal = (decision.target.column,) if decision.target else ()
    names = tuple(column.name for column in (*decision.used, *goal))
    has = sample(path, replace(section.reading, expected=names)).names
    if missing := ", ".join(shown(name) for name in names if name not in has):
        raise DataError(f"{path} lacks {missing}, which the table of data.path has")


def _without_place(table: Table, section: TableSpec, decision: Decision) -> tuple[str, ...]:
    """The note of rows that have no value in the column that puts them in order; DataError where
    it cannot."""
    from hpsearch.sources.table.order import order_column, without_place

    assert section.by is not None
    try:
        column = order_column(table, section.by, section.overrides, "data.split")
    except DataError as error:
        raise DataError(f"{section.path}: {error}") from error
    # Of the decision's columns only rows that have a target are counted.
    same = (c for c in decision.columns if (c.name, c.kind) == (column.name, column.kind))
    missing = next(same, column).missing
    return (without_place(section.by, missing),) if missing else ()


def _rarest(table: Table, target: Target) -> int:
    cells = table.column(target.column.name)
    texts = cells if isinstance(cells, tuple) else cells.to_pylist()
    return min(Counter(text for text in texts if text not in ("", None)).values())
