"""What must be true of a study that has ended, whatever happened to its workers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna
import sqlalchemy as sa

from tests.acceptance.chaos.harness import Crew

_EPS = 0.002
"""Seconds: SQLite's clock has milliseconds."""


def assert_invariants(
    crew: Crew,
    *,
    trials: int,
    epochs: int,
    cells: Mapping[str, Sequence[Any]] | None = None,
    states: Collection[str] = ("COMPLETE",),
    reported: Collection[str] = (),
    whole: bool = True,
) -> None:
    """The budget is exact, every trial ended, no step is missing or twice, one owner at a time.

    Args:
        crew: Whose database it is.
        trials: The budget.
        epochs: Of each trial that is complete.
        cells: The values of a grid: each of their combinations is there once.
        states: Those that trials may have ended in.
        reported: Workers whose death was told to the ledger, so that their leases ended early.
        whole: Whether what is complete has all its epochs.
    """
    _budget(crew, trials)
    storage = optuna.storages.RDBStorage(
        crew.url, engine_kwargs={"poolclass": sa.NullPool}, skip_table_creation=True
    )
    found = optuna.load_study(study_name="s", storage=storage).trials
    assert len(found) == trials
    assert {t.state.name for t in found} <= set(states)
    assert sorted(t.user_attrs["ticket"] for t in found) == list(range(trials))
    if cells is not None:
        _grid(found, cells)
    for trial in found:
        _curve(trial, epochs if whole else None)
    _curves_beside(crew, found)
    _reported_once(crew, found)
    _history(crew, found, set(reported))


def _budget(crew: Crew, trials: int) -> None:
    (row,) = crew.rows("SELECT state, tickets, issued, ended FROM hpsearch_studies")
    assert tuple(row) == ("done", trials, trials, trials)
    tickets = crew.rows("SELECT number, state, trial_id FROM hpsearch_tickets ORDER BY number")
    assert [t.number for t in tickets] == list(range(trials))
    assert {t.state for t in tickets} == {"ended"}
    assert len({t.trial_id for t in tickets} - {None}) == trials, "two tickets, one trial"


def _grid(found: list[optuna.trial.FrozenTrial], cells: Mapping[str, Sequence[Any]]) -> None:
    drawn = Counter(tuple(t.params[name] for name in cells) for t in found)
    assert drawn == Counter(itertools.product(*cells.values()))


def _curve(trial: optuna.trial.FrozenTrial, epochs: int | None) -> None:
    steps = sorted(trial.intermediate_values)
    assert steps == list(range(1, len(steps) + 1)), f"trial {trial.number}: {steps}"
    if trial.state is optuna.trial.TrialState.COMPLETE:
        assert epochs in (None, len(steps)), f"trial {trial.number}: {steps}"
        assert trial.value == max(trial.intermediate_values.values()), "the best epoch counts"


def _curves_beside(crew: Crew, found: list[optuna.trial.FrozenTrial]) -> None:
    """hpsearch's own table of epochs says the same as Optuna's steps, and no step is twice."""
    expected = Counter((t._trial_id, step) for t in found for step in t.intermediate_values)
    for table, step in (("hpsearch_epochs", "epoch"), ("trial_intermediate_values", "step")):
        rows = crew.rows(f"SELECT trial_id, {step} FROM {table}")
        assert Counter(map(tuple, rows)) == expected, table


def _reported_once(crew: Crew, found: list[optuna.trial.FrozenTrial]) -> None:
    """What was reported is never trained again, with another result or with the same."""
    delivered = crew.delivered()
    assert len({(trial, epoch) for trial, epoch, _ in delivered}) == len(delivered)
    curves = {t._trial_id: t.intermediate_values for t in found}
    assert all(curves[trial][epoch] == value for trial, epoch, value in delivered)


def _history(crew: Crew, found: list[optuna.trial.FrozenTrial], reported: set[str]) -> None:
    by_ticket = {
        number: list(leases)
        for number, leases in itertools.groupby(crew.leases(), key=lambda lease: lease.number)
    }
    fences = dict(map(tuple, crew.rows("SELECT number, fence FROM hpsearch_tickets")))
    assert set(by_ticket) == set(fences)
    for number, leases in by_ticket.items():
        assert [lease.fence for lease in leases] == list(range(1, fences[number] + 1))
        assert_one_owner(leases, reported)
        assert leases[-1].ended_at is not None
    for trial in found:
        leases = by_ticket[trial.user_attrs["ticket"]]
        assert trial.user_attrs["attempts"] == len(leases)
        assert trial.user_attrs["worker"] == leases[-1].worker
        if trial.state is optuna.trial.TrialState.COMPLETE:
            assert leases[-1].ending == "ended"


def assert_one_owner(leases: Sequence[Any], reported: Collection[str] = ()) -> None:
    """No lease of a ticket began before the one before had ended, or had run out."""
    for before, after in itertools.pairwise(leases):
        assert before.ended_at is not None, leases
        assert before.ended_at <= after.taken_at + _EPS
        assert before.ending in ("lost", "returned")
        if before.ending == "lost" and before.worker not in reported:
            assert before.until <= after.taken_at + _EPS, "taken over before it had run out"
