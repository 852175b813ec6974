"""A table over time as a data set of windows, its columns decided as those of any table."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import DataError
from hpsearch.sources.look import Look
from hpsearch.sources.raw import Raw
from hpsearch.sources.series.baselines import baselines
from hpsearch.sources.series.inputs import SeriesInputs
from hpsearch.sources.series.windows import Windows, sorted_by
from hpsearch.sources.table import arrow, cells, encode
from hpsearch.sources.table.column import lacking, number_of, shown
from hpsearch.sources.table.columns import Decision, decide
from hpsearch.sources.table.describe import describe
from hpsearch.sources.table.encode import nothing_left
from hpsearch.sources.table.order import order_column
from hpsearch.sources.table.read import frozen, plain
from hpsearch.sources.table.sample import sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hpsearch.sources.raw import Rows
    from hpsearch.sources.series import SeriesSpec
    from hpsearch.sources.table.reading import Table
    from hpsearch.spec.task import Baseline

__all__ = ["look", "read"]


def read(section: SeriesSpec, base: Path, decided: Mapping[str, Any] | None = None) -> Raw:
    """The windows of a table, each with the value of the target `horizon` rows after its end.

    Windows stand in the order of what they predict, so that a part that begins at a time has what
    is predicted from then on, and all that an earlier part has, windows and targets, is before it.

    Args:
        section: Which file, and what the study says of it.
        base: The folder that its path begins at.
        decided: What was decided when the study began; None: it is decided now.

    Raises DataError for anything that is not as it should be.
    """
    path, window, horizon = base / section.path, section.window, section.horizon
    table = cells.read(path, section.reading)
    try:
        decision = _decided(table, section) if decided is None else frozen(decided)
        if not decision.used:
            raise nothing_left(decision)
        assert decision.target is not None
        goal = decision.target.column
        time = _time(table, section)
        series = sorted_by(table, time)
        values_R = arrow.numbers_of(goal, table, series.rows)
        ends_N = np.arange(window - 1, table.rows - horizon)
        ends_N = ends_N[~np.isnan(values_R[ends_N + horizon])]
        if not len(ends_N):
            raise DataError(
                f"{table.rows} rows hold no window of {window} rows with a target {horizon} after "
                "it; give more rows, or lower data.window"
            )
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    targets_N = values_R[ends_N + horizon]

    def fit(train: Rows) -> tuple[SeriesInputs, tuple[str, ...]]:
        last = int(ends_N[train].max()) + horizon
        encoder, remarks = encode.fit(decision, table, np.sort(series.rows[: last + 1]))
        reading = section.reading
        return SeriesInputs(
            encoder, goal, time, window, horizon, reading.header, reading.names
        ), remarks

    def simple(train: Rows, part: Rows) -> Sequence[Baseline]:
        return baselines(values_R, ends_N, targets_N, window, train, part)

    missing = int(np.isnan(values_R).sum())
    gaps = (f"column {shown(goal.name)}: {number_of(missing, 'row')} without a value, which no "
            "window predicts",) if missing else ()  # fmt: skip
    return Raw(
        task=section.task or "regression",
        targets=targets_N,
        classes=(),
        take=lambda rows: Windows(series, ends_N[rows]),
        fit=fit,
        fingerprint=table.fingerprint,
        order=ends_N.astype(np.float64),
        gap=horizon - 1,
        baselines=simple,
        notes=(*table.notes, *series.notes, *decision.notes, *gaps),
        warnings=decision.warnings,
        decided=plain(decision),
    )


def look(section: SeriesSpec, base: Path) -> Look:
    """What the first thousand rows of a table show."""
    path = base / section.path
    table = sample(path, section.reading)
    try:
        decision = _decided(table, section)
        _time(table, section)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    rows = number_of(table.rows, "row")
    later = "the next row" if section.horizon == 1 else f"{section.horizon} rows later"
    return Look(
        title=f"{section.path}: {rows if table.complete else f'its first {rows}'}, predicted from "
        f"windows of {section.window}: {section.target}, {later}",
        lines=describe(decision),
        notes=(*table.notes, *decision.notes),
        warnings=decision.warnings,
        facts=decision.as_json(),
        classes=(),
        shape=(section.window, decision.inputs) if table.complete else None,
    )


def _time(table: Table, section: SeriesSpec) -> Any:
    if section.time is None:
        return None
    return order_column(table, section.time, section.overrides, "data.time")


def _decided(table: Table, section: SeriesSpec) -> Decision:
    """What the columns are. The target's own history is an input as any other column."""
    used = section.columns or tuple(name for name in table.names if name != section.time)
    if missing := lacking(table.names, [section.target, *used]):
        raise DataError(f"the table has no {missing}")
    names = dict.fromkeys((*used, section.target))
    some = replace(table, columns={name: table.column(name) for name in names})
    decision = decide(some, section.target, section.overrides, "numbers")
    notes = tuple(note for note in decision.notes if "without a target" not in note)
    decision = replace(decision, notes=notes)
    if decision.target is None or section.target not in used:
        return decision
    history = replace(decision.target.column, reason="its own history", inputs=1)
    return replace(decision, columns=(history, *decision.columns))
