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
from tests.acceptance.chaos.conftest import MakeCrew
from tests.acceptance.chaos.harness import Crew, Worker, study
from tests.acceptance.chaos.invariants import assert_invariants

WORKERS, EPOCHS, SLOTS = 4, 3, 8
KILLS = {"off": 50, SLOTS: 25}
"""By how many are trained at once: a stack has no more beginnings and ends than one candidate."""
CELLS: dict[str, list[Any]] = {
    "width": [2, 3, 4, 5, 6],
    "batch_size": [16, 24, 32, 48, 64],
    "dropout": [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35],
}
PARAMETERS = (
    "{architecture: {width: {values: [2, 3, 4, 5, 6]}, depth: 1},"
    " batch_size: {batch_size: {values: [16, 24, 32, 48, 64]}},"
    " regularization: {dropout: {min: 0.0, max: 0.35, step: 0.05}}}"
)
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(1, 8))]


def schedule(seed: int, stack: int | str) -> deque[hooks.Doom]:
    """When each worker dies: as many at each moment, in any order."""
    draw = random.Random(seed)
    moments = list(hooks.MOMENTS) * (KILLS[stack] // len(hooks.MOMENTS))
    draw.shuffle(moments)
    often = 8 if stack == "off" else 3  # a worker must not run out of work before
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


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grid_is_exact_whoever_dies_with_stacks(seed: int, crew: Crew) -> None:
    assert_a_grid_is_exact(crew, seed, SLOTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grid_is_exact_whoever_dies(seed: int, make_crew: MakeCrew, sqlite_url: str) -> None:
    assert_a_grid_is_exact(make_crew(sqlite_url), seed, "off")


def assert_a_grid_is_exact(crew: Crew, seed: int, stack: int | str) -> None:
    # The same ticket may be hit again and again.
    crew.submit(study(parameters=PARAMETERS, epochs=EPOCHS, sampler="grid", stack=stack,
                      extra=["retry: {crash: 50}"]))  # fmt: skip
    dooms = schedule(seed, stack)
    notes = partial(hooks.note_epochs, crew.epochs), partial(hooks.note_reports, crew.reports)
    alive: dict[Any, tuple[Worker, hooks.Doom | None]] = {}
    hit: Counter[str] = Counter()

    def replace() -> None:
        doom = dooms.popleft() if dooms else None
        fate: list[hooks.Hook] = [partial(hooks.doomed, doom)] if doom else []
        if doom and doom.moment in ("reporting", "checkpoint"):
            fate.append(hooks.report_at_once)
        worker = crew.worker(*notes, *fate)
        alive[worker.process.sentinel] = worker, doom

    for _ in range(WORKERS):
        replace()
    while alive:
        gone = wait(list(alive), timeout=120)
        assert gone, {w.name: w.said for w, _ in alive.values()}
        for sentinel in gone:
            worker, doom = alive.pop(sentinel)
            code = worker.wait()
            if doom is None:
                assert code == 0, worker.said
                continue
            assert code == -9, (doom, worker.said)
            assert crew.dropped(worker), f"{worker.name} held no lease: {doom}"
            hit[doom.moment] += 1
            replace()
    assert hit == Counter(dict.fromkeys(hooks.MOMENTS, KILLS[stack] // len(hooks.MOMENTS)))
    assert_invariants(crew, trials=200, epochs=EPOCHS, cells=CELLS)
    endings = {lease.ending for lease in crew.leases()}
    assert endings == ({"ended", "lost"} if stack == "off" else {"ended", "lost", "returned"})
    assert crew.delivered()
    assert crew.repeated() <= KILLS[stack] * EPOCHS * (1 if stack == "off" else SLOTS)
    assert not crew.trouble()
