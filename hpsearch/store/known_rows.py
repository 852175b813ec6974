"""What a study's samplers know of trials made elsewhere: steps of the ledger's transactions.

They are no trials of the study: no row of Optuna's trials, no ticket, nothing of the budget, and so
nobody can take one for its best. They lie in system attributes of the study, some hundred together,
and go with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from hpsearch.store.optuna_tables import STUDY_SYSTEM
from hpsearch.store.values import Known

__all__ = ["add", "count", "find"]

_PREFIX = "hpsearch:known:"
_TOGETHER, _CHARACTERS = 200, 40_000
"""Trials in one attribute, and characters of it unless one trial has more: MySQL's TEXT holds
65,535 bytes."""


def add(connection: sa.Connection, study_id: int, known: Sequence[Known]) -> int:
    """Keep what is not known yet, with the study's row lock held; how many that are. Each of them
    `fits`."""
    before = {one.key for one in find(connection, study_id)}
    new = [*{one.key: one for one in known if one.key not in before}.values()]
    number = len(_texts(connection, study_id))
    rows = [
        {"study_id": study_id, "key": f"{_PREFIX}{number + at}", "value_json": text}
        for at, text in enumerate(_chunks(new))
    ]
    if rows:
        connection.execute(sa.insert(STUDY_SYSTEM), rows)
    return len(new)


def find(connection: sa.Connection, study_id: int) -> list[Known]:
    """All that is known, in the order in which it came. What somebody has damaged is left out."""
    by_key: dict[str, Known] = {}
    for text in _texts(connection, study_id):
        try:
            for row in json.loads(text):
                one = Known(dict(row["params"]), float(row["value"]), str(row["origin"]))
                by_key.setdefault(one.key, one)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            continue
    return [*by_key.values()]


def count(connection: sa.Connection, study_id: int) -> int:
    """How many that are."""
    return len(find(connection, study_id))


def _texts(connection: sa.Connection, study_id: int) -> list[str]:
    key = STUDY_SYSTEM.c.key
    query = sa.select(STUDY_SYSTEM.c.value_json).where(
        STUDY_SYSTEM.c.study_id == study_id, key.startswith(_PREFIX, autoescape=True)
    )
    in_order = query.order_by(STUDY_SYSTEM.c.study_system_attribute_id)
    return list(connection.execute(in_order).scalars())


def _chunks(known: Sequence[Known]) -> Iterator[str]:
    """The texts of the attributes that hold these."""
    rows: list[str] = []
    for one in known:
        row = one.text
        if rows and (len(rows) == _TOGETHER or sum(map(len, rows)) + len(row) > _CHARACTERS):
            yield f"[{', '.join(rows)}]"
            rows = []
        rows.append(row)
    if rows:
        yield f"[{', '.join(rows)}]"
