"""How much time a Gaussian process gets."""

from __future__ import annotations

import pytest

from hpsearch.search.pace import GRACE_S, SHARE, Pace


def test_the_first_proposals_may_be_made_before_anything_is_trained() -> None:
    assert Pace().allows_gp(proposals=1, complete=10, running=0, parameters=5)


def test_all_proposing_counts_and_training_earns_it_back() -> None:
    pace = Pace()
    pace.proposed(3 * SHARE * GRACE_S)
    assert not pace.allows_gp(1, 10, 0, 5)
    pace.trained(3 * GRACE_S)
    assert pace.allows_gp(1, 10, 0, 5)


def test_what_it_took_is_what_it_is_expected_to_take() -> None:
    pace = Pace()
    for _ in range(8):
        pace.measured(4.0, proposals=4, complete=50)
    assert pace.allows_gp(1, 50, 0, 5)
    assert not pace.allows_gp(4, 50, 0, 5)


@pytest.mark.parametrize(("complete", "allowed"), [(100, True), (300, True), (600, False)])
def test_more_trials_take_longer(complete: int, allowed: bool) -> None:
    pace = Pace()
    pace.trained(30.0)
    assert pace.allows_gp(1, complete, 0, 5) == allowed


@pytest.mark.parametrize(
    ("complete", "running", "parameters"), [(10_000, 0, 1), (2_000, 0, 15), (10, 256, 5)]
)
def test_memory_is_bounded_whatever_time_there_is(
    complete: int, running: int, parameters: int
) -> None:
    pace = Pace()
    pace.trained(1e9)
    assert not pace.allows_gp(1, complete, running, parameters)
    assert pace.allows_gp(1, complete // 10, running // 10, parameters)
