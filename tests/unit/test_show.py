"""What is said of results that are few."""

from __future__ import annotations

import pytest

from hpsearch.cli import show


@pytest.mark.parametrize("sign", [1, -1])
def test_a_winner_with_one_pair_of_seeds_is_compared_without_an_interval(sign: int) -> None:
    difference = {"mean": 0.25, "low": None, "high": None, "values": [0.25]}
    (name, said), (_, sure) = show._compared(difference, sign)
    assert name == ("better than it by" if sign > 0 else "worse than it by")
    assert "0.25" in said
    assert sure == "with so few seeds nothing can be said"
