"""Workers are killed with SIGKILL at random moments of their work, again and again.

A kill may cost the epochs of the last second, those of each candidate on the device. What was
reported is never trained again, nothing is reported twice, and no epoch is missing.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from functools import partial
from multiprocessing.connection import wait
from typing import Any

import pytest

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import MakeCrew, on
from tests.acceptance.chaos.harness import Crew, Worker, study
from tests.acceptance.chaos.invariants import assert_invariants

WORKERS, EPOCHS, SLOTS = 4, 3, 8
KILLS = {"off": 50, SLOTS: 25}
"""By how many are trained at once: a stack has no more beginnings and ends than one candidate.
Half of them by day, at each moment some."""
CELLS: dict[str, list[Any]] = {
    "width": [2, 3, 4, 5, 6],
    "batch_size": [16, 24, 32, 48, 64],
    "dropout": [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35],
}
DAILY = 0
"""The seed of every time."""


def cells(seed: int) -> dict[str, list[Any]]:
    """Of the grid: 200 at night, three quarters of them by day."""
    return {**CELLS, "dropout": CELLS["dropout"][: 6 if seed == DAILY else 8]}


def parameters(seed: int) -> str:
    most = cells(seed)["dropout"][-1]
    return (
        "{architecture: {width: {values: [2, 3, 4, 5, 6]}, depth: 1},"
        " batch_size: {batch_size: {values: [16, 24, 32, 48, 64]}},"
        f" regularization: {{dropout: {{min: 0.0, max: {most}, step: 0.05}}}}}}"
    )


SEEDS = [DAILY, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 9))]


def schedule(seed: int, stack: int | str) -> deque[hooks.Doom]:
    """When each worker dies: as many at each moment, in any order."""
    draw = random.Random(seed)
    kills = KILLS[stack] // 2 if seed == DAILY else KILLS[stack]
    moments = list(hooks.MOMENTS) * (kills // len(hooks.MOMENTS))
    draw.shuffle(moments)
    often = 4 if stack == "off" else 3  # a worker must not run out of work before
    return deque(
        hooks.Doom(
            moment,
            where=draw.choice(hooks.MOMENTS[moment]),
            # A trial has one beginning and one end, and several epochs.
            nth=draw.randint(1, 3 if moment in ("claiming", "finishing") else often),
            delay_s=draw.uniform(0, 0.003),
        )
        for moment in moments
    )


@on("postgresql")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_grid_is_exact_whoever_dies_with_stacks(seed: int, crew: Crew) -> None:
    assert_a_grid_is_exact(crew, seed, SLOTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grid_is_exact_whoever_dies(seed: int, make_crew: MakeCrew, sqlite_url: str) -> None:
    assert_a_grid_is_exact(make_crew(sqlite_url), seed, "off")


def assert_a_grid_is_exact(crew: Crew, seed: int, stack: int | str) -> None:
    # The same ticket may be hit again and again.
    crew.submit(study(parameters=parameters(seed), epochs=EPOCHS, sampler="grid", stack=stack,
                      extra=["retry: {crash: 50}"]))  # fmt: skip
    dooms = schedule(seed, stack)
    planned, kills = Counter(doom.moment for doom in dooms), len(dooms)
    notes = partial(hooks.note_epochs, crew.epochs), partial(hooks.note_reports, crew.reports)
    doomed: dict[Any, tuple[Worker, hooks.Doom]] = {}
    hit: Counter[str] = Counter()

    def replace() -> None:
        if dooms:
            doom = dooms.popleft()
            each = [hooks.report_each] if doom.moment in ("reporting", "checkpoint") else []
            worker = crew.worker(*notes, partial(hooks.doomed, doom), *each)
            doomed[worker.process.sentinel] = worker, doom

    for _ in range(WORKERS):
        replace()
    while doomed:
        gone = wait(list(doomed), timeout=120)
        assert gone, {w.name: w.said for w, _ in doomed.values()}
        for sentinel in gone:
            worker, doom = doomed.pop(sentinel)
            assert worker.wait() == -9, (doom, worker.said)
            assert crew.dropped(worker), f"{worker.name} held no lease: {doom}"
            hit[doom.moment] += 1
            replace()
    # Only now those that live: they would leave the last of the others nothing to die at.
    for worker in [crew.worker(*notes) for _ in range(WORKERS)]:
        assert worker.wait() == 0, worker.said
    assert hit == planned
    grid = cells(seed)
    assert_invariants(crew, trials=25 * len(grid["dropout"]), epochs=EPOCHS, cells=grid)
    endings = {lease.ending for lease in crew.leases()}
    assert endings == ({"ended", "lost"} if stack == "off" else {"ended", "lost", "returned"})
    assert crew.delivered()
    assert crew.repeated() <= kills * EPOCHS * (1 if stack == "off" else SLOTS)
    assert not crew.trouble()
