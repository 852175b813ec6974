"""Forecasts are kept beside studies that may not be there yet."""

from __future__ import annotations

from dataclasses import replace

from hpsearch.store.engine import Database
from hpsearch.store.ledger import Ledger
from tests.studies import A_STUDY


def test_the_newest_forecast_of_a_study_is_found_by_its_digest(url: str) -> None:
    ledger = Ledger(Database(url))
    assert ledger.forecast("a" * 64) is None
    ledger.keep_forecast("a" * 64, {"seconds": 1.5})
    ledger.keep_forecast("b" * 64, {"seconds": 9.0})
    assert ledger.forecast("a" * 64) == {"seconds": 1.5}
    ledger.keep_forecast("a" * 64, {"seconds": 3.5})
    assert ledger.forecast("a" * 64) == {"seconds": 3.5}, "in place of the first"


def test_a_forecast_outlives_its_study(sqlite_url: str) -> None:
    ledger = Ledger(Database(sqlite_url))
    ledger.create(replace(A_STUDY, digest="a" * 64))
    ledger.keep_forecast("a" * 64, {"seconds": 1.5})
    ledger.delete("s")
    assert ledger.forecast("a" * 64) == {"seconds": 1.5}
