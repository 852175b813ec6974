"""Every act of a user at every move of a staged search with a finish.

A move is what a worker does to the ledger, so that a moment is an event. Whatever the act, the
study comes to its end with all that is promised (`invariants`), its verdict is about as many
trainings as were asked for, and the winner and what it is worth are those of a run that nobody
disturbed. But for

- `stop` in the search, where it ends trials: those under way stay PRUNED, and the rest is drawn
  around what is left;
- `extend` and `retry` in the search, which add to it: its stages share more trials;
- `final` once all trainings have ended and before the test part is used: what is for a network
  that was lost takes other seeds.

There the invariants and the number of trainings alone are looked at, and so they are where a worker
dies and the next one, until its lease has run out, draws other tickets of the polish early.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from hpsearch.errors import NotFoundError
from tests.acceptance.chaos import hooks, moves
from tests.acceptance.chaos.harness import Crew, Hook, study
from tests.acceptance.chaos.invariants import assert_invariants
from tests.acceptance.chaos.test_fault_points import Copies, batches, copies, on
from tests.acceptance.chaos.test_stages import early_ones, leave_a_ticket, let_go

__all__ = ["copies"]

EPOCHS, SEARCHED, FAILING, EARLY_TICKET = 2, 6, 2, 1
"""The ticket FAILING fails, so that there is something to retry."""

PARAMETERS = (
    "{architecture: {width: {values: [2, 4, 8]}, depth: 1},"
    " learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true}}}"
)
STUDY = study(
    parameters=PARAMETERS, trials=SEARCHED, epochs=EPOCHS,
    extra=[f"final: {{top: {moves.FINAL['top']}, seeds: {moves.FINAL['seeds']}}}",
           "retry: {crash: 9}"],
).replace("search: {", "search: {strategy: staged, carry: 1, ")  # fmt: skip
ALWAYS = (hooks.report_at_once, partial(moves.fail_once, FAILING))
CHANGES_THE_SEARCH = ("extend", "retry")
VERDICT = ("winner", "validation", "test", "default", "difference", "asked", "completed")


class Walk:
    """The run that nobody disturbs, and runs that somebody does."""

    def __init__(self, copies: Copies, *, early: bool = False) -> None:
        """With `early` a ticket is held elsewhere, until one of the polish has been drawn early."""
        self._copies = copies
        self._hooks: tuple[Hook, ...] = ALWAYS
        if early:
            leave_a_ticket(copies.template, STUDY)
            self._hooks = (*ALWAYS, partial(moves.let_go_at, f"record {EARLY_TICKET}.end", "dead0"))
        else:
            copies.template.submit(STUDY)
        crew = copies.copy()
        crew.worker(*self._hooks, partial(moves.note_moves, crew.folder / "moves")).ends()
        self.drawn_early = early_ones(crew)
        assert self.drawn_early == ([EARLY_TICKET] if early else [])
        lines = (crew.folder / "moves").read_text().splitlines()
        self.phases = dict(line.rsplit(" ", 1) for line in lines)
        """Of each move, whether it belongs to the search or to the finish."""
        self.undisturbed = verdicts(crew)
        assert self.undisturbed[0]["asked"] == self.undisturbed[0]["completed"] == moves.TICKETS

    @property
    def finish(self) -> list[str]:
        return [move for move, phase in self.phases.items() if phase == "finish"]

    def go(self, steps: Sequence[tuple[str, str]]) -> None:
        """Take these (act, move), a few at a time."""
        for batch in batches(steps):
            crews = {step: self._copies.copy() for step in batch}
            for (act, move), crew in crews.items():
                files = (crew.folder / name for name in ("refused", "ended"))
                act_at = partial(moves.act_at, move, act, *files)
                crew.worker(*self._hooks, act_at)
            for (act, _), crew in crews.items():
                crew.workers[0].ends(-9 if act == "kill" else 0)
                let_go(crew)
                revive(crew)
            for (act, move), crew in crews.items():
                for worker in crew.workers[1:]:
                    worker.ends()
                self.check(crew, act, move)

    def check(self, crew: Crew, act: str, move: str) -> None:
        where = f"{act} at {move}"
        assert not crew.trouble(), where
        if act.startswith("delete"):
            assert not crew.rows("SELECT * FROM trials"), where
            return
        found = crew.ledger.study("s")
        assert_invariants(
            crew, trials=found.tickets, epochs=EPOCHS, states=("COMPLETE", "PRUNED", "FAIL")
        )
        given = verdicts(crew)
        refused = (crew.folder / "refused").exists()
        at_the_end = move.startswith("end_verdict")
        judged = at_the_end or move.startswith("begin_verdict")
        # What is written with the last end, and which trial's that is, is a matter of time.
        all_ended = not judged and (crew.folder / "ended").exists()
        assert len(given) == (2 if act == "final" and judged else 1), where
        assert all(v["completed"] == v["asked"] == moves.TICKETS for v in given), where
        in_search = self.phases[move] == "search"
        assert refused == (
            (act == "final" and not judged and not all_ended)
            or (act == "extend" and not in_search and not at_the_end)
            or (act in ("stop", "stop, resume", "pause", "pause, stop") and at_the_end)
        ), where
        if in_search and (act in CHANGES_THE_SEARCH or stopped_in_search(crew)):
            return
        if early_ones(crew) != self.drawn_early:
            return
        if act == "final" and all_ended:
            return
        assert given[0] == self.undisturbed[0], where


def verdicts(crew: Crew) -> list[dict[str, Any]]:
    """What each use of the test part gave."""
    rows = crew.rows("SELECT result FROM hpsearch_finishes ORDER BY number")
    return [{key: json.loads(row.result)[key] for key in VERDICT} for row in rows]


def stopped_in_search(crew: Crew) -> bool:
    query = (
        "SELECT 1 FROM trial_user_attributes AS why JOIN trial_user_attributes AS stage "
        "ON why.trial_id = stage.trial_id WHERE why.key = 'reason' AND "
        "why.value_json = '\"stopped\"' AND stage.key = 'stage' AND stage.value_json <> '\"final\"'"
    )
    return bool(crew.rows(query))


def revive(crew: Crew) -> None:
    """Open a study that was put down, and start a worker where there is something left to do."""
    try:
        found = crew.ledger.study("s")
    except NotFoundError:
        return
    if found.state in ("paused", "stopped"):
        found = crew.ledger.set_state("s", "open")
    if found.state == "open":
        crew.worker(*ALWAYS)


@on("sqlite")
def test_acts_in_a_finish_change_nothing(backend: str, copies: Copies) -> None:
    """Each kind of moment: none of its tickets has begun, one is under way, some have ended, all
    have, its verdict has begun, and is given. Each act at each of them comes at night."""
    walk = Walk(copies)
    found = walk.finish
    records = [move for move in found if move.startswith("record")]
    none, begun = found[0], next(move for move in found if move.startswith("begin "))
    some, all_ = records[len(records) // 2], records[-1]
    judged, done = "begin_verdict 1", "end_verdict 1"
    walk.go([
        *(("stop", move) for move in (none, all_, judged)),
        ("stop, resume", begun), ("pause", some), ("pause, stop", begun),
        ("kill", begun), ("kill", judged), ("retry", some), ("extend", begun), ("extend", done),
        ("final", some), ("final", judged), ("final", done), ("delete", judged),
    ])  # fmt: skip


@on("sqlite")
def test_acts_about_an_early_ticket(backend: str, copies: Copies) -> None:
    """Its stage has been opened, it is claimed, begun, in training, and has ended."""
    walk = Walk(copies, early=True)
    opened, claimed, begun, *_ = walk.phases
    reported, ended = (f"record {EARLY_TICKET}.{what}" for what in (1, "end"))
    assert (opened, claimed, begun) == ("open_stage 1", "claim 1", "begin 1")
    walk.go([
        ("kill", opened), ("stop", opened), ("pause, stop", claimed), ("extend", begun),
        ("terminate", reported), ("retry", ended),
    ])  # fmt: skip


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("act", list(moves.ACTS))
@on("sqlite")
def test_any_act_at_any_move(backend: str, copies: Copies, act: str, *, early: bool) -> None:
    walk = Walk(copies, early=early)
    walk.go([(act, move) for move in walk.phases])
