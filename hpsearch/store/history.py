"""The trials of one study in memory, read from Optuna's tables by increments.

A trial that has ended never changes: it is read once. A refresh asks for new trials and for the
state of unfinished ones, with a mark of running ones that changes whenever anything comes to them,
and reads what is new. That is two statements whatever there is to read.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby
from operator import attrgetter, itemgetter
from sys import intern
from typing import Any, Generic, Protocol, TypeVar

import sqlalchemy as sa

from hpsearch.errors import line
from hpsearch.store import origin as origins
from hpsearch.store.optuna_tables import (
    PARAMS,
    REPORTS,
    TRIAL_SYSTEM,
    TRIAL_USER,
    TRIALS,
    VALUES,
)
from hpsearch.store.origin import STUDY, Origin
from hpsearch.store.prepared import BATCH, Among, Prepared, padded
from hpsearch.store.states import TrialState

__all__ = ["DAMAGE", "History", "StoredTrial", "uncollected"]

DAMAGE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What rows raise that make no sense."""

_STATES = {state.name: state for state in TrialState}
_NUMBERS = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
"""What is not finite has NULL for a value, and its name beside it."""

T = TypeVar("T")
S = TypeVar("S", bound="_Shown")
Ids = sa.Select[tuple[int]] | Sequence[int]
"""Which trials' rows are meant: a subquery, or their ids."""


@dataclass(slots=True)
class StoredTrial:
    """A trial as it stands in the database."""

    trial_id: int
    number: int
    state: TrialState
    started: datetime | None
    """Naive, in the local zone, as Optuna shows times."""
    ended: datetime | None
    values: list[float] | None = None
    """One for each direction of the study; None where there are none yet."""
    drawn: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Parameters as Optuna keeps them: a number, and the distribution, as JSON, that says what it
    stands for."""
    reports: dict[int, float] = field(default_factory=dict)
    """By step, in order."""
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float | None:
        """The first of its values; None where there is none."""
        return self.values[0] if self.values else None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of a trial of hpsearch's own. Raises one of `DAMAGE` where one makes no
        sense."""
        return {name: _meant(value, text) for name, (value, text) in self.drawn.items()}


class _Shown(Protocol):
    """What a history has to know of a trial as it is shown: a `StoredTrial`, or one of Optuna's."""

    @property
    def number(self) -> int: ...

    @property
    def state(self) -> Any: ...


class History(Generic[S]):
    """One study's trials. `fetch` is for one thread, all the rest for one that may be another.

    What was fetched is shown once it is `put`, as whatever its user makes of it.
    """

    def __init__(self, study_id: int, *, lean: bool = False) -> None:
        """A `lean` one reads little of trials that have ended: no parameters, of their reports the
        last one, of their attributes those that counts and tables need. `complete` reads all of
        some; of thousands nobody looks at more than a few."""
        self._study_id, self._lean = study_id, lean
        self.origin: Origin | None = None
        """The study's at the last `fetch`; None: there was none of its id."""
        self.damaged: dict[int, str] = {}
        """Trials that cannot be read and are left out, by id: which, and what is wrong with it."""
        self._trials: dict[int, S] = {}
        self._unfinished: set[int] = set()
        self._marks: dict[int, Sequence[Any]] = {}
        self._last = -1

    def fetch(self, connection: sa.Connection, held: Container[int] = ()) -> list[StoredTrial]:
        """Trials that are new, or not as they were when they were fetched last, by number.

        What comes to those `held` this process knows: they are fetched only when they have ended.
        """
        with uncollected():
            heads, marks = self._heads(connection)
            marks = {i: mark for i, mark in marks.items() if i not in held}
            news = [t for t in heads if self._is_news(t, held, marks.get(t.trial_id))]
            if self._last < 0:
                mine = sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == self._study_id)
                self._fill(connection, news, mine)
            for some in _batches(news) if self._last >= 0 else ():
                self._fill(connection, some, [trial.trial_id for trial in some])
        self._marks.update(marks)
        self._last = max([self._last, *self.damaged, *(trial.trial_id for trial in heads)])
        return sorted((t for t in news if t.trial_id not in self.damaged), key=_number)

    def shown(
        self, trials: Iterable[StoredTrial], made: Callable[[StoredTrial], S]
    ) -> Iterator[tuple[int, S]]:
        """Trials that were fetched, (id, what is made of it); those that cannot be made are
        damaged."""
        for trial in trials:
            try:
                yield trial.trial_id, made(trial)
            except DAMAGE as error:
                self._note_damage(trial.trial_id, trial.number, error)

    def __contains__(self, trial_id: int) -> bool:
        """Whether a trial is the study's, as far as is known."""
        return trial_id in self._trials or trial_id in self._unfinished

    def unknown(self) -> tuple[int, list[int]]:
        """Which trials may have changed since the last `fetch`: those of a higher id, and these."""
        return self._last, sorted(self._unfinished)

    def _heads(
        self, connection: sa.Connection
    ) -> tuple[list[StoredTrial], dict[int, Sequence[Any]]]:
        """Trials that are new or were unfinished, without their parts; of each that runs something
        that changes whenever anything comes to it."""
        # Optuna numbers trials under a lock of the study: ids come to be seen in their order.
        batches = list(_batches(sorted(i for i in self._unfinished if i <= self._last)))
        first, *rest = batches or [[]]
        # A row at a time takes three times as long.
        values = {"study": self._study_id, "last": self._last}
        rows = [*_new_heads.run(connection, values, first).all()]
        for ids in rest:
            rows += _heads.run(connection, {}, ids).all()
        self.origin = None
        heads: list[StoredTrial] = []
        marks: dict[int, Sequence[Any]] = {}
        for row in rows:
            trial_id, number, state, start, complete, *mark = row
            if trial_id == _OF_STUDY:
                self.origin = Origin(state, mark[3], start, mark[4])
                continue
            try:
                heads.append(_head(trial_id, number, state, start, complete))
            except DAMAGE as error:
                self._note_damage(trial_id, number, error)
                continue
            if heads[-1].state == TrialState.RUNNING:
                marks[trial_id] = mark
        return heads, marks

    def _fill(self, connection: sa.Connection, trials: Sequence[StoredTrial], ids: Ids) -> None:
        """Read the parts of these trials, whose ids are `ids`."""
        if not trials:
            return
        if isinstance(ids, list) and not self._lean:
            self._put_rows(trials, _some_parts(connection, ids))
        else:
            ids = padded(ids) if isinstance(ids, list) else ids
            self._put_parts(connection, trials, ids, _LEAN if self._lean else _PARTS)
        if self._lean:
            self.complete(connection, [t for t in trials if not t.state.is_finished()])
        for trial in trials:
            if trial.state == TrialState.COMPLETE and not trial.values:
                error = ValueError("it is COMPLETE without a value")
                self._note_damage(trial.trial_id, trial.number, error)

    def complete(self, connection: sa.Connection, trials: Sequence[StoredTrial]) -> None:
        """Read all parts of trials that were read by a lean history; one that turns out to be
        damaged is shown no more."""
        by_id = {trial.trial_id: trial for trial in trials}
        for ids in _batches(sorted(by_id)):
            self._put_parts(connection, [by_id[i] for i in ids], padded(ids), _PARTS)
        readable = dict(self.shown(trials, attrgetter("params")))
        for trial_id in by_id:
            if trial_id not in readable or trial_id in self.damaged:
                self._trials.pop(trial_id, None)

    def _put_parts(
        self, connection: sa.Connection, trials: Sequence[StoredTrial], ids: Ids,
        parts: Sequence[_Part],
    ) -> None:  # fmt: skip
        """Read these parts of the trials: one query a table."""
        for table, order, columns, put, *which in parts:
            c = table.c
            query = sa.select(c.trial_id, *columns).where(c.trial_id.in_(ids), *which)
            rows = connection.execute(query.order_by(c.trial_id, c[order])).all()
            self._put_rows(trials, [(put, rows)])

    def _put_rows(self, trials: Sequence[StoredTrial], parts: Iterable[_OfTable]) -> None:
        by_id = {trial.trial_id: trial for trial in trials}
        for put, rows in parts:
            for trial_id, of_trial in groupby(rows, itemgetter(0)):
                trial = by_id.get(trial_id)
                if trial is None:  # it has come since
                    continue
                try:
                    put(trial, of_trial)
                except DAMAGE as error:
                    self._note_damage(trial_id, trial.number, error)

    def _note_damage(self, trial_id: int, number: object, error: Exception) -> None:
        """Whatever is wrong with a trial's rows becomes a line about it."""
        self.damaged.setdefault(trial_id, f"trial {number}: {line(error)}")

    def _is_news(
        self, head: StoredTrial, held: Container[int], mark: Sequence[Any] | None = None
    ) -> bool:
        trial_id = head.trial_id
        trial = self._trials.get(trial_id)
        if trial is not None and trial.state.is_finished():
            return False
        if head.state.is_finished():
            return True
        if trial_id in held:
            return False
        changed = trial is None or trial.state != head.state
        return changed or mark != self._marks.get(trial_id)

    def put(self, trial_id: int, trial: S) -> None:
        """Show a trial, in place of what was known of it."""
        self._trials[trial_id] = trial
        if trial.state.is_finished():
            self._unfinished.discard(trial_id)
            self._marks.pop(trial_id, None)
        else:
            self._unfinished.add(trial_id)

    def forget(self, trial_id: int) -> None:
        """Know nothing of a trial any more: the next `fetch` reads it again."""
        self._trials.pop(trial_id, None)
        self._marks.pop(trial_id, None)
        self._unfinished.add(trial_id)

    def get(self, trial_id: int) -> S | None:
        """A trial as it was last put."""
        return self._trials.get(trial_id)

    def select(self, states: Container[Any] | None = None) -> list[S]:
        """Trials by number; only those in `states` if any are named."""
        trials = [t for t in self._trials.values() if states is None or t.state in states]
        trials.sort(key=_number)
        return trials


@contextmanager
def uncollected() -> Iterator[None]:
    """Inside, no garbage is looked for: rows, and answers made of them, leave none, and the look
    takes up to a third of the time where trials are many."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_number = attrgetter("number")


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[i : i + BATCH] for i in range(0, len(items), BATCH))


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """An enumeration's name as it stands in the row: half the time of a million rows."""
    return sa.type_coerce(column, sa.String)


def _head(trial_id: int, number: int, state: str, start: Any, complete: Any) -> StoredTrial:
    """A trial without its parts."""
    if state not in _STATES:
        raise ValueError(f"its state is {state!r}")
    if type(number) is not int:
        raise TypeError(f"its number is {number!r}")
    return StoredTrial(trial_id, number, _STATES[state], _local(start), _local(complete))


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


def _some_parts(connection: sa.Connection, ids: Sequence[int]) -> Iterator[_OfTable]:
    """The rows of a few trials, a table at a time."""
    rows = _parts_of.run(connection, {}, ids).all()
    for part, of_table in groupby(rows, itemgetter(0)):
        yield _PARTS[part][3], map(_WANTED[part], of_table)


def _put_params(trial: StoredTrial, rows: Iterable[Any]) -> None:
    for _, name, value, text in rows:
        if not isinstance(value, (int, float)):
            raise TypeError(f"its parameter {name} is {value!r}")
        trial.drawn[intern(name)] = value, intern(text)


def _put_values(trial: StoredTrial, rows: Iterable[Any]) -> None:
    trial.values = _numbers("its value", [(value, kind) for _, value, kind in rows])


def _put_reports(trial: StoredTrial, rows: Iterable[Any]) -> None:
    reports = [row[1:] for row in rows]
    if not all(type(step) is int for step, *_ in reports):
        raise TypeError("a report is of no whole epoch")
    values = _numbers("the value of a report", [(value, kind) for _, value, kind in reports])
    trial.reports = dict(zip((step for step, *_ in reports), values, strict=True))


def _numbers(what: str, rows: Sequence[tuple[Any, str]]) -> list[float]:
    numbers = [_NUMBERS.get(kind, value) for value, kind in rows]
    for value in numbers:
        if type(value) is not float and type(value) is not int:
            raise TypeError(f"{what} is {value!r}")
    return numbers


def _put_user_attrs(trial: StoredTrial, rows: Iterable[Any]) -> None:
    trial.user_attrs = _attrs(rows)


def _put_system_attrs(trial: StoredTrial, rows: Iterable[Any]) -> None:
    trial.system_attrs = _attrs(rows)


def _attrs(rows: Iterable[Any]) -> dict[str, Any]:
    attrs = {}
    for _, key, text in rows:
        try:
            attrs[intern(key)] = _decoded(text)
        except (AttributeError, RecursionError, TypeError, ValueError):
            raise ValueError(f"its attribute {key} is no JSON") from None
    return attrs


_Put = Callable[[StoredTrial, Iterable[Any]], None]
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
_COUNTED = ("code", "final", "last_metrics", "metrics", "reason", "stage", "ticket", "untrainable")
_LEAN: Sequence[_Part] = (
    _PARTS[1],
    (*_PARTS[2], _LAST),
    (*_PARTS[3], TRIAL_USER.c.key.in_(_COUNTED)),
)
"""What a lean history reads of trials that have ended."""


_WANTED = [itemgetter(1, *columns) for columns in ((3, 4, 5), (4, 5), (2, 4, 5), (3, 5), (3, 5))]
"""The same columns of the rows of `_parts_of`."""


_COMMA: Any = sa.literal_column("','")
_OF_STUDY = -1
"""In place of a trial's id: the row is the study's own."""


@Prepared
def _heads(among: Among) -> sa.Executable:
    return _marked(_unfinished(among))


@Prepared
def _new_heads(among: Among) -> sa.Executable:
    c, none = TRIALS.c, sa.null()
    new = _plain_heads().where(
        c.study_id == STUDY, c.trial_id > sa.bindparam("last", type_=sa.Integer)
    )
    of = origins.select().subquery("origin").c
    name = sa.cast(of.name, sa.String(512))  # a union has one collation: that of what is cast
    study = sa.select(
        sa.literal_column(str(_OF_STUDY), sa.Integer), none, name, of.began, none,
        none, none, none, of.uid, of.note,
    )  # fmt: skip
    return sa.union_all(_marked(sa.union_all(new, _unfinished(among))), study)


def _plain_heads() -> sa.Select[Any]:
    c = TRIALS.c
    return sa.select(
        c.trial_id, c.number, sa.cast(c.state, sa.String(16)).label("state"),
        _plain(c.datetime_start).label("start"), _plain(c.datetime_complete).label("complete"),
        (c.state == TrialState.RUNNING).label("runs"),
    )  # fmt: skip


def _unfinished(among: Among) -> sa.Select[Any]:
    return _plain_heads().where(among(TRIALS.c.trial_id))


def _marked(heads: Any) -> sa.Select[Any]:
    """The same with marks of those that run. Optuna's own storage writes over an attribute in
    place: to count those would not do."""
    of_heads = heads.subquery("heads").c

    def mark(table: sa.Table, measure: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        query = sa.select(measure).where(table.c.trial_id == of_heads.trial_id)
        return sa.case((of_heads.runs, query.scalar_subquery()))

    return sa.select(
        of_heads.trial_id, of_heads.number, of_heads.state, of_heads.start, of_heads.complete,
        mark(PARAMS, sa.func.count()),
        mark(REPORTS, sa.func.count()),
        mark(REPORTS, sa.func.max(REPORTS.c.trial_intermediate_value_id)),
        mark(TRIAL_USER, sa.func.aggregate_strings(TRIAL_USER.c.value_json, _COMMA)),
        mark(TRIAL_SYSTEM, sa.func.aggregate_strings(TRIAL_SYSTEM.c.value_json, _COMMA)),
    )  # fmt: skip


@Prepared
def _parts_of(among: Among) -> sa.Executable:
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
        .where(among(table.c.trial_id))
        for part, ((table, *_), of) in enumerate(zip(_PARTS, columns, strict=True))
    ]  # fmt: skip
    return sa.union_all(*selects).order_by("part", "trial_id", "a", "b")


def _kind(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The name of what a number is where it is not finite: as an enumeration, which a type of
    PostgreSQL's is, it could not stand beside text."""
    kinds = [name for name in _NUMBERS if name in column.type.enums]  # type: ignore[attr-defined]
    return sa.case(*((column == name, sa.literal_column(f"'{name}'")) for name in kinds))


def _meant(value: float, distribution: str) -> Any:
    """What the number of a parameter stands for, as in Optuna's `to_external_repr`."""
    choices, kind = _distribution(distribution)
    return kind(value) if choices is None else choices[int(value)]


@lru_cache(maxsize=4096)
def _distribution(text: str) -> tuple[Sequence[Any] | None, Callable[[float], Any]]:
    """The choices of a distribution, if it has some, and what its numbers are."""
    document = json.loads(text)
    attributes, name = document["attributes"], document["name"]
    if name == "CategoricalDistribution":
        return attributes["choices"], float
    return None, {"IntDistribution": int, "FloatDistribution": float}[name]


_decode = json.JSONDecoder().raw_decode  # json.loads looks for white space around it first
_word = lru_cache(maxsize=4096)(json.loads)


def _decoded(text: str) -> Any:
    """What a JSON text says. One string for all that are alike: names of workers, of samplers."""
    return _word(text) if text.startswith('"') else _decode(text)[0]
