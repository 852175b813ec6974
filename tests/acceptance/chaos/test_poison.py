"""A trial that kills its workers is given up; one that loses them by chance is not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import optuna

from tests.acceptance.chaos import hooks
from tests.acceptance.chaos.conftest import on
from tests.acceptance.chaos.harness import Crew, Hook, study
from tests.acceptance.chaos.invariants import assert_invariants

TRIALS, EPOCHS = 3, 5


DEADLY = """
import time
import psutil

def train(run):
    if run.x == 2:
        _, worker = psutil.Process().parents()[:2]
        worker.kill()
        time.sleep(60)
    run.report(score=run.x)
"""

OWN = """
name: s
train: {function: "train.py:train"}
metric: {name: score, direction: maximize}
parameters: {x: {values: [0, 1, 2, 3]}}
search: {sampler: grid, sanity: false}
budget: {epochs: 1}
"""


def work_until_done(
    crew: Crew, *deadly: Hook, told: bool = False, args: Sequence[str] = ("--until-done",)
) -> int:
    """Workers one after another, as a supervisor starts them; how many died.

    `told` says that the supervisor tells the ledger of each death, so that no lease has to run out.
    """
    for died in range(20):
        worker = crew.worker(*deadly, args=args)
        code = worker.wait()
        if code == 0:
            return died
        assert code == -9
        if told:
            crew.ledger.sign_off(worker.name, lost="it was killed")
    raise AssertionError("it took twenty workers and was not given up")


def trials(crew: Crew) -> list[optuna.trial.FrozenTrial]:
    found = optuna.load_study(study_name="s", storage=crew.url).trials
    return sorted(found, key=lambda trial: trial.user_attrs["ticket"])


@on("postgresql")
def test_a_trial_that_kills_every_worker_fails(crew: Crew) -> None:
    crew.submit(study(trials=TRIALS, epochs=EPOCHS))
    assert work_until_done(crew, partial(hooks.die_in, 1, range(1, 2))) == 3
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS, states=("COMPLETE", "FAIL"))
    first, poison, last = trials(crew)
    assert [t.state.name for t in (first, poison, last)] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert "lost its worker 3 times" in poison.user_attrs["reason"]
    assert "worker w2 fell silent" in poison.user_attrs["reason"]
    assert not poison.intermediate_values


@on("sqlite")
def test_one_of_a_stack_that_kills_every_worker_fails_alone(crew: Crew) -> None:
    """Its seven neighbours lose their worker together with it, and are not to blame.

    Four more tickets wait: a worker has room for them, and for those that lost their worker.
    """
    crew.submit(study(trials=12, epochs=EPOCHS, stack=8))
    assert work_until_done(crew, partial(hooks.die_in, 3, range(1, 2)), told=True) == 3
    states, dead = ("COMPLETE", "FAIL"), ("w0", "w1", "w2")
    assert_invariants(crew, trials=12, epochs=EPOCHS, states=states, reported=dead)
    assert [t.state.name for t in trials(crew)].count("FAIL") == 1
    assert trials(crew)[3].state.name == "FAIL"


@on("sqlite")
def test_own_code_that_kills_every_worker_fails_alone(crew: Crew) -> None:
    """What its worker ended a moment before it died is trained again, and counts from then on."""
    (crew.folder / "train.py").write_text(DEADLY)
    crew.submit(OWN)
    own = ("--until-done", "--code", str(crew.folder))
    slow = hooks.have_some_at_hand, hooks.deliver_when_awaited
    assert work_until_done(crew, *slow, told=True, args=own) == 3
    states, dead = ("COMPLETE", "FAIL"), ("w0", "w1", "w2")
    assert_invariants(crew, trials=4, epochs=1, states=states, reported=dead)
    assert [t.state.name for t in trials(crew)] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE"]


@on("sqlite")
def test_a_trial_that_loses_workers_but_makes_progress_goes_on(crew: Crew) -> None:
    crew.submit(study(trials=TRIALS, epochs=EPOCHS))
    slow = partial(hooks.pace, 0.3)  # so that each epoch is delivered before the next one ends
    deadly = partial(hooks.die_after, 1), hooks.report_at_once, slow
    assert work_until_done(crew, *deadly) == EPOCHS - 1
    assert_invariants(crew, trials=TRIALS, epochs=EPOCHS)
    assert trials(crew)[1].user_attrs["attempts"] == EPOCHS
