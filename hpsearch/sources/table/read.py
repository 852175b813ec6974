"""A table as a data set: read, its columns decided or taken as they were decided before."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hpsearch.errors import DataError, line
from hpsearch.sources.raw import Raw
from hpsearch.sources.table import cells, encode
from hpsearch.sources.table.columns import Decision, decide
from hpsearch.sources.table.encode import nothing_left
from hpsearch.sources.table.inputs import Selection, TableInputs
from hpsearch.sources.table.look import kind_of
from hpsearch.sources.table.targets import targets
from hpsearch.spec.task import usual

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hpsearch.sources.raw import Rows
    from hpsearch.sources.table.reading import ReadOptions
    from hpsearch.sources.table.rules import Overrides

__all__ = ["load_table"]


def load_table(
    path: Path,
    target: str,
    task: str | None,
    options: ReadOptions,
    overrides: Overrides,
    decided: Mapping[str, Any] | None = None,
) -> Raw:
    """A table as a data set.

    Args:
        path: Its file.
        target: The column that is learnt.
        task: The name of the task; None: the usual one of such a target.
        options: What the study file says of the file.
        overrides: What the study file says of columns.
        decided: What was decided when the study began; None: it is decided now.

    Raises DataError for anything that is not as it should be.
    """
    table = cells.read(path, replace(options, texts=overrides.as_texts))
    try:
        decision = (
            decide(table, target, overrides, kind_of(task)) if decided is None else _frozen(decided)
        )
        if not decision.used:
            raise nothing_left(decision)
        assert decision.target is not None
        goal = decision.target
        targets_M, rows_M = targets(goal, table)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error

    def take(rows: Rows) -> Selection:
        return Selection(table, rows_M[rows])

    def fit(train: Rows) -> tuple[TableInputs, tuple[str, ...]]:
        encoder, remarks = encode.fit(decision, table, rows_M[train])
        return TableInputs(encoder, goal, options.header, options.names), remarks

    frozen = replace(decision, notes=(), warnings=()).as_json()
    return Raw(
        task=task or usual("classes" if goal.classes else "numbers").name,
        targets=targets_M,
        classes=goal.classes,
        take=take,
        fit=fit,
        fingerprint=table.fingerprint,
        notes=(*table.notes, *decision.notes),
        warnings=decision.warnings,
        decided=json.loads(json.dumps(frozen)),
    )


def _frozen(decided: Mapping[str, Any]) -> Decision:
    from pydantic import ValidationError

    try:
        return Decision.from_json(decided)
    except ValidationError as error:
        raise DataError(f"what was decided of its columns is damaged: {line(error)}") from error
