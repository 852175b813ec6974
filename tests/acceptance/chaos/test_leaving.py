"""SIGTERM: the worker is gone within its grace, and another one has its trial at once."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress
from functools import partial
from typing import Any

from hpsearch.worker import outbox
from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import on
from tests.acceptance.chaos.harness import Crew, Worker, study, until
from tests.acceptance.chaos.invariants import assert_invariants

EPOCHS = 2
LONG = study(
    parameters="{architecture: {width: 256, depth: 4}, batch_size: {batch_size: 1}}",
    trials=1,
    epochs=EPOCHS,
    limit=400,
)
"""Hundreds of steps an epoch."""
SHORT = study(trials=1, epochs=EPOCHS)
SLOTS = 4
STACK = study(trials=SLOTS, epochs=EPOCHS, stack=SLOTS)
GRACE_S, TAKEN_S = 8.0, 5.0


def started(crew: Crew, text: str, *special: hooks.Hook) -> tuple[Worker, Worker]:
    """A worker in its second epoch, and one that waits for work."""
    crew.submit(text)
    note = partial(hooks.note_epochs, crew.epochs)
    first = crew.worker(*special, note)
    until(lambda: crew.leases(worker=first.name), what="the first worker's lease")
    second = crew.worker(note)
    until(lambda: (0, 2) in crew.begun(), 120, what="the second epoch")
    return first, second


def taken_over(crew: Crew, second: Worker) -> Any:
    """The lease by which the other worker took the trial."""
    return until(lambda: crew.leases(worker=second.name), 30, what="the trial's next")[0]


@on("sqlite")
def test_a_worker_leaves_in_mid_epoch_and_its_trial_goes_on(crew: Crew) -> None:
    crew.lease_s, crew.env["HPSEARCH_LEASE_S"] = 30.0, "30"  # given back, and not run out
    first, second = started(crew, LONG, hooks.report_at_once)
    asked_at, since = crew.now(), time.monotonic()
    first.send(signal.SIGTERM)
    first.ends()
    assert time.monotonic() - since < GRACE_S
    assert taken_over(crew, second).taken_at - asked_at < TAKEN_S
    second.wait(180)
    assert_invariants(crew, trials=1, epochs=EPOCHS)
    assert crew.begun() == [(0, 1), (0, 2), (0, 2)], "it did not resume"
    assert [lease.ending for lease in crew.leases()] == ["returned", "ended"]


def save_from_epoch_2_on() -> None:
    """The report of the first waits for its checkpoint still."""
    outbox._SAVE_S = float("inf")

    def due(_ticket: int, epoch: int) -> None:
        if epoch == 2:
            outbox._SAVE_S = 0.0

    hooks._before_epoch(due)


@on("postgresql")
def test_an_epoch_that_was_not_saved_is_not_reported(crew: Crew) -> None:
    """The next worker would have to take it back, and the disk would be blamed for it."""
    crew.submit(LONG)
    crew.worker(save_from_epoch_2_on, partial(hooks.terminate_in, 2)).ends()
    assert not crew.rows("SELECT 1 FROM trial_intermediate_values")
    assert not crew.rows("SELECT 1 FROM hpsearch_leases WHERE ending <> 'returned'")
    names = {name for (name,) in crew.rows("SELECT key FROM trial_user_attributes")}
    assert not names & {"checkpoint", "restarted"}


@on("postgresql")
def test_a_stack_is_given_back_as_a_whole_and_resumed(crew: Crew) -> None:
    crew.lease_s, crew.env["HPSEARCH_LEASE_S"] = 30.0, "30"
    slow = partial(hooks.pace, 1.0)  # which a signal breaks off, as it does an epoch
    first, second = started(crew, STACK, slow)
    asked_at = crew.now()
    first.send(signal.SIGTERM)
    first.ends()
    until(lambda: len(crew.leases(worker=second.name)) == SLOTS, 30, what="the stack's next")
    taken = crew.leases(worker=second.name)
    assert all(lease.taken_at - asked_at < TAKEN_S for lease in taken)
    second.ends()
    assert_invariants(crew, trials=SLOTS, epochs=EPOCHS)
    for number in range(SLOTS):
        epochs = [epoch for ticket, epoch in crew.begun() if ticket == number]
        assert epochs == [1, 2, 2], "it did not resume"
    assert [lease.ending for lease in crew.leases()] == ["returned", "ended"] * SLOTS


@on("sqlite")
def test_a_worker_that_hangs_leaves_all_the_same(crew: Crew) -> None:
    """In C, where no signal handler of Python's is ever called."""
    crew.lease_s, crew.env["HPSEARCH_LEASE_S"] = 30.0, "30"
    first, second = started(crew, SHORT, partial(hooks.hang_in, 2))
    since = time.monotonic()
    first.send(signal.SIGTERM)
    assert first.wait(20) == 130, first.said
    assert time.monotonic() - since < GRACE_S
    assert taken_over(crew, second)
    second.wait(180)
    assert_invariants(crew, trials=1, epochs=EPOCHS)
    assert crew.leases()[0].ending == "returned"


@on("postgresql")
def test_a_second_signal_leaves_at_once(crew: Crew) -> None:
    """Nothing is given back any more; the lease runs out."""
    first, second = started(crew, SHORT, partial(hooks.hang_in, 2))
    first.send(signal.SIGTERM)
    since = time.monotonic()
    while first.alive:  # two that come too close to each other are one
        first.send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            first.process.wait(0.2)
    assert time.monotonic() - since < 2
    assert first.wait() == 128 + signal.SIGTERM
    second.wait(180)
    assert_invariants(crew, trials=1, epochs=EPOCHS)
