"""The trials of one study in memory, read from Optuna's tables by increments.

A trial that has ended never changes: it is read once. A refresh asks for new trials and for the
state of unfinished ones; of a running one it asks first whether anything has come to it, and reads
it only then.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby
from operator import attrgetter, itemgetter
from sys import intern
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from hpsearch.store.optuna_tables import (
    PARAMS,
    REPORTS,
    TRIAL_SYSTEM,
    TRIAL_USER,
    TRIALS,
    VALUES,
)

__all__ = ["History"]

_BATCH = 500
"""Ids in one IN list: every database takes that many."""

_STATES = {state.name: state for state in TrialState}
_NUMBERS = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}
"""What is not finite has NULL for a value, and its name beside it."""

Ids = sa.Select[tuple[int]] | Sequence[int]
"""Which trials' rows are meant: a subquery, or their ids."""


class History:
    """One study's trials. `fetch` is for one thread, all the rest for one that may be another."""

    def __init__(self, study_id: int) -> None:
        self._study_id = study_id
        self._trials: dict[int, FrozenTrial] = {}
        self._unfinished: set[int] = set()
        self._marks: dict[int, Sequence[Any]] = {}
        self._last = -1

    def fetch(self, connection: sa.Connection, held: Container[int] = ()) -> list[FrozenTrial]:
        """Trials that are new, or not as they were when they were fetched last, by number.

        What comes to those `held` this process knows: they are fetched only when they have ended.
        """
        # Optuna numbers trials under a lock of the study: ids come to be seen in their order.
        later = TRIALS.c.study_id == self._study_id, TRIALS.c.trial_id > self._last
        heads = _heads(connection, *later)
        found = [trial for trial in heads if self._is_news(trial, held)]
        _fill(connection, found, sa.select(TRIALS.c.trial_id).where(*later))
        for ids in _batches(self._unfinished):
            found += self._changed(connection, ids, held)
        self._last = max([self._last, *(trial._trial_id for trial in heads)])
        return sorted(found, key=_number)

    def _changed(
        self, connection: sa.Connection, ids: Sequence[int], held: Container[int]
    ) -> list[FrozenTrial]:
        heads = _heads(connection, TRIALS.c.trial_id.in_(_padded(ids)))
        running = (t._trial_id for t in heads if t.state is TrialState.RUNNING)
        marks = _marks(connection, [i for i in running if i not in held])
        found = [t for t in heads if self._is_news(t, held, marks.get(t._trial_id))]
        _fill(connection, found, _padded([t._trial_id for t in found]))
        self._marks.update(marks)
        return found

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


_number = attrgetter("_number")  # half the time of `number`, which is a property


def _batches(ids: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(ids)
    return (ordered[i : i + _BATCH] for i in range(0, len(ordered), _BATCH))


def _padded(ids: Sequence[int]) -> list[int]:
    """The ids, the last one again and again up to a power of 2: a driver meets few texts then, and
    need not take each apart."""
    missing = (1 << (len(ids) - 1).bit_length()) - len(ids) if ids else 0
    return [*ids, *(ids[-1] for _ in range(missing))]


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """An enumeration's name as it stands in the row: half the time of a million rows."""
    return sa.type_coerce(column, sa.String)


def _heads(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[FrozenTrial]:
    """Trials without their parts."""
    c = TRIALS.c
    query = sa.select(
        c.trial_id, c.number, _plain(c.state), c.datetime_start, c.datetime_complete
    ).where(*which)
    return [
        FrozenTrial(
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
        for trial_id, number, state, start, complete in connection.execute(query)
    ]


def _local(utc: datetime | None) -> datetime | None:
    """As Optuna shows times: naive, in the local zone."""
    return utc and utc + _offset(utc.date(), utc.hour)


@lru_cache(maxsize=4096)
def _offset(day: date, hour: int) -> timedelta:
    """Of the local zone in that hour of UTC; to look it up for each time takes longer than to
    read the row."""
    return datetime.combine(day, time(hour), UTC).astimezone().utcoffset() or timedelta()


def _marks(connection: sa.Connection, ids: Sequence[int]) -> dict[int, Sequence[Any]]:
    """Of each trial something that changes whenever anything comes to it.

    Optuna's own storage writes over an attribute in place: to count those would not do.
    """
    if not ids:
        return {}

    def of(table: sa.Table, measure: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
        query = sa.select(measure).where(table.c.trial_id == TRIALS.c.trial_id)
        return query.correlate(TRIALS).scalar_subquery()

    query = sa.select(
        TRIALS.c.trial_id,
        of(PARAMS, sa.func.count()),
        of(REPORTS, sa.func.count()),
        of(REPORTS, sa.func.max(REPORTS.c.trial_intermediate_value_id)),
        of(TRIAL_USER, sa.func.aggregate_strings(TRIAL_USER.c.value_json, ",")),
        of(TRIAL_SYSTEM, sa.func.aggregate_strings(TRIAL_SYSTEM.c.value_json, ",")),
    )
    rows = connection.execute(query.where(TRIALS.c.trial_id.in_(_padded(ids))))
    return {trial_id: mark for trial_id, *mark in rows}


def _fill(connection: sa.Connection, trials: Sequence[FrozenTrial], ids: Ids) -> None:
    """Read the parts of these trials, whose ids are `ids`: one query a table."""
    if not trials:
        return
    known = {trial._trial_id: trial for trial in trials}

    def parts(
        table: sa.Table, order: str, *columns: sa.ColumnElement[Any]
    ) -> Iterator[tuple[FrozenTrial, Iterable[Any]]]:
        c = table.c
        query = sa.select(c.trial_id, *columns).where(c.trial_id.in_(ids))
        rows = connection.execute(query.order_by(c.trial_id, c[order]))
        for trial_id, of_trial in groupby(rows, itemgetter(0)):
            if trial_id in known:  # not one that has come since
                yield known[trial_id], of_trial

    p = PARAMS.c
    for trial, rows in parts(PARAMS, "param_id", p.param_name, p.param_value, p.distribution_json):
        for _, name, value, text in rows:
            distribution = trial._distributions[intern(name)] = _distribution(text)
            trial._params[intern(name)] = distribution.to_external_repr(value)
    v = VALUES.c
    for trial, rows in parts(VALUES, "objective", v.value, _plain(v.value_type)):
        trial._values = [_NUMBERS.get(kind, value) for _, value, kind in rows]
    r = REPORTS.c
    for trial, rows in parts(
        REPORTS, "step", r.step, r.intermediate_value, _plain(r.intermediate_value_type)
    ):
        trial.intermediate_values = {
            step: _NUMBERS.get(kind, value) for _, step, value, kind in rows
        }
    for trial, rows in parts(TRIAL_USER, "key", TRIAL_USER.c.key, TRIAL_USER.c.value_json):
        trial._user_attrs = {intern(key): _decoded(text) for _, key, text in rows}
    for trial, rows in parts(TRIAL_SYSTEM, "key", TRIAL_SYSTEM.c.key, TRIAL_SYSTEM.c.value_json):
        trial._system_attrs = {intern(key): _decoded(text) for _, key, text in rows}


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    """One object for all trials that say the same: nobody changes it."""
    return json_to_distribution(text)


_decode = json.JSONDecoder().raw_decode  # json.loads looks for white space around it first
_word = lru_cache(maxsize=4096)(json.loads)


def _decoded(text: str) -> Any:
    """What a JSON text says. One string for all that are alike: names of workers, of samplers."""
    return _word(text) if text.startswith('"') else _decode(text)[0]
