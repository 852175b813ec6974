"""hpsearch's rows of stages, read and written inside the ledger's transactions.

A stage is a row of plain values that anyone who opened it made; here only its name, the draw index
of its first ticket and how many it has are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from hpsearch.errors import DamagedError
from hpsearch.store.engine import now
from hpsearch.store.tables import finishes, stages

__all__ = [
    "add", "begin_verdict", "count", "end_of", "end_verdict", "find", "name_at", "spans",
    "verdicts",
]  # fmt: skip

_NOTHING = "{}"
"""A result without a verdict."""


def end_of(stage: Mapping[str, Any]) -> int | None:
    """The draw index behind its last ticket; None where it has all there are."""
    return None if stage["count"] is None else stage["first"] + stage["count"]


def add(connection: sa.Connection, study_id: int, number: int, stage: Mapping[str, Any]) -> None:
    """Note a stage. Anyone who may open one holds the study's lock: a number comes once."""
    connection.execute(
        sa.insert(stages).values(
            study_id=study_id, number=number, first=stage["first"], name=stage["name"],
            content=json.dumps(stage),
        )
    )  # fmt: skip


def find(connection: sa.Connection, study_id: int, known: int = 0) -> list[dict[str, Any]]:
    """A study's stages so far in their order, but the first `known` ones: none ever changes."""
    of_study = (stages.c.study_id == study_id) & (stages.c.number >= known)
    return _contents(connection, of_study)


def count(connection: sa.Connection, study_id: int) -> int:
    """How many stages a study has so far."""
    query = sa.select(sa.func.count()).where(stages.c.study_id == study_id)
    return int(connection.execute(query).scalar_one())


def _contents(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    query = sa.select(stages.c.content).where(which).order_by(stages.c.number)
    return [_content(content, "stages") for (content,) in connection.execute(query)]


def spans(connection: sa.Connection, study_id: int, name: str) -> list[range]:
    """The draw indices of the tickets of a study's stages of that name, which have an end."""
    named = (stages.c.study_id == study_id) & (stages.c.name == name)
    contents = _contents(connection, named)
    return [range(stage["first"], stage["first"] + stage["count"]) for stage in contents]


def name_at(connection: sa.Connection, study_id: int, draw_index: int) -> str:
    """The stage to which the ticket of that draw index belongs."""
    query = sa.select(stages.c.name).where(
        stages.c.study_id == study_id, stages.c.first <= draw_index
    )
    return str(connection.execute(query.order_by(stages.c.number.desc()).limit(1)).scalar_one())


def begin_verdict(connection: sa.Connection, study_id: int, others: int) -> int:
    """The use of the test part that is open, or else a new one: its number, from 1.

    Of the open ones the first `others` are of workers that are still at finishes before this one.

    Before 0.2 a finish in which nothing was trained to its end counted as one, with no result.
    """
    c = finishes.c
    connection.execute(sa.delete(finishes).where(c.study_id == study_id, c.result == _NOTHING))
    query = sa.select(c.number, c.result.is_(None).label("open")).where(c.study_id == study_id)
    uses = connection.execute(query.order_by(c.number)).all()
    last = int(uses[-1].number) if uses else 0
    if uses and uses[-1].open and sum(use.open for use in uses) > others:
        return last
    number = last + 1
    connection.execute(sa.insert(finishes).values(study_id=study_id, number=number, begun_at=now()))
    return number


def end_verdict(
    connection: sa.Connection, study_id: int, number: int, result: Mapping[str, Any]
) -> bool:
    """Write the result of a use; whether there was none before."""
    c = finishes.c
    of_use = (c.study_id == study_id) & (c.number == number) & c.result.is_(None)
    done = connection.execute(sa.update(finishes).where(of_use).values(result=json.dumps(result)))
    return done.rowcount == 1


def verdicts(connection: sa.Connection, study_id: int) -> list[dict[str, Any]]:
    """The results of a study's uses of the test part, in their order."""
    c = finishes.c
    used = c.result.is_not(None) & (c.result != _NOTHING)
    query = sa.select(c.result).where(c.study_id == study_id, used)
    rows = connection.execute(query.order_by(c.number))
    return [_content(text, "results of a finish") for (text,) in rows]


def _content(text: Any, what: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (RecursionError, TypeError, ValueError):
        content = None
    if not isinstance(content, dict):
        raise DamagedError(f"the {what} of the study cannot be read: they are no JSON object")
    return content
