"""Estimates as people read them."""

from __future__ import annotations

import pytest

from hpsearch.forecast.pace import Span
from hpsearch.insight.words import about, duration, rough, signed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0384, "38 ms"),
        (1.0, "1 s"),
        (119, "120 s"),
        (734, "12 min"),
        (1e6, "280 h"),
    ],
)
def test_a_length_of_time_has_two_digits_and_one_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(-1510.3, "-1510"), (0.25, "+0.25"), (0.0, "0")])
def test_a_difference_has_its_sign_and_no_power_of_ten(value: float, text: str) -> None:
    assert signed(value) == text


def test_a_range_names_a_unit_once() -> None:
    assert about(Span(720, 480, 1500)) == "about 12 min (8 to 25 min)"
    assert about(Span(300, 60, 10_000)) == "about 5 min (60 s to 2.8 h)"
    assert about(Span(1234, 987, 4567), rough) == "about 1,200 (990 to 4,600)"
