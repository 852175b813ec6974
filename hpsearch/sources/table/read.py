"""A table as a data set: read, its columns decided or taken as they were decided before."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import DataError, line
from hpsearch.sources.raw import Raw
from hpsearch.sources.table import arrow, cells, encode
from hpsearch.sources.table.column import Column, shown
from hpsearch.sources.table.columns import Decision, decide
from hpsearch.sources.table.encode import Encoder, nothing_left
from hpsearch.sources.table.inputs import Selection, TableInputs
from hpsearch.sources.table.look import advised, kind_of
from hpsearch.sources.table.order import order_column, places_of, without_place
from hpsearch.sources.table.targets import targets
from hpsearch.sources.table.words import TextEncoder, fit_text
from hpsearch.spec.task import usual

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from hpsearch.sources.raw import Rows
    from hpsearch.sources.table.reading import ReadOptions, Table
    from hpsearch.sources.table.rules import Overrides
    from hpsearch.sources.table.section import TableSpec
    from hpsearch.sources.table.targets import Target

__all__ = ["frozen", "plain", "read"]


def read(section: TableSpec, base: Path, decided: Mapping[str, Any] | None = None) -> Raw:
    """A table as a data set.

    Args:
        section: Which file, and what the study says of it.
        base: The folder that its path begins at.
        decided: What was decided when the study began; None: it is decided now.

    Raises DataError for anything that is not as it should be.
    """
    path, overrides, options = base / section.path, section.overrides, section.reading
    texts = overrides.as_texts | ({section.group} if section.group else set())
    table = cells.read(path, replace(options, texts=texts))
    try:
        if decided is None:
            decision = decide(table, section.target, overrides, kind_of(section))
            decision = advised(decision, split=section.split is not None)
        else:
            decision = frozen(decided)
        if not decision.used:
            raise nothing_left(decision)
        goal = decision.target
        targets_M, rows_M = _targets(goal, table)
        order: NDArray[np.float64] | None = None
        gaps: tuple[str, ...] = ()
        if section.by:
            order, has_place_M, gaps = _order(table, section.by, overrides, rows_M)
            targets_M, rows_M = targets_M[has_place_M], rows_M[has_place_M]
        groups = _groups(table, section.group, rows_M) if section.group else None
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    test = _read_test(base / section.test_path, options, decision) if section.test_path else None

    def take(rows: Rows) -> Selection:
        if test and len(rows) and rows[0] >= len(rows_M):  # no part has rows of both
            return Selection(test.table, test.rows[rows - len(rows_M)])
        return Selection(table, rows_M[rows])

    def fit(train: Rows) -> tuple[TableInputs, tuple[str, ...]]:
        encoder: Encoder | TextEncoder
        if section.text is None:
            encoder, remarks = encode.fit(decision, table, rows_M[train])
        else:
            encoder, remarks = fit_text(
                decision.used[0], table, rows_M[train], section.text_words, section.text_length
            )
        return TableInputs(encoder, goal, options.header, options.names, encoder.kind), remarks

    return Raw(
        task=section.task or usual(goal.kind if goal else "numbers").name,
        targets=np.concatenate([targets_M, test.targets]) if test else targets_M,
        classes=goal.classes if goal else (),
        take=take,
        fit=fit,
        fingerprint=_both(table.fingerprint, test.table.fingerprint) if test else table.fingerprint,
        own_test=len(test.rows) if test else 0,
        order=order if order is None or not test else np.pad(order, (0, len(test.rows))),
        groups=groups if groups is None or not test else np.pad(groups, (0, len(test.rows))),
        notes=(*table.notes, *decision.notes, *gaps),
        warnings=decision.warnings,
        decided=plain(decision),
    )


@dataclass(frozen=True)
class _Test:
    """The table that is the test part."""

    table: Table
    targets: NDArray[Any]
    rows: Rows


def _read_test(path: Path, options: ReadOptions, decision: Decision) -> _Test:
    goal = decision.target
    own = [goal.column.name] if goal else []
    names = tuple(column.name for column in decision.used)
    texts = frozenset(
        c.name for c in decision.used if (c.kind, c.decimal, c.thousands) != ("number", ".", "")
    )
    options = replace(options, expected=names, texts=texts | {*own})
    table = cells.read(path, options)
    try:
        _check_has(table, [*names, *own])
        targets_M, rows_M = _targets(goal, table)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if not len(rows_M):
        raise DataError(f"{path} has no row with a target, and is to be the test part")
    return _Test(table, targets_M, rows_M)


def _targets(goal: Target | None, table: Table) -> tuple[NDArray[Any], Rows]:
    """The targets, and the rows that have one; 0 of each row where there is no target column."""
    if goal is not None:
        return targets(goal, table)
    return np.zeros(table.rows, np.int64), np.arange(table.rows, dtype=np.int64)


def _check_has(table: Table, names: list[str]) -> None:
    missing = ", ".join(shown(name) for name in names if name not in table.names)
    if missing:
        raise DataError(f"the test part lacks {missing}, which the table of data.path has")


def _both(one: str, other: str) -> str:
    return hashlib.sha256(f"{one} {other}".encode()).hexdigest()


def _order(
    table: Table, name: str, overrides: Overrides, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[str, ...]]:
    """Where those rows stand in time that have a date or number in a column; which of them have
    one; and the note of the others."""
    column = order_column(table, name, overrides, "data.split")
    places = places_of(column, table, rows)
    has_place = ~np.isnan(places)
    without = rows[~has_place]
    if not len(without):
        return places, has_place, ()
    note = without_place(name, len(without), table.line_of(int(without[0])))
    return places[has_place], has_place, (note,)


def _groups(table: Table, name: str, rows: Rows) -> NDArray[np.int64]:
    """The group of each row; a row without one is a group by itself."""
    _check_has_split(table, name)
    codes = arrow.texts_of(Column(name, "category", "the groups"), table, rows).codes
    alone = codes < 0
    return np.where(alone, codes.max(initial=-1) + np.cumsum(alone), codes)


def _check_has_split(table: Table, name: str) -> None:
    if name not in table.names:
        raise DataError(f"the table has no column {shown(name)}, which data.split names")


def plain(decision: Decision) -> dict[str, Any]:
    """A decision as JSON. It may be of thousands of columns, and the study that keeps it is read
    often: what is at its default is left out, and so are notes, which are kept beside it."""
    usual = {field.name: field.default for field in fields(Column)}
    plain = replace(decision, notes=(), warnings=()).as_json()
    plain["columns"] = [
        {key: value for key, value in column.items() if value != usual[key]}
        for column in plain["columns"]
    ]
    values: dict[str, Any] = json.loads(json.dumps(plain))
    return values


def frozen(decided: Mapping[str, Any]) -> Decision:
    """The decision that `plain` gave as JSON; DataError where it is none."""
    from pydantic import ValidationError

    try:
        return Decision.from_json(decided)
    except ValidationError as error:
        raise DataError(f"what was decided of its columns is damaged: {line(error)}") from error
