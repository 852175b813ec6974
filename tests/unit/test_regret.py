"""How strategies are compared: on the same seeds, next to what random search comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from benchmarks.regret import SHARES, summaries
from benchmarks.strategy import Table, simulate
from hpsearch.spec.settings import Value
from hpsearch.spec.space import Parameter, Range, Space

TRIALS = 4


def found(**strategies: dict) -> dict:
    return {"best": {"easy": 1.0, "solved": 1.0}, "runs": {
        name.replace("_", " "): {"easy": runs, "solved": {seed: [[1, 1.0]] for seed in runs}}
        for name, runs in strategies.items()
    }}  # fmt: skip


def summary(name: str, **strategies: dict):
    measured = found(**strategies)
    (of,) = (s for s in summaries(measured, TRIALS, [*measured["runs"]]) if s.strategy == name)
    return of


RANDOM = {"0": [[1, 0.2], [4, 0.6]], "1": [[1, 0.2], [4, 0.8]]}
TPE = {"0": [[1, 0.5], [2, 0.9]], "1": [[1, 0.1]]}


def test_regret_is_told_next_to_random_search() -> None:
    random = summary("joint random", joint_random=RANDOM, joint_tpe=TPE)
    assert random.regret[-1][0] == pytest.approx(1.0)
    tpe = summary("joint tpe", joint_random=RANDOM, joint_tpe=TPE)
    # After 1, 2 and 4 trials: the means of 0.5 and 0.9, 0.1 and 0.9, 0.1 and 0.9, over 0.3.
    wanted = [0.7 / 0.3, 0.5 / 0.3, 0.5 / 0.3]
    assert [middle for middle, _ in tpe.regret] == pytest.approx(wanted)
    assert len(wanted) == len(SHARES)


def test_a_table_that_random_search_solves_is_left_out() -> None:
    assert set(summary("joint tpe", joint_random=RANDOM, joint_tpe=TPE).tables) == {"easy"}


def test_only_seeds_that_all_have_run_count() -> None:
    both = {"joint_random": RANDOM, "joint_tpe": TPE}
    few = summary("staged", **both, staged={"0": [[1, 0.9]]})
    assert few.runs == summary("joint tpe", **both, staged={"0": [[1, 0.9]]}).runs == 1


def test_wins_are_counted_seed_by_seed_and_ties_half() -> None:
    staged = {"0": [[1, 0.5], [4, 0.7]], "1": [[1, 0.3]]}
    found = summary("staged", joint_random=RANDOM, joint_tpe=TPE, staged=staged)
    assert found.wins == [0.75, 0.5, 0.5]


def test_the_trials_that_random_searchs_end_takes() -> None:
    staged = {"0": [[1, 0.1], [3, 0.9]], "1": [[1, 0.1], [3, 0.9]]}
    found = summary("staged", joint_random=RANDOM, joint_tpe=TPE, staged=staged)
    assert (found.needed, found.reached) == (3, 1.0)


@dataclass(frozen=True)
class Slow(Table):
    """A table on which each configuration takes twice as long as a typical one."""

    asked: list[float] = field(default_factory=list)
    maximize = True
    typical_s = 10.0
    space = Space((Parameter("lr", "learning_rate", Range(0.0, 1.0)),))

    def look_up(self, values: Mapping[str, Value]) -> tuple[float, float]:
        self.asked.append(float(values["lr"]))  # type: ignore[arg-type]
        return len(self.asked), 20.0


@pytest.mark.parametrize("strategy", ["staged", "joint random", "joint grid"])
def test_a_budget_of_time_holds_what_fits_into_it(strategy: str) -> None:
    table = Slow("none", "slow")
    better = simulate(table, strategy, 0, trials=8, timed=True)
    # Four trials of two eighths each; the first counts from the beginning, the fifth is too late.
    assert better == [(1, 1.0), (4, 2.0), (6, 3.0), (8, 4.0)]
    assert len(table.asked) == 5


def test_a_budget_of_trials_holds_as_many_whatever_their_time() -> None:
    table = Slow("none", "slow")
    assert simulate(table, "joint random", 0, trials=8)[-1] == (8, 8.0)
