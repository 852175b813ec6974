"""How strategies are compared: on the same seeds, next to what random search comes to."""

from __future__ import annotations

import pytest

from benchmarks.regret import SHARES, summaries

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
