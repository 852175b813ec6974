"""The trials of one study in memory, read from Optuna's tables by increments.

A trial that has ended never changes: it is read once. A refresh asks for new trials and for the
state of unfinished ones; of a running one it asks first whether anything has come to it, and reads
it only then. That is three statements whatever there is to read, made once and not anew each time:
to put one together takes SQLAlchemy longer than the database takes to answer it.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby
from operator import attrgetter, itemgetter
from sys import intern
from typing import Any, TypeVar

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from hpsearch.errors import line
from hpsearch.store.optuna_tables import (
    PARAMS,
    REPORTS,
    TRIAL_SYSTEM,
    TRIAL_USER,
    TRIALS,
    VALUES,
)

__all__ = ["History"]

_DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What rows raise that make no sense."""

_BATCH = 500
"""Ids in one IN list: every database takes that many."""

_STATES = {state.name: state for state in TrialState}
_NUMBERS = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
"""What is not finite has NULL for a value, and its name beside it."""

T = TypeVar("T")
Ids = sa.Select[tuple[int]] | Sequence[int]
"""Which trials' rows are meant: a subquery, or their ids."""


class History:
    """One study's trials. `fetch` is for one thread, all the rest for one that may be another."""

    def __init__(self, study_id: int, *, lean: bool = False) -> None:
        """A `lean` one reads little of trials that have ended: no parameters, of their reports the
        last one, of their attributes those that counts and tables need. `complete` reads all of
        some; of thousands nobody looks at more than a few."""
        self._study_id, self._lean = study_id, lean
        self.damaged: dict[int, str] = {}
        """Trials that cannot be read and are left out, by id: which, and what is wrong with it."""
        self._trials: dict[int, FrozenTrial] = {}
        self._unfinished: set[int] = set()
        self._marks: dict[int, Sequence[Any]] = {}
        self._last = -1

    def fetch(self, connection: sa.Connection, held: Container[int] = ()) -> list[FrozenTrial]:
        """Trials that are new, or not as they were when they were fetched last, by number.

        What comes to those `held` this process knows: they are fetched only when they have ended.
        """
        with _uncollected():
            heads = self._heads(connection)
            running = [t._trial_id for t in heads if t.state is TrialState.RUNNING]
            # Marks first: what comes between the two is read again next time.
            marks = _marks(connection, [i for i in running if i not in held])
            found = [t for t in heads if self._is_news(t, held, marks.get(t._trial_id))]
            if self._last < 0:
                mine = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == self._study_id)
                self._fill(connection, found, mine)
            for some in _batches(found) if self._last >= 0 else ():
                self._fill(connection, some, [trial._trial_id for trial in some])
        self._marks.update(marks)
        self._last = max([self._last, *self.damaged, *(trial._trial_id for trial in heads)])
        return sorted((t for t in found if t._trial_id not in self.damaged), key=_number)

    def unknown(self) -> tuple[int, list[int]]:
        """Which trials may have changed since the last `fetch`: those of a higher id, and these."""
        return self._last, sorted(self._unfinished)

    def _heads(self, connection: sa.Connection) -> list[FrozenTrial]:
        """Trials that are new or were unfinished, without their parts."""
        # Optuna numbers trials under a lock of the study: ids come to be seen in their order.
        batches = list(_batches(sorted(i for i in self._unfinished if i <= self._last)))
        first, *rest = batches or [[]]
        values = {"study": self._study_id, "last": self._last, "ids": _padded(first) or [-1]}
        # A row at a time takes three times as long.
        rows = [*connection.execute(_HEADS, values).all()]
        for ids in rest:
            rows += connection.execute(_HEADS_OF, {"ids": _padded(ids)}).all()
        found = []
        for row in rows:
            try:
                found.append(_head(*row))
            except _DAMAGE as error:
                self._note_damage(row[0], row[1], error)
        return found

    def _fill(self, connection: sa.Connection, trials: Sequence[FrozenTrial], ids: Ids) -> None:
        """Read the parts of these trials, whose ids are `ids`."""
        if not trials:
            return
        if isinstance(ids, list) and not self._lean:
            self._put_rows(trials, _some_parts(connection, ids))
        else:
            ids = _padded(ids) if isinstance(ids, list) else ids
            self._put_parts(connection, trials, ids, _LEAN if self._lean else _PARTS)
        if self._lean:
            self.complete(connection, [t for t in trials if not t.state.is_finished()])
        for trial in trials:
            if trial.state is TrialState.COMPLETE and not trial._values:
                error = ValueError("it is COMPLETE without a value")
                self._note_damage(trial._trial_id, trial._number, error)

    def complete(self, connection: sa.Connection, trials: Sequence[FrozenTrial]) -> None:
        """Read all parts of trials that were read by a lean history."""
        known = {trial._trial_id: trial for trial in trials}
        for ids in _batches(sorted(known)):
            self._put_parts(connection, [known[i] for i in ids], _padded(ids), _PARTS)

    def _put_parts(
        self, connection: sa.Connection, trials: Sequence[FrozenTrial], ids: Ids,
        parts: Sequence[_Part],
    ) -> None:  # fmt: skip
        """Read these parts of the trials: one query a table."""
        for table, order, columns, put, *which in parts:
            c = table.c
            query = sa.select(c.trial_id, *columns).where(c.trial_id.in_(ids), *which)
            rows = connection.execute(query.order_by(c.trial_id, c[order])).all()
            self._put_rows(trials, [(put, rows)])

    def _put_rows(self, trials: Sequence[FrozenTrial], parts: Iterable[_OfTable]) -> None:
        known = {trial._trial_id: trial for trial in trials}
        for put, rows in parts:
            for trial_id, of_trial in groupby(rows, itemgetter(0)):
                trial = known.get(trial_id)
                if trial is None:  # it has come since
                    continue
                try:
                    put(trial, of_trial)
                except _DAMAGE as error:
                    self._note_damage(trial_id, trial._number, error)

    def _note_damage(self, trial_id: int, number: object, error: Exception) -> None:
        """Whatever is wrong with a trial's rows becomes a line about it."""
        self.damaged.setdefault(trial_id, f"trial {number}: {line(error)}")

    def _is_news(
        self, head: FrozenTrial, held: Container[int], mark: Sequence[Any] | None = None
    ) -> bool:
        trial_id = head._trial_id
        known = self._trials.get(trial_id)
        if known is not None and known.state.is_finished():
            return False
        if head.state.is_finished():
            return True
        if trial_id in held:
            return False
        changed = known is None or known.state is not head.state
        return changed or mark != self._marks.get(trial_id)

    def put(self, trial: FrozenTrial) -> None:
        """Show a trial, in place of what was known of it."""
        self._trials[trial._trial_id] = trial
        if trial.state.is_finished():
            self._unfinished.discard(trial._trial_id)
            self._marks.pop(trial._trial_id, None)
        else:
            self._unfinished.add(trial._trial_id)

    def forget(self, trial_id: int) -> None:
        """Know nothing of a trial any more: the next `fetch` reads it again."""
        self._trials.pop(trial_id, None)
        self._marks.pop(trial_id, None)
        self._unfinished.add(trial_id)

    def get(self, trial_id: int) -> FrozenTrial | None:
        """A trial as it was last put."""
        return self._trials.get(trial_id)

    def select(self, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Trials by number; only those in `states` if any are named."""
        found = [t for t in self._trials.values() if states is None or t.state in states]
        found.sort(key=_number)
        return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Inside, no garbage is looked for: rows leave none, and the look takes a third of the time
    where trials are many."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_number = attrgetter("_number")  # half the time of `number`, which is a property


def _batches(found: Sequence[T]) -> Iterator[Sequence[T]]:
    return (found[i : i + _BATCH] for i in range(0, len(found), _BATCH))


def _padded(ids: Sequence[int]) -> list[int]:
    """The ids, the last one again and again up to a power of 2: a driver meets few texts then, and
    need not take each apart."""
    missing = (1 << (len(ids) - 1).bit_length()) - len(ids) if ids else 0
    return [*ids, *(ids[-1] for _ in range(missing))]


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """An enumeration's name as it stands in the row: half the time of a million rows."""
    return sa.type_coerce(column, sa.String)


def _head(trial_id: int, number: int, state: str, start: Any, complete: Any) -> FrozenTrial:
    """A trial without its parts."""
    if state not in _STATES:
        raise ValueError(f"its state is {state!r}")
    if type(number) is not int:
        raise TypeError(f"its number is {number!r}")
    return FrozenTrial(
        number=number,
        state=_STATES[state],
        value=None,
        datetime_start=_local(start),
        datetime_complete=_local(complete),
        params={},
        distributions={},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
        trial_id=trial_id,
    )


def _local(utc: Any) -> datetime | None:
    """As Optuna shows times: naive, in the local zone. SQLite has them as text."""
    if isinstance(utc, str):
        utc = datetime.fromisoformat(utc)
    if utc is not None and not isinstance(utc, datetime):
        raise TypeError(f"its time is {utc!r}")
    return utc and utc + _offset(utc.date(), utc.hour)


@lru_cache(maxsize=4096)
def _offset(day: date, hour: int) -> timedelta:
    """Of the local zone in that hour of UTC; to look it up for each time takes longer than to
    read the row."""
    return datetime.combine(day, time(hour), UTC).astimezone().utcoffset() or timedelta()


def _marks(connection: sa.Connection, ids: Sequence[int]) -> dict[int, Sequence[Any]]:
    """Of each trial something that changes whenever anything comes to it."""
    found: dict[int, Sequence[Any]] = {}
    for some in _batches(sorted(ids)):
        rows = connection.execute(_MARKS, {"ids": _padded(some)})
        found.update({trial_id: mark for trial_id, *mark in rows})
    return found


def _some_parts(connection: sa.Connection, ids: Sequence[int]) -> Iterator[_OfTable]:
    """The rows of a few trials, a table at a time."""
    rows = connection.execute(_SOME_PARTS, {"ids": _padded(ids)})
    for part, of_table in groupby(rows, itemgetter(0)):
        yield _PARTS[part][3], map(_WANTED[part], of_table)


def _put_params(trial: FrozenTrial, rows: Iterable[Any]) -> None:
    for _, name, value, text in rows:
        distribution = trial._distributions[intern(name)] = _distribution(text)
        if not isinstance(value, (int, float)):
            raise TypeError(f"its parameter {name} is {value!r}")
        trial._params[intern(name)] = distribution.to_external_repr(value)


def _put_values(trial: FrozenTrial, rows: Iterable[Any]) -> None:
    trial._values = _numbers("its value", [(value, kind) for _, value, kind in rows])


def _put_reports(trial: FrozenTrial, rows: Iterable[Any]) -> None:
    found = [row[1:] for row in rows]
    if not all(type(step) is int for step, *_ in found):
        raise TypeError("a report is of no whole epoch")
    values = _numbers("the value of a report", [(value, kind) for _, value, kind in found])
    trial.intermediate_values = dict(zip((step for step, *_ in found), values, strict=True))


def _numbers(what: str, rows: Sequence[tuple[Any, str]]) -> list[float]:
    found = [_NUMBERS.get(kind, value) for value, kind in rows]
    for value in found:
        if type(value) is not float and type(value) is not int:
            raise TypeError(f"{what} is {value!r}")
    return found


def _put_user_attrs(trial: FrozenTrial, rows: Iterable[Any]) -> None:
    trial._user_attrs = _attrs(rows)


def _put_system_attrs(trial: FrozenTrial, rows: Iterable[Any]) -> None:
    trial._system_attrs = _attrs(rows)


def _attrs(rows: Iterable[Any]) -> dict[str, Any]:
    found = {}
    for _, key, text in rows:
        try:
            found[intern(key)] = _decoded(text)
        except (AttributeError, RecursionError, TypeError, ValueError):
            raise ValueError(f"its attribute {key} is no JSON") from None
    return found


_Put = Callable[[FrozenTrial, Iterable[Any]], None]
_OfTable = tuple[_Put, Iterable[Any]]
_Part = tuple[Any, ...]
"""Table, order within a trial, columns, what puts the rows into the trial, and conditions of rows
that are read."""
_PARTS: Sequence[_Part] = (
    (PARAMS, "param_id",
     (PARAMS.c.param_name, PARAMS.c.param_value, PARAMS.c.distribution_json), _put_params),
    (VALUES, "objective", (VALUES.c.value, _plain(VALUES.c.value_type)), _put_values),
    (REPORTS, "step",
     (REPORTS.c.step, REPORTS.c.intermediate_value, _plain(REPORTS.c.intermediate_value_type)),
     _put_reports),
    (TRIAL_USER, "key", (TRIAL_USER.c.key, TRIAL_USER.c.value_json), _put_user_attrs),
    (TRIAL_SYSTEM, "key", (TRIAL_SYSTEM.c.key, TRIAL_SYSTEM.c.value_json), _put_system_attrs),
)  # fmt: skip

_OTHER = REPORTS.alias()
_LAST = REPORTS.c.step == (
    sa.select(sa.func.max(_OTHER.c.step))
    .where(_OTHER.c.trial_id == REPORTS.c.trial_id)
    .scalar_subquery()
)
_COUNTED = ("best_epoch", "code", "final", "last_metrics", "metrics", "reason", "sampler", "stage",
            "ticket", "untrainable")  # fmt: skip
_LEAN: Sequence[_Part] = (
    _PARTS[1],
    (*_PARTS[2], _LAST),
    (*_PARTS[3], TRIAL_USER.c.key.in_(_COUNTED)),
)
"""What a lean history reads of trials that have ended."""


_WANTED = [itemgetter(1, *columns) for columns in ((3, 4, 5), (4, 5), (2, 4, 5), (3, 5), (3, 5))]
"""The same columns of the rows of `_SOME_PARTS`."""


def _statements() -> tuple[sa.Executable, sa.Executable, sa.Executable, sa.Executable]:
    c = TRIALS.c
    plain = (_plain(column) for column in (c.state, c.datetime_start, c.datetime_complete))
    heads = sa.select(c.trial_id, c.number, *plain)
    new = heads.where(c.study_id == sa.bindparam("study"), c.trial_id > sa.bindparam("last"))
    unfinished = heads.where(c.trial_id.in_(_IDS))
    return sa.union_all(new, unfinished), unfinished, _marks_of(_IDS), _parts_of(_IDS)


def _marks_of(ids: sa.BindParameter[Any]) -> sa.Select[Any]:
    """Optuna's own storage writes over an attribute in place: to count those would not do."""

    def of(table: sa.Table, measure: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
        query = sa.select(measure).where(table.c.trial_id == TRIALS.c.trial_id)
        return query.correlate(TRIALS).scalar_subquery()

    return sa.select(
        TRIALS.c.trial_id,
        of(PARAMS, sa.func.count()),
        of(REPORTS, sa.func.count()),
        of(REPORTS, sa.func.max(REPORTS.c.trial_intermediate_value_id)),
        of(TRIAL_USER, sa.func.aggregate_strings(TRIAL_USER.c.value_json, ",")),
        of(TRIAL_SYSTEM, sa.func.aggregate_strings(TRIAL_SYSTEM.c.value_json, ",")),
    ).where(TRIALS.c.trial_id.in_(ids))


def _parts_of(ids: sa.BindParameter[Any]) -> sa.CompoundSelect[Any]:
    """One statement over all tables: its number, trial, whole number, name, number, text."""
    none = sa.null()
    columns = (
        (PARAMS.c.param_id, PARAMS.c.param_name, PARAMS.c.param_value, PARAMS.c.distribution_json),
        (VALUES.c.objective, none, VALUES.c.value, _kind(VALUES.c.value_type)),
        (REPORTS.c.step, none, REPORTS.c.intermediate_value,
         _kind(REPORTS.c.intermediate_value_type)),
        (none, TRIAL_USER.c.key, none, TRIAL_USER.c.value_json),
        (none, TRIAL_SYSTEM.c.key, none, TRIAL_SYSTEM.c.value_json),
    )  # fmt: skip
    selects = [
        sa.select(sa.literal_column(str(part), sa.Integer).label("part"), table.c.trial_id,
                  *(column.label(name) for column, name in zip(of, "abcd", strict=True)))
        .where(table.c.trial_id.in_(ids))
        for part, ((table, *_), of) in enumerate(zip(_PARTS, columns, strict=True))
    ]  # fmt: skip
    return sa.union_all(*selects).order_by("part", "trial_id", "a", "b")


def _kind(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The name of what a number is where it is not finite: as an enumeration, which a type of
    PostgreSQL's is, it could not stand beside text."""
    known = [name for name in _NUMBERS if name in column.type.enums]  # type: ignore[attr-defined]
    return sa.case(*((column == name, sa.literal_column(f"'{name}'")) for name in known))


_IDS = sa.bindparam("ids", expanding=True, type_=sa.Integer)
_HEADS, _HEADS_OF, _MARKS, _SOME_PARTS = _statements()


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    """One object for all trials that say the same: nobody changes it."""
    return json_to_distribution(text)


_decode = json.JSONDecoder().raw_decode  # json.loads looks for white space around it first
_word = lru_cache(maxsize=4096)(json.loads)


def _decoded(text: str) -> Any:
    """What a JSON text says. One string for all that are alike: names of workers, of samplers."""
    return _word(text) if text.startswith('"') else _decode(text)[0]
