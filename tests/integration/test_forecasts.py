"""Forecasts are kept beside studies that may not be there yet."""

from __future__ import annotations

from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger


def test_the_newest_forecast_of_a_study_is_found_by_its_digest(url: str) -> None:
    ledger = Ledger(Database(url))
    assert ledger.forecast("a" * 64) is None
    ledger.keep_forecast("a" * 64, "cpu", {"seconds": 1.5})
    ledger.keep_forecast("a" * 64, "cuda:0", {"seconds": 2.5})
    ledger.keep_forecast("b" * 64, "cpu", {"seconds": 9.0})
    assert ledger.forecast("a" * 64) == {"seconds": 2.5}
    ledger.keep_forecast("a" * 64, "cpu", {"seconds": 3.5})
    assert ledger.forecast("a" * 64) == {"seconds": 3.5}, "in place of the first"
