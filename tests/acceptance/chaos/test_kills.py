"""Workers are killed with SIGKILL at random moments of their work, fifty times."""

from __future__ import annotations

import random
from collections import Counter, deque
from functools import partial
from multiprocessing.connection import wait

import pytest

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.harness import Crew, Worker, study
from tests.acceptance.chaos.invariants import assert_invariants

KILLS, WORKERS, EPOCHS = 50, 4, 3
CELLS = {
    "width": [2, 3, 4, 5, 6],
    "batch_size": [16, 24, 32, 48, 64],
    "dropout": [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35],
}
STUDY = study(
    parameters="{architecture: {width: {values: [2, 3, 4, 5, 6]}, depth: 1},"
    " batch_size: {batch_size: {values: [16, 24, 32, 48, 64]}},"
    " regularization: {dropout: {min: 0.0, max: 0.35, step: 0.05}}}",
    epochs=EPOCHS,
    sampler="grid",
    extra=["retry: {crash: 50}"],  # the same ticket may be hit again and again
)
SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(2, 10))]


def schedule(seed: int) -> deque[hooks.Doom]:
    """When each worker dies: as many at each moment, in any order."""
    draw = random.Random(seed)
    moments = list(hooks.MOMENTS) * (KILLS // len(hooks.MOMENTS))
    draw.shuffle(moments)
    return deque(
        hooks.Doom(
            moment,
            where=draw.choice(hooks.MOMENTS[moment]),
            # A trial has one beginning and one end, and several epochs.
            nth=draw.randint(1, 3 if moment in ("claiming", "finishing") else 8),
            delay_s=draw.uniform(0, 0.003),
        )
        for moment in moments
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_grid_is_exact_whoever_dies(seed: int, crew: Crew) -> None:
    crew.submit(STUDY)
    dooms = schedule(seed)
    alive: dict[object, tuple[Worker, hooks.Doom | None]] = {}
    hit: Counter[str] = Counter()

    def replace() -> None:
        doom = dooms.popleft() if dooms else None
        fate = [partial(hooks.doomed, doom)] if doom else []
        if doom and doom.moment == "reporting":
            fate.append(hooks.report_at_once)
        worker = crew.worker(partial(hooks.note_epochs, crew.epochs), *fate)
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
    assert hit == Counter(dict.fromkeys(hooks.MOMENTS, KILLS // len(hooks.MOMENTS)))
    assert_invariants(crew, trials=200, epochs=EPOCHS, cells=CELLS)
    assert {lease.ending for lease in crew.leases() if lease.fence > 1} == {"ended", "lost"}
    assert crew.repeated() <= KILLS
    assert not crew.trouble()
