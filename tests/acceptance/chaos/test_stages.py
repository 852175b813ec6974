"""Stages are opened once and in their order, and the test part is used once, no matter who dies."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import optuna
import pytest

from hpsearch.search.views import train_loss, values_of
from hpsearch.spec import StudySpec
from hpsearch.spec.settings import EARLY, HEART
from hpsearch.stages import outline
from hpsearch.stages.results import Done
from hpsearch.stages.stage import Stage
from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.acceptance.chaos import hooks, moves
from tests.acceptance.chaos.conftest import MakeCrew
from tests.acceptance.chaos.harness import Crew, connected, study, until
from tests.acceptance.chaos.invariants import assert_invariants
from tests.acceptance.chaos.test_fault_points import (
    Copies,
    batches,
    call,
    copies,
    die_and_do_again,
    on,
    points_of,
    points_of_body,
)
from tests.conftest import Servers

__all__ = ["copies"]

PARAMETERS = (
    "{architecture: {width: {values: [2, 4, 8]}, depth: 1},"
    " learning_rate: {lr: {min: 1.0e-3, max: 1.0e-1, log: true}},"
    " regularization: {dropout: {min: 0.0, max: 0.5}}}"
)
SEARCHED, TOP, SEEDS, EPOCHS = 16, 1, 2, 2
TRIALS = SEARCHED + (TOP + 1) * SEEDS
SIZES = {
    "warmup": 3, "architecture": 2, "learning_rate": 2, "regularization": 1, "polish": 8,
    "final": (TOP + 1) * SEEDS,
}  # fmt: skip
"""The tickets of each stage, in their order."""


RECIPE_SIZES = {"by heart": 5, "regularise": 6, "fine-tune": 5, "final": (TOP + 1) * SEEDS}


def staged(stack: int | str = 2, *more: str) -> str:
    text = study(
        parameters=PARAMETERS, trials=SEARCHED, epochs=EPOCHS, sampler="auto", stack=stack,
        extra=[f"final: {{top: {TOP}, seeds: {SEEDS}}}", *more],
    )  # fmt: skip
    return text.replace("search: {", "search: {strategy: staged, carry: 1, ")


def recipe(stack: int | str = 2, *more: str) -> str:
    return staged(stack, *more).replace("strategy: staged, carry: 1, ", "strategy: recipe, ")


def assert_stages(crew: Crew, sizes: Mapping[str, int] = SIZES) -> None:
    """Each was opened once, its tickets follow those of the one before, and the verdict is one.

    Tickets of the polish that were drawn early lie between, and are as many fewer in the polish.
    """
    found = crew.rows("SELECT number, first, name FROM hpsearch_stages ORDER BY number")
    assert [row.number for row in found] == list(range(len(found)))
    assert [row.first for row in found] == sorted({row.first for row in found})
    trials = optuna.load_study(study_name="s", storage=crew.url).trials
    ends = [*(row.first for row in found[1:]), TRIALS]
    last, counts = None, dict.fromkeys(sizes, 0)
    for row, end in zip(found, ends, strict=True):
        of_stage = [t for t in trials if row.first <= t.user_attrs["ticket"] < end]
        assert {t.user_attrs["stage"] for t in of_stage} == {row.name}
        counts["polish" if row.name == EARLY else row.name] += len(of_stage)
        if row.name == EARLY:
            assert len(of_stage) == 1
            continue
        if last is not None:
            assert min(t.datetime_start for t in of_stage) >= last, row.name
        last = max(t.datetime_complete for t in of_stage)
    assert counts == sizes
    own = [row.name for row in found if row.name != EARLY]
    assert own == [name for name in sizes if name != "polish" or name in own], "each once"
    (use,) = crew.rows("SELECT number, result FROM hpsearch_finishes")
    assert use.number == 1
    assert '"test"' in use.result


@pytest.mark.parametrize(("backend", "stack"), [
    ("sqlite", 4), ("postgresql", "off"),
    *(pytest.param(*both, marks=pytest.mark.nightly) for both in (("sqlite", "off"),
                                                                  ("postgresql", 4))),
])  # fmt: skip
def test_stages_open_in_order_with_one_worker_and_with_four(
    backend: str, stack: int | str, servers: Servers, make_crew: MakeCrew, tmp_path: Path
) -> None:
    crew = make_crew(servers.new_database(backend, tmp_path))
    crew.submit(staged(stack))
    for _ in range(4 if stack == "off" else 1):
        crew.worker()
    crew.finish()
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
    assert_stages(crew)
    assert not crew.trouble()


def early_ones(crew: Crew) -> list[int]:
    """The tickets of the polish that were drawn early."""
    query = f"SELECT first FROM hpsearch_stages WHERE name = '{EARLY}' ORDER BY first"
    return [row.first for row in crew.rows(query)]


FIRST_EARLY = SIZES["warmup"]
LEFT = staged("off", "retry: {crash: 9}")


def leave_a_ticket(crew: Crew, text: str) -> None:
    """A worker holds a ticket of the warm-up for long, and is dead."""
    crew.submit(text)
    crew.prefix, crew.env["HPSEARCH_LEASE_S"] = "dead", "1000"
    doom = hooks.Doom("claiming", "after claim", 1)
    crew.worker(partial(hooks.doomed, doom)).ends(-9)


def let_go(crew: Crew) -> None:
    """Its lease has run out."""
    with connected(crew.url) as connection:
        connection.execute(moves.LET_GO, {"worker": "dead0"})
        connection.commit()


@on("sqlite")
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_worker_dies_about_an_early_ticket(backend: str, every: int, copies: Copies) -> None:
    """As it opens its stage, claims it, gives it a trial, trains, reports and ends it."""
    leave_a_ticket(copies.template, LEFT)
    nth = {"training": (FIRST_EARLY - 1) * EPOCHS + 1}
    dooms = [
        hooks.Doom(moment, where, nth.get(moment, FIRST_EARLY))
        for moment, places in hooks.MOMENTS.items() if moment != "checkpoint"
        for where in places
    ]  # fmt: skip
    first = copies.copy()
    note = partial(hooks.note_points, first.folder / "points")
    first.worker(hooks.report_each, note, partial(hooks.doomed, dooms[0])).ends(-9)
    points = [point for point in points_of(first) if point.startswith("open_stage ")]
    assert len(points) > 3, points
    ways: list[tuple[hooks.Hook, bool]] = [
        *((partial(hooks.die_at, point), point.endswith(" done")) for point in points),
        *((partial(hooks.doomed, doom), True) for doom in dooms),
    ]
    for batch in batches(ways[::every]):
        crews = [(way, opened, copies.copy()) for way, opened in batch]
        for way, _, crew in crews:
            crew.worker(hooks.report_each, way)
        for way, opened, crew in crews:
            crew.workers[0].ends(-9)
            assert early_ones(crew)[:1] == ([FIRST_EARLY] if opened else []), way
            let_go(crew)
            crew.worker()
        for _, _, crew in crews:
            crew.finish()
            assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
            assert_stages(crew)


@on("sqlite")
@pytest.mark.parametrize("freeze", [
    partial(hooks.freeze_after, "open_stage"), partial(hooks.freeze_in, 2, FIRST_EARLY),
])  # fmt: skip
def test_a_worker_comes_back_late_to_an_early_ticket(
    backend: str, freeze: hooks.Hook, copies: Copies
) -> None:
    leave_a_ticket(copies.template, LEFT)
    crew = copies.copy()
    frozen = crew.worker(hooks.report_at_once, freeze)
    until(lambda: frozen.frozen, what="the worker to freeze")
    assert early_ones(crew) == [FIRST_EARLY]
    let_go(crew)
    other = crew.worker(partial(hooks.pace, 0.05))
    until(lambda: crew.leases(worker=other.name, number=FIRST_EARLY), what="the early ticket")
    frozen.send(signal.SIGCONT)
    crew.finish()
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
    assert_stages(crew)


@on("sqlite")
@pytest.mark.parametrize("every", [3, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_worker_dies_at_any_write_of_a_stage_or_a_verdict(
    backend: str, every: int, copies: Copies
) -> None:
    copies.template.submit(staged())
    first = copies.copy()
    first.worker(partial(hooks.note_points, first.folder / "points")).ends()
    verbs = ("open_stage", "begin_verdict", "end_verdict")
    points = [point for point in points_of(first) if point.split()[0] in verbs]
    points = points[::every]
    assert {point.split()[0] for point in points} == set(verbs)
    for batch in batches(points):
        crews = {point: copies.copy() for point in batch}
        for point, crew in crews.items():
            crew.worker(partial(hooks.die_at, point))
        for point, crew in crews.items():
            assert crew.workers[0].wait() == -9, (point, crew.workers[0].said)
            crew.worker()
        for crew in crews.values():
            crew.finish()
            assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
            assert_stages(crew)


@on("sqlite")
def test_a_worker_dies_at_any_write_of_the_end_of_a_fruitless_finish(
    backend: str, copies: Copies
) -> None:
    """All trainings diverge: there is nothing to use the test part for."""
    text = study(
        parameters="{architecture: {width: 32, depth: 8}, learning_rate: {lr: 1000},"
        " optimizer: {optimizer: sgd}}", trials=1, epochs=EPOCHS,
        extra=["final: {top: 1, seeds: 2}"],
    )  # fmt: skip
    copies.template.submit(text)
    first = copies.copy()
    first.worker(partial(hooks.note_points, first.folder / "points")).ends()
    crews = {point: copies.copy() for point in points_of(first) if point.startswith("end_finish ")}
    assert crews
    for point, crew in crews.items():
        crew.worker(partial(hooks.die_at, point))
    for point, crew in crews.items():
        assert crew.workers[0].wait() == -9, (point, crew.workers[0].said)
        crew.worker()
    for crew in (first, *crews.values()):
        crew.finish()
        assert_invariants(crew, trials=3, epochs=EPOCHS, states=("PRUNED",))
        assert not crew.rows("SELECT number FROM hpsearch_finishes")


@on("sqlite")
def test_another_finish_is_asked_for_by_a_process_that_dies(backend: str, copies: Copies) -> None:
    copies.template.submit(staged(4))
    copies.template.worker().ends()
    body = partial(call, "finish_again", "s", (TOP + 1) * SEEDS, {"top": TOP, "seeds": SEEDS})
    for batch in batches(points_of_body(copies.copy(), "finish_again", body)):
        crews = {point: copies.copy() for point in batch}
        die_and_do_again(crews, lambda _crew: body)
        for crew in crews.values():
            crew.worker().ends()
            assert_invariants(crew, trials=TRIALS + (TOP + 1) * SEEDS, epochs=EPOCHS)
            assert [row.number for row in crew.rows("SELECT number FROM hpsearch_finishes")] == [
                1,
                2,
            ]


@pytest.mark.parametrize(("backend", "seed"), [
    ("postgresql", 0),
    *(pytest.param(backend, seed, marks=pytest.mark.nightly)
      for backend in ("sqlite", "postgresql") for seed in range(3) if (backend, seed) !=
      ("postgresql", 0)),
])  # fmt: skip
def test_four_workers_are_killed_again_and_again(
    backend: str, seed: int, servers: Servers, make_crew: MakeCrew, tmp_path: Path
) -> None:
    crew = make_crew(servers.new_database(backend, tmp_path))
    crew.submit(staged("off", "retry: {crash: 50}"))
    moments = [
        hooks.Doom(moment, where, 1 + (seed + i) % 2)
        for i, (moment, places) in enumerate(hooks.MOMENTS.items())
        for where in places
    ]
    for doom in moments:
        crew.worker(hooks.report_each, partial(hooks.doomed, doom))
    for _ in range(2):
        crew.worker(partial(hooks.pace, 0.05))
    for worker in crew.workers:
        assert worker.wait(120) in (0, -9), worker.said
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
    assert_stages(crew)


def assert_steps_follow_from_the_trials(crew: Crew) -> None:
    """Anyone who opened a step of the recipe, it is what the trials before it make."""
    ledger = Ledger(Database(crew.url))
    known = ledger.study("s")
    spec = StudySpec.from_document(known.document)
    stages = [Stage.from_json(stage, spec.space) for stage in ledger.stages(known.study_id)]
    trials = optuna.load_study(study_name="s", storage=crew.url).trials
    for number, stage in enumerate(stages):
        done = [
            Done(
                t.user_attrs["ticket"], values_of(spec, t), t.value,
                train_loss(t) if t.user_attrs["stage"] == HEART else None,
            )
            for t in trials if t.user_attrs["ticket"] < stage.first
        ]  # fmt: skip
        left = SEARCHED - stage.first
        assert outline.opening(spec, stages[:number], done, stage.first, left) == stage


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, 1])
def test_workers_on_the_recipe_are_killed_again_and_again(seed: int, crew: Crew) -> None:
    crew.submit(recipe("off", "retry: {crash: 50}"))
    for i, (moment, places) in enumerate(hooks.MOMENTS.items()):
        for where in places:
            doom = hooks.Doom(moment, where, 1 + (seed + i) % 2)
            crew.worker(hooks.report_each, partial(hooks.doomed, doom))
    for _ in range(2):
        crew.worker(partial(hooks.pace, 0.05))
    for worker in crew.workers:
        assert worker.wait(120) in (0, -9), worker.said
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
    assert_stages(crew, RECIPE_SIZES)
    assert_steps_follow_from_the_trials(crew)


@pytest.mark.nightly
@on("sqlite")
def test_a_worker_dies_at_any_write_of_a_step_of_the_recipe(backend: str, copies: Copies) -> None:
    copies.template.submit(recipe().replace("sanity: false", "sanity: true"))
    first = copies.copy()
    first.worker(partial(hooks.note_points, first.folder / "points")).ends()
    points = [p for p in points_of(first) if p.split()[0] in ("open_stage", "record_sanity")]
    assert {point.split()[0] for point in points} == {"open_stage", "record_sanity"}
    for batch in batches(points):
        crews = {point: copies.copy() for point in batch}
        for point, crew in crews.items():
            crew.worker(partial(hooks.die_at, point))
        for point, crew in crews.items():
            assert crew.workers[0].wait() == -9, (point, crew.workers[0].said)
            crew.worker()
        for crew in crews.values():
            crew.finish()
            assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
            assert_stages(crew, RECIPE_SIZES)
            assert_steps_follow_from_the_trials(crew)
