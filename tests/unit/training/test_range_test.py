from __future__ import annotations

from dataclasses import replace

import pytest

from hpsearch.preflight.lr_range import range_test
from hpsearch.sources.dataset import Resident
from tests.unit.training.packing import DEVICE


def test_the_loss_falls_fastest_at_a_rate_that_trains_well(digits, candidate) -> None:
    test = range_test(candidate(batch_size=30), digits, DEVICE, 1e-6, 10.0)
    assert 1e-4 < test.steepest < test.largest < 1.0
    high = range_test(candidate(batch_size=30), digits, DEVICE, 1e-3, 1e4)
    assert high.rates[-1] < 1e4, "it continues after the loss has gone up for good"
    ratios = [b / a for a, b in zip(test.rates, test.rates[1:], strict=False)]
    assert max(ratios) == pytest.approx(min(ratios))


def test_no_rate_is_suggested_where_the_loss_does_not_fall(digits, candidate) -> None:
    blind = replace(digits, train=Resident(digits.train.inputs * 0, digits.train.targets))
    test = range_test(candidate(), blind, DEVICE, 1e-9, 1e-8)
    assert (test.steepest, test.largest) == (None, None)
