"""Statements whose text is made once: to put one together, and to turn it into a driver's text,
takes SQLAlchemy ten times as long as most databases take to answer it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

__all__ = ["BATCH", "Among", "Prepared", "padded", "upsert"]

BATCH = 500
"""Ids in one list: every database takes that many."""

_ROWS = 12
"""In one INSERT; more go to the driver as so many of one row. psycopg takes statements of more than
50 values apart each time."""

Rows = sa.CursorResult[*tuple[Any, ...]]
Among = Callable[[sa.ColumnElement[int]], sa.ColumnElement[bool]]
"""Whether a column has one of the ids that a statement is run with, for a WHERE clause."""


class Prepared:
    """A statement that is run again and again. Values are given as Python has them; rows come as
    the driver gives them: an enumeration as its name, a time on SQLite as text."""

    def __init__(self, make: Callable[[Among], sa.Executable]) -> None:
        self._make = make

    def run(
        self, connection: sa.Connection, values: Mapping[str, Any], ids: Sequence[int] = ()
    ) -> Rows:
        """Run it with these values and ids, of which `BATCH` are a good number."""
        dialect = connection.dialect
        if dialect.name == "postgresql":
            made = _text(dialect, self, partial(self._make, _among_array))
            return made.run(connection, {**values, "ids": [*ids]})
        listed = padded(ids or [-1])
        make = partial(self._make, partial(_among_list, len(listed)))
        made = _text(dialect, (self, len(listed)), make)
        return made.run(connection, {**values, **{f"id_{i}": one for i, one in enumerate(listed)}})


def padded(ids: Sequence[int]) -> list[int]:
    """The ids, the last one again and again up to a power of 2: a driver meets few texts then, and
    need not take each apart."""
    missing = (1 << (len(ids) - 1).bit_length()) - len(ids) if ids else 0
    return [*ids, *(ids[-1] for _ in range(missing))]


def _among_array(column: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    from sqlalchemy.dialects import postgresql  # loaded where this is used, and only there

    return column == sa.any_(sa.bindparam("ids", type_=postgresql.ARRAY(sa.Integer)))


def _among_list(count: int, column: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return column.in_([sa.bindparam(f"id_{i}", type_=sa.Integer) for i in range(count)])


def upsert(
    connection: sa.Connection,
    table: sa.Table,
    key: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Insert rows; what else one has replaces that of the row of the same key.

    The key must be unique in the table, and each row must have the same columns; of several rows of
    one key the last counts.
    """
    rows = [*{tuple([row[name] for name in key]): row for row in rows}.values()]
    if not rows:
        return
    together = len(rows) if len(rows) <= _ROWS else 1
    shape = table, (*key,), (*rows[0],), together
    made = _text(connection.dialect, shape, partial(_upsert, connection.dialect.name, *shape))
    made.run_all(connection, [
        {f"{name}_{i}": value for i, row in enumerate(rows[start : start + together])
         for name, value in row.items()}
        for start in range(0, len(rows), together)
    ])  # fmt: skip


def _upsert(
    backend: str, table: sa.Table, key: Sequence[str], columns: Sequence[str], count: int
) -> sa.Insert:
    rows = [
        {name: sa.bindparam(f"{name}_{i}", type_=table.c[name].type) for name in columns}
        for i in range(count)
    ]
    rest = [name for name in columns if name not in key]
    # A driver's dialect takes as long to load as a query to be answered: the one used here alone.
    insert = import_module(f"sqlalchemy.dialects.{backend}").insert
    made: sa.Insert
    if backend == "mysql":
        into = insert(table).values(rows)
        made = into.on_duplicate_key_update({name: into.inserted[name] for name in rest})
    else:  # the same words on both
        onto = insert(table).values(rows)
        new = {name: onto.excluded[name] for name in rest}
        made = onto.on_conflict_do_update(index_elements=list(key), set_=new)
    return made


@dataclass(frozen=True)
class _Text:
    """A statement as a driver takes it."""

    text: str
    order: Sequence[str] | None
    """The names of its values, where the driver takes them by their places."""
    fixed: Mapping[str, Any]
    """Values that are part of it."""
    converted: Mapping[str, Callable[[Any], Any]]
    """What turns a value into what the driver takes for it."""

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> Rows:
        return connection.exec_driver_sql(self.text, self._taken(values))

    def run_all(self, connection: sa.Connection, every: Sequence[Mapping[str, Any]]) -> None:
        """Run it with each of these values, of which no rows come."""
        taken = [self._taken(values) for values in every]
        connection.exec_driver_sql(self.text, taken if len(taken) > 1 else taken[0])

    def _taken(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver takes them."""
        every = {**self.fixed, **values}
        for name, convert in self.converted.items():
            every[name] = convert(every[name])
        return every if self.order is None else tuple([every[name] for name in self.order])


_TEXTS: MutableMapping[sa.Dialect, dict[Hashable, _Text]] = WeakKeyDictionary()


def _text(dialect: sa.Dialect, key: Hashable, make: Callable[[], sa.Executable]) -> _Text:
    texts = _TEXTS.setdefault(dialect, {})
    made = texts.get(key)
    if made is None:
        made = texts[key] = _compiled(dialect, make())
    return made


def _compiled(dialect: sa.Dialect, statement: Any) -> _Text:
    compiled = statement.compile(dialect=dialect)
    names = compiled.bind_names.items()
    fixed = {name: bind.effective_value for bind, name in names if not bind.required}
    converted = {
        name: convert for bind, name in names
        if (convert := bind.type.dialect_impl(dialect).bind_processor(dialect))
    }  # fmt: skip
    order = compiled.positiontup if compiled.positional else None
    return _Text(compiled.string, order, fixed, converted)
