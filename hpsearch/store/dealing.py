"""Which numbers new tickets get, dealt in any order.

A study's numbers are 0 .. tickets - 1. A retry takes the first number behind the budget, which
grows by it, so that no ticket dealt out of its order ever meets one. All others are sampled by
their draw index: the number less the retries below it. That stays as it is whatever is issued,
retried or added later, so random, quasi-random and grid search draw the same trials in whatever
order tickets are dealt. The column of the tickets' table that keeps it is called `origin`.

The study keeps the first number that is not issued, its floor, and the draw index there; anyone who
deals reads only the rows above, and only as far as they reach.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from hpsearch.spec.settings import FINAL
from hpsearch.store import known_rows, lease_rows, stage_rows, study_rows, trials
from hpsearch.store.optuna_tables import TRIAL_USER, TRIALS
from hpsearch.store.states import TrialState
from hpsearch.store.tables import leases, tickets
from hpsearch.store.values import NOT_BEGUN, STOPPED, UNTRAINABLE, Study

__all__ = [
    "REACH",
    "Deal",
    "add_refused",
    "add_retries",
    "add_stopped",
    "any_counts",
    "completed",
    "deal",
    "passed_over",
    "share",
    "share_of_stage",
    "to_retry",
    "upcoming",
]

REACH = 1024
"""How far above the floor a number may be dealt out of its order. So few rows lie above it however
long the study is, and no ticket is passed over forever."""


@dataclass(frozen=True)
class Deal:
    """Numbers to issue, and the study's floor once they are."""

    numbers: Sequence[tuple[int, int]]
    """(number, draw index) of each."""
    floor: int
    floor_origin: int


def deal(connection: sa.Connection, study: Study, count: int, wanted: Collection[int] = ()) -> Deal:
    """Up to `count` numbers: those that are wanted in their order, then the lowest ones.

    The caller holds the study's lock, and has left at least one to issue.
    """
    window = _window(connection, study, count)
    free = dict(window.free())
    # A dict keeps what came first where it came: the lowest ones follow the wanted ones.
    ordered = dict.fromkeys([*(n for n in wanted if n in free), *free])
    chosen = list(itertools.islice(ordered, count))
    floor, draw_index = window.floor_without(chosen)
    return Deal([(number, free[number]) for number in chosen], floor, draw_index)


def passed_over(connection: sa.Connection, study: Study) -> bool:
    """Whether tickets were dealt before others that are not issued yet."""
    query = sa.select(sa.func.max(tickets.c.origin)).where(tickets.c.study_id == study.study_id)
    last = connection.execute(query).scalar()
    return last is not None and last >= study.drawn


def completed(connection: sa.Connection, study: Study) -> bool:
    """Whether a trial of the search completed; those of a finish are none."""
    of_finish = [
        tickets.c.origin.between(span.start, span.stop - 1)
        for span in stage_rows.spans(connection, study.study_id, FINAL)
    ]
    query = (
        sa.select(tickets.c.number)
        .join(TRIALS, TRIALS.c.trial_id == tickets.c.trial_id)
        .where(
            tickets.c.study_id == study.study_id, TRIALS.c.state == TrialState.COMPLETE,
            ~sa.or_(sa.false(), *of_finish),
        )
        .limit(1)
    )  # fmt: skip
    return connection.execute(query).first() is not None


def add_retries(connection: sa.Connection, study: Study) -> int:
    """Add a ticket for each of the trials `to_retry`; how many."""
    return _add_again(connection, study, to_retry(connection, study))


def to_retry(connection: sa.Connection, study: Study) -> Sequence[Any]:
    """(number, draw index) of the tickets of trials that failed and were not retried, but those
    that can never be trained.

    None of a finish that has ended: no verdict would come of it.
    """
    untrainable = sa.exists().where(
        TRIAL_USER.c.trial_id == tickets.c.trial_id, TRIAL_USER.c.key == UNTRAINABLE
    )
    failed = _not_run_again(connection, study, TRIALS.c.state == TrialState.FAIL, ~untrainable)
    finishes = stage_rows.spans(connection, study.study_id, FINAL)
    over = finishes[:-1] if study.finish == "open" else finishes
    return [row for row in failed if not any(row.origin in span for span in over)]


def add_refused(connection: sa.Connection, study: Study) -> int:
    """Add a ticket for each trial that ended as own training code was refused, none of which had
    reported anything: they cost nothing of the budget; how many."""
    if not (study.issued and study.refused):
        return 0
    ended = TRIALS.c.state.in_([TrialState.FAIL, TrialState.PRUNED])
    return _add_again(connection, study, _not_run_again(connection, study, ended))


def any_counts(connection: sa.Connection, study: Study) -> bool:
    """Whether anything would be lost with a study that was refused: a trial that reported or that
    ended in another way than by an error or by the stop, one that a worker holds, or trials of
    elsewhere that its samplers know."""
    harmless = (TRIALS.c.state == TrialState.FAIL) | (
        (TRIALS.c.state == TrialState.PRUNED) & (_ended_as(STOPPED) | _ended_as(NOT_BEGUN))
    )
    queries = (
        sa.select(leases.c.number).where(lease_rows.under_way(study.study_id)),
        sa.select(TRIALS.c.number).where(TRIALS.c.study_id == study.study_id, ~harmless),
    )
    return (
        any(connection.execute(query.limit(1)).first() is not None for query in queries)
        or trials.any_report(connection, study.study_id)
        or known_rows.count(connection, study.study_id) > 0
    )


def add_stopped(connection: sa.Connection, study: Study) -> int:
    """Add a ticket for each trial that was stopped before a worker began with it, and for each
    training of an open finish that was stopped, where nothing runs it again; how many.

    Nothing of the budget is spent on what was not trained, and a verdict is about the trainings
    that were asked for, no matter who stopped the study meanwhile.
    """
    if study.state not in ("open", "done"):
        return 0
    again = _ended_as(NOT_BEGUN)
    if study.finish == "open":
        finish = stage_rows.spans(connection, study.study_id, FINAL)[-1]
        again |= _ended_as(STOPPED) & (tickets.c.origin >= finish.start)
    pruned = TRIALS.c.state == TrialState.PRUNED
    return _add_again(connection, study, _not_run_again(connection, study, pruned, again))


def _ended_as(reason: str) -> sa.ColumnElement[bool]:
    return sa.exists().where(
        TRIAL_USER.c.trial_id == TRIALS.c.trial_id, TRIAL_USER.c.key == "reason",
        TRIAL_USER.c.value_json == json.dumps(reason),
    )  # fmt: skip


def _not_run_again(connection: sa.Connection, study: Study, *where: Any) -> Sequence[Any]:
    """(number, draw index) of tickets that became such trials and that no other runs again."""
    again = tickets.alias()  # all at once: no index finds who runs a ticket again
    run_again = sa.select(again.c.retry_of).where(
        again.c.study_id == study.study_id, again.c.retry_of.is_not(None)
    )
    return connection.execute(
        sa.select(tickets.c.number, tickets.c.origin)
        .join(TRIALS, TRIALS.c.trial_id == tickets.c.trial_id)
        .where(tickets.c.study_id == study.study_id, tickets.c.number.not_in(run_again), *where)
        .order_by(tickets.c.number)
    ).all()


def _add_again(connection: sa.Connection, study: Study, ended: Sequence[Any]) -> int:
    """Add a ticket of the same draw index for each of these to the study's budget; how many."""
    # A finish that needed fewer tickets than it might have has left some retries above the budget.
    last = connection.execute(
        sa.select(sa.func.max(tickets.c.number)).where(tickets.c.study_id == study.study_id)
    ).scalar()
    first = max(study.tickets, 0 if last is None else last + 1)
    rows = [
        {"study_id": study.study_id, "number": first + i, "state": "open", "fence": 0,
         "origin": row.origin, "retry_of": row.number, "reached": 0, "crashes": 0}
        for i, row in enumerate(ended)
    ]  # fmt: skip
    if rows:
        connection.execute(sa.insert(tickets), rows)
        more = {"tickets": study.tickets + len(rows), "issued": study.issued + len(rows)}
        study_rows.put(connection, study.study_id, **more)
    return len(rows)


def upcoming(connection: sa.Connection, study: Study, count: int) -> list[tuple[int, int]]:
    """The next `count` (number, draw index) that nobody has been issued, within reach."""
    return list(itertools.islice(_window(connection, study, count).free(), count))


def share(left: int, workers: int) -> int:
    """The most that one worker may take at once of what is left, so that all end together.

    One part in as many as there are workers, rounded up: guided self-scheduling (Polychronopoulos
    and Kuck, IEEE Transactions on Computers C-36(12), 1987).
    """
    return -(-left // max(workers, 1))


def share_of_stage(left: int, under_way: int, own: int, workers: int) -> int:
    """The most of what is left of a stage that one worker may take beside its own.

    The whole stage waits for its last ticket: what has been taken counts, so that a worker that
    asks again and again does not get it all before the others come.

    Args:
        left: Tickets of the stage that nobody has taken.
        under_way: The study's tickets under way.
        own: Those of them that the worker has.
        workers: That are at the study or may come.
    """
    return max(min(share(left, workers), share(left + under_way, workers) - own), 0)


@dataclass(frozen=True)
class _Window:
    """A stretch of a study's numbers, from a floor to before `end`."""

    floor: int
    draw_index: int
    end: int
    issued: Mapping[int, bool]
    """Numbers that have a row; whether that is a retry."""
    opened: float
    """Origins from here on belong to a stage that is not open yet."""

    def free(self) -> Iterator[tuple[int, int]]:
        """(number, draw index) of those that are not issued."""
        return (
            (n, draw_index) for n, draw_index in self._walk()
            if n not in self.issued and n < self.end and draw_index < self.opened
        )  # fmt: skip

    def floor_without(self, numbers: Collection[int]) -> tuple[int, int]:
        """The first number not issued once these are, and its draw index; at most the end."""
        gone = self.issued.keys() | set(numbers)
        return next(at for at in self._walk() if at[0] not in gone)

    def _walk(self) -> Iterator[tuple[int, int]]:
        draw_index = self.draw_index
        for number in range(self.floor, self.end + 1):
            yield number, draw_index
            draw_index += not self.issued.get(number, False)


def _window(connection: sa.Connection, study: Study, count: int) -> _Window:
    floor, draw_index = study.floor, study.floor_origin
    opened = math.inf if study.opened is None else study.opened
    while True:
        end = min(floor + REACH + count, study.tickets)
        query = sa.select(tickets.c.number, tickets.c.retry_of.is_not(None)).where(
            tickets.c.study_id == study.study_id, tickets.c.number >= floor, tickets.c.number < end
        )
        above = study.issued > floor  # else all that is issued lies below
        issued = {n: bool(retry) for n, retry in connection.execute(query)} if above else {}
        window = _Window(floor, draw_index, end, issued, opened)
        if end == study.tickets or len(issued) < end - floor:
            return window
        floor, draw_index = window.floor_without(())  # more retries in a row than the reach
